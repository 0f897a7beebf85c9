"""The inference core against brute force, other implementations and known answers."""

import json
import math
from collections import Counter
from dataclasses import replace
from itertools import combinations
from itertools import permutations as arrangements
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from named import named, stacked
from scipy.stats import pearsonr, rankdata, spearmanr
from whole_study import aligned

from persona_geometry.errors import InputError
from persona_geometry.rdms.rdm import Rdm
from persona_geometry.rdms.triangle import square, vectorize
from persona_geometry.rsa import gates, pairs, permutation, residual, sensitivity
from persona_geometry.rsa.alignment import align
from persona_geometry.rsa.cka import debiased_cka, linear_cka
from persona_geometry.rsa.geometries import Geometries
from persona_geometry.rsa.layer import partial
from persona_geometry.rsa.permutation import Null, Permutations
from persona_geometry.rsa.ranks import rsa
from persona_geometry.study.sections import Alignment, Gate
from persona_geometry.study.tables import read_personas

ROOT = Path(__file__).parents[2]
SETTINGS = {
    "permutations": 999,
    "seed": 3,
    "leave_out": [],
    "top_k": 5,
    "predictions": [],
    "bootstrap": 50,
    "noise_ceiling_splits": 20,
    "gates": [{"statistic": "spearman", "comparison": ">", "threshold": 0.5}],
}


def mantel(fixed: list[np.ndarray], moved: np.ndarray, permutations: Permutations) -> Null:
    return permutation.mantel([named(x) for x in fixed], named(moved), permutations)


def matrix(n: int, seed: int, decimals: int = 12) -> np.ndarray:
    points = np.random.default_rng(seed).standard_normal((n, 3))
    return np.round(np.linalg.norm(points[:, None] - points[None], axis=-1), decimals)


def related(n: int, seed: int, noise: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    x = matrix(n, seed)
    return x, np.abs(
        x + noise * np.random.default_rng(seed + 1).standard_normal() * matrix(n, seed + 2)
    )


def brute_force(x: np.ndarray, y: np.ndarray, rows: list[tuple[int, ...]]) -> np.ndarray:
    return np.array([spearmanr(vectorize(x), vectorize(y[np.ix_(r, r)])).statistic for r in rows])


@pytest.mark.parametrize("decimals", [12, 0])
def test_free_test_enumerates_small_matrices_exactly(decimals: int) -> None:
    x, y = matrix(5, 0, decimals), matrix(5, 1, decimals) + matrix(5, 0, decimals)
    null = mantel([x], y, Permutations.free(5, 10_000, 0))
    expected = brute_force(x, y, list(arrangements(range(5))))
    assert null.permutations.enumerated and len(null.permuted) == 120
    assert np.allclose(np.sort(null.permuted[:, 0]), np.sort(expected), atol=1e-12)
    assert null.p_values()[0] == (expected >= expected[0] - 1e-10).mean()


def test_stratified_test_of_the_study_has_576_permutations() -> None:
    strata = ["m"] * 4 + ["s"] * 3 + ["v"] * 2 + ["t"] * 2 + [None] * 8
    permutations = Permutations.within(strata, 100_000, 0)
    rows = np.concatenate(list(permutations.chunks(100)))
    assert permutations.possible == len(rows) == len(np.unique(rows, axis=0)) == 576
    assert permutations.smallest_p == 1 / 576
    assert (rows[:, 11:] == np.arange(11, 19)).all()
    x, y = related(19, 5)
    null = mantel([x], y, permutations)
    expected = brute_force(x, y, [tuple(row) for row in rows])
    assert null.p_values()[0] == pytest.approx((expected >= null.observed[0] - 1e-10).mean(), abs=0)


def test_partial_mantel_is_the_partial_correlation_of_every_relabeling() -> None:
    x, y = related(6, 11)
    z, w = matrix(6, 12), matrix(6, 13)
    null = permutation.partial_mantel(
        named(x), named(y), [named(z), named(w)], Permutations.free(6, 1_000, 0)
    )

    def partial(a: np.ndarray, b: np.ndarray) -> float:
        design = np.column_stack([np.ones(15), rankdata(vectorize(z)), rankdata(vectorize(w))])
        ranked = [rankdata(vectorize(m)) for m in (a, b)]
        rest = [r - design @ np.linalg.lstsq(design, r, rcond=None)[0] for r in ranked]
        return pearsonr(*rest).statistic

    expected = np.array([partial(x, y[np.ix_(r, r)]) for r in arrangements(range(6))])
    assert null.observed[0] == pytest.approx(expected[0], abs=1e-10)
    assert np.allclose(np.sort(null.permuted[:, 0]), np.sort(expected), atol=1e-9)
    ranks = [named(m).ranks for m in (x, y, z, w)]
    partial_rho = residual.partial_spearman(ranks[0], ranks[1], ranks[2:])
    assert partial_rho == pytest.approx(expected[0], abs=1e-10)


def test_all_layers_share_one_stream_and_the_largest_controls_the_family() -> None:
    x, y = related(8, 21)
    other = matrix(8, 30)
    permutations = Permutations.free(8, 2_000, 4)
    together = mantel([x, other], y, permutations)
    assert np.array_equal(together.permuted[:, :1], mantel([x], y, permutations).permuted)
    family = together.family_wise_p_values()
    largest = together.permuted.max(1)
    assert family[0] == ((largest >= together.observed[0] - 1e-10).sum() + 1) / 2_001
    assert (family >= together.p_values()).all()


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from persona_geometry.rsa import permutation

    x, y = related(9, 3)
    whole = mantel([x], y, Permutations.free(9, 500, 1)).permuted
    strata = Permutations.within([0, 0, 0, 0, 1, 1, 1, 1, None], 100_000, 1)
    stratified = mantel([x], y, strata).permuted
    monkeypatch.setattr(permutation, "CHUNK_LABELS", 9 * 100)
    assert np.array_equal(np.sort(mantel([x], y, strata).permuted, 0), np.sort(stratified, 0))
    assert len(mantel([x], y, Permutations.free(9, 500, 1)).permuted) == len(whole)


def test_constant_matrix_has_no_p() -> None:
    fixed = [np.ones((5, 5)) - np.eye(5), matrix(5, 1)]
    null = mantel(fixed, matrix(5, 2), Permutations.free(5, 999, 0))
    assert np.isnan(null.p_values()[0]) and 0 < null.p_values()[1] <= 1
    assert np.isnan(null.family_wise_p_values()[0])


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.permutations(range(7)))
def test_relabeling_both_and_monotone_maps_and_swapping_change_nothing(
    seed: int, order: list[int]
) -> None:
    x, y = related(7, seed)
    permutations = Permutations.free(7, 6_000, 0)  # 5,040 possible: enumerated
    null = mantel([x], y, permutations)
    p = null.p_values()[0]
    grid = np.ix_(order, order)
    for a, b in ((x[grid], y[grid]), (np.exp(x), y**3), (y, x)):
        other = mantel([a], b, permutations)
        assert other.observed[0] == pytest.approx(null.observed[0], abs=1e-12)
        assert other.p_values()[0] == p
    assert p >= permutations.smallest_p


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(9, 200))
def test_sampled_p_is_never_below_its_floor(seed: int, count: int) -> None:
    x = matrix(9, seed)
    null = mantel([x], x, Permutations.free(9, count, seed))
    assert null.p_values()[0] >= null.permutations.smallest_p == 1 / (count + 1)


def test_mean_marginals_leave_out_the_pair_itself() -> None:
    d = matrix(6, 0)
    b = square(residual.mean_marginals(named(d)), 6)
    others = [k for k in range(6) if k not in (1, 4)]
    assert b[1, 4] == pytest.approx(d[1, others].mean() + d[4, others].mean())


def test_residuals_are_those_of_least_squares() -> None:
    x, z = vectorize(matrix(8, 0)), vectorize(matrix(8, 1))
    design = np.column_stack([np.ones(28), z])
    expected = x - design @ np.linalg.lstsq(design, x, rcond=None)[0]
    assert np.allclose(residual.residualize(x, [z]), expected, atol=1e-12)
    assert np.allclose(residual.residualize(x, [z, z, np.ones(28)]), expected, atol=1e-10)


def test_clusters_masked_and_collapsed() -> None:
    x, y = related(6, 2)
    fine = ["a", "a", "b", "b", "c", "d"]
    keep = [
        k for k, (i, j) in enumerate(zip(*np.triu_indices(6, 1), strict=True)) if fine[i] != fine[j]
    ]
    rho, n = sensitivity.cluster_masked(named(x), named(y), fine)
    assert n == len(keep) == 13
    assert rho == pytest.approx(spearmanr(vectorize(x)[keep], vectorize(y)[keep]).statistic)
    groups = [[0, 1], [2, 3], [4], [5]]
    small = [np.array([[m[np.ix_(a, b)].mean() for b in groups] for a in groups]) for m in (x, y)]
    rho, n = sensitivity.cluster_collapsed(named(x), named(y), fine)
    assert n == 6
    assert rho == pytest.approx(spearmanr(*(vectorize(m) for m in small)).statistic)


def test_cka_is_one_for_itself_and_its_rotations_and_near_zero_for_noise() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 60))
    rotation = np.linalg.qr(rng.standard_normal((60, 60)))[0]
    assert linear_cka(x, 3 * x @ rotation) == pytest.approx(1.0)
    assert debiased_cka(x, x @ rotation) == pytest.approx(1.0)
    noise = [debiased_cka(x, rng.standard_normal((40, 60))) for _ in range(20)]
    assert abs(np.mean(noise)) < 0.03 < linear_cka(x, rng.standard_normal((40, 60)))


def test_gates() -> None:
    statistics = {
        **{"a": 0.5, "b": None, "c": {"share_above_0.5": 0.9}, "partial_mantel": {"p": 0}},
        "cutoffs": {"full": 0.5, "ratio": {}},
    }

    def status(statistic: str, comparison: str, threshold: float) -> str:
        gate = {"statistic": statistic, "comparison": comparison, "threshold": threshold}
        return gates.evaluate([Gate.of(**gate)], statistics)[0]["status"]

    assert status("a", ">", 0.5) == "fail" and status("a", ">=", 0.5) == "pass"
    assert status("b", "<", 1) == "not_evaluated"
    assert status("c.share_above_0.5", ">", 0.5) == "pass"
    assert status("cutoffs.8", ">", 0.5) == status("cutoffs.ratio.8", ">", 0) == "not_evaluated"
    for wrong in ("d", "c", "a.8", "cutoffs.rato.8", "partial_mantel.p"):
        with pytest.raises(InputError):
            status(wrong, ">", 0)


PUBLISHED_PAIRS = {
    ("surgeon", "paramedic"): (0.0047, 1),
    ("software_engineer", "data_scientist"): (0.0071, 3),
    ("villain", "comedian"): (0.0183, 81),
    ("poet", "comedian"): (0.0205, 103),
    ("poet", "villain"): (0.0240, 118),
    ("helpful_assistant", "comedian"): (0.0686, 169),
    ("helpful_assistant", "poet"): (0.0777, 171),
}


def test_pairs_that_the_published_report_names_get_its_distances_and_ranks() -> None:
    """Its seven pairs are where it has them; the other pairs lie evenly between them."""
    personas = [
        p for p in read_personas(ROOT / "config" / "personas.tsv") if p.name != "no_persona"
    ]
    names, clusters = [p.name for p in personas], {p.name: p.cluster for p in personas if p.cluster}
    distances, ranks = zip(*PUBLISHED_PAIRS.values(), strict=True)
    filling = iter(np.interp([r for r in range(1, 172) if r not in ranks], ranks, distances))
    known = {frozenset(pair): value for pair, (value, _) in PUBLISHED_PAIRS.items()}
    values = [
        known[pair] if (pair := frozenset(both)) in known else next(filling)
        for both in combinations(names, 2)
    ]
    cosine = Rdm(tuple(names), np.array(values))
    js = Rdm.from_square(names, matrix(19, 4))
    table = pairs.pair_table(clusters, {}, cosine, js)
    rows = {frozenset(row["pair"]): row for row in table}
    for pair, expected in PUBLISHED_PAIRS.items():
        row = rows[frozenset(pair)]
        assert (row["cosine"], row["cosine_rank"]) == expected
    relations = Counter(row["relation"] for row in table)
    assert relations == {"within_cluster": 11, "same_macro": 72, "cross_macro": 88}


def geometries(**changes) -> Geometries:
    rng = np.random.default_rng(0)
    n, q = 8, 6
    names = [*(f"p{i}" for i in range(n - 1)), "anchor"]
    base = matrix(n, 1) / 20
    by_prompt = np.stack(
        [np.abs(base + square(rng.normal(0, 0.01, n * (n - 1) // 2), n)) for _ in range(q)]
    )
    content = {
        "anchor": "anchor",
        "clusters": {"p0": "a", "p1": "a", "p2": "a", "p3": "b", "p4": "b"},
        "cosine": {
            0: named(matrix(n, 1) / 10, names),
            1: named(matrix(n, 1) + matrix(n, 9), names),
        },
        "divergence": {
            "8": named(by_prompt[:3].mean(0), names),
            "full": named(by_prompt.mean(0), names),
        },
        "by_prompt": dict.fromkeys(("8", "full"), stacked(by_prompt, names)),
        "vectors": {0: rng.standard_normal((q, n, 5)).astype(np.float32)},
    }
    return Geometries(**{**content, **changes})


def run(of: Geometries, **settings) -> dict:
    given = {**SETTINGS, **settings}
    for_layers = [{"layer": 0, **gate} for gate in given["gates"]]
    alignment = Alignment.of(**{**given, "gates": for_layers})
    result = align(of, alignment, [0, 1], 0, "s", "js", lambda _line: None)
    json.dumps(result, allow_nan=False)
    return result


def test_alignment_is_whole() -> None:
    result = run(geometries(), predictions=[["p0", "p5"]], leave_out=["p1"])
    layer = result["layers"]["0"]
    assert (result["n_personas"], result["n_pairs"], result["headline_layer"]) == (7, 21, 0)
    assert [name for name, value in layer.items() if value is None] == [
        *("comparators", "equivalence", "outcomes")
    ]
    assert layer["gates"][0]["status"] == "pass" and result["all_gates_pass"] is True
    assert layer["with_anchor"]["n_pairs"] == 28
    assert layer["cluster_masked_n_pairs"] == 21 - 4  # clusters of three and of two
    assert layer["cluster_collapsed_n_pairs"] == 6
    assert set(layer["jackknife"]["values"]) == set(geometries().personas) - {"anchor"}
    assert layer["stratified_mantel_null"]["permutations"] == math.factorial(3) * 2
    assert layer["cutoffs"]["ratio"]["8"] == layer["cutoffs"]["8"] / layer["cutoffs"]["full"]
    of = geometries().select(result["personas"])
    assert layer["spearman"] == pytest.approx(rsa(of.cosine[0], of.divergence["full"]))


def test_what_files_do_not_have_is_null_and_its_gate_is_not_evaluated() -> None:
    bare = geometries(
        anchor=None,
        clusters={},
        by_prompt=None,
        vectors=None,
        divergence={"full": geometries().divergence["full"]},
    )
    gate = {"statistic": "per_prompt.median", "comparison": ">=", "threshold": 0.2}
    result = run(bare, gates=[gate])
    layer = result["layers"]["0"]
    for name in ("per_prompt", "stratified_mantel_p", "partial_joint", "with_anchor", "cka"):
        assert layer[name] is None
    (gate,) = layer["gates"]
    assert gate["passed"] is None and gate["status"] == "not_evaluated"
    assert gate["reason"].startswith("It needs the divergences of single prompts")
    assert result["all_gates_pass"] is None


def unrelated() -> Geometries:
    """Two geometries with little in common, so that p-values lie in the middle."""
    by_prompt = np.stack([matrix(9, seed) for seed in range(70, 76)]) / 10
    names = [*(f"p{i}" for i in range(8)), "anchor"]
    return geometries(
        cosine={
            0: named(matrix(9, 80), names),
            1: named(matrix(9, 81) / 3, names),
            2: named(matrix(9, 82), names),
        },
        divergence={
            "8": named(by_prompt[:3].mean(0), names),
            "full": named(by_prompt.mean(0), names),
        },
        by_prompt=dict.fromkeys(("8", "full"), stacked(by_prompt, names)),
        vectors=None,
    )


def test_cutoffs_and_prompts_are_tested_by_the_stream_of_the_layers() -> None:
    of = unrelated()
    result = run(of)
    layer, primary = result["layers"]["0"], of.select(result["personas"])
    assert 0.01 < layer["mantel_p"] < 0.99
    assert layer["cutoffs"]["mantel_p"]["full"] == layer["mantel_p"]
    stream = Permutations.free(8, 999, 3)
    alone = permutation.mantel([primary.cosine[0]], primary.divergence["8"], stream)
    assert layer["cutoffs"]["mantel_p"]["8"] == alone.p_values()[0]
    for name, d in zip(primary.prompts, primary.by_prompt["full"], strict=True):
        prompt = permutation.mantel([primary.cosine[0]], d, stream)
        assert layer["per_prompt"]["mantel_p"][name] == prompt.p_values()[0]
        assert layer["per_prompt"]["values"][name] == pytest.approx(prompt.observed[0])
    whole = permutation.mantel([of.cosine[0]], of.divergence["full"], Permutations.free(9, 999, 3))
    assert layer["with_anchor"]["mantel_p"] == whole.p_values()[0]
    curve = permutation.mantel(
        [primary.cosine[x] for x in (0, 1, 2)], primary.divergence["full"], stream
    )
    assert [c["mantel_p"] for c in result["layer_curve"].values()] == curve.p_values().tolist()
    family = curve.family_wise_p_values().tolist()
    assert [c["family_wise_p"] for c in result["layer_curve"].values()] == family


def test_layers_computed_side_by_side_have_the_same_bits() -> None:
    assert aligned(threads=2) == aligned(threads=1)


def test_radial_and_single_persona_statistics_from_their_definitions() -> None:
    of = unrelated()
    layer = run(of, leave_out=["p3"])["layers"]["1"]
    x, y = of.cosine[1].square, of.divergence["full"].square

    def least_squares_rest(values: np.ndarray, covariate: np.ndarray) -> np.ndarray:
        design = np.column_stack([np.ones(len(values)), covariate])
        return values - design @ np.linalg.lstsq(design, values, rcond=None)[0]

    rest, explained = [], []
    for d in (x, y):
        covariate = [d[i, 8] + d[j, 8] for i, j in zip(*np.triu_indices(8, 1), strict=True)]
        values = vectorize(d[:8, :8])
        rest.append(least_squares_rest(values, np.array(covariate)))
        explained.append(1 - rest[-1].var() / values.var())
    assert layer["residual_anchor"] == pytest.approx(spearmanr(*rest).statistic)
    assert list(layer["residual_anchor_r2"].values()) == pytest.approx(explained)

    others = np.ix_([0, 1, 2, 4, 5, 6, 7], [0, 1, 2, 4, 5, 6, 7])
    without = spearmanr(vectorize(x[others]), vectorize(y[others])).statistic
    assert layer["leave_out"]["p3"]["spearman"] == pytest.approx(without)
    assert layer["jackknife"]["values"]["p3"] == pytest.approx(without)
    jackknife = list(layer["jackknife"]["values"].values())
    low, high = np.percentile(jackknife, [25, 75])
    assert layer["jackknife"]["iqr"] == pytest.approx(high - low)
    assert layer["jackknife"]["min"] == min(jackknife)


def test_dispersion_and_between_layers() -> None:
    of = unrelated()
    result = run(of)
    distances = [of.without_anchor().cosine[k].vector for k in (0, 1)]
    widest = max(d.std() for d in distances)
    for k, d in enumerate(distances):
        found = result["layers"][str(k)]["dispersion"]
        assert (found["min"], found["max"]) == (d.min(), d.max())
        assert found["sd"] == pytest.approx(d.std())
        assert found["ratio_to_widest"] == pytest.approx(widest / d.std())
    between = result["between_layers"]["spearman"]
    assert between[0][1] == between[1][0] == pytest.approx(spearmanr(*distances).statistic)


def test_share_above_half_and_spread() -> None:
    base = matrix(8, 90)
    prompts = np.stack([base, base**2, matrix(8, 91), matrix(8, 104), -base])  # 104: ρ = 0.47
    found = sensitivity.per_prompt(named(base), stacked(prompts))
    values = [spearmanr(vectorize(base), vectorize(d)).statistic for d in prompts]
    assert list(found["values"].values()) == pytest.approx(values)
    assert found["share_above_0.5"] == np.mean([v > 0.5 for v in values]) == 0.4
    assert found["iqr"] == pytest.approx(np.subtract(*np.percentile(values, [75, 25])))
    assert found["median"] == pytest.approx(np.median(values))
    at_half = sensitivity.spread([0.5])
    assert at_half == {"median": 0.5, "iqr": 0.0, "min": 0.5, "max": 0.5}


def test_gates_are_judged_at_the_layer_they_name() -> None:
    by_layer = [
        {"statistic": "dispersion.mean", "comparison": ">", "threshold": 1.0},
        {"statistic": "dispersion.mean", "comparison": ">", "threshold": 1.0, "layer": 1},
    ]
    result = run(unrelated(), gates=by_layer)
    assert [(g["layer"], g["status"]) for g in result["gates"]] == [(0, "pass"), (1, "fail")]
    assert result["all_gates_pass"] is False
    assert [g["status"] for g in result["layers"]["0"]["gates"]] == ["pass", "pass"]
    assert [g["status"] for g in result["layers"]["1"]["gates"]] == ["fail", "fail"]
    assert run(unrelated(), gates=by_layer[:1])["all_gates_pass"] is True
    assert run(unrelated(), gates=[])["all_gates_pass"] is None


def test_relations_of_pairs() -> None:
    x, y = (named(matrix(5, seed), list("abcde")) for seed in (0, 1))
    table = pairs.pair_table({"a": "x", "b": "x", "c": "y"}, {}, x, y)
    relation = {"".join(row["pair"]): row["relation"] for row in table}
    assert relation == {
        "ab": "within_cluster",
        **dict.fromkeys(["ac", "bc", "de"], "same_macro"),
        **dict.fromkeys(["ad", "ae", "bd", "be", "cd", "ce"], "cross_macro"),
    }


def test_macro_clusters_of_the_table() -> None:
    x, y = (named(matrix(5, seed), list("abcde")) for seed in (0, 1))
    fine, macro = {"a": "x", "b": "x", "c": "y"}, dict.fromkeys("abe", "m") | {"c": "n"}
    relation = {
        "".join(row["pair"]): row["relation"] for row in pairs.pair_table(fine, macro, x, y)
    }
    assert relation == {
        "ab": "within_cluster",
        **dict.fromkeys(["ae", "be"], "same_macro"),
        **dict.fromkeys(["ac", "ad", "bc", "bd", "cd", "ce", "de"], "cross_macro"),
    }


def test_joint_partial_is_given_the_macro_clusters_of_the_table() -> None:
    of = geometries()
    as_by_default = {**dict.fromkeys(of.clusters, "occ"), "p5": "civ", "p6": "civ", "anchor": "civ"}
    found = [
        run(replace(of, macro=macro))["layers"]["0"]
        for macro in ({}, as_by_default, {"p0": "m", "p1": "m", "p2": "m", "p5": "m"})
    ]
    joint = [layer["partial_joint"] for layer in found]
    assert joint[0] == joint[1] != joint[2]
    primary, x = of.without_anchor(), replace(of, macro={"p0": "m", "p5": "m"}).without_anchor()
    groups = np.array([0, 1, 2, 3, 4, 0, 5])
    indicator = vectorize((groups[:, None] == groups).astype(float))
    fine = vectorize((np.array([0, 0, 0, 1, 1, 2, 3])[:, None] == [0, 0, 0, 1, 1, 2, 3]) * 1.0)
    design = np.column_stack([np.ones(21), fine, indicator])
    rests = [
        rdm.ranks - design @ np.linalg.lstsq(design, rdm.ranks, rcond=None)[0]
        for rdm in (primary.cosine[0], primary.divergence["full"])
    ]
    assert partial(x, 0, ["fine", "macro"]) == pytest.approx(np.corrcoef(*rests)[0, 1])


def test_gate_on_a_cutoff_that_was_not_measured_is_not_evaluated() -> None:
    gate = {"statistic": "cutoffs.ratio.32", "comparison": ">", "threshold": 0}
    assert run(geometries(), gates=[gate])["gates"][0]["status"] == "not_evaluated"
    for wrong in ("cutoffs.rato.32", "spearman.median", "per_prompt.values.q77"):
        with pytest.raises(InputError, match="does not exist"):
            run(geometries(), gates=[{**gate, "statistic": wrong}])


def test_constant_cosines_give_nulls_at_their_layer_alone() -> None:
    names = geometries().personas
    flat = {0: named(np.full((8, 8), 0.5), names), 1: named(matrix(8, 1), names)}
    result = run(geometries(cosine=flat), predictions=[["p0", "p5"]], leave_out=["p1"])
    layer = result["layers"]["0"]
    for name in (
        "spearman",
        "mantel_p",
        "stratified_mantel_p",
        "partial_joint",
        "cluster_masked",
        "cluster_collapsed",
        "residual_mean_marginal",
        "residual_mean_marginal_p",
        "residual_anchor",
    ):
        assert layer[name] is None, name
    assert layer["top_residual_pairs"] == [] and layer["predictions"]["all_in_top_k"] is None
    assert set(layer["jackknife"]["values"].values()) == {None}
    assert set(layer["leave_out"]["p1"].values()) == {None}
    assert layer["per_prompt"]["median"] is None
    assert layer["cutoffs"]["full"] is None and layer["cutoffs"]["ratio"]["8"] is None
    assert result["across_layers"]["family_wise_p"]["0"] is None
    assert result["between_layers"]["spearman"][0] == [None, None]
    assert result["layers"]["1"]["mantel_p"] == result["across_layers"]["family_wise_p"]["1"]


def test_anchor_that_no_matrix_holds_and_extra_covariates() -> None:
    length = named(matrix(8, 40), geometries().personas)
    of = geometries(anchor="elsewhere", covariates={"length": length}, clusters={})
    layer = run(of)["layers"]["0"]
    assert layer["with_anchor"] is None and layer["residual_anchor"] is None
    assert layer["partial_mantel"]["covariates"] == ["length"]
    expected = residual.partial_spearman(
        of.cosine[0].ranks, of.divergence["full"].ranks, [length.ranks]
    )
    assert layer["partial_mantel"]["spearman"] == pytest.approx(expected)
    assert 0 < layer["partial_mantel"]["p"] <= 1


def test_predictions_must_all_be_among_the_top_pairs() -> None:
    top = run(geometries())["layers"]["0"]["top_residual_pairs"]
    leading, last = [row["pair"] for row in top[:2]], top[-1]["pair"]
    assert [row["magnitude"] for row in top] == sorted((r["magnitude"] for r in top), reverse=True)
    both = [leading[0][::-1], leading[1]]

    def verdict(k: int, predicted: list) -> object:
        result = run(geometries(), top_k=k, predictions=predicted)
        return result["layers"]["0"]["predictions"]["all_in_top_k"]

    assert verdict(2, both) is True
    assert verdict(2, [leading[0], last]) is False
    assert verdict(2, [leading[0], ["p0", "nobody"]]) is None


def test_stability_counts_the_layers_of_each_top_pair() -> None:
    result = run(geometries())
    tops = {
        layer: [frozenset(row["pair"]) for row in result["layers"][layer]["top_residual_pairs"]]
        for layer in ("0", "1")
    }
    for row in result["top_pair_stability"]:
        at = [int(layer) for layer, pairs_at in tops.items() if frozenset(row["pair"]) in pairs_at]
        assert row["layers"] == at and row["n_layers"] == len(at) > 0
    assert sum(row["n_layers"] for row in result["top_pair_stability"]) == 10


def test_constant_divergences_give_nulls_and_a_warning() -> None:
    flat = named(np.full((8, 8), 0.3), geometries().personas)
    result = run(geometries(divergence={"full": flat}, by_prompt=None))
    layer = result["layers"]["0"]
    for name in ("spearman", "mantel_p", "residual_mean_marginal", "residual_mean_marginal_p"):
        assert layer[name] is None
    for name in ("partial_fine", "partial_joint", "cluster_masked", "cluster_collapsed"):
        assert layer[name] is None
    assert layer["residual_mean_marginal_r2"]["js"] is None and not layer["top_residual_pairs"]
    assert result["warnings"] and layer["gates"][0]["status"] == "not_evaluated"


def test_near_uniform_layer_is_warned_of() -> None:
    names = geometries().personas
    far = matrix(8, 1)
    close = far / far[:7, :7].max() * 0.0299

    def warnings(values: np.ndarray) -> list[str]:
        layers = {0: named(values, names), 1: named(far, names)}
        return run(geometries(cosine=layers))["warnings"]

    assert len(warnings(close)) == 1 and "Layer 0 is close to uniform" in warnings(close)[0]
    assert warnings(close * 1.01) == []


def test_agreeing_and_disagreeing_pairs_are_ordered_by_their_ranks() -> None:
    x, y = matrix(7, 50), matrix(7, 51)
    table = pairs.pair_table({}, {}, named(x), named(y))
    difference = np.abs(rankdata(vectorize(x)) - rankdata(vectorize(y)))

    def differences(rows: list[dict]) -> list[float]:
        return [abs(row["cosine_rank"] - row["js_rank"]) for row in rows]

    assert differences(pairs.agreeing_pairs(table, 4)) == sorted(difference)[:4]
    assert differences(pairs.disagreeing_pairs(table, 4)) == sorted(difference)[:-5:-1]
    same = pairs.pair_table({}, {}, named(x), named(x))
    assert [row["cosine_rank"] for row in pairs.agreeing_pairs(same, 2)] in ([1, 21], [21, 1])


def test_residual_magnitude_is_the_sum_of_two_absolute_z_scores() -> None:
    x, y = matrix(6, 60), matrix(6, 61)
    rest = residual.radial_residuals(named(x), named(y))
    z = [r.vector / r.vector.std() for r in (rest.x, rest.y)]
    table = pairs.pair_table({}, {}, named(x), named(y), rest)
    assert np.allclose([row["magnitude"] for row in table], np.abs(z[0]) + np.abs(z[1]))
    assert np.allclose([row["z_difference"] for row in table], z[1] - z[0])
    assert np.allclose([[row["z_cos"], row["z_js"]] for row in table], np.transpose(z))


def test_cka_of_equidistant_or_equal_rows_is_null() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((7, 40))
    equidistant = 1 - (0.1 + 0.2) * (1 - np.eye(7)) + 1e-16 * rng.standard_normal((7, 7))
    assert debiased_cka(x, equidistant) is None and debiased_cka(equidistant, x) is None
    assert linear_cka(x, np.full((7, 3), 0.1)) is None
    assert debiased_cka(x, 1 - 1e-4 * rng.random((7, 40))) is not None


def test_what_is_not_a_number_never_reaches_least_squares() -> None:
    with pytest.raises(ValueError, match="not a finite number"):
        residual.residualize(np.arange(3.0), [np.array([0, np.nan, 1])])
    with pytest.raises(InputError):
        named(np.full((4, 4), np.nan))


def test_debiased_cka_is_free_of_the_bias_that_the_definition_removes() -> None:
    """Song et al.'s estimator written as a sum over index tuples."""
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal((6, 3)), rng.standard_normal((6, 2))
    k, m = x @ x.T, y @ y.T

    def hsic(a: np.ndarray, b: np.ndarray) -> float:
        tuples = list(arrangements(range(6), 4))
        return sum(a[i, j] * (b[i, j] + b[q, r] - 2 * b[i, q]) for i, j, q, r in tuples) / len(
            tuples
        )

    expected = hsic(k, m) / math.sqrt(hsic(k, k) * hsic(m, m))
    assert debiased_cka(x, y) == pytest.approx(expected)
