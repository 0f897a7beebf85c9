"""The commands that README and docs give: blocks of shell, and commands in a line of text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *ROOT.glob("docs/**/*.md"),
        *(ROOT / f for f in ("README.md", "CONTRIBUTING.md", "config/README.md")),
        *(ROOT / f for f in ("profiles/README.md", "results/README.md")),
    ]
)
FENCE = re.compile(
    r"(?:^ *<!-- (?P<mark>not run: [^>]*?) -->\n)?^(?P<indent> *)```(?P<language>\w*)\n"
    r"(?P<text>.*?)^(?P=indent)```$",
    re.DOTALL | re.MULTILINE,
)
COMMAND = re.compile(r"^(?:\w+=\S+ )*(snakemake|make|python|pip|bash|source|profiles/\S+) ?\b")
SHELL = ("bash", "sh", "")


@dataclass(frozen=True)
class Block:
    """A block of shell: its page, its text, and why it is not run, where it is not."""

    page: str
    text: str
    mark: str | None

    def __str__(self) -> str:
        return f"{self.page}: {self.text.splitlines()[0]}"


def blocks() -> Iterator[Block]:
    """Every block of shell that has a command in it."""
    for path in PAGES:
        for found in FENCE.finditer(path.read_text(encoding="utf-8")):
            lines = [line[len(found["indent"]) :] for line in found["text"].splitlines()]
            commands = any(COMMAND.match(line) for line in lines)
            if found["language"] in SHELL and (found["language"] or commands):
                page = path.relative_to(ROOT).as_posix()
                yield Block(page, "\n".join(lines) + "\n", found["mark"])


def inline() -> Iterator[tuple[str, str]]:
    """Page and text of every command in a line of text."""
    for path in PAGES:
        text = FENCE.sub("", path.read_text(encoding="utf-8"))
        for found in re.findall(r"`([^`\n]+(?:\n[^`\n]+)?)`", text):
            command = " ".join(found.split())
            if COMMAND.match(command) and " " in command:
                yield path.relative_to(ROOT).as_posix(), command
