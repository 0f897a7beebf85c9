"""The table of directed outcomes: one number for an ordered pair of personas."""

from collections.abc import Collection
from math import isfinite
from pathlib import Path

from persona_geometry.errors import InputError
from persona_geometry.study.tables import read_rows
from persona_geometry.text_files import parse_number

Outcome = tuple[str, str, float]
COLUMNS = ("source", "target", "value")


def read_outcomes(path: str | Path, personas: Collection[str] | None = None) -> list[Outcome]:
    """Read a tab-separated table with the columns source, target and value.

    Args:
        path: of the table.
        personas: those that it may name; any where None is given.

    Raises:
        InputError: a missing file or column, a row of the wrong width, an unknown persona, a value
            that is not a finite number, a persona paired with itself, a repeated pair, or no row at
            all.
    """
    outcomes: list[Outcome] = []
    line_of_pair: dict[tuple[str, str], int] = {}
    for line, row in read_rows(path, COLUMNS):
        pair = row["source"].strip(), row["target"].strip()
        for name in pair:
            if personas is not None and name not in personas:
                raise InputError(
                    f"{path}, line {line}: '{name}' is not among the personas that are compared, "
                    f"which are those of the persona table but the anchor; correct it or remove "
                    f"the row."
                )
        if pair[0] == pair[1]:
            raise InputError(
                f"{path}, line {line}: '{pair[0]}' is both source and target; a persona has no "
                f"distance to itself, so remove the row."
            )
        if pair in line_of_pair:
            raise InputError(
                f"{path}, line {line}: the outcome of '{pair[0]}' on '{pair[1]}' is already on "
                f"line {line_of_pair[pair]}; keep one of them."
            )
        line_of_pair[pair] = line
        outcomes.append((*pair, _number(row["value"], f"{path}, line {line}")))
    return outcomes


def _number(text: str, place: str) -> float:
    try:
        value = parse_number(text)
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        raise InputError(f"{place}: '{text}' is not a number; write one in the value column.")
    return value
