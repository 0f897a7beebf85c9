"""On one machine every GPU has a job of its own, unless told otherwise. The GPUs here are names."""

import re

import pytest

from tests.workflow.conftest import Workspace


@pytest.mark.parametrize(
    ("arguments", "at_once", "devices"),
    [((), 2, {"0", "1"}), (("--resources", "gpu=1"), 1, {"0"})],
)
def test_as_many_gpu_jobs_run_at_a_time_as_there_are_gpus(
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    at_once: int,
    devices: set[str],
) -> None:
    monkeypatch.setenv("PERSONA_GEOMETRY_DEVICES", "0,1")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("TMPDIR", str(workspace.folder))
    workspace.config["execution"]["prompts_per_gpu_job"] = 2
    said = workspace.run("--until", "teacher_force", *arguments)
    running, most = 0, 0
    for began in re.findall(r"GPU job: load|Finished jobid: \d+ \(Rule: teacher_force\)", said):
        running += 1 if began.startswith("GPU job") else -1
        most = max(most, running)
    assert most == at_once
    locks = workspace.folder.glob("persona-geometry-devices-*/machine/*")
    assert {lock.name for lock in locks} == devices


def test_gpus_share_the_prompts_of_a_study_where_a_job_more_is_worth_a_load(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERSONA_GEOMETRY_DEVICES", "0,1,2,3")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    workspace.config["execution"]["prompts_per_gpu_job"] = 400
    workspace.prompts = [(f"p{k}", f"What is {k}?") for k in range(65)]
    assert workspace.jobs()["teacher_force"] == 3
    assert workspace.jobs("--resources", "gpu=1")["teacher_force"] == 1
    assert workspace.jobs("--config", "model={gpus: 2}")["teacher_force"] == 2
