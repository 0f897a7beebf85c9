"""Killed, damaged and full: what is lost and what comes back."""

import json
import shutil
from pathlib import Path

import pytest

from .conftest import Workspace, agree, kill_when

TARGET = "results/test/js_matrix.json"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, random_model: Path) -> Workspace:
    workspace = Workspace(tmp_path_factory.mktemp("undisturbed"), random_model)
    workspace.run(TARGET)
    return workspace


def test_killed_job_loses_only_the_prompt_in_hand(
    workspace: Workspace, undisturbed: Workspace
) -> None:
    process = workspace.start(TARGET)
    store = workspace.folder / "results" / "store"
    kill_when(process, lambda: any(store.glob("items/*/pairs/*.safetensors")))
    kept = {p: p.stat().st_mtime_ns for p in store.glob("items/*/*/*.safetensors")}
    assert kept and not list(store.glob("receipts/*.json"))
    workspace.run("--unlock")
    workspace.run(TARGET)
    assert {p: p.stat().st_mtime_ns for p in kept} == kept
    assert agree(workspace.js(), undisturbed.js())
    receipt = json.loads(next(store.glob("receipts/*.json")).read_bytes())
    finished = sum(1 for p in kept if p.parent.name == "cells")
    assert receipt["account"]["cells"] == 20 - finished


def test_damage_is_named_and_repaired_exactly(undisturbed: Workspace) -> None:
    import subprocess
    import sys

    from .conftest import ROOT

    expected = undisturbed.js()
    store = undisturbed.folder / "results" / "store"
    block = sorted(store.glob("items/*/pairs/*.safetensors"))[0]
    content = bytearray(block.read_bytes())
    content[-1] ^= 0xFF
    block.write_bytes(bytes(content))

    def manage(*arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, str(ROOT / "workflow_scripts" / "manage_store.py"), *arguments],
            cwd=undisturbed.folder,
            capture_output=True,
            text=True,
        )

    found = manage("verify")
    assert found.returncode == 1 and str(block.relative_to(undisturbed.folder)) in found.stdout
    assert manage("verify", "--repair").returncode == 0
    # What was published is whole, so nothing asks for the damaged part until something is.
    assert undisturbed.jobs(TARGET) == {}
    shutil.rmtree(undisturbed.folder / "results" / "test")
    assert undisturbed.jobs(TARGET)["teacher_force"] == 1
    undisturbed.run(TARGET)
    assert undisturbed.js() == expected
    assert manage("verify").returncode == 0


def test_full_disk_leaves_no_broken_file_and_is_survived(
    workspace: Workspace, undisturbed: Workspace
) -> None:
    """A file system of a fixed small size fills up in the middle of the GPU job."""
    import os
    import subprocess

    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    store = workspace.folder / "results" / "store"
    store.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(store)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("this machine does not allow mounting a small file system")
    try:
        output = workspace.run(TARGET, fails=True)
        assert "No space left on device" in output
        assert not list(store.rglob("*.tmp"))
        kept = list(store.glob("items/*/cells/*.safetensors"))
        assert kept and not list(store.glob("receipts/*.json"))
        subprocess.run(["mount", "-o", "remount,size=50m", str(store)], check=True)
        workspace.run(TARGET)
        assert agree(workspace.js(), undisturbed.js())
    finally:
        subprocess.run(["umount", str(store)], check=False)
