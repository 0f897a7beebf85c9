"""Partial Spearman correlations against pingouin's, recorded by tests/fixtures/make_pingouin.py."""

import json
from pathlib import Path

import pytest
from scipy.stats import rankdata

from persona_geometry.rdms.triangle import doubled_ranks
from persona_geometry.rsa.residual import partial_spearman

CASES = json.loads((Path(__file__).parents[1] / "fixtures" / "pingouin.json").read_text())["cases"]


@pytest.mark.parametrize("case", CASES)
def test_partial_spearman_agrees_with_pingouin(case: dict) -> None:
    """pingouin ranks covariates too; an indicator's ranks span what the indicator spans."""
    covariates = [rankdata(case[name]) for name in case if name.startswith("z")]
    ours = partial_spearman(doubled_ranks(case["x"]), doubled_ranks(case["y"]), covariates)
    assert ours == pytest.approx(case["r"], abs=1e-9)
