"""Commands in README and docs exist as they are written, and links lead somewhere.

tests/workflow/test_commands.py runs the blocks of them.
"""

import re
import runpy
import shlex
import sys

import pytest
from documents import ROOT, Block, blocks, inline

sys.path.insert(0, str(ROOT / "docs"))
MANAGE_STORE = "workflow_scripts/manage_store.py"


def words(line: str) -> list[str]:
    """The words of a command, without its comment and the variables that it sets."""
    found = shlex.split(line, comments=True)
    while found and re.match(r"^\w+=", found[0]):
        found.pop(0)
    return found


def check(command: list[str]) -> None:
    """Refuse a command that is not there, or has an option that it does not know."""
    name, arguments = command[0], command[1:]
    if name == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert set(arguments) - {"PYTHON=python"} <= set(targets), command
    elif name == "snakemake":
        from snakemake.cli import get_argument_parser

        get_argument_parser().parse_args(arguments)
        for path in arguments:
            if path.startswith(("config/", "profiles/")) and "another" not in path:
                assert (ROOT / path).exists() or "yours" in path or "mine" in path, command
    elif command[:2] == ["python", MANAGE_STORE]:
        runpy.run_path(str(ROOT / MANAGE_STORE))["command_line"]().parse_args(arguments[1:])
    elif name in ("python", "bash") and arguments[0].endswith((".py", ".sh")):
        text = (ROOT / arguments[0]).read_text()
        assert all(option in text for option in arguments if option.startswith("--")), command
    elif name == "python" and arguments[0] == "-m":
        module = ROOT / "workflow_scripts" / arguments[1].replace(".", "/")
        assert module.with_suffix(".py").is_file() or (module / "__main__.py").is_file(), command
    elif name.startswith("profiles/"):
        assert (ROOT / name).is_file(), command


@pytest.mark.parametrize(("page", "command"), inline())
def test_a_command_in_a_line_of_text_is_one(page: str, command: str) -> None:
    check(words(command))


@pytest.mark.parametrize("block", blocks(), ids=str)
def test_a_block_of_commands_is_one(block: Block) -> None:
    for line in re.sub(r"\\\n\s*", " ", block.text).splitlines():
        if line.strip() and not line.lstrip().startswith("#") and (found := words(line)):
            check(found)


@pytest.mark.parametrize("block", [one for one in blocks() if one.mark], ids=str)
def test_a_block_that_is_not_run_says_what_it_needs(block: Block) -> None:
    assert re.match(r"not run: needs \w+", block.mark or "")


@pytest.mark.parametrize(
    "command",
    [
        "make nothing",
        "snakemake --no-such-option",
        "python workflow_scripts/gone.py",
        "python workflow_scripts/manage_store.py",
        "python workflow_scripts/manage_store.py list --nothing",
        "python -m persona_geometry.gone",
        "snakemake -n --configfile config/gone.yaml",
        "profiles/runpod/gone",
    ],
)
def test_a_command_that_is_none_is_found(command: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises((AssertionError, FileNotFoundError, SystemExit)):
        check(words(command))


def test_links_become_those_of_the_site_and_a_dead_one_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hooks = pytest.importorskip("hooks")

    def link(text: str, source: str, place: str) -> str:
        return hooks.LINK.sub(lambda found: hooks._link(found, source, place), text)

    assert link("[a](docs/design.md#x)", "README.md", "index.md") == "[a](design.md#x)"
    assert link("[a](../README.md)", "docs/design.md", "design.md") == "[a](index.md)"
    assert link("[`a`](../Snakefile)", "docs/design.md", "design.md") == "`a`"
    assert link("![a](figures/dag.svg)", "docs/x.md", "x.md") == "![a](figures/dag.svg)"
    assert link("[a](https://x.org)", "README.md", "index.md") == "[a](https://x.org)"
    assert not caplog.records
    link("[a](gone.md)", "docs/design.md", "design.md")
    assert "docs/design.md links to gone.md, which is not there" in caplog.text
