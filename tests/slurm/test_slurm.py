"""profiles/h100 on a real SLURM: what is submitted, and what interruptions cost."""

import json
import os
import signal
from collections.abc import Callable

import pytest

from ..workflow.conftest import agree, embedded_config
from .conftest import PROMPTS, Cluster, SlurmStudy, wait_for

TARGET = "results/test/js_matrix.json"
NewStudy = Callable[[str, int], SlurmStudy]


@pytest.fixture(scope="module")
def overdue(cluster: Cluster, new_study: NewStudy) -> SlurmStudy:
    """A study whose GPU job hangs until its time limit ends it, beside the other tests."""
    study = new_study("overdue", len(PROMPTS))
    study.begin(TARGET)
    study.freeze()
    cluster.do("scontrol", "update", f"JobId={study.nth_job(1)}", "TimeLimit=1")
    return study


@pytest.fixture(scope="module")
def cancelled(cluster: Cluster, new_study: NewStudy) -> tuple[SlurmStudy, dict]:
    """A study whose GPU job is cancelled half-way, and what was stored by then."""
    study = new_study("cancelled", len(PROMPTS))
    study.begin(TARGET)
    study.freeze()
    kept = study.kept()
    assert 0 < len(study.divergences()) < len(PROMPTS)
    cluster.do("scancel", str(study.nth_job(1)))
    return study, kept


@pytest.fixture(scope="module")
def undisturbed(overdue: SlurmStudy, cancelled: SlurmStudy, new_study: NewStudy) -> SlurmStudy:
    study = new_study("undisturbed", 3)
    study.finish()
    return study


def test_each_gpu_job_asks_for_one_h100_and_nothing_else_is_submitted(
    cluster: Cluster, undisturbed: SlurmStudy
) -> None:
    assert undisturbed.result("alignment.json").is_file()
    assert undisturbed.result("summary.md").is_file()
    jobs = [cluster.job(number) for number in undisturbed.submitted()]
    assert len(jobs) == 2
    for job in jobs:
        assert job["Comment"].startswith("rule_teacher_force_")
        assert job["Partition"] == "h100"
        assert job["TresPerJob"] == "gres:gpu:h100:1"
        assert (job["NumTasks"], job["CPUs/Task"], job["NumNodes"]) == ("1", "8", "1")
        assert (job["TimeLimit"], job["Requeue"]) == ("00:10:00", "1")
        assert 16_000 <= int(job["MinMemoryNode"].removesuffix("M")) < 17_000
    names = {job["JobName"] for job in jobs}
    assert len(names) == 1
    everything = cluster.do(
        "squeue", "--noheader", "--states", "all", "--name", names.pop(), "--format", "%i"
    )
    assert sorted(map(int, everything.split())) == sorted(undisturbed.submitted())


def test_the_embedded_study_completes(cluster: Cluster, new_study: NewStudy) -> None:
    study = new_study("embedded", 20)
    study.config = embedded_config()
    study.finish()
    assert [cluster.job(number)["TresPerJob"] for number in study.submitted()] == [
        "gres:gpu:h100:1"
    ]
    alignment = json.loads((study.folder / "results/demo/alignment.json").read_text())
    assert (alignment["n_pairs"], alignment["n_prompts"]) == (171, 20)


def test_added_persona_submits_its_jobs_and_removed_one_none(undisturbed: SlurmStudy) -> None:
    before, kept = undisturbed.js(), undisturbed.kept()
    undisturbed.personas.insert(1, ("pirate", "", "You are a pirate."))
    undisturbed.finish(TARGET)
    assert len(undisturbed.submitted()) == 2
    assert undisturbed.stored() == (len(PROMPTS), 6 * len(PROMPTS), 15 * len(PROMPTS))
    assert undisturbed.kept().items() >= kept.items()
    del undisturbed.personas[1]
    undisturbed.finish(TARGET)
    assert undisturbed.submitted() == []
    assert undisturbed.js() == before


def test_cancelled_job_is_submitted_again_and_keeps_what_it_stored(
    cluster: Cluster, cancelled: tuple[SlurmStudy, dict], undisturbed: SlurmStudy
) -> None:
    study, kept = cancelled
    study.end()
    first, second = (cluster.job(number)["JobState"] for number in study.submitted())
    assert (first, second) == ("CANCELLED", "COMPLETED")
    assert "status is: 'CANCELLED'" in study.output
    assert study.kept().items() >= kept.items()
    assert agree(study.js(), undisturbed.js())


def test_drained_and_failed_node_delay_jobs_and_lose_nothing(
    cluster: Cluster, overdue: SlurmStudy, new_study: NewStudy, undisturbed: SlurmStudy
) -> None:
    study = new_study("drained", 2)
    study.begin(TARGET)
    process = study.freeze()
    study.nth_job(3)
    cluster.set_node("DRAIN")
    os.kill(process, signal.SIGCONT)
    wait_for(lambda: cluster.states(study) <= {"COMPLETED", "PENDING"}, "the end of running jobs")
    assert cluster.states(study) == {"COMPLETED", "PENDING"}
    overdue_job = overdue.nth_job(1)
    wait_for(lambda: cluster.job(overdue_job)["JobState"] == "TIMEOUT", "the time limit")
    cluster.set_node("RESUME")
    study.freeze()
    kept = study.kept()
    cluster.set_node("DOWN")
    wait_for(lambda: cluster.states(study) == {"COMPLETED", "PENDING"}, "the return to the queue")
    cluster.set_node("RESUME")
    study.end()
    assert cluster.states(study) == {"COMPLETED"} and len(study.submitted()) == 3
    assert any(cluster.job(number)["Restarts"] == "1" for number in study.submitted())
    assert study.kept().items() >= kept.items()
    assert agree(study.js(), undisturbed.js())


def test_job_past_its_time_limit_is_submitted_again_with_a_longer_one(
    cluster: Cluster, overdue: SlurmStudy, undisturbed: SlurmStudy
) -> None:
    overdue.end()
    first, second = (cluster.job(number) for number in overdue.submitted())
    assert (first["JobState"], second["JobState"]) == ("TIMEOUT", "COMPLETED")
    assert "status is: 'TIMEOUT'" in overdue.output
    assert second["TimeLimit"] == "00:20:00"
    assert int(second["MinMemoryNode"][:-1]) > int(first["MinMemoryNode"][:-1])
    assert agree(overdue.js(), undisturbed.js())


def test_large_model_gets_its_gpus_together_and_an_interrupted_run_leaves_no_job(
    cluster: Cluster, new_study: NewStudy
) -> None:
    study = new_study("large", len(PROMPTS))
    study.config["model"]["gpus"] = 2
    study.begin(TARGET)
    number = study.nth_job(1)
    job = cluster.job(number)
    assert job["TresPerJob"] == "gres:gpu:h100:2"
    assert (job["NumTasks"], job["CPUs/Task"]) == ("1", "16")
    assert job["NumNodes"] in ("1", "1-1")  # given, or asked for: at least and at most one
    study.process.send_signal(signal.SIGINT)
    assert study.process.wait(timeout=240) != 0
    wait_for(lambda: cluster.job(number)["JobState"] == "CANCELLED", "the end of the job")
