"""Every block of commands in README and docs runs, as a dry run, unless it says what it needs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT

sys.path.insert(0, str(ROOT / "tests" / "unit"))

from documents import Block, blocks

NOT_HERE = {".git", ".snakemake", "results", "site"}
# What a command stands for here: Snakemake and make look at what they would do, and do not do it.
STUBS = f"""
set -euo pipefail
snakemake() {{
    {sys.executable} -m snakemake -n "$@" > said 2>&1 || {{ tail -5 said; return 1; }}
}}
make() {{ command make -n PYTHON={sys.executable} "$@" > /dev/null; }}
python() {{ test -f "$1" || [ "$1" = -m ]; }}
pip() {{ :; }}
source() {{ :; }}
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout without results: links to everything else."""
    folder = tmp_path_factory.mktemp("checkout")
    for path in ROOT.iterdir():
        if path.name not in NOT_HERE:
            (folder / path.name).symlink_to(path)
    (folder / "config").unlink()
    (folder / "config").mkdir()
    for path in (ROOT / "config").iterdir():
        (folder / "config" / path.name).symlink_to(path)
    return folder


@pytest.mark.parametrize("block", [one for one in blocks() if not one.mark], ids=str)
def test_a_block_runs(block: Block, checkout: Path) -> None:
    ran = subprocess.run(
        ["bash", "-c", STUBS + block.text],
        cwd=checkout,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_a_block_whose_command_fails_is_found(checkout: Path) -> None:
    block = Block("", "snakemake --configfile config/gone.yaml\necho reached\n", None)
    ran = subprocess.run(
        ["bash", "-c", STUBS + block.text], cwd=checkout, capture_output=True, text=True
    )
    assert ran.returncode and "reached" not in ran.stdout
