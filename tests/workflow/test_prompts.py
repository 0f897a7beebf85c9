"""A persona or prompt that the model would not get as its table has it stops the run early."""

import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import TEMPLATE

from .conftest import Workspace

TARGET = "results/test/js_matrix.json"
HELPER = "You are a helpful assistant."
DATED = "Today Date: {{ strftime_now('%d %b %Y') }}\n" + TEMPLATE


def test_twins_stop_the_run_before_its_gpu_job(workspace: Workspace, random_model: Path) -> None:
    model = shutil.copytree(random_model, workspace.folder / "model")
    template = TEMPLATE.replace("{{ m['content'] }}", "{{ m['content'] | trim }}")
    (model / "chat_template.jinja").write_text(template)
    workspace.config["model"]["path"] = str(model)
    workspace.personas += [("nobody", "", "@template"), ("helper", "", HELPER)]
    output = workspace.run(TARGET, "--show-failed-logs", fails=True)
    assert "personas.tsv, persona 'helper': it becomes the same tokens as " in output
    assert "same tokens as personas.tsv, persona 'nobody'" in output
    assert "rule teacher_force" not in output and workspace.stored() == (0, 0, 0)


@pytest.mark.parametrize("backend", ["transformers", "vllm"])
def test_what_is_too_long_stops_the_run_before_its_gpu_job(
    workspace: Workspace, backend: str
) -> None:
    workspace.config["generation"]["backend"] = backend
    workspace.personas[2] = ("poet", "", "You are a poet. " * 70)
    output = workspace.run(TARGET, "--show-failed-logs", fails=True)
    assert "personas.tsv, persona 'poet', with prompts.tsv, prompt 'q2': a prompt of 1" in output
    assert "a response of up to 24 are more than the model's 1024 positions" in output
    assert "rule teacher_force" not in output and "rule generate_responses" not in output
    assert workspace.stored() == (0, 0, 0)


def test_a_pinned_day_is_part_of_every_result(workspace: Workspace, random_model: Path) -> None:
    model = shutil.copytree(random_model, workspace.folder / "model")
    (model / "chat_template.jinja").write_text(DATED)
    workspace.config["model"]["path"] = str(model)
    workspace.prompts = workspace.prompts[:1]
    output = workspace.run(TARGET, "--show-failed-logs", fails=True)
    assert "rule teacher_force" not in output
    assert "prints the day on which it is run" in output and workspace.stored() == (0, 0, 0)

    workspace.config["model"]["template_arguments"] = {"strftime_now": "2024-07-26"}
    workspace.run(TARGET)
    assert workspace.jobs(TARGET) == {}
    stored = next(workspace.folder.glob("results/store/responses/*.json")).read_text()
    assert json.loads(stored)["recipe"]["model"]["template_arguments"] == {
        "strftime_now": "2024-07-26"
    }
    workspace.config["model"]["template_arguments"] = {"strftime_now": "2024-07-27"}
    jobs = workspace.jobs(TARGET)
    assert jobs["check_prompts"] == jobs["teacher_force"] == 1
