"""What stands in two places is the same in both: versions, pins, hooks."""

import re
from pathlib import Path

import pytest
import yaml

from persona_geometry import __version__

ROOT = Path(__file__).parents[2]
ENVS = ROOT / "envs"


def lines(path: Path) -> list[str]:
    """The requirements of a pip file and of those that it includes; the library itself aside."""
    found: list[str] = []
    for line in path.read_text().splitlines():
        if line.startswith("-r "):
            found += lines(path.parent / line.removeprefix("-r "))
        elif line and not line.startswith(("#", "-e")):
            found.append(line)
    return found


def pins(path: Path) -> dict[str, str]:
    return dict(line.split("==") for line in lines(path))


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_conda_environments_hold_the_pins_of_the_pip_files_and_no_path(name: str) -> None:
    content = yaml.safe_load((ENVS / f"{name}.yaml").read_text())
    assert content["dependencies"][-1]["pip"] == lines(ENVS / f"{name}.txt")


def test_pins_are_those_that_ran_together() -> None:
    common = pins(ENVS / "constraints.txt")
    for name in ("cpu.txt", "dev.txt", "gpu.txt", "vllm-cpu.txt"):
        for package, version in pins(ENVS / name).items():
            assert common.get(package, version) == version, (name, package)


def test_hooks_are_the_tools_of_lint() -> None:
    tools = pins(ENVS / "dev.txt")
    for repo in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]:
        tool = repo["repo"].rsplit("/", 1)[1].removesuffix("-pre-commit")
        assert repo["rev"] == f"v{tools[tool]}"


def test_one_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    released = re.findall(r"^## \[(\d.*)\] - (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert citation["version"] == __version__
    assert released[0] == (__version__, str(citation["date-released"]))
