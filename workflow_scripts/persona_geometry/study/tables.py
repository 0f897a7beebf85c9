"""Persona and prompt tables: tab-separated text with a header line."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from persona_geometry.errors import InputError
from persona_geometry.text_files import read_lines

TEMPLATE_DEFAULT = "@template"
NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
LONGEST_NAME = 200


@dataclass(frozen=True)
class Persona:
    """One row of a persona table.

    `system_prompt` is a text, an empty text (a literal empty system message) or
    `TEMPLATE_DEFAULT` (no system message, so that the chat template's own default applies).
    `cluster` is None for a persona without an occupational cluster, `macro_cluster` for one without
    that too.
    """

    name: str
    cluster: str | None
    system_prompt: str
    macro_cluster: str | None = None


@dataclass(frozen=True)
class Prompt:
    """One row of a prompt table: an identifier fit for a file name, the user's text, its topic."""

    name: str
    text: str
    topic: str | None = None


def read_personas(path: str | Path) -> list[Persona]:
    """Read a persona table: the columns persona, cluster and system_prompt, perhaps macro_cluster.

    A backslash followed by n stands for a line break inside a system prompt.

    Raises:
        InputError: a missing file or column, a row of the wrong width, an unusable or repeated
            name, two personas with the same system prompt, or a cluster in two macro clusters.
    """
    personas: list[Persona] = []
    row_of_text: dict[str, int] = {}
    macro_of: dict[str, str | None] = {}
    columns = ("persona", "cluster", "system_prompt")
    for line, row in _named_rows(path, columns, may_have=("macro_cluster",)):
        text = _unescape(row["system_prompt"])
        if is_almost_template_default(text):
            raise InputError(
                f"{path}, line {line}: the system prompt of '{row['persona']}' is {text!r}, which "
                f"would be said to the model; write {TEMPLATE_DEFAULT} alone for no system message."
            )
        if text in row_of_text:
            raise InputError(
                f"{path}, line {line}: persona '{row['persona']}' has the same system prompt as "
                f"line {row_of_text[text]}; two identical personas have no distance, so change "
                f"or remove one of them."
            )
        row_of_text[text] = line
        cluster, macro = (row.get(c, "").strip() or None for c in ("cluster", "macro_cluster"))
        if cluster and (other := macro_of.setdefault(cluster, macro)) != macro:
            raise InputError(
                f"{path}, line {line}: the macro cluster of '{row['persona']}' is "
                f"'{macro or ''}' and that of others of the cluster '{cluster}' is "
                f"'{other or ''}'; a cluster lies within one macro cluster, so write the "
                f"same."
            )
        personas.append(Persona(row["persona"], cluster, text, macro))
    return personas


def clusters_of(personas: Iterable[Persona]) -> dict[str, str]:
    """Fine cluster of every persona that has one."""
    return {p.name: p.cluster for p in personas if p.cluster is not None}


def macro_clusters_of(personas: Iterable[Persona]) -> dict[str, str]:
    """Macro cluster of every persona that has one in its table."""
    return {p.name: p.macro_cluster for p in personas if p.macro_cluster is not None}


def is_almost_template_default(text: str) -> bool:
    """Whether a text is `TEMPLATE_DEFAULT` but for case, quotes and blanks around it."""
    return text != TEMPLATE_DEFAULT and text.strip(" \"'\t\n").casefold() == TEMPLATE_DEFAULT


def read_prompts(path: str | Path) -> list[Prompt]:
    """Read a prompt table with the columns prompt and text, and perhaps topic.

    Raises:
        InputError: as `read_personas`, or an empty text.
    """
    prompts: list[Prompt] = []
    row_of_text: dict[str, int] = {}
    for line, row in _named_rows(path, ("prompt", "text"), may_have=("topic",)):
        text = _unescape(row["text"])
        if not text.strip():
            raise InputError(
                f"{path}, line {line}: prompt '{row['prompt']}' has no text; "
                f"write one or remove the row."
            )
        if text in row_of_text:
            raise InputError(
                f"{path}, line {line}: prompt '{row['prompt']}' repeats the text of line "
                f"{row_of_text[text]}; remove one of them."
            )
        row_of_text[text] = line
        prompts.append(Prompt(row["prompt"], text, row.get("topic", "").strip() or None))
    return prompts


def read_rows(
    path: str | Path, columns: tuple[str, ...], may_have: tuple[str, ...] = ()
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line number, row) of a tab-separated table with these columns, in any order.

    Args:
        path: the table.
        columns: that it must have.
        may_have: further ones that it may have; no other is allowed.

    Raises:
        InputError: a missing file or column, an unknown or repeated column, a row of the wrong
            width, a control character, or no row at all.
    """
    lines = read_lines(path)
    header = lines[0].split("\t")
    for column in columns:
        if column not in header:
            raise InputError(
                f"{path}, line 1: there is no column '{column}'; the tab-separated header must "
                f"name {', '.join(columns)}."
            )
    for column in header:
        if column not in columns + may_have:
            raise InputError(
                f"{path}, line 1: column '{column}' is not known; the table has the columns "
                f"{', '.join(columns + may_have)}."
            )
        if header.count(column) > 1:
            raise InputError(
                f"{path}, line 1: there are {header.count(column)} columns '{column}'; keep one."
            )
    empty = True
    for line, text in enumerate(lines[1:], start=2):
        if not text.strip():
            continue
        cells = text.split("\t")
        if len(cells) != len(header):
            raise InputError(
                f"{path}, line {line}: {len(cells)} tab-separated cells where the header has "
                f"{len(header)}; add or remove tabs (an empty cell still needs its tab)."
            )
        quoted = [cell for cell in cells if len(cell) > 1 and cell[0] == cell[-1] == '"']
        if quoted:
            raise InputError(
                f"{path}, line {line}: the cell {quoted[0][:40]} stands in quotation marks, which "
                f"tables do not have and the model would read; remove them."
            )
        empty = False
        yield line, dict(zip(header, cells, strict=True))
    if empty:
        raise InputError(f"{path} has a header but no rows; add at least one {columns[0]}.")


def _named_rows(
    path: str | Path, columns: tuple[str, ...], may_have: tuple[str, ...] = ()
) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a table whose first column is a unique name."""
    line_of_name: dict[str, int] = {}
    for line, row in read_rows(path, columns, may_have):
        name = row[columns[0]]
        if not re.fullmatch(NAME, name):
            raise InputError(
                f"{path}, line {line}: '{name}' cannot name a {columns[0]}; use letters, digits, "
                f"'_', '-' and '.', starting with a letter or digit."
            )
        if len(name) > LONGEST_NAME:
            raise InputError(
                f"{path}, line {line}: the name '{name[:20]}…' has {len(name)} characters; files "
                f"are named by it, so use at most {LONGEST_NAME}."
            )
        same = name.casefold()
        if same in line_of_name:
            raise InputError(
                f"{path}, line {line}: {columns[0]} '{name}' is already on line "
                f"{line_of_name[same]}; names must be unique, also where upper and lower case are "
                f"one, so rename or remove one."
            )
        line_of_name[same] = line
        yield line, row


def _unescape(text: str) -> str:
    return text.replace("\\n", "\n")
