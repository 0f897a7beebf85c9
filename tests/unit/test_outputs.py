"""docs/outputs.md tells every field of alignment.json and run.json, and no other."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from whole_study import NAMES, PROMPTS, aligned

from persona_geometry.report.outputs import (
    BESIDE,
    PAGE,
    RUN,
    STUDY,
    statistics,
    with_tables,
)
from persona_geometry.report.run_record import run_record

KNOWN = {
    "{persona}": NAMES,
    "{left_out}": NAMES,
    "{prompt}": PROMPTS,
    "{cutoff}": ["8", "full"],
    "{shorter}": ["8"],
    "{geometry}": ["mean_centered"],
}
OF_STUDY = (
    *("layer_curve", "across_layers", "between_layers", "top_pair_stability"),
    *("noise_ceiling", "geometries", "kl_asymmetry"),
)


@pytest.fixture(scope="module")
def alignment() -> dict[str, Any]:
    gates = [{"statistic": "spearman", "comparison": ">", "threshold": 0.5, "layer": 2}]
    return aligned(gates=gates)


def fields(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every field's path; lists are passed through, as are sentences by name."""
    if isinstance(value, list):
        for inner in value:
            yield from fields(inner, path)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            if key != "reasons":
                yield from fields(inner, (*path, key))


def places() -> Iterator[str]:
    """Where statistics stand, and the sections that they are in."""
    for name, _ in statistics():
        for parts in product(*(KNOWN.get(part, [part]) for part in name.split("."))):
            yield from (".".join(parts[:n]) for n in range(1, len(parts) + 1))


PLACES = set(places())
LAYERS = {"1", "2", "3"}


def told(path: tuple[str, ...]) -> bool:
    """Whether a statistic, or a section of some, stands there."""
    return path[-1] in LAYERS or ".".join(p for p in path if p not in LAYERS) in PLACES


def test_the_page_is_what_the_code_says() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert with_tables(text) == text, "run: python -m persona_geometry.report.outputs"


def test_every_field_of_alignment_json_is_told(alignment: dict[str, Any]) -> None:
    assert set(alignment) == set(STUDY)
    trees = [((), layer) for layer in alignment["layers"].values()]
    trees += [((name,), alignment[name]) for name in OF_STUDY]
    found = [path for start, tree in trees for path in fields(tree, start) if not told(path)]
    assert {".".join(path) for path in found if path[-1] not in BESIDE} == set()
    assert {path[-1] for path in found} == set(BESIDE)


@pytest.mark.parametrize("path", ["spearman", "cutoffs.ratio.8", "per_prompt.mantel_p.q1"])
def test_statistics_are_found_and_others_are_not(path: str) -> None:
    assert told(tuple(path.split(".")))
    assert not told((*path.split("."), "nothing")) and not told(("nothing",))


def test_every_field_of_run_json_is_told() -> None:
    account = {
        **dict.fromkeys(("responses", "cells", "pairs"), 1),
        "seconds": {"load": 1.0},
        "device": "cpu",
        "peak_gpu_bytes": None,
        "packages": {"numpy": "1"},
    }
    config = {"files": [], "overrides": {}, "effective": {}}
    commit = {"commit": None, "changed": None}
    record = run_record("s", commit, config, {"path": "m"}, [], [], [account], [])
    nested = {name.split(".")[0] for name in RUN if "." in name}
    told = {
        f"{name}.{inner}" if name in nested else name
        for name, value in record.items()
        for inner in (value if name in nested else [""])
    }
    assert told == set(RUN)
