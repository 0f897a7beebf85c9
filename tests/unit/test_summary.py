"""The summary says what alignment.json holds, and nothing else."""

import copy
import math
import re
from typing import Any

import numpy as np
import pytest
from named import named, stacked

from persona_geometry.report.summary import summarize
from persona_geometry.report.text import count, number
from persona_geometry.rsa.alignment import align
from persona_geometry.rsa.geometries import Geometries
from persona_geometry.study.sections import Alignment

SETTINGS = {
    "permutations": 199,
    "seed": 3,
    "leave_out": ["p1"],
    "top_k": 3,
    "predictions": [["p0", "p5"]],
    "bootstrap": 20,
    "noise_ceiling_splits": 5,
    "comparators": ["rho_a", "tau_a", "whitened_cosine"],
    "smallest_effect": 0.2,
    "gates": [
        {"statistic": "spearman", "comparison": ">", "threshold": -1.0},
        {"statistic": "mantel_p", "comparison": "<", "threshold": 0.006},
        {"statistic": "cutoffs.ratio.32", "comparison": ">", "threshold": 0.3},
    ],
}
# Levels that the text names, and 0 for a pair that no layer's top holds.
FIXED = {"95", "0.5", "0.05", "0"}


def rdms(count: int, n: int, rng: np.random.Generator) -> np.ndarray:
    values = np.triu(rng.uniform(0.01, 0.6, (count, n, n)), 1)
    return values + values.transpose(0, 2, 1)


def aligned(bare: bool = False, flat: bool = False, **settings: Any) -> dict[str, Any]:
    """A small study; bare: with neither prompts, vectors, clusters nor anchor."""
    rng = np.random.default_rng(5)
    n, prompts = 8, 4
    names = [*(f"p{k}" for k in range(n - 1)), "anchor"]
    by_prompt = {cutoff: rdms(prompts, n, rng) for cutoff in ("8", "full")}
    if flat:
        by_prompt["full"] = np.broadcast_to(0.3 * (1 - np.eye(n)), by_prompt["full"].shape)
    person = 2 + 3 * np.random.default_rng(6).standard_normal((n, 5)).astype(np.float32)
    of = Geometries(
        anchor=None if bare else "anchor",
        clusters={} if bare else dict.fromkeys(names[:4], "a"),
        cosine={layer: named(d, names) for layer, d in zip((2, 7), rdms(2, n, rng), strict=True)},
        divergence={
            c: named(d.mean(0), names) for c, d in by_prompt.items() if not bare or c == "full"
        },
        by_prompt=None if bare else {c: stacked(d, names) for c, d in by_prompt.items()},
        vectors=None
        if bare
        else {7: person + rng.standard_normal((prompts, n, 5)).astype(np.float32)},
        outcomes=[(a, b, rng.random()) for a in names[:6] for b in names[:6] if a != b],
        others={}
        if bare
        else {"mean_centered": {x: named(rdms(1, n, rng)[0], names) for x in (2, 7)}},
        lexical=named(rdms(1, n, rng)[0], names),
        kl=None if bare else rng.random((n, n)) * (1 - np.eye(n)),
    )
    given = {**SETTINGS, **settings}
    given["gates"] = [{"layer": 7, **gate} for gate in given["gates"]]
    return align(of, Alignment.of(**given), [2, 7], 7, "trial", "js", lambda _line: None)


@pytest.fixture(scope="module")
def alignment() -> dict[str, Any]:
    return aligned()


def numbers_of(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w.])-?\d+(?:,\d{3})*(?:\.\d+)?(?: × 10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)?", text))


def leaves(value: Any, path: tuple = ()) -> list[tuple]:
    """Paths to every number."""
    if isinstance(value, dict):
        return [leaf for key, item in value.items() for leaf in leaves(item, (*path, key))]
    if isinstance(value, list):
        return [leaf for key, item in enumerate(value) for leaf in leaves(item, (*path, key))]
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return [path] if plain else []


def numbered(alignment: dict[str, Any]) -> tuple[dict[str, Any], dict[tuple, float]]:
    """The alignment with a number of its own at every place, and no other text with numbers."""
    marked = copy.deepcopy(alignment)
    given: dict[tuple, float] = {}
    places = [p for p in leaves(marked) if p[-1] not in ("layer", "headline_layer")]
    for k, path in enumerate(places):
        holder: Any = marked
        for key in path[:-1]:
            holder = holder[key]
        whole = isinstance(holder[path[-1]], int)
        holder[path[-1]] = given[path] = 10_000 + k if whole else 1000.5 + k
    assert len(given) == len(set(given.values()))
    for layer in marked["layers"].values():
        layer["stratified_power"]["statement"] = "STATEMENT."
        layer["partial_mantel"]["caption"] = "CAPTION."
    return marked, given


def shown(value: float) -> set[str]:
    """All ways in which the text may write a number."""
    if isinstance(value, int):
        return {str(value), f"{value:,}"}
    ways = {number(value, digits) for digits in (1, 2, 3, 4)}
    return ways | {f"{value:g}"}


def test_every_number_in_the_text_comes_from_the_file(alignment: dict[str, Any]) -> None:
    marked, given = numbered(alignment)
    text = re.sub(r"\b[pq]\d\b", "name", summarize(marked))
    known = {way for value in given.values() for way in shown(value)}
    known |= FIXED | set(marked["layers"]) | set(marked["layer_curve"]) | {"8"}
    known.add(str(len(marked["layer_curve"])))
    # Counted from what the file holds: gates, prompts and decoupled pairs.
    known |= {"1", "2", "3", "4"}
    known.add(str(len(marked["layers"]["7"]["commonality"]["alone"])))
    known.add(str(len(marked["layers"]["7"]["per_prompt"]["values"])))
    # In words of the file.
    for kind in ("intervals", "bootstrap"):
        for one in marked["layers"]["7"][kind].values():
            known |= numbers_of(one["reason"] or "")
    assert numbers_of(text) - known == set()
    assert len(numbers_of(text)) > 100


HEADLINE = [
    "spearman",
    "mantel_p",
    "mantel_null.mean",
    "mantel_null.sd",
    "mantel_null.smallest_p",
    "mantel_null.permutations",
    "stratified_mantel_p",
    "stratified_mantel_null.permutations",
    "stratified_mantel_null.smallest_p",
    "partial_fine",
    "partial_joint",
    "partial_mantel.spearman",
    "partial_mantel.p",
    "cluster_masked",
    "cluster_masked_n_pairs",
    "cluster_collapsed",
    "cluster_collapsed_n_pairs",
    "residual_mean_marginal",
    "residual_mean_marginal_p",
    "residual_mean_marginal_r2.cosine",
    "residual_mean_marginal_r2.js",
    "residual_anchor",
    "with_anchor.spearman",
    "with_anchor.mantel_p",
    "with_anchor.n_pairs",
    "per_prompt.median",
    "per_prompt.iqr",
    "per_prompt.min",
    "per_prompt.max",
    "cutoffs.8",
    "cutoffs.ratio.8",
    "jackknife.median",
    "jackknife.iqr",
    "leave_out.p1.spearman",
    "leave_out.p1.partial_joint",
    "leave_out.p1.residual_mean_marginal",
    "cka.linear",
    "cka.debiased",
    "cka.kernel",
    "mantel_p_two_sided",
    "equivalence.smallest_effect",
    "equivalence.p",
    "comparators.rho_a",
    "comparators.tau_a",
    "comparators.whitened_cosine.value",
    "comparators.whitened_cosine.mantel_p",
    "comparators.whitened_unbiased_cosine.value",
    "commonality.r2",
    "commonality.alone.clusters",
    "commonality.unique.lexical",
    "dispersion.mean",
    "dispersion.sd",
    "dispersion.min",
    "dispersion.max",
    "dispersion.ratio_to_widest",
    "intervals.prompts.low",
    "intervals.prompts.high",
    "intervals.personas.low",
    "intervals.personas.high",
    "intervals.dual.low",
    "intervals.dual.high",
    "split_prompts.different_prompts",
    "split_prompts.same_prompts",
    "split_prompts.reliability.cosine",
    "split_prompts.reliability.js",
    "crossvalidated_cosine.spearman",
    "crossvalidated_cosine.mantel_p",
    "bootstrap.prompts.low",
    "bootstrap.prompts.high",
    "bootstrap.personas.low",
    "bootstrap.personas.high",
    "bootstrap.dual.low",
    "bootstrap.dual.high",
    "outcomes.n_outcomes",
    "outcomes.n_personas",
    "outcomes.cosine.spearman",
    "outcomes.cosine.low",
    "outcomes.js.spearman",
    "outcomes.js.high",
    "outcomes.difference.value",
    "outcomes.difference.low",
    "outcomes.difference.high",
]
STUDY = ["n_personas", "n_pairs", "n_prompts"]
CEILING = ["noise_ceiling.rho_ceiling", "noise_ceiling.reliability"]


def test_every_result_is_in_the_text(alignment: dict[str, Any]) -> None:
    marked, given = numbered(alignment)
    text = numbers_of(summarize(marked))
    paths = [("layers", "7", *name.split(".")) for name in HEADLINE]
    paths += [tuple(name.split(".")) for name in STUDY + CEILING]
    for layer in ("2", "7"):
        names = ("spearman", "mantel_p", "stratified_mantel_p", "residual_mean_marginal")
        paths += [("layers", layer, name) for name in names]
        paths += [("across_layers", "family_wise_p", layer)]
        paths += [("layers", layer, "intervals", "dual", end) for end in ("low", "high")]
    for table in ("top_residual_pairs", "agreeing_pairs", "disagreeing_pairs"):
        names = ("cosine", "js", "cosine_rank", "js_rank", "magnitude")
        paths += [("layers", "7", table, k, name) for k in range(3) for name in names]
    of = "z_cos", "z_js", "z_difference", "share_in_top"
    paths += [("layers", "7", "decoupling", "pairs", k, name) for k in range(3) for name in of]
    paths += [("layers", "7", "decoupling", "resamples")]
    contrast = "across_layers", "contrasts", 0
    paths += [(*contrast, "difference"), ("across_layers", "peak", "spearman")]
    kinds, ends = ("prompts", "personas", "dual"), ("low", "high")
    paths += [(*contrast, kind, end) for kind in kinds for end in ends]
    other = "geometries", "mean_centered", "7"
    paths += [(*other, "spearman"), (*other, "mantel_p"), (*other, "interval", "low")]
    paths += [(*other, "difference", name) for name in ("value", "low", "high")]
    names = ("n_pairs", "share", "spearman", "low", "high", "p_two_sided")
    paths += [("kl_asymmetry", name) for name in names]
    paths += [("gates", k, "threshold") for k in range(3)]
    paths += [("gates", k, "value") for k in range(2)]
    assert [path for path in paths if not shown(given[path]) & text] == []


def test_gates_come_first(alignment: dict[str, Any]) -> None:
    text = summarize(alignment)
    value = number(alignment["layers"]["7"]["spearman"])
    assert f"| 7 | spearman | > -1 | {value} | pass |" in text
    assert "| 7 | mantel_p | < 0.006 |" in text and "| **fail** |" in text
    assert "| 7 | cutoffs.ratio.32 | > 0.3 | not computed | not evaluated |" in text
    assert text.startswith(
        "# Study trial\n\n**Not all gates pass: 1 of 3 passes, 1 fails, 1 was not evaluated.**"
    )
    assert "- cutoffs.ratio.32 at layer 7 was not evaluated. It was not measured." in text
    assert text.index("| status |") < text.index("## Agreement by layer")
    passed = summarize({**alignment, "gates": alignment["gates"][:1]})
    assert "**All gates pass.**" in passed


def test_words_of_the_file_are_passed_on(alignment: dict[str, Any]) -> None:
    marked, _ = numbered(alignment)
    marked["warnings"] = ["Mind the gap."]
    text = summarize(marked)
    for words in ("STATEMENT.", "CAPTION.", "## Warnings\n\n- Mind the gap.", "JS divergence"):
        assert words in text
    other = summarize({**alignment, "estimator": "half_jeffreys"})
    assert "half-Jeffreys divergence" in other and "JS divergence" not in other
    assert "p0 and p5 (" in text and "## Warnings" not in summarize(alignment)


@pytest.mark.parametrize(
    ("held", "words"),
    [(True, "holds"), (False, "does not hold"), (None, "was not evaluated, as all are")],
)
def test_predictions_and_outcomes_are_judged_as_in_the_file(
    alignment: dict[str, Any], held: bool | None, words: str
) -> None:
    changed = copy.deepcopy(alignment)
    changed["layers"]["7"]["predictions"] |= {"all_in_top_k": held, "reason": "all are"}
    stronger = {True: "js", False: "cosine", None: "undecided"}[held]
    changed["layers"]["7"]["outcomes"]["stronger"] = stronger
    text = summarize(changed)
    assert re.search(rf"every named pair is among the \d+ pairs? that .* worst {words}", text)
    assert {
        "js": "The divergence predicts",
        "cosine": "The cosine distance predicts",
        "undecided": "better is undecided",
    }[stronger] in text


def test_nulls_are_words_in_a_study_from_files() -> None:
    text = summarize(aligned(bare=True, gates=[]))
    assert "**The study sets no gates.**" in text and "prompts)" not in text.split("##")[0]
    for words in (
        "The study has no clusters to test within or to take out.",
        "noise ceiling was not computed. The divergences come from a file",
        "For the intervals, personas are taken for a sample.",
        "were compared with the divergences of a file.",
        "There is none over prompts, nor over prompts and personas: Fewer than two prompts",
        "The correlation over single prompts was not computed.",
    ):
        assert words in text
    for words in (
        "he anchor",
        "luster membership",
        "stratified",
        "joint partial",
        "= not computed",
    ):
        assert words not in text
    assert "With the anchor (" not in text and "None" not in text and "nan" not in text


def test_one_thing_is_in_the_singular(alignment: dict[str, Any]) -> None:
    single = copy.deepcopy(alignment)
    single["n_prompts"] = single["n_pairs"] = single["noise_ceiling"]["splits"] = 1
    single["layers"]["7"]["cluster_collapsed_n_pairs"] = 1
    text = summarize(single)
    assert "(1 pair and 1 prompt)" in text and "1 split of" in text and "(1 pair)." in text
    assert not re.search(r"(?<![\d.,])1 (?:pair|prompt|split)s", text)
    assert count(0, "pair") == "0 pairs" and count(1225, "pair") == "1,225 pairs"


@pytest.mark.parametrize("bare", [False, True])
def test_nulls_are_words_where_nothing_varies(bare: bool) -> None:
    text = summarize(aligned(bare=bare, flat=True, bootstrap=0, noise_ceiling_splits=0))
    assert "Spearman's correlation and its test were not computed: " in text
    assert "| 7 | spearman | > -1 | not computed | not evaluated |" in text
    assert "All divergences are equal" in text
    assert "None" not in text and "nan" not in text


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (None, 3, "not computed"),
        (0.0, 3, "0.000"),
        (-0.12345, 3, "-0.123"),
        (0.00099, 3, "9.9 × 10⁻⁴"),
        (1e-5, 3, "1.0 × 10⁻⁵"),
        (-2.5e-12, 3, "-2.5 × 10⁻¹²"),
        (-3.3e-16, 3, "0.000"),
        (-0.0, 3, "0.000"),
        (0.0047, 4, "0.0047"),
        (math.pi, 2, "3.14"),
    ],
)
def test_numbers_are_written_for_reading(value: float | None, digits: int, text: str) -> None:
    assert number(value, digits) == text


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("equivalent", "There is no agreement or disagreement beyond ρ = ±0.200"),
        ("beyond", "ρ lies beyond ±0.200"),
        ("undecided", "is undecided (equivalence p"),
        (None, "was not evaluated (equivalence p"),
    ],
)
def test_equality_is_said_where_it_was_found(
    alignment: dict[str, Any], verdict: str | None, words: str
) -> None:
    changed = copy.deepcopy(alignment)
    changed["layers"]["7"]["equivalence"]["verdict"] = verdict
    changed["across_layers"]["contrasts"][0]["equivalence"]["verdict"] = verdict
    text = summarize(changed)
    assert words in text
    assert ("Layers whose ρ are equal, within 0.200: 2 and 7." in text) == (verdict == "equivalent")
    assert ("Layers whose ρ lie more than 0.200 apart: 2 and 7." in text) == (verdict == "beyond")


def test_what_was_not_asked_for_is_not_spoken_of() -> None:
    text = summarize(aligned(comparators=[], smallest_effect=None))
    for word in ("comparators", "equivalence", "smallest effect"):
        assert word not in text


def test_shared_explanation_is_named(alignment: dict[str, Any]) -> None:
    changed = copy.deepcopy(alignment)
    common = changed["layers"]["7"]["commonality"]
    for unique, said in ((0.04, True), (0.06, False)):
        common["alone"]["cosine"], common["unique"]["cosine"] = 0.1, unique
        assert ("More than half of the share of cosine distance is" in summarize(changed)) == said
