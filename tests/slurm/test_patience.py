"""The executor of profiles/h100 on a cluster that refuses, forgets, preempts and delays.

One job of a second stands for a GPU job. SLURM and its accounting are real; where a command is
replaced by a script, the test says what a real cluster cannot be made to do on demand.
"""

import shlex
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Cluster, SlurmStudy, wait_for

SNAKEFILE = """
rule all:
    localrule: True
    input: "done.txt"

rule teacher_force:
    output: "done.txt"
    threads: 1
    resources: gpu=1, mem_mb=100, runtime=lambda wildcards, attempt: 10 * attempt
    shell: "touch started; while [ -e wait ]; do sleep 0.2; done; touch {output}"
"""


class SmallRun(SlurmStudy):
    """A workflow of one job that ends when a file is removed."""

    gpus = "1"

    def write(self) -> None:
        (self.folder / "Snakefile").write_text(SNAKEFILE.replace("gpu=1", f"gpu={self.gpus}"))
        (self.folder / "study.yaml").write_text("{}")

    @property
    def snakefile(self) -> Path:
        return self.folder / "Snakefile"

    def hold(self) -> None:
        (self.folder / "wait").touch()

    def release(self) -> None:
        (self.folder / "wait").unlink()

    def started(self) -> bool:
        return (self.folder / "started").exists()

    def limits(self) -> list[str]:
        return [self.cluster.job(number)["TimeLimit"] for number in self.submitted()]


@pytest.fixture
def run(cluster: Cluster, tmp_path: Path) -> SmallRun:
    return SmallRun(cluster, tmp_path, tmp_path, 1)


@pytest.fixture
def accounting(cluster: Cluster) -> Callable[[], None]:
    """Skips where the cluster has none."""
    shown = subprocess.run(["sacct", "--noheader"], capture_output=True)
    if shown.returncode != 0:
        pytest.skip("slurmdbd and mariadb-server are not installed")


def test_a_controller_that_does_not_answer_is_asked_again(cluster: Cluster, run: SmallRun) -> None:
    """The controller is ended for a while. A script keeps accounting from standing in for it."""
    run.replace("sacct", "exit 1")
    run.hold()
    run.begin()
    wait_for(run.started, "the start of the job")
    cluster.stop_controller()
    try:
        run.says("SLURM has not answered for")
        run.release()
    finally:
        cluster.start_controller()
    run.end()
    assert len(run.submitted()) == 1


def test_without_accounting_squeue_alone_is_asked(run: SmallRun) -> None:
    """A script answers as sacct does where accounting is disabled: here it is enabled."""
    run.replace("sacct", "echo 'Slurm accounting storage is disabled' >&2; exit 1")
    run.finish()
    assert "jobs are followed with squeue alone" in run.output


FORGETFUL = 'exec $real "${@/--states=all/--states=PENDING,RUNNING,COMPLETING}"'
"""squeue of a cluster with a MinJobAge of nothing."""


def test_a_job_that_squeue_has_forgotten_is_found_in_accounting(
    accounting: None, cluster: Cluster, run: SmallRun
) -> None:
    run.replace("squeue", FORGETFUL)
    run.hold()
    run.begin()
    wait_for(run.started, "the start of the job")
    cluster.do("scancel", str(run.nth_job(1)))
    run.says("SLURM status is: 'CANCELLED'")
    run.release()
    run.end()
    assert run.limits() == ["00:10:00", "00:20:00"]
    assert "files decide" not in run.output


def test_a_job_that_nobody_remembers_is_judged_by_its_files(run: SmallRun) -> None:
    run.replace("squeue", FORGETFUL)
    run.replace("sacct", "exit 1")
    run.finish()
    assert "its files decide how it ended" in run.output
    assert len(run.submitted()) == 1


def test_a_refused_sacct_is_asked_again(accounting: None, run: SmallRun) -> None:
    """A script refuses as sacct does while slurmdbd is away: ten times after the start."""
    run.replace("squeue", FORGETFUL)
    run.replace(
        "sacct",
        f"echo >> {run.folder}/asked; n=$(wc -l < {run.folder}/asked); "
        '[[ $n -gt 1 && $n -lt 12 ]] && exit 1; exec $real "$@"',
    )
    run.finish()
    assert len((run.folder / "asked").read_text().splitlines()) >= 12
    assert "files decide" not in run.output and len(run.submitted()) == 1


def test_files_that_appear_late_are_waited_for(run: SmallRun) -> None:
    """A script hides the output of the ended job for 15 questions, longer than latency-wait."""
    run.replace(
        "squeue",
        'said=$($real "$@"); if [[ $said == *COMPLETED* ]]; then echo >> ended; '
        "n=$(wc -l < ended); [[ $n -eq 1 ]] && mv done.txt late; "
        '[[ $n -eq 16 ]] && mv late done.txt; fi; echo "$said"',
    )
    run.finish()
    assert len((run.folder / "ended").read_text().splitlines()) >= 16
    assert len(run.submitted()) == 1


def test_a_preempted_job_is_submitted_again_and_counts_as_no_attempt(
    cluster: Cluster, run: SmallRun
) -> None:
    run.hold()
    run.begin()
    wait_for(run.started, "the start of the job")
    cluster.do("sbatch", "--output=/dev/null", "--partition=urgent", "-c32", "--wrap=sleep 1")
    first = run.nth_job(1)
    wait_for(lambda: cluster.job(first)["JobState"] == "PREEMPTED", "the preemption")
    run.release()
    run.end()
    assert "(PREEMPTED) and has not put it back" in run.output
    assert run.limits() == ["00:10:00", "00:10:00"]


@pytest.mark.parametrize(
    ("requests", "said"),
    [
        (["slurm_partition=h100", "slurm_account=nobody"], "Invalid account"),
        (["slurm_partition=nowhere"], "invalid partition"),
    ],
)
def test_a_wrong_account_or_partition_is_said_at_once(
    accounting: None, run: SmallRun, requests: list[str], said: str
) -> None:
    run.requests = requests
    run.begin()
    run.fail()
    assert said in run.output and "correct the account, the partition" in run.output
    assert run.output.count("SLURM would refuse") == 1 and run.submitted() == []


def test_a_request_that_becomes_impossible_ends_the_job_with_one_sentence(
    cluster: Cluster, run: SmallRun
) -> None:
    """The node has two GPUs: the check at the start passes, the second attempt asks for four."""
    run.gpus = "lambda wildcards, attempt: 2 * attempt"
    run.hold()
    run.begin()
    wait_for(run.started, "the start of the job")
    cluster.do("scancel", str(run.nth_job(1)))
    run.fail()
    said = [line for line in run.output.splitlines() if "SLURM refuses the job of rule" in line]
    assert len(said) == 1 and "Requested node configuration is not available" in said[0]
    assert "asking again" not in run.output and "attempt 3" not in run.output
    assert len(run.submitted()) == 1


def test_why_a_job_waits_is_said(cluster: Cluster, run: SmallRun) -> None:
    cluster.do("scontrol", "update", "PartitionName=h100", "State=DOWN")
    try:
        run.begin()
        run.says("Waiting in SLURM's queue (PartitionDown)")
    finally:
        cluster.do("scontrol", "update", "PartitionName=h100", "State=UP")
    run.end()


def test_a_limit_below_the_request_is_said(run: SmallRun) -> None:
    run.requests = ["slurm_partition=short"]
    run.begin()
    wait_for(
        lambda: "PartitionTimeLimit" in run.output or "SLURM would refuse" in run.output,
        "a word about the limit",
    )
    run.process.send_signal(signal.SIGINT)
    run.fail()


def test_a_refused_sbatch_counts_as_no_attempt(run: SmallRun) -> None:
    """A script refuses twice as sbatch does where too many jobs wait."""
    run.replace(
        "sbatch",
        '[[ "$*" == *--test-only* ]] && exec $real "$@"; '
        f"echo >> {run.folder}/asked; "
        f"[[ $(wc -l < {run.folder}/asked) -lt 3 ]] && "
        '{ echo "sbatch: error: QOSMaxSubmitJobPerUserLimit" >&2; exit 1; }; exec $real "$@"',
    )
    run.finish()
    assert run.output.count("This counts as no attempt") == 2
    assert run.limits() == ["00:10:00"]


LATE_ANSWER = (
    '[[ "$*" == *--test-only* ]] && exec $real "$@"; echo >> {0}/sent; '
    '[[ $(wc -l < {0}/sent) -eq {1} ]] && {{ $real "$@" > /dev/null; '
    'echo "sbatch: error: Socket timed out on send/recv operation" >&2; exit 1; }}; exec $real "$@"'
)
"""sbatch whose n-th request SLURM takes, while the answer is lost."""


def test_a_job_whose_number_was_lost_is_not_submitted_twice(run: SmallRun) -> None:
    """squeue does not answer at first either, and until it does nothing is submitted."""
    run.replace("sbatch", LATE_ANSWER.format(run.folder, 1))
    run.replace(
        "squeue",
        f"echo >> {run.folder}/asked; [[ $(wc -l < {run.folder}/asked) -lt 3 ]] && "
        '{ echo "squeue: error: Socket timed out" >&2; exit 1; }; exec $real "$@"',
    )
    run.hold()
    run.begin()
    run.says("after all")
    run.release()
    run.end()
    assert len((run.folder / "sent").read_text().splitlines()) == 1
    assert run.limits() == ["00:10:00"]
    assert run.output.count("This counts as no attempt") == 3


def test_an_earlier_attempt_is_not_taken_for_the_lost_one(cluster: Cluster, run: SmallRun) -> None:
    """The answer to the second attempt is lost; the first has the same name and comment."""
    run.replace("sbatch", LATE_ANSWER.format(run.folder, 2))
    run.hold()
    run.begin()
    wait_for(run.started, "the start of the job")
    cluster.do("scancel", str(run.nth_job(1)))
    run.says("after all")
    run.release()
    run.end()
    assert len((run.folder / "sent").read_text().splitlines()) == 2
    assert run.limits() == ["00:10:00", "00:20:00"]


def test_what_is_asked_for_is_shown_first(run: SmallRun) -> None:
    run.finish()
    shown = "Asking SLURM for 1 GPU (h100), 1 cores, 100 MB of memory and 10 minutes at most"
    assert 0 < run.output.index(shown) < run.output.index("submitted with SLURM jobid")


def test_the_profile_as_it_is_names_neither_account_nor_partition(
    cluster: Cluster, run: SmallRun
) -> None:
    """SLURM takes the user's account and its own default partition, also in the check before."""
    run.requests = []
    run.replace("sbatch", f'echo "${{@@Q}}" >> {run.folder}/asked; exec $real "$@"')
    run.finish()
    asked = (run.folder / "asked").read_text().splitlines()
    assert len(asked) == 2 and "'--test-only'" in asked[0]
    for words in map(shlex.split, asked):
        assert not [word for word in words if word.startswith(("-A", "-p", "--acc", "--partition"))]
    assert cluster.job(run.nth_job(1))["Partition"] == "cpu"


def test_an_interrupted_run_submits_nothing_more(cluster: Cluster, run: SmallRun) -> None:
    """A script keeps sbatch from answering until the run is interrupted."""
    run.replace(
        "sbatch",
        '[[ "$*" == *--test-only* ]] || { touch asked; sleep 5; }; exec $real "$@"',
    )
    run.hold()
    run.begin()
    wait_for((run.folder / "asked").exists, "the submission")
    run.process.send_signal(signal.SIGINT)
    run.fail()
    wait_for(lambda: not cluster.do("squeue", "--noheader").strip(), "an empty queue")
