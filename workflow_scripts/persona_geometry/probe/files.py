"""The files of a probe, and of an intervention that follows it: one reader and one writer each."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from persona_geometry.errors import InputError
from persona_geometry.files import read_arrays, read_json, write_arrays, write_json


def write_probe(path: str | Path, found: dict[str, Any]) -> None:
    """Write what `read_probe` reads.

    Raises:
        ValueError: a number that is not finite.
    """
    write_json(path, found, indent=1)


def read_probe(path: str | Path) -> dict[str, Any]:
    """Read what `probe` found.

    Raises:
        InputError: the file is missing, damaged, or something else than a probe.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not {"layers", "tokens"} <= content.keys():
        raise InputError(f"{path} holds no probe; remove it and run the workflow again.")
    return content


def write_directions(
    path: str | Path, directions: Mapping[str, np.ndarray], personas: Sequence[str]
) -> None:
    """Write what `read_directions` reads: name to (L, d) unit vectors, and whose they are."""
    write_arrays(path, personas=np.array(personas), **directions)


def read_directions(path: str | Path) -> tuple[dict[str, np.ndarray], list[str]]:
    """Read directions, and the personas that they were found for.

    Raises:
        InputError: the file is missing, damaged, or holds no directions.
    """
    arrays = read_arrays(path)
    personas = arrays.pop("personas", None)
    if personas is None or not arrays or any(one.ndim != 2 for one in arrays.values()):
        raise InputError(f"{path} holds no directions; run the study with a 'probe' section again.")
    return arrays, [str(name) for name in personas]


def write_effect(path: str | Path, found: Mapping[str, Any]) -> None:
    """Write intervention.json: the config's section, and what `intervention.effect` found."""
    write_json(path, dict(found), indent=1)
