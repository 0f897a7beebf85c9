"""What is lost or damaged between two runs is mended by the next one, and nothing else is."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from persona_geometry.store.store import Store

from .conftest import ROOT, Workspace

TARGET = "results/test/js_matrix.json"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, random_model: Path) -> Workspace:
    """A small study, run once."""
    workspace = Workspace(tmp_path_factory.mktemp("finished"), random_model)
    workspace.prompts = workspace.prompts[:2]
    workspace.run(TARGET)
    return workspace


def store_of(study: Workspace) -> Store:
    return Store(study.folder / "results" / "store")


def manage(study: Workspace, *arguments: str, fails: bool = False) -> str:
    ran = subprocess.run(
        [sys.executable, str(ROOT / "workflow_scripts" / "manage_store.py"), *arguments],
        cwd=study.folder,
        capture_output=True,
        text=True,
    )
    assert (ran.returncode != 0) == fails and "Traceback" not in ran.stderr, ran.stderr
    return ran.stdout + ran.stderr


def results_of_gpu_jobs(study: Workspace) -> dict[Path, int]:
    files = store_of(study).root.glob("items/*/*/*.safetensors")
    return {path: path.stat().st_mtime_ns for path in files}


def test_lost_response_is_generated_again_and_its_cells_are_kept(study: Workspace) -> None:
    expected, before = study.js(), results_of_gpu_jobs(study)
    lost = sorted(store_of(study).root.glob("responses/*.json"))[0]
    said = lost.read_bytes()
    lost.unlink()
    shutil.rmtree(study.folder / "results" / "test")
    assert "verify --repair" in study.run(TARGET, "--show-failed-logs", fails=True)
    assert "certifies what is not there" in manage(study, "verify", fails=True)
    manage(study, "verify", "--repair")
    study.run(TARGET)
    assert lost.read_bytes() == said and results_of_gpu_jobs(study) == before
    assert study.js() == expected
    manage(study, "verify")


def test_damaged_receipt_stops_no_study(study: Workspace) -> None:
    expected, before = study.js(), results_of_gpu_jobs(study)
    (receipt,) = store_of(study).root.glob("receipts/*.json")
    receipt.write_bytes(receipt.read_bytes()[:50])
    shutil.rmtree(study.folder / "results" / "test")
    study.run(TARGET)
    assert study.js() == expected and results_of_gpu_jobs(study) == before
    assert f"damaged: {receipt.relative_to(study.folder)}" in manage(study, "verify", fails=True)
    manage(study, "verify", "--repair")
    shutil.rmtree(study.folder / "results" / "test")
    study.run(TARGET)
    assert results_of_gpu_jobs(study) == before and receipt.is_file()
    manage(study, "verify")


def test_damaged_description_of_the_model_is_repaired(study: Workspace) -> None:
    files = store_of(study).root.glob("models/*.json")
    (described,) = (path for path in files if "fingerprint" in path.read_text())
    described.write_text('{"weight')
    study.personas.append(("pirate", "", "You are a pirate."))
    assert "is damaged; run" in study.run(TARGET, fails=True)
    manage(study, "verify", "--repair")
    study.run(TARGET)


def test_job_whose_shard_was_certified_in_the_meantime_ends_well(study: Workspace) -> None:
    """A scheduler's job reads the Snakefile again, after another study may have been faster."""
    (receipt,) = store_of(study).root.glob("receipts/*.json")
    before = results_of_gpu_jobs(study)
    output = study.run(
        *("--mode", "remote", "--force", "--nolock"),
        *("--target-jobs", f"teacher_force:shard={receipt.stem}"),
        *("--allowed-rules", "teacher_force"),
    )
    assert "0 cells and 0 pairs to compute" in output and receipt.is_file()
    assert results_of_gpu_jobs(study) == before
    assert "teacher_force" not in study.jobs(TARGET)


def test_cells_without_states_get_them_when_they_are_run_again(
    workspace: Workspace, finished: Workspace
) -> None:
    workspace.prompts = finished.prompts
    workspace.config["scoring"] = {"keep_states": False}
    workspace.run(TARGET)
    store = store_of(workspace)
    bare = {path: store.read_cell(path.parents[1].name, path.stem) for path in cells(store)}
    assert all(cell.final_hidden_states is None for cell in bare.values())
    workspace.config["scoring"] = {"keep_states": True}
    workspace.personas.append(("pirate", "", "You are a pirate."))
    workspace.run(TARGET)
    for path in cells(store):
        cell = store.read_cell(path.parents[1].name, path.stem)
        assert cell.final_hidden_states is not None
        if path in bare:
            assert np.array_equal(cell.last_prompt_token, bare[path].last_prompt_token)
            assert np.array_equal(cell.response_mean, bare[path].response_mean)
    manage(workspace, "verify")


def cells(store: Store) -> list[Path]:
    return list(store.root.glob("items/*/cells/*.safetensors"))


def test_prune_names_studies_that_it_was_not_told_to_keep(study: Workspace) -> None:
    before = results_of_gpu_jobs(study)
    other = study.copy()
    other.config["study"] = "other"
    other.prompts = other.prompts[1:]
    other.write()
    sentence = "has results of test, which --keep does not name"
    assert sentence in manage(study, "prune", "--keep", "study.yaml")
    assert sentence in manage(study, "prune", "--keep", "study.yaml", "--yes", fails=True)
    assert results_of_gpu_jobs(study) == before
    manage(study, "prune", "--keep", "study.yaml", "--forget", "test", "--yes")
    assert results_of_gpu_jobs(study).keys() < before.keys()


def test_a_store_that_may_not_be_written_is_said_before_any_job(workspace: Workspace) -> None:
    (workspace.folder / "results" / "store").mkdir(parents=True)
    (workspace.folder / "results" / "store" / "responses").touch(0o666)
    said = workspace.run("-n", fails=True)
    assert "results/store/responses belongs to" in said and "you may not write in it" in said
    assert "Traceback" not in said
