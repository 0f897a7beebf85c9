"""RDM files: cosine similarities as JSON, distances as labeled TSV."""

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from persona_geometry.errors import InputError

TOLERANCE = 1e-5


def write_tsv(path: str | Path, names: Sequence[str], matrix: np.ndarray) -> None:
    """Write a square matrix with names in its first row and column."""
    rows = ["\t".join(["", *names])]
    rows += [
        "\t".join([name, *(repr(float(value)) for value in row)])
        for name, row in zip(names, matrix, strict=True)
    ]
    Path(path).write_text("\n".join(rows) + "\n", encoding="utf-8")


def read_tsv(path: str | Path) -> tuple[list[str], np.ndarray]:
    """Read a square table of distances with names in its first row and column.

    Rows are brought into the order of the columns by name.

    Raises:
        InputError: not a square table of finite numbers with matching, unique names.
    """
    lines = [line.split("\t") for line in _text(path).splitlines() if line.strip()]
    names = [name.strip() for name in lines[0][1:]] if lines else []
    if len(names) < 3 or len(set(names)) < len(names):
        raise InputError(
            f"{path}, line 1: the header must have an empty cell and then at least three unique "
            f"names, separated by tabs."
        )
    rows: dict[str, list[float]] = {}
    for number, cells in enumerate(lines[1:], start=2):
        if len(cells) != len(names) + 1:
            raise InputError(
                f"{path}, line {number}: {len(cells) - 1} values where the header has "
                f"{len(names)} names; make the table square."
            )
        if cells[0].strip() in rows:
            raise InputError(
                f"{path}, line {number}: a row of '{cells[0].strip()}' is already above; keep one "
                f"of them."
            )
        try:
            rows[cells[0].strip()] = [float(cell) for cell in cells[1:]]
        except ValueError:
            raise InputError(
                f"{path}, line {number}: the row of '{cells[0]}' holds something that is not a "
                f"number; correct it."
            ) from None
    if set(rows) != set(names):
        odd = min(set(rows) ^ set(names))
        raise InputError(f"{path}: '{odd}' is not both a row and a column; the two must match.")
    return names, np.array([rows[name] for name in names])


def read_similarities(path: str | Path) -> dict[int, tuple[list[str], np.ndarray]]:
    """Read cosine similarities: `layer_N`, each with `persona_names` and `matrix`.

    Returns:
        Layer to names and (N, N) similarities.

    Raises:
        InputError: another form, a repeated name, or a matrix that does not fit its names.
    """
    text = _text(path)
    try:
        layers = {
            int(key.removeprefix("layer_")): (
                [str(name) for name in layer["persona_names"]],
                np.array(layer["matrix"], dtype=float),
            )
            for key, layer in json.loads(text).items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(
            f"{path} is not a JSON of layers, each with 'persona_names' and 'matrix'; see "
            f"config/README.md for the form."
        ) from None
    for layer, (names, matrix) in layers.items():
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(
                f"{path}, layer_{layer}: '{twice}' is named more than once; names must be unique."
            )
        if matrix.shape != (len(names), len(names)):
            raise InputError(
                f"{path}, layer_{layer}: the matrix is {' × '.join(map(str, matrix.shape))} for "
                f"{len(names)} names; write one row and one column a name."
            )
    return layers


def check_sha256(path: str | Path, expected: str | None) -> None:
    """Refuse a file whose SHA-256 is not the expected one.

    Raises:
        InputError: the file differs.
    """
    if expected is None:
        return
    found = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    if found != expected:
        raise InputError(
            f"{path} has SHA-256 {found}, but the config expects {expected}: it is another file "
            f"than the one meant; get that file, or correct the hash."
        )


def select(
    names: Sequence[str], matrix: np.ndarray, wanted: Sequence[str], path: str | Path
) -> np.ndarray:
    """Rows and columns of a matrix by name, in the wanted order.

    Raises:
        InputError: a wanted name is not there.
    """
    place = {name: i for i, name in enumerate(names)}
    for name in wanted:
        if name not in place:
            raise InputError(
                f"{path} has no persona '{name}'; add it there, or remove it from the persona "
                f"table."
            )
    order = [place[name] for name in wanted]
    return matrix[np.ix_(order, order)]


def check_distances(matrix: np.ndarray, names: Sequence[str], path: str | Path) -> np.ndarray:
    """Refuse what is not an RDM; return it exactly symmetric with a zero diagonal.

    Args:
        matrix: (N, N) distances.
        names: the N names of its rows and columns, for messages.
        path: of the file, for messages.

    Raises:
        InputError: not finite, asymmetric, a diagonal that is not zero, or negative.
    """

    def refuse(where: np.ndarray, what: str) -> None:
        if where.any():
            i, j = np.argwhere(where)[0]
            raise InputError(
                f"{path}: {what} at row '{names[i]}', column '{names[j]}' ({matrix[i, j]:g}); "
                f"correct the file."
            )

    refuse(~np.isfinite(matrix), "a value is not a number")
    refuse(np.abs(matrix - matrix.T) > TOLERANCE, "the matrix is not symmetric")
    refuse(np.abs(np.diag(np.diag(matrix))) > TOLERANCE, "the diagonal is not zero")
    refuse(matrix < -TOLERANCE, "a distance is negative")
    clean = np.maximum((matrix + matrix.T) / 2.0, 0.0)
    np.fill_diagonal(clean, 0.0)
    return clean


def check_js(matrix: np.ndarray, path: str | Path) -> None:
    """Refuse Jensen-Shannon divergences above ln 2.

    Raises:
        InputError: a larger value.
    """
    if matrix.max() > math.log(2) + TOLERANCE:
        raise InputError(
            f"{path}: {matrix.max():g} exceeds ln 2, the largest Jensen-Shannon divergence in "
            f"nats; if the file holds another divergence, set divergence.estimator."
        )


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; correct the path in the config.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text; save it as UTF-8.") from None
