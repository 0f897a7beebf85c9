"""Responses by the real vLLM, through the real workflow."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.workflow.conftest import Workspace, kill_when

from .conftest import ENDS

TARGET = "results/test/alignment.json"
RESULTS = ("js_matrix.json", "cosine_matrix.json", "alignment.json")


def responses(workspace: Workspace) -> dict[str, dict[str, Any]]:
    """User message to stored response."""
    found = {}
    for path in workspace.folder.glob("results/store/responses/*.json"):
        content = json.loads(path.read_text())
        found[content["recipe"]["user"]] = content["response"]
    return found


def response_files(workspace: Workspace) -> dict[Path, tuple[bytes, int]]:
    files = workspace.folder.glob("results/store/responses/*.json")
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def accounts(workspace: Workspace) -> list[dict[str, Any]]:
    """What the jobs that generated responses did, the oldest first."""
    paths = workspace.folder.glob("results/store/response_receipts/*.json")
    ordered = sorted(paths, key=lambda path: path.stat().st_mtime_ns)
    return [json.loads(path.read_bytes())["account"] for path in ordered]


def receipt(workspace: Workspace, target: str = TARGET) -> str:
    """The receipt that the job would leave which generates what this study lacks."""
    planned = re.findall(r"results/store/response_receipts/\w+\.json", workspace.run("-n", target))
    assert len(set(planned)) == 1
    return planned[0]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, vllm_model: Path) -> Workspace:
    """A study run to its alignment with vLLM."""
    workspace = Workspace(tmp_path_factory.mktemp("vllm"), vllm_model)
    workspace.config["generation"]["backend"] = "vllm"
    jobs = workspace.jobs(TARGET)
    assert (jobs["generate_responses"], jobs["teacher_force"]) == (1, 1)
    workspace.run(TARGET)
    return workspace


def test_both_backends_give_the_same_study(
    finished: Workspace, tmp_path: Path, vllm_model: Path
) -> None:
    other = Workspace(tmp_path, vllm_model)
    assert "generate_responses" not in other.jobs(TARGET)
    other.run(TARGET)
    ours = responses(finished)
    assert ours == responses(other) and len(ours) == 4
    for response in ours.values():
        ended = response["token_ids"][-1] in ENDS
        assert response["finish_reason"] == ("stop" if ended else "length")
        assert len(response["token_ids"]) < 24 or not ended
    assert {response["finish_reason"] for response in ours.values()} == {"stop", "length"}
    for name in RESULTS:
        pair = [json.loads(study.result(name).read_text()) for study in (finished, other)]
        assert pair[0] == pair[1], name


def test_added_prompt_generates_one_response(finished: Workspace, tmp_path: Path) -> None:
    study = finished.copy()
    study.folder = tmp_path / "study"
    shutil.copytree(finished.folder, study.folder)
    assert study.jobs(TARGET) == {}
    before = response_files(study)
    study.prompts.insert(1, ("new", "Who are you?"))
    jobs = study.jobs(TARGET)
    assert (jobs["generate_responses"], jobs["teacher_force"]) == (1, 1)
    study.run(receipt(study))
    after = response_files(study)
    assert len(after) == len(before) + 1 and {path: after[path] for path in before} == before
    assert [account["responses"] for account in accounts(study)] == [4, 1]
    del study.prompts[2]
    assert "generate_responses" not in study.jobs(TARGET)


def test_killed_job_keeps_the_responses_that_had_ended(
    finished: Workspace, vllm_workspace: Workspace
) -> None:
    study = vllm_workspace
    study.prompts += [(f"n{i}", f"Say the number {i}.") for i in range(300)]
    target = receipt(study)
    process = study.start(target)
    kill_when(process, lambda: len(response_files(study)) >= 5, seconds=120)
    kept = response_files(study)
    assert 5 <= len(kept) < len(study.prompts) and accounts(study) == []
    study.run("--unlock")
    study.run(target)
    whole = response_files(study)
    assert len(whole) == len(study.prompts) and {path: whole[path] for path in kept} == kept
    assert [account["responses"] for account in accounts(study)] == [304 - len(kept)]
    assert responses(finished).items() <= responses(study).items()


def test_prompt_too_long_for_the_model_is_refused_in_one_sentence(
    vllm_workspace: Workspace,
) -> None:
    vllm_workspace.config["generation"]["max_new_tokens"] = 2000
    output = vllm_workspace.run(receipt(vllm_workspace), fails=True)
    assert "are more than the model's" in output and "shorten the longer text" in output
    assert "lower generation.max_new_tokens" in output and "Traceback" not in output


def test_embedded_study_is_the_same_by_both_backends(tmp_path: Path) -> None:
    studies = []
    for backend in ("vllm", "transformers"):
        study = Workspace.embedded(tmp_path / backend)
        study.config["generation"]["backend"] = backend
        study.run("results/demo/alignment.json")
        studies.append(study)
    ours, theirs = (responses(study) for study in studies)
    assert len(ours) == 20 and ours == theirs
    for name in RESULTS:
        pair = [(study.folder / "results/demo" / name).read_bytes() for study in studies]
        assert json.loads(pair[0]) == json.loads(pair[1]), name
