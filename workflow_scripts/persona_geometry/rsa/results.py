"""alignment.json: written by `rsa.alignment.align`, read by figures, the summary and people."""

from pathlib import Path
from typing import Any

from persona_geometry.errors import InputError
from persona_geometry.files import read_json, write_json


def write_alignment(path: str | Path, alignment: dict[str, Any]) -> None:
    """Write the result of `align`.

    Raises:
        ValueError: a number that is not finite; what was not computed must be None.
    """
    write_json(path, alignment, indent=1)


def read_alignment(path: str | Path) -> dict[str, Any]:
    """Read what `align` found; docs/statistics.md explains its names.

    Raises:
        InputError: the file is missing, damaged, or something else than an alignment.
    """
    content = read_json(path)
    if not isinstance(content, dict) or "layers" not in content:
        raise InputError(f"{path} holds no alignment; remove it and run the workflow again.")
    return content
