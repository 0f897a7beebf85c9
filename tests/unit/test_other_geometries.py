"""Other geometries: what is taken off centroids, and how each is compared."""

from pathlib import Path

import numpy as np
import pytest
from named import named

from persona_geometry.errors import InputError
from persona_geometry.rdms.centroids import cosine_rdms
from persona_geometry.rdms.files import (
    DivergenceRdms,
    read_directed_divergences,
    write_cosine_rdms,
    write_directed_divergences,
    write_divergence_rdms,
)
from persona_geometry.rdms.other_centroids import components_removed, mean_centered
from persona_geometry.rsa.geometries import read_geometries
from persona_geometry.rsa.intervals import NO_SPREAD
from persona_geometry.rsa.jackknife import jackknife
from persona_geometry.rsa.other_geometries import compare_geometries
from persona_geometry.rsa.permutation import Permutations
from persona_geometry.rsa.ranks import rsa

RNG = np.random.default_rng(0)
CENTROIDS = 5 + RNG.standard_normal((2, 7, 12))
COMPARED = list(range(6))  # the last is the anchor
NAMES = [f"p{k}" for k in range(7)]


def test_mean_is_that_of_the_compared_personas() -> None:
    found = mean_centered(CENTROIDS, COMPARED)
    assert found[:, COMPARED].mean(1) == pytest.approx(np.zeros((2, 12)), abs=1e-12)
    assert found[:, 6] == pytest.approx(CENTROIDS[:, 6] - CENTROIDS[:, :6].mean(1))


@pytest.mark.parametrize("k", [1, 2])
def test_what_is_left_is_orthogonal_to_the_components_and_has_the_smaller_variances(k: int) -> None:
    found = components_removed(CENTROIDS, COMPARED, k)
    for layer, centered in zip(found, mean_centered(CENTROIDS, COMPARED), strict=True):
        values, vectors = np.linalg.eigh(centered[COMPARED].T @ centered[COMPARED])
        assert layer @ vectors[:, -k:] == pytest.approx(np.zeros((7, k)), abs=1e-9)
        assert (layer[COMPARED] ** 2).sum() == pytest.approx(values[:-k].sum())


def test_near_uniform_centroids_are_spread_out() -> None:
    near = 100 + RNG.standard_normal((1, 7, 12))
    plain = cosine_rdms(NAMES, near)[0]
    centered = cosine_rdms(NAMES, mean_centered(near, COMPARED))[0]
    assert plain.vector.max() < 0.001 < 0.5 < centered.vector.max()


def test_a_centroid_at_the_mean_is_refused() -> None:
    centroids = CENTROIDS.copy()
    centroids[1, 0] = centroids[1, 1:6].mean(0)
    with pytest.raises(InputError, match="layer 1, nothing is left of the centroid of persona 0"):
        mean_centered(centroids, COMPARED)


def test_each_is_compared_and_its_difference_is_paired() -> None:
    raw = np.random.default_rng(1).random((3, 9, 9))
    main, other, divergence = (named(np.triu(m, 1) + np.triu(m, 1).T) for m in raw)
    divergence = divergence.of(divergence.vector + other.vector)
    found = compare_geometries(
        {"same": {4: main}, "other": {4: other}},
        divergence,
        {4: jackknife(main, divergence)},
        Permutations.free(9, 199, 0),
        0.1,
    )
    same, better = found["same"][4], found["other"][4]
    assert same["difference"]["value"] == 0 and same["difference"]["reason"] == NO_SPREAD
    assert same["difference"]["equivalence"]["verdict"] is None  # no spread is no certainty
    assert better["spearman"] == pytest.approx(rsa(other, divergence))
    assert better["difference"]["value"] == pytest.approx(better["spearman"] - same["spearman"])
    without = [
        rsa(other.without(name), divergence.without(name))
        - rsa(main.without(name), divergence.without(name))  # type: ignore[operator]
        for name in main.names
    ]
    assert better["difference"]["se"] == pytest.approx(np.sqrt(8 * np.var(without)))


def test_geometries_and_kl_are_read_as_they_were_written(tmp_path: Path) -> None:
    rdms = cosine_rdms(NAMES, mean_centered(CENTROIDS, COMPARED))
    kl = RNG.random((7, 7)) * (1 - np.eye(7))
    by_name = {name: f"You are a {name}." for name in NAMES}
    write_cosine_rdms(tmp_path / "mean_centered.json", rdms)
    write_cosine_rdms(tmp_path / "cosine.json", cosine_rdms(NAMES, CENTROIDS))
    full = {"full": named(CENTROIDS[0] @ CENTROIDS[0].T)}
    write_divergence_rdms(tmp_path / "js.json", DivergenceRdms("half_jeffreys", "nats", None, full))
    write_directed_divergences(tmp_path / "kl.json", NAMES, kl)
    found, _ = read_geometries(
        tmp_path / "cosine.json",
        tmp_path / "js.json",
        also=[tmp_path / "mean_centered.json"],
        kl=tmp_path / "kl.json",
        system_prompts=by_name,
        anchor="p6",
    )
    some = found.select(["p3", "p1", "p5"])
    assert some.others["mean_centered"][1].vector == pytest.approx(
        rdms[1].select(["p3", "p1", "p5"]).vector
    )
    assert some.kl is not None and some.kl.tolist() == kl[np.ix_([3, 1, 5], [3, 1, 5])].tolist()
    assert some.lexical is not None and some.lexical.vector == pytest.approx([0.4] * 3)
    (tmp_path / "kl.json").write_text('{"persona_names": ["p0"], "kl": [[0, 1]]}')
    with pytest.raises(InputError, match="is damaged"):
        read_directed_divergences(tmp_path / "kl.json")
