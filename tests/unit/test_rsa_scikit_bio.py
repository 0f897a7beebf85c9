"""Mantel tests against scikit-bio's, recorded by tests/fixtures/make_scikit_bio.py."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from named import named

from persona_geometry.rsa.permutation import Permutations, mantel

RECORDED = json.loads((Path(__file__).parents[1] / "fixtures" / "scikit_bio.json").read_text())


@pytest.mark.parametrize("case", RECORDED["cases"], ids=lambda case: case["name"])
def test_mantel_agrees_with_scikit_bio(case: dict) -> None:
    x, y, expected = named(np.array(case["x"])), named(np.array(case["y"])), case["p"]
    null = mantel([x], y, Permutations.free(len(x), RECORDED["permutations"], 1))
    assert null.observed[0] == pytest.approx(case["statistic"], abs=1e-12)
    standard_error = math.sqrt(2 * expected * (1 - expected) / RECORDED["permutations"])
    assert abs(null.p_values()[0] - expected) < 4 * standard_error
