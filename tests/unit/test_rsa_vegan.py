"""Mantel tests against vegan (R), as recorded by tests/fixtures/make_vegan_mantel.R."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from named import named

from persona_geometry.rsa.permutation import Null, Permutations, mantel, partial_mantel

RECORDED = json.loads(
    (Path(__file__).parents[1] / "fixtures" / "vegan_mantel.json").read_text(encoding="utf-8")
)


def run(case: dict) -> Null:
    x, y = named(np.array(case["x"])), named(np.array(case["y"]))
    count = 100_000 if case["enumerated"] else case["permutations"]
    if case["strata"]:
        relabelings = Permutations.within(case["strata"], count, 0)
    else:
        relabelings = Permutations.free(len(x), count, 0)
    if case["z"]:
        return partial_mantel(x, y, [named(np.array(case["z"]))], relabelings)
    return mantel([x], y, relabelings)


@pytest.mark.parametrize("case", RECORDED["cases"], ids=lambda case: case["name"])
def test_agrees_with_vegan(case: dict) -> None:
    null = run(case)
    assert null.observed[0] == pytest.approx(case["statistic"], abs=1e-9)
    p, expected = null.p_values()[0], case["p"]
    if case["enumerated"]:
        # vegan leaves the identity out of the permutations and adds it to their count.
        assert len(null.permuted) == case["permutations"] + 1
        assert round(p * len(null.permuted)) == round(expected * len(null.permuted))
        assert p == pytest.approx(expected, abs=1e-12)
    else:
        standard_error = math.sqrt(2 * expected * (1 - expected) / case["permutations"])
        assert 0.01 < expected < 0.99
        assert abs(p - expected) < 4 * standard_error
