"""Words and numbers of a result never contradict each other: a grid of outcomes."""

import copy
import re
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from named import stacked
from whole_study import aligned

from persona_geometry.rdms.triangle import square
from persona_geometry.report.summary import summarize
from persona_geometry.report.text import direction, interval, number
from persona_geometry.rsa import gates, significance
from persona_geometry.rsa.catalogue import Scope
from persona_geometry.rsa.intervals import Spread, t_interval
from persona_geometry.rsa.noise_ceiling import noise_ceiling
from persona_geometry.rsa.pairs import check_predictions
from persona_geometry.rsa.power import statement
from persona_geometry.rsa.reasons import reasons
from persona_geometry.rsa.significance import significant
from persona_geometry.study.sections import Gate

COMPARISONS = (">", ">=", "<", "<=")


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    return aligned(
        gates=[{"statistic": "spearman", "comparison": ">", "threshold": 0.1, "layer": 2}]
    )


@pytest.fixture
def alignment(whole: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(whole)


OBSERVED = (None, -0.3, 0.0, 0.2, 0.3999, 0.4, 0.4001, 0.9)


@pytest.mark.parametrize("p", [None, 0.001, 0.05, 0.0501, 0.9])
@pytest.mark.parametrize("observed", OBSERVED)
@pytest.mark.parametrize("detectable", [None, 0.4])
@pytest.mark.parametrize("smallest", [0.002, 0.08])
def test_power_is_told_by_result_and_power_and_direction(
    smallest: float, detectable: float | None, observed: float | None, p: float | None
) -> None:
    result = {
        **{"smallest_p": smallest, "n_admissible": 576, "moving_pairs": 30, "within_pairs": 11},
        **{"detectable_rho": detectable, "observed_rho": observed, "power_curve": [{}]},
    }
    text = statement(result, p)
    if smallest > 0.05:
        assert "whatever the data" in text and "found" not in text
        return
    found = p is not None and p <= 0.05
    assert ("was found" in text) == (found and observed is not None and observed > 0)
    if "was not found" in text or "cannot tell such" in text:
        assert not found and observed > 0
    if "not positive" in text:
        assert observed <= 0
    if "there is nothing that it missed" in text:
        assert not found
    if "within its reach" in text:
        assert p is None and observed >= detectable
    shown = re.findall(r"(?:correlation of|observed) (-?\d\.\d+)", text)
    if len(shown) == 2:
        needed, seen = map(float, shown)
        assert (seen < needed) == (observed < detectable)
        if observed > 0:
            assert ("weaker" in text) == (seen < needed)


OUTCOMES = [dict(zip("abc", o, strict=False)) for o in product((True, False, None), repeat=3)]


@pytest.mark.parametrize("outcomes", [list(o.values())[:k] for o in OUTCOMES for k in range(4)])
def test_the_verdict_says_what_came_of_the_gates(outcomes: list[bool | None]) -> None:
    judged = [{"passed": outcome} for outcome in outcomes]
    text, whole = gates.verdict(judged), gates.all_pass(judged)
    good, bad, unknown = (outcomes.count(x) for x in (True, False, None))
    assert (whole is None) == (good + bad == 0)
    assert (text == "All gates pass.") == (whole is True)
    assert ("Not all gates pass" in text) == (bad > 0)
    if not outcomes:
        assert text == "The study sets no gates."
    elif good + bad == 0:
        assert text == "No gate was evaluated."
    elif good < len(outcomes):
        assert re.search(rf"\b{good} of {len(outcomes)} pass", text)
        assert not bad or re.search(rf"\b{bad} fail", text)
        assert not unknown or re.search(rf"\b{unknown} w(?:as|ere) not evaluated", text)


@pytest.mark.parametrize("comparison", COMPARISONS)
@pytest.mark.parametrize("threshold", [0.001, 0.3, 0.5])
@pytest.mark.parametrize("off", [-1e-1, -1e-6, -1e-12, 0, 1e-12, 1e-6, 1e-1, None])
def test_a_gate_shows_on_which_side_of_its_threshold_the_value_is(
    alignment: dict[str, Any], comparison: str, threshold: float, off: float | None
) -> None:
    value = None if off is None else threshold + off
    gate = Gate.of(statistic="spearman", comparison=comparison, threshold=threshold, layer=2)
    judged = gates.evaluate([gate], {"spearman": value})
    alignment["gates"] = [{"layer": 2, **judged[0]}]
    text = summarize(alignment)
    row = re.search(r"\| 2 \| spearman \| (\S+) (\S+) \| (.*?) \| (.*?) \|", text)
    assert row and row[1] == comparison and float(row[2]) == threshold
    if value is None:
        assert (row[3], row[4]) == ("not computed", "not evaluated")
        assert "**No gate was evaluated.**" in text and judged[0]["reason"] in text
        return
    shown = re.sub(r" × 10(.*)", lambda m: "e" + m[1].translate(POWERS), row[3])
    assert gates.COMPARISONS[comparison](float(shown), threshold) == (row[4] == "pass")
    assert row[4] in ("pass", "**fail**") and not judged[0]["reason"]


POWERS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


@given(st.floats(-2, 2), st.sampled_from([0.001, 0.05, 0.5, -0.2, 0.0]))
def test_a_number_is_written_on_its_side_of_a_threshold(value: float, threshold: float) -> None:
    text = number(value, beside=threshold)
    shown = float(re.sub(r" × 10(.*)", lambda m: "e" + m[1].translate(POWERS), text))
    assert (shown < threshold, shown > threshold) == (value < threshold, value > threshold)


def evaluated(gate: dict[str, Any], statistics: dict[str, Any], n: int = 4) -> dict[str, Any]:
    has = dict.fromkeys(("vectors", "two prompts", "covariates", "anchor"), False)
    has |= dict.fromkeys(("bootstrap", "splits", "outcomes"), False)
    names = [f"p{k}" for k in range(n)]
    scope = Scope.of(names, dict.fromkeys(names[:3], "a"), [], [8], [], 99, has)
    return gates.evaluate([Gate.of(**gate, layer=0)], statistics, scope)[0]


@pytest.mark.parametrize("p", [1 / 24, 1 / 6, 1.0])
@pytest.mark.parametrize("comparison", ["<", "<="])
@pytest.mark.parametrize(
    ("statistic", "floor"), [("mantel_p", 1 / 24), ("stratified_mantel_p", 1 / 6)]
)
def test_a_gate_on_a_p_that_cannot_be_so_small_is_not_evaluated(
    statistic: str, floor: float, comparison: str, p: float
) -> None:
    """Four personas have 24 relabelings, and three of one cluster 6."""
    for threshold in (0.01, floor, 0.5):
        gate = {"statistic": statistic, "comparison": comparison, "threshold": threshold}
        found = evaluated(gate, {statistic: p})
        within_reach = gates.COMPARISONS[comparison](floor, threshold)
        assert (found["passed"] is None) == (not within_reach) == (found["reason"] is not None)
        assert within_reach or f"{floor:.3g}" in found["reason"]


@pytest.mark.parametrize("whole_rho", [None, -1.0, 0.0, 0.5])
def test_a_ratio_to_what_is_not_positive_is_not_evaluated(whole_rho: float | None) -> None:
    cutoffs = {"8": 0.4, "full": whole_rho, "ratio": {"8": 0.8 if whole_rho == 0.5 else None}}
    statistics = {"spearman": whole_rho, "cutoffs": cutoffs}
    statistics["reasons"] = reasons(statistics, {})
    gate = {"statistic": "cutoffs.ratio.8", "comparison": ">=", "threshold": 0.3}
    found = evaluated(gate, statistics)
    assert found["passed"] is (True if whole_rho == 0.5 else None)
    assert (
        found["passed"] or ("not positive" if whole_rho is not None else "vary") in found["reason"]
    )


@pytest.mark.parametrize("agreement", [-1, 1])
def test_halves_that_disagree_have_no_ceiling_and_none_is_written(
    alignment: dict[str, Any], agreement: int
) -> None:
    rng = np.random.default_rng(0)
    one = rng.random(15)
    prompts = np.stack([one, 2 + agreement * one + 0.01 * rng.random(15)])
    ceiling = noise_ceiling(stacked(square(prompts, 6)), 10, 0)
    alignment["noise_ceiling"] = ceiling
    text = summarize(alignment)
    assert ("noise ceiling is ρ = " in text) == (agreement > 0)
    if agreement < 0:
        assert ceiling["reliability"] is ceiling["rho_ceiling"] is None
        assert "have no noise ceiling" in text and ceiling["reason"] in text
        assert "ρ = 0.000" not in text


@pytest.mark.parametrize("values", list(product((None, 0.2, 0.5, 0.50004, 0.9), repeat=2)))
def test_prompts_are_counted_and_not_given_in_percent(
    alignment: dict[str, Any], values: tuple[float | None, ...]
) -> None:
    known = [rho for rho in values if rho is not None]
    middle = dict.fromkeys(("median", "iqr", "min", "max"))
    if known:
        middle = {"median": np.median(known), "iqr": 0.0, "min": min(known), "max": max(known)}
    alignment["layers"]["2"]["per_prompt"] |= {
        **middle,
        "values": dict(zip("qr", values, strict=True)),
    }
    text = summarize(alignment)
    line = next(line for line in text.splitlines() if "single prompts" in line or "its one" in line)
    assert " % of" not in line
    above = sum(rho > 0.5 for rho in known)
    if len(known) == 2:
        assert f"{above} of 2 prompts" in line
        low, high = map(float, re.search(r"from (\S+) to ([\d.]+)\)", line).groups())
        assert (low > 0.5) + (high > 0.5) == above
    elif len(known) == 1:
        assert "median" not in line and "prompts are" not in line
    else:
        assert line.endswith("not computed.")
    assert ("1 other prompt has no correlation." in line) == (len(known) == 1)


def row(first: str, second: str, z: tuple[float, float] = (1, 1)) -> dict[str, Any]:
    return {"pair": [first, second], "z_cos": z[0], "z_js": z[1]}


@pytest.mark.parametrize("k", [0, 1, 2, 3])
@pytest.mark.parametrize("predicted", [["p0", "p1"], ["p1", "p2"], ["p0", "ghost"]])
def test_a_prediction_is_judged_only_where_it_could_have_failed(
    alignment: dict[str, Any], k: int, predicted: list[str]
) -> None:
    table = [row("p0", "p1"), row("p0", "p2"), row("p1", "p2")]
    found = check_predictions(table, table[:k], [predicted])
    assert found is not None
    open_to_both = "ghost" not in predicted and 0 < k < 3
    assert (found["all_in_top_k"] is not None) == open_to_both == (found["reason"] is None)
    alignment["layers"]["2"]["predictions"] = found
    text = summarize(alignment)
    worst = "the radial covariate fits worst"
    held = {
        True: f"{worst} holds:",
        False: f"{worst} does not hold:",
        None: f"{worst} was not evaluated, as",
    }
    assert held[found["all_in_top_k"]] in text
    assert sum(words in text for words in held.values()) == 1


@pytest.mark.parametrize("z", list(product((-1.5, 0.0, 0.7), repeat=2)))
def test_decoupling_is_spoken_of_only_where_signs_are_opposite(
    alignment: dict[str, Any], z: tuple[float, float]
) -> None:
    found = alignment["layers"]["2"]["decoupling"]
    opposite = z[0] * z[1] < 0
    found["pairs"] = [
        {
            **row("p0", "p1", z),
            "z_difference": z[1] - z[0],
            "decoupled": opposite,
            "share_in_top": 1,
        }
    ]
    text = summarize(alignment)
    assert ("1 of them is decoupled" in text) == opposite
    assert ("None of them is decoupled" in text) == (not opposite)
    assert ("near in hidden states, far" in direction(row("a", "b", z))) == (z[0] < 0 < z[1])
    assert ("in both" in direction(row("a", "b", z))) == (z[0] * z[1] > 0)


@pytest.mark.parametrize("missing", list(product((False, True), repeat=3)))
def test_intervals_are_given_or_said_to_be_missing(
    alignment: dict[str, Any], missing: tuple[bool, ...]
) -> None:
    kinds = ("prompts", "personas", "dual")
    of = alignment["layers"]["2"]["intervals"]
    for kind, gone in zip(kinds, missing, strict=True):
        ends = (None, None) if gone else (0.1, 0.9)
        of[kind] |= {"low": ends[0], "high": ends[1], "reason": "Too few." if gone else None}
    of["clusters"] |= {"low": 0.2, "high": 0.8, "reason": None}
    text = summarize(alignment)
    line = next(line for line in text.splitlines() if "(jackknife)" in line)
    assert line.count("0.100 to 0.900") == missing.count(False)
    assert ("There is none over" in line) == any(missing)
    assert "not computed over" not in text


@pytest.mark.parametrize("end", [0.9, 0.9996, 1 - 1e-12, 1.0])
def test_an_interval_ends_at_one_only_where_it_was_cut(end: float) -> None:
    text = interval({"low": -end, "high": end})
    low, high = (float(part.split()[0]) for part in text.split(" to "))
    assert (high == 1) == (low == -1) == (end == 1) == ("cut" in text)


def test_divergences_of_a_file_are_not_called_js(alignment: dict[str, Any]) -> None:
    assert "JS divergence" in summarize(alignment)
    alignment["n_prompts"] = None
    text = summarize(alignment)
    assert "JS" not in text and "divergences of a file" in text


@pytest.mark.parametrize("p", [0.0498, 29 / 576, 0.05, 0.0502, 0.0503])
def test_a_p_is_written_on_its_side_of_the_level(alignment: dict[str, Any], p: float) -> None:
    """What is called found, undecided or significant shows a p that says the same."""
    layer, across = alignment["layers"]["2"], alignment["across_layers"]
    for name in ("mantel_p", "stratified_mantel_p", "mantel_p_two_sided"):
        layer[name] = p
    layer["residual_mean_marginal_p"] = layer["partial_mantel"]["p"] = p
    layer["equivalence"] |= {"p": p, "verdict": "equivalent" if p <= 0.05 else "undecided"}
    across["family_wise_p"]["2"] = p
    text = summarize(alignment)
    shown = [float(x) for x in re.findall(r"p (?:= |is )(0\.0(?:49|50)\d*)", text)]
    shown += [
        float(x) for x in re.search(r"^\| 2 \| \d.* to .*", text, re.MULTILINE)[0].split(" | ")[3:6]
    ]
    assert len(shown) == 9
    assert {x <= 0.05 for x in shown} == {p <= 0.05}


def test_one_rule_says_whether_a_p_is_small() -> None:
    p = np.array([0.0499, 0.05, np.nextafter(0.05, 1), np.nan])
    assert (
        significant(p).tolist() == [bool(significant(x)) for x in p] == [True, True, False, False]
    )
    assert significant(None) is False
    folder = Path(significance.__file__).parents[1]
    by_hand = re.compile(r"[<>]=? *(?:[a-z.]*LEVEL\b|ALPHA\b|THRESHOLD\b|0?\.05\b)")
    files = [f for f in folder.rglob("*.[pj]*") if "vendor" not in f.parts and f.suffix != ".pyc"]
    compared = {f.name for f in files if by_hand.search(f.read_text())}
    assert len(files) > 100 and compared == {"significance.py"}


@pytest.mark.parametrize("above", [0, 1, 2, 3])
def test_many_tests_count_what_could_be_tested(alignment: dict[str, Any], above: int) -> None:
    """Layers without a correlation are no layers where none was found."""
    p = [0.05] * (3 - above) + [0.0502] * above
    for undefined in range(4):
        for k, row in enumerate(alignment["layer_curve"].values()):
            row["step_down_p"] = row["fdr_q"] = p[k] if k >= undefined else None
        text = summarize(alignment)
        known = 3 - undefined
        plural = "s" if known != 1 else ""
        found = sum(x <= 0.05 for x in p[undefined:])
        assert (f"found at {found} of {known} known layer{plural} by" in text) == (known > 0)
        assert ("known layers of 3 have" in text or "layer of 3 has" in text) == (undefined > 0)
        assert "no p could have been below 0.005." in text


@pytest.mark.parametrize("smallest", [1 / 6, 1 / 24])
def test_many_tests_of_few_personas_can_tell_nothing(
    alignment: dict[str, Any], smallest: float
) -> None:
    alignment["layers"]["2"]["mantel_null"]["smallest_p"] = smallest
    text = summarize(alignment)
    assert ("nothing can be told" in text) == (smallest > 0.05) == ("is found at" not in text)
    assert f"below {smallest:.3f}." in text


@pytest.mark.parametrize("rho", [-1.2, 0.7, 1.0, 1 + 1e-6, 1.284])
def test_what_passes_one_is_called_no_correlation(alignment: dict[str, Any], rho: float) -> None:
    split = alignment["layers"]["2"]["split_prompts"]
    split |= {"ceiling": 0.7, "disattenuated": rho, "reason": None}
    text = summarize(alignment)
    shown = float(re.search(r"orrected for that noise ρ (?:= |would be )(-?[\d.]*\d)", text)[1])
    assert ("too uncertain to correct" in text) == (abs(rho) > 1) == (abs(shown) > 1)


@pytest.mark.parametrize("rho", [None, 0.5, 0.6, 0.6001, 0.9])
def test_a_correlation_above_the_ceiling_is_said_to_be(
    alignment: dict[str, Any], rho: float | None
) -> None:
    alignment["noise_ceiling"] |= {"rho_ceiling": 0.6, "reliability": 0.36, "reason": None}
    alignment["layers"]["1"]["spearman"] = 0.1
    alignment["layers"]["2"]["spearman"] = rho
    found = re.search(r"ρ lies above it at layer 2 \(([\d.]+)\)", summarize(alignment))
    assert (found is not None) == (rho is not None and rho > 0.6)
    assert found is None or float(found[1]) > 0.6


@pytest.mark.parametrize("rho", list(product((0.5, 1 - 1e-14, 1.0), repeat=3)))
def test_layers_that_tie_are_all_named_as_the_peak(
    alignment: dict[str, Any], rho: tuple[float, ...]
) -> None:
    for row, value in zip(alignment["layer_curve"].values(), rho, strict=True):
        row["spearman"] = value
    best = int(np.argmax(rho))
    alignment["across_layers"]["peak"] |= {"layer": best + 1, "spearman": rho[best]}
    tied = [str(k + 1) for k in range(3) if rho[k] > max(rho) - 1e-9]
    named = f"layer{'s' if len(tied) > 1 else ''} {' and '.join(tied)} ("
    assert f"Among 3 known layers, ρ is largest at {named}" in summarize(alignment)
    alignment["layer_curve"] = {"1": alignment["layer_curve"]["1"]}
    assert "ρ is largest" not in summarize(alignment)


@pytest.mark.parametrize("verdict", ["equivalent", "beyond", "undecided", None])
@pytest.mark.parametrize("stronger", ["js", "cosine", "undecided", "equal", None])
def test_a_difference_too_small_to_matter_is_said_to_be(
    alignment: dict[str, Any], stronger: str | None, verdict: str | None
) -> None:
    outcomes = alignment["layers"]["2"]["outcomes"]
    outcomes["stronger"] = stronger
    outcomes["difference"]["equivalence"] |= {"verdict": verdict, "p": 0.001}
    said = "Yet the difference lies within ±0.200" in summarize(alignment)
    assert said == (verdict == "equivalent" and stronger in ("js", "cosine"))


@pytest.mark.parametrize("clusters", [False, True])
def test_why_clusters_have_no_interval_is_said_where_there_are_clusters(
    alignment: dict[str, Any], clusters: bool
) -> None:
    layer = alignment["layers"]["2"]
    layer["intervals"]["clusters"] |= {"low": None, "high": None, "reason": "Too few clusters."}
    if not clusters:
        layer["partial_mantel"]["covariates"] = ["pay"]
    assert ("over new clusters: Too few clusters." in summarize(alignment)) == clusters


@pytest.mark.parametrize(("rho", "most"), [(0.9, 1), (-0.9, 1), (1.8, 2), (-1.8, 2)])
def test_what_was_cut_is_called_cut_and_what_has_no_spread_has_no_ends(
    rho: float, most: float
) -> None:
    found = interval(t_interval(rho, Spread(0.04, 9), most))
    assert found.count("(cut)") == 1
    assert interval(t_interval(rho, Spread(0.0, 9), most)) == "not computed"


@pytest.mark.parametrize("n", [0, 1, 2])
def test_predictors_are_counted(alignment: dict[str, Any], n: int) -> None:
    found = alignment["layers"]["2"]["commonality"]
    for name in list(found["alone"])[n:]:
        found["alone"][name] = found["unique"][name] = None
    if not n:
        found["r2"] = None
    text = summarize(alignment)
    assert ("Together, 2 predictors explain" in text) == (n == 2)
    assert ("cosine distance explains R²" in text) == (n == 1)


def test_rounding_is_written_as_nothing(alignment: dict[str, Any]) -> None:
    found = alignment["layers"]["2"]
    found["commonality"]["unique"]["cosine"] = -3.3e-16
    found["mantel_null"]["mean"] = 1.4e-17
    text = summarize(alignment)
    assert "10⁻¹⁶" not in text and "10⁻¹⁷" not in text
    assert "(0.000 on its own account)" in text and "mean 0.000 and" in text
