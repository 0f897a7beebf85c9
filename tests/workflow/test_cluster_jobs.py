"""What jobs on a cluster meet: their own receipt, a model that is not there."""

import json

from .conftest import TARGET, N, Q, Workspace


def test_a_job_that_finds_its_own_receipt_computes_nothing_and_succeeds(study: Workspace) -> None:
    """The command of a scheduler's job once more: after a requeue, or beside a second writer."""
    store = study.folder / "results" / "store"
    (receipt,) = store.glob("receipts/*.json")
    said = receipt.read_bytes()
    assert json.loads(said)["account"]["cells"] == Q * N
    kept = {file: file.stat().st_mtime_ns for file in store.glob("items/*/*/*.safetensors")}
    study.run(
        *("--mode", "remote", "--force", "--nolock", "--ignore-incomplete"),
        *("--target-jobs", f"teacher_force:shard={receipt.stem}"),
        *("--allowed-rules", "teacher_force"),
    )
    assert receipt.read_bytes() == said
    assert {file: file.stat().st_mtime_ns for file in kept} == kept and len(kept) > Q
    assert study.jobs(TARGET).get("teacher_force", 0) == 0


def test_a_missing_model_is_looked_for_once(workspace: Workspace) -> None:
    workspace.config["model"] = {"name": "owner/nowhere", "revision": "0" * 40}
    output = workspace.run("--retries", "2", "results/test/js_matrix.json", fails=True)
    assert "the hub cannot be reached" in output
    assert "Trying to restart" not in output
