"""The files that RDMs, and what they are made of, are kept in: one reader and one writer each.

    cosine_matrix.json    cosine similarities, a square matrix a layer (the published study's form)
    geometries/*.json     the same of other geometries of the study
    js_matrix.json        divergences, a square matrix a cutoff
    kl_matrix.json        KL divergences of ordered pairs, over the whole responses
    *.tsv                 one RDM as a labeled square table of distances
    prompts/*.npz         one prompt's divergences
    js_by_prompt.npz      the divergences of every prompt
    vectors.npz           the vectors whose means over prompts are the centroids

Fields named js hold whatever divergence the study's estimator is.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from persona_geometry.errors import InputError
from persona_geometry.files import (
    read_array,
    read_arrays,
    read_json,
    stored_array,
    write_arrays,
    write_json,
    write_text,
)
from persona_geometry.rdms.rdm import Rdm, RdmStack, checked
from persona_geometry.rdms.triangle import complement, square, vectorize
from persona_geometry.text_files import parse_number, read_bytes, read_lines, read_text

SIMILARITIES = "give cosine similarities, which are 1 on the diagonal"


@dataclass(frozen=True)
class DivergenceRdms:
    """The divergence RDMs of a study.

    Attributes:
        estimator: "js", "half_jeffreys", or "imported", which may have any range.
        unit: the distances', None where it is not known.
        prompts: names of the prompts that were averaged, or None where the RDM is from a file.
        rdms: cutoff ("8", "32", "full") to the RDM.
    """

    estimator: str
    unit: str | None
    prompts: list[str] | None
    rdms: dict[str, Rdm]


@dataclass(frozen=True)
class PromptDivergences:
    """One prompt's divergences, averaged over the first tokens of its response, in nats.

    Attributes:
        personas: N names.
        cells: their cell keys in the store.
        item: the prompt's key in the store.
        cutoffs: C labels, "full" last.
        n_tokens: length of the scored response.
        js: (C, N, N) Jensen-Shannon divergence, symmetric, in [0, ln 2].
        kl: (C, N, N), kl[c, i, j] is KL(i‖j), at least 0.
        half_jeffreys: (C, N, N) ½ (KL + KL), symmetric.
    """

    personas: list[str]
    cells: list[str]
    item: str
    cutoffs: list[str]
    n_tokens: int
    js: np.ndarray
    kl: np.ndarray
    half_jeffreys: np.ndarray


class LazyLayers(Mapping[int, np.ndarray]):
    """Layer to vectors that are had anew whenever they are asked for.

    Those of one layer may be hundreds of megabytes, so that who goes through all layers holds one
    at a time.
    """

    def __init__(self, layers: Iterable[int], vectors: Callable[[int], np.ndarray]) -> None:
        self._layers, self._vectors = tuple(layers), vectors

    def __getitem__(self, layer: int) -> np.ndarray:
        if layer not in self._layers:
            raise KeyError(layer)
        return self._vectors(layer)

    def __iter__(self) -> Iterator[int]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)


@dataclass(frozen=True)
class LayerVectors:
    """What centroids are means of.

    Attributes:
        personas: N names.
        prompts: Q names.
        layers: configured layer to (Q, N, d) float32 vectors.
    """

    personas: list[str]
    prompts: list[str]
    layers: Mapping[int, np.ndarray]


def read_cosine_rdms(path: str | Path) -> dict[int, Rdm]:
    """Read cosine similarities (`layer_N`, each with `persona_names` and `matrix`) as distances.

    Returns:
        Layer to its RDM of 1 - cosine, in [0, 2].

    Raises:
        InputError: another form, a repeated name, or a matrix that is not one of similarities.
    """
    text = read_text(path)
    try:
        layers = {
            _layer_number(key): (
                [str(name) for name in layer["persona_names"]],
                _numbers(layer["matrix"]),
            )
            for key, layer in json.loads(text, object_pairs_hook=_each_once).items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        raise InputError(
            f"{path} is not a JSON of layers, each with 'persona_names' and 'matrix'; see "
            f"config/README.md for the form."
        ) from None
    rdms = {}
    for layer, (names, similarities) in layers.items():
        source = f"{path}, layer_{layer}"
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(f"{source}: '{twice}' is named more than once; names must be unique.")
        rdms[layer] = checked(
            names, complement(similarities), source, kind="cosine", remedy=SIMILARITIES
        )
    return rdms


def _numbers(rows: list[list[float | None]]) -> np.ndarray:
    """A matrix of JSON numbers; null is NaN, but neither a text nor true is a number."""
    if not set(map(type, chain.from_iterable(rows))) <= {float, int, type(None)}:
        raise ValueError(rows)
    return np.array(rows, dtype=float)


def _layer_number(key: str) -> int:
    """Of layer_3, written in this way only."""
    number = int(key.removeprefix("layer_"))
    if key != f"layer_{number}" or number < 0:
        raise ValueError(key)
    return number


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A JSON object, none of whose keys is written twice."""
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a key is written twice")
    return content


def write_cosine_rdms(path: str | Path, rdms: Mapping[int, Rdm]) -> None:
    """Write distances as the similarities that `read_cosine_rdms` reads."""
    content = {
        f"layer_{layer}": {"persona_names": rdm.names, "matrix": complement(rdm.square).tolist()}
        for layer, rdm in rdms.items()
    }
    write_json(path, content)


def read_divergence_rdms(path: str | Path) -> DivergenceRdms:
    """Read the divergence RDMs that the workflow wrote.

    Raises:
        InputError: the file is missing or damaged.
    """
    with _whole(path):
        content = read_json(path)
        kind = content["estimator"]
        rdms = {
            cutoff: checked(content["persona_names"], np.array(matrix), path, kind=kind)
            for cutoff, matrix in content["cutoffs"].items()
        }
        return DivergenceRdms(kind, content["units"], content["prompts"], rdms)


def write_divergence_rdms(path: str | Path, divergences: DivergenceRdms) -> None:
    """Write what `read_divergence_rdms` reads."""
    content = {
        "persona_names": divergences.rdms["full"].names,
        "estimator": divergences.estimator,
        "units": divergences.unit,
        "prompts": divergences.prompts,
        "cutoffs": {cutoff: rdm.square.tolist() for cutoff, rdm in divergences.rdms.items()},
    }
    write_json(path, content)


def read_directed_divergences(path: str | Path) -> tuple[tuple[str, ...], np.ndarray]:
    """Read names and (N, N) divergences, row from column, of ordered pairs, in nats.

    Raises:
        InputError: the file is missing or damaged.
    """
    with _whole(path):
        content = read_json(path)
        names, matrix = content["persona_names"], np.array(content["kl"], dtype=float)
        if matrix.shape != (len(names), len(names)) or not np.isfinite(matrix).all():
            raise ValueError
        return tuple(names), matrix


def write_directed_divergences(path: str | Path, names: Sequence[str], kl: np.ndarray) -> None:
    """Write what `read_directed_divergences` reads."""
    write_json(path, {"persona_names": list(names), "units": "nats", "kl": kl.tolist()})


def read_rdm_table(path: str | Path, kind: str | None = None) -> Rdm:
    """Read a square table of distances with names in its first row and column.

    Rows are brought into the order of the columns by name.

    Args:
        path: of a tab-separated text file.
        kind: of the distances, where it bounds them: "cosine" or "js".

    Raises:
        InputError: not a square table of finite numbers with matching, unique names, or not
            distances.
    """
    rows_of_text = enumerate(read_lines(path), start=1)
    lines = [(n, line.split("\t")) for n, line in rows_of_text if line.strip()]
    names = [name.strip() for name in lines[0][1][1:]] if lines else []
    if len(names) < 3 or len(set(names)) < len(names):
        raise InputError(
            f"{path}, line 1: the header must have an empty cell and then at least three unique "
            f"names, separated by tabs; correct it."
        )
    rows: dict[str, list[float]] = {}
    for number, cells in lines[1:]:
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
            rows[cells[0].strip()] = [parse_number(cell) for cell in cells[1:]]
        except ValueError:
            raise InputError(
                f"{path}, line {number}: the row of '{cells[0]}' holds something that is not a "
                f"number; correct it."
            ) from None
    if set(rows) != set(names):
        odd = min(set(rows) ^ set(names))
        raise InputError(f"{path}: '{odd}' is not both a row and a column; the two must match.")
    return checked(names, np.array([rows[name] for name in names]), path, kind=kind)


def write_rdm_table(path: str | Path, rdm: Rdm) -> None:
    """Write what `read_rdm_table` reads, without loss."""
    rows = [["", *rdm.names]]
    for name, distances in zip(rdm.names, rdm.square.tolist(), strict=True):
        rows.append([name, *map(repr, distances)])
    write_text(path, "\n".join("\t".join(row) for row in rows) + "\n")


def write_rdm_tables(folder: str | Path, rdms: Mapping[str, Rdm]) -> None:
    """Write RDMs as tables in a folder, each under its name."""
    for name, rdm in rdms.items():
        write_rdm_table(Path(folder) / f"{name}.tsv", rdm)


def read_prompt_divergences(path: str | Path) -> PromptDivergences:
    """Read one prompt's divergences.

    Raises:
        InputError: the file is missing or damaged.
    """
    with _whole(path):
        arrays = read_arrays(path)
        return PromptDivergences(
            personas=arrays["personas"].tolist(),
            cells=arrays["cells"].tolist(),
            item=str(arrays["item"]),
            cutoffs=arrays["cutoffs"].tolist(),
            n_tokens=int(arrays["n_tokens"]),
            **{name: arrays[name] for name in ("js", "kl", "half_jeffreys")},
        )


def write_prompt_divergences(path: str | Path, divergences: PromptDivergences) -> None:
    """Write what `read_prompt_divergences` reads."""
    write_arrays(path, **vars(divergences))


def read_stacks(path: str | Path) -> dict[str, RdmStack]:
    """Read every prompt's divergence RDM: cutoff to a stack over prompts.

    Raises:
        InputError: the file is missing or damaged.
    """
    with _whole(path):
        arrays = read_arrays(path)
        names, prompts = arrays["personas"].tolist(), arrays["prompts"].tolist()
        return {
            cutoff: RdmStack(tuple(names), tuple(prompts), vectorize(values))
            for cutoff, values in zip(arrays["cutoffs"].tolist(), arrays["js"], strict=True)
        }


def write_stacks(path: str | Path, stacks: Mapping[str, RdmStack]) -> None:
    """Write what `read_stacks` reads; `js` is (C, Q, N, N)."""
    first = next(iter(stacks.values()))
    write_arrays(
        path,
        personas=first.names,
        prompts=first.labels,
        cutoffs=list(stacks),
        js=np.stack([square(stack.vectors, len(stack.names)) for stack in stacks.values()]),
    )


def read_layer_vectors(path: str | Path) -> LayerVectors:
    """Open the vectors of the configured layers, each of which is read when it is asked for.

    Raises:
        InputError: the file is missing or damaged.
    """
    with _whole(path):
        stored = stored_array(path, "vectors")
        names = {key: read_array(path, key).tolist() for key in ("personas", "prompts", "layers")}
        place = {layer: k for k, layer in enumerate(names["layers"])}
        sizes = len(place), len(names["prompts"]), len(names["personas"])
        if stored.shape[:-1] != sizes:
            raise ValueError
        layers = LazyLayers(place, lambda layer: stored[place[layer]])
        return LayerVectors(names["personas"], names["prompts"], layers)


def write_layer_vectors(path: str | Path, vectors: LayerVectors) -> None:
    """Write what `read_layer_vectors` reads; `vectors` is (layers, Q, N, d)."""
    write_arrays(
        path,
        personas=vectors.personas,
        prompts=vectors.prompts,
        layers=list(vectors.layers),
        vectors=np.stack(list(vectors.layers.values())),
    )


@contextmanager
def _whole(path: str | Path) -> Iterator[None]:
    """Name a file of the workflow's own that lacks something or has another form."""
    try:
        yield
    except InputError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is damaged; remove it and run the workflow again.") from error


def check_sha256(path: str | Path, expected: str | None) -> None:
    """Refuse a file whose SHA-256 is not the expected one.

    Raises:
        InputError: the file differs.
    """
    if expected is None:
        return
    found = hashlib.sha256(read_bytes(path)).hexdigest()
    if found != expected:
        raise InputError(
            f"{path} has SHA-256 {found}, but the config expects {expected}: it is another file "
            f"than the one meant; get that file, or correct the hash."
        )
