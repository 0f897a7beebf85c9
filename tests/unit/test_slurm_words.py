"""What the executor of profiles/h100 makes of SLURM's words."""

import itertools
from pathlib import Path
from unittest.mock import Mock

import pytest
import yaml
from snakemake_executor_plugin_slurm import Executor as SlurmExecutor
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

from snakemake_executor_plugin_slurm_patient import Executor, _Resources
from snakemake_executor_plugin_slurm_patient.refusals import is_for_good, pauses, said
from snakemake_executor_plugin_slurm_patient.states import REQUEUE_SECONDS, Seen, ask

PROFILE = Path(__file__).parents[2] / "profiles/h100/config.yaml"


@pytest.fixture
def executor(monkeypatch: pytest.MonkeyPatch) -> Executor:
    """An executor without a workflow, which submits and reports to mocks."""
    monkeypatch.setattr(SlurmExecutor, "__post_init__", lambda *_: None)
    executor = Executor.__new__(Executor)
    executor.dag = Mock(needrun_jobs=list)
    executor.__post_init__()
    executor.logger = executor._job_submission_executor = Mock()
    executor.report_job_error = Mock()
    executor._partitions = None
    return executor


@pytest.mark.parametrize(
    "refusal",
    [
        "Batch job submission failed: Invalid account or account/partition combination specified",
        "invalid partition specified: gpus",
        "Batch job submission failed: Invalid qos specification",
        "Invalid generic resource (gres) specification",
        "Requested node configuration is not available",
        "Requested topology configuration is not available",
        "CPU count per node can not be satisfied",
        "Node feature requirements can not be satisfied",
        "Socket, core and/or thread specification can not be satisfied",
        "Temporary disk specification can not be satisfied",
        "Node count specification invalid",
        "CPU count specification invalid",
        "Task count specification invalid",
        "Task distribution specification invalid",
        "Invalid Trackable RESource (TRES) specification",
        "Invalid time-min specification (exceeds job's time or other limits)",
        "Invalid cluster feature specification",
        "Duplicate generic resource (gres) specification",
        "Job size specification needs to be provided",
        "Time limit specification required, but not provided",
        "Requested GRES option unsupported by configured SelectType plugin",
        "Requested more tasks than available processors",
        "Requested nodes not in this partition",
        "Requested operation not supported on this system",
        "Requested reservation is invalid",
        "Access denied to requested reservation",
        "Memory required by task is not available",
        "More processors requested than permitted",
        "No partition specified or system default partition",
        "QOSMaxWallDurationPerJobLimit sbatch: error: Job violates accounting/QOS policy",
        "AssocMaxCpuPerJobLimit",
        "QOSMaxCpuPerNode",
        "QOSMinGRES",
        "Requested time limit is invalid (missing or exceeds some limit)",
        "Memory specification can not be satisfied",
        "User's group not permitted to use this partition",
        "sbatch: unrecognized option '--gpus=h100:1'",
    ],
)
def test_refusals_that_would_come_again_are_for_good(refusal: str) -> None:
    assert is_for_good(refusal)


@pytest.mark.parametrize(
    "refusal",
    [
        "Unable to contact slurm controller (connect failure)",
        "Socket timed out on send/recv operation",
        "Requested partition configuration not available now",
        "Required partition not available (inactive or drain)",
        "Required node not available (down, drained or reserved)",
        "Requested reservation not usable now",
        "Requested operation is presently disabled",
        "Immediate execution impossible, insufficient priority",
        "Invalid authentication credential",
        "Invalid job credential",
        "QOSMaxSubmitJobPerUserLimit",
        "QOSMaxJobsPerAccountLimit",
        "AssocMaxSubmitJobLimit",
        "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
        "Slurm temporarily unable to accept job, sleeping and retrying",
        "words that nobody has heard",
    ],
)
def test_other_refusals_may_pass(refusal: str) -> None:
    assert not is_for_good(refusal)


def test_the_words_of_sbatch_are_found_in_the_report_of_the_plugin() -> None:
    report = "SLURM sbatch failed. The error message was 'a user's\n limit'.\n    sbatch call:\n  x"
    assert said(report) == "a user's limit"
    assert said("No report") == "No report"
    assert said("SLURM sbatch failed. The error message was ''.\n") == "sbatch gives no reason"
    assert said("") == ""


def test_pauses_grow_to_five_minutes() -> None:
    assert list(itertools.islice(pauses(), 7)) == [10, 20, 40, 80, 160, 300, 300]


def test_a_preempted_job_is_given_time_to_be_requeued() -> None:
    assert Seen("PREEMPTED").verdict(REQUEUE_SECONDS - 1) == "active"
    assert Seen("PREEMPTED").verdict(REQUEUE_SECONDS) == "taken away"
    assert Seen("COMPLETING").verdict(1e9) == "active"


@pytest.mark.parametrize(
    ("state", "submitted_again"),
    [("NODE_FAIL", 3), ("BOOT_FAIL", 3), ("PREEMPTED", 9), ("REVOKED", 9)],
)
def test_a_job_under_which_nodes_fail_is_submitted_again_three_times(
    executor: Executor, state: str, submitted_again: int
) -> None:
    job = Mock()
    for number in range(9):
        info = SubmittedJobInfo(job, external_jobid=str(number), aux={"slurm_logfile": "log"})
        assert executor._settle(info, Seen(state), REQUEUE_SECONDS)
    assert executor._job_submission_executor.submit.call_count == submitted_again
    failures = [call.kwargs["msg"] for call in executor.report_job_error.call_args_list]
    assert len(failures) == 9 - submitted_again
    assert all("failed under it 3 times before" in message for message in failures)


@pytest.mark.parametrize(
    ("resources", "account", "partition"),
    [
        ({}, "", ""),
        ({"slurm_account": "me", "slurm_partition": "gpu"}, " -A me", " -p gpu"),
    ],
)
def test_without_account_and_partition_in_the_profile_slurm_chooses(
    executor: Executor, resources: dict[str, str], account: str, partition: str
) -> None:
    profile = yaml.safe_load(PROFILE.read_text())["default-resources"]
    assert (profile["slurm_account"], profile["slurm_partition"]) == ("", "")
    job = Mock(resources=_Resources(profile | resources))
    assert next(executor.get_account_arg(job)) == account
    assert executor.get_partition_arg(job) == partition


def test_an_answer_is_read_and_a_refusal_is_kept() -> None:
    lines = "7|CANCELLED by 1000\n8|PENDING|QOSMaxGRESPerUser\n\n"
    assert ask(["printf", lines]) == {
        "7": Seen("CANCELLED"),
        "8": Seen("PENDING", "QOSMaxGRESPerUser"),
    }
    assert ask(["ls", "/nowhere"]).startswith("ls: ")
    assert "No such file" in ask(["no-such-command"])
