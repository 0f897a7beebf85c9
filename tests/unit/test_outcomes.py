"""Outcomes: reading, correlations, and the bootstrap of their difference."""

from pathlib import Path

import numpy as np
import pytest
from named import named
from scipy.stats import spearmanr

from persona_geometry.errors import InputError
from persona_geometry.rsa import outcomes as comparison
from persona_geometry.rsa.intervals import NO_SPREAD
from persona_geometry.rsa.outcome_table import read_outcomes
from persona_geometry.rsa.outcomes import corrected_variance


def outcomes_comparison(cosine, js, names, *rest) -> dict:
    return comparison.outcomes_comparison(named(cosine, names), named(js, names), *rest)


def study(seed: int, noise: float = 1.0, personas: int = 12) -> tuple:
    """Outcomes fall with JS up to noise; cosine is JS blurred."""
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((personas, 3))
    js = np.linalg.norm(points[:, None] - points, axis=-1)
    blur = noise * rng.standard_normal((personas, personas))
    cosine = js + np.triu(blur, 1) + np.triu(blur, 1).T
    names = [f"p{k}" for k in range(personas)]
    outcomes = [
        (names[i], names[j], float(-js[i, j] + 0.2 * rng.standard_normal()))
        for i in range(personas)
        for j in range(personas)
        if i != j and rng.random() < 0.6
    ]
    return cosine, js, names, outcomes


def test_correlations_are_those_of_scipy_on_the_listed_pairs() -> None:
    cosine, js, names, outcomes = study(0)
    values = [value for _, _, value in outcomes]
    at = {name: k for k, name in enumerate(names)}
    result = outcomes_comparison(cosine, js, names, outcomes, 50, 0)
    for name, matrix in (("cosine", cosine), ("js", js)):
        x = [matrix[at[source], at[target]] for source, target, _ in outcomes]
        assert result[name]["spearman"] == pytest.approx(spearmanr(x, values).statistic)
    strengths = [abs(result[name]["spearman"]) for name in ("js", "cosine")]
    assert result["difference"]["value"] == pytest.approx(strengths[0] - strengths[1])
    assert result["n_outcomes"] == len(outcomes) and result["n_personas"] == 12


def test_order_of_personas_and_outcomes_does_not_matter() -> None:
    cosine, js, names, outcomes = study(1)
    order = np.random.default_rng(5).permutation(len(names))
    one = outcomes_comparison(cosine, js, names, outcomes, 3000, 0)
    other = outcomes_comparison(
        cosine[np.ix_(order, order)],
        js[np.ix_(order, order)],
        [names[k] for k in order],
        outcomes[::-1],
        3000,
        0,
    )
    for part, value in (("cosine", "spearman"), ("js", "spearman"), ("difference", "value")):
        assert one[part][value] == pytest.approx(other[part][value])
        assert one[part]["se"] == pytest.approx(other[part]["se"], rel=0.1)


@pytest.mark.parametrize("noise", [1.0, 40.0])
def test_errors_are_those_of_plain_resampling(
    monkeypatch: pytest.MonkeyPatch, noise: float
) -> None:
    """The same draws, taken with indices: personas for one bootstrap, unordered pairs for two."""
    cosine, js, names, outcomes = study(2, noise)
    value = np.full(js.shape, np.nan)
    for source, target, outcome in outcomes:
        value[names.index(source), names.index(target)] = outcome
    listed = np.isfinite(value)
    unordered = np.argwhere(np.triu(listed | listed.T))
    rng = np.random.default_rng(7)
    draws = [rng.integers(size, size=(60, size)) for size in (12, len(unordered))]
    by_persona, by_pair = [], []
    for drawn in draws[0]:
        sides = [drawn[side] for side in np.indices((12, 12)).reshape(2, -1)]
        by_persona.append(correlations(cosine, js, value, *sides))
    for drawn in draws[1]:
        sides = np.concatenate([unordered[drawn], unordered[drawn][:, ::-1]]).T
        by_pair.append(correlations(cosine, js, value, *sides))
    signs = np.sign(correlations(cosine, js, value, *np.indices((12, 12)).reshape(2, -1)))
    for drawn in (*by_persona, *by_pair):
        drawn.append(signs[1] * drawn[1] - signs[0] * drawn[0])
    variances = [np.var(drawn, axis=0, ddof=1) for drawn in (by_persona, by_pair)]
    expected = np.sqrt(np.maximum(variances[0] * 12 / 11 - 2 * variances[1], variances[1]))

    def counted(stream: np.random.Generator, size: int, n: int) -> np.ndarray:
        drawn = next(d for d in draws if d.shape == (n, size))
        return np.stack([np.bincount(row, minlength=size) for row in drawn]).astype(float)

    monkeypatch.setattr("persona_geometry.rsa.outcomes.multiplicities", counted)
    result = outcomes_comparison(cosine, js, names, outcomes, 60, 0)
    got = [result[part]["se"] for part in ("cosine", "js", "difference")]
    np.testing.assert_allclose(got, expected, rtol=1e-9)


def correlations(cosine, js, value, first, second) -> list[float]:
    kept = (first != second) & np.isfinite(value[first, second])
    first, second = first[kept], second[kept]
    return [spearmanr(m[first, second], value[first, second]).statistic for m in (cosine, js)]


def test_peculiarities_of_pairs_are_counted_once() -> None:
    """What comes from personas stays; what comes from pairs, three times there, stays once."""
    assert corrected_variance(0.5 + 3 * 0.1, 0.1, 10**9) == pytest.approx(0.5 + 0.1)
    assert corrected_variance(0.2, 0.1, 10**9) == 0.1
    assert corrected_variance(0.5, 0.0, 11) == pytest.approx(0.55)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_stronger_predictor_is_named_whatever_its_sign(sign: int) -> None:
    cosine, js, names, outcomes = study(3, noise=3.0)
    outcomes = [(source, target, sign * value) for source, target, value in outcomes]
    result = outcomes_comparison(cosine, js, names, outcomes, 1000, 0)
    assert result["stronger"] == "js"
    assert np.sign(result["js"]["spearman"]) == -sign
    swapped = outcomes_comparison(js, cosine, names, outcomes, 1000, 0)
    assert swapped["stronger"] == "cosine"
    assert swapped["difference"]["low"] == pytest.approx(-result["difference"]["high"])


def test_equal_predictors_are_undecided() -> None:
    cosine, js, names, outcomes = study(4)
    same = outcomes_comparison(js, js, names, outcomes, 200, 0)
    assert same["difference"]["value"] == 0 and same["stronger"] is None
    assert same["difference"]["reason"] == NO_SPREAD
    rng = np.random.default_rng(0)
    noise = [(source, target, rng.standard_normal()) for source, target, _ in outcomes]
    assert outcomes_comparison(cosine, js, names, noise, 500, 0)["stronger"] == "undecided"


def test_what_cannot_be_computed_is_none() -> None:
    cosine, js, names, _ = study(5)
    few = [("p0", "p1", 1.0), ("p1", "p2", 2.0), ("p2", "p0", 3.0)]
    result = outcomes_comparison(cosine, js, names, few, 100, 0)
    assert result["js"]["spearman"] is not None and result["js"]["se"] is None
    assert result["stronger"] is None and result["difference"]["low"] is None
    flat = [(a, b, 1.0) for a, b, _ in study(5)[3]]
    result = outcomes_comparison(cosine, js, names, flat, 100, 0)
    assert result["js"]["spearman"] is None and result["difference"]["value"] is None


def test_an_unknown_persona_is_named() -> None:
    cosine, js, names, outcomes = study(6)
    with pytest.raises(InputError, match="'ghost'"):
        outcomes_comparison(cosine, js, names, [*outcomes, ("p0", "ghost", 1.0)], 10, 0)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_reading_a_table(tmp_path: Path) -> None:
    table = write(
        tmp_path / "outcomes.tsv",
        "target\tvalue\tsource\npoet\t0.25\tvillain\n\nvillain\t-1e-3\tpoet\n",
    )
    assert read_outcomes(table) == [("villain", "poet", 0.25), ("poet", "villain", -0.001)]


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ("a\tb\n", "line 2: 2 tab-separated cells"),
        ("a\tb\t1\na\tc\tmany\n", "line 3: 'many' is not a number"),
        ("a\tb\tnan\n", "line 2: 'nan' is not a number"),
        ("a\ta\t1\n", "line 2: 'a' is both source and target"),
        ("a\tb\t1\nb\ta\t2\na\tb\t3\n", "line 4: .* already on line 2"),
        ("", "no rows"),
    ],
)
def test_bad_rows_are_refused_by_file_and_line(tmp_path: Path, rows: str, complaint: str) -> None:
    table = write(tmp_path / "outcomes.tsv", "source\ttarget\tvalue\n" + rows)
    with pytest.raises(InputError, match=complaint) as error:
        read_outcomes(table)
    assert str(table) in str(error.value)


def test_bad_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_outcomes(tmp_path / "missing.tsv")
    with pytest.raises(InputError, match="line 1: there is no column 'source'"):
        read_outcomes(write(tmp_path / "header.tsv", "source,target,value\na,b,1\n"))
    with pytest.raises(InputError, match="line 1: there is no column 'source'"):
        read_outcomes(write(tmp_path / "empty.tsv", ""))
    latin = tmp_path / "latin.tsv"
    latin.write_bytes("source\ttarget\tvalue\nfl\xe2neur\tpoet\t1\n".encode("latin-1"))
    with pytest.raises(InputError, match="not UTF-8"):
        read_outcomes(latin)
