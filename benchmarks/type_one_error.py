"""Type I error of every permutation test, on simulated geometries that share no more than stated.

    OMP_NUM_THREADS=1 python benchmarks/type_one_error.py [--table NAME]

Nineteen personas, of which eleven are in clusters of 4, 3, 2 and 2, are placed at random in two
geometries. Nothing but the structure named in a row is common to both, so a test that means to
see past that structure should reject in 5 % of the studies. A second table is of 28 layers tested
at once: how often any of them is found, by its own p and by the family-wise p. A third is of what
is made of the vectors of single prompts, which have noise, and of the anchor. Prints Markdown
tables of rejection rates at 0.05 with their 95 % Clopper-Pearson intervals.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.stats import beta

from persona_geometry.rdms.rdm import Rdm
from persona_geometry.rsa.comparators import whitened_cosine_test
from persona_geometry.rsa.permutation import Permutations, mantel, partial_mantel
from persona_geometry.rsa.prompt_centroids import (
    crossvalidated_cosine_distances,
    weighted_cosine_distances,
)
from persona_geometry.rsa.residual import radial_residuals

STUDIES, PERMUTATIONS, LAYERS = 2000, 499, 28
PROMPTS, WIDTH = 10, 32
STRATA = np.repeat(np.arange(12), [4, 3, 2, 2] + [1] * 8)
N = len(STRATA)

Pair = tuple[np.ndarray, np.ndarray]


def distances(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[:, None] - points, axis=-1)


def scattered(rng: np.random.Generator, axes: int = 4) -> np.ndarray:
    return rng.standard_normal((N, axes))


def in_clusters(rng: np.random.Generator, strata: np.ndarray) -> np.ndarray:
    """Clusters, with a center each, drawn anew for every geometry."""
    return distances(1.5 * scattered(rng)[strata] + 0.5 * scattered(rng))


def additive_radial(rng: np.random.Generator, eccentricity: np.ndarray) -> np.ndarray:
    """A persona far from one is as much farther from all."""
    matrix = distances(scattered(rng)) / 3 + eccentricity[:, None] + eccentricity
    np.fill_diagonal(matrix, 0)
    return matrix


def geometric_radial(rng: np.random.Generator, eccentricity: np.ndarray) -> np.ndarray:
    """Random directions from a center, at the given distances from it."""
    points = scattered(rng, 8)
    return distances(points * (eccentricity / np.linalg.norm(points, axis=1))[:, None])


def along_a_line(rng: np.random.Generator, position: np.ndarray) -> np.ndarray:
    """Three random smooth functions of one position."""
    waves = [np.sin(k * position + rng.uniform(0, 6, 3)[:, None]) / k for k in (1, 2, 3)]
    return distances(sum(waves).T * rng.standard_normal(3) + 0.1 * scattered(rng, 3))


def eccentricity(rng: np.random.Generator) -> np.ndarray:
    return rng.lognormal(0, 0.6, N)


def studies(structure: str, rng: np.random.Generator) -> Iterator[tuple[Pair, np.ndarray]]:
    """Pairs of geometries, and the covariate that a partial Mantel test is given."""
    same_cluster = (STRATA[:, None] == STRATA).astype(float)
    while True:
        covariate, one, other = same_cluster, eccentricity(rng), eccentricity(rng)
        if structure == "no structure":
            pair = distances(scattered(rng)), distances(scattered(rng))
        elif structure == "clusters, other ones in each":
            pair = tuple(in_clusters(rng, rng.permutation(STRATA)) for _ in range(2))
        elif structure == "clusters, the same ones":
            pair = tuple(in_clusters(rng, STRATA) for _ in range(2))
        elif structure == "additive radial, unrelated":
            pair = additive_radial(rng, one), additive_radial(rng, other)
        elif structure == "additive radial, the same":
            pair = additive_radial(rng, one), additive_radial(rng, one)
        elif structure == "geometric radial, unrelated":
            pair = geometric_radial(rng, one), geometric_radial(rng, other)
        elif structure == "geometric radial, the same":
            pair = geometric_radial(rng, one), geometric_radial(rng, one)
        else:
            position = np.sort(rng.uniform(0, 3, N))
            covariate = np.abs(position[:, None] - position)
            pair = along_a_line(rng, position), along_a_line(rng, position)
        yield pair, covariate


STRUCTURES = (
    "no structure",
    "clusters, other ones in each",
    "clusters, the same ones",
    "additive radial, unrelated",
    "additive radial, the same",
    "geometric radial, unrelated",
    "geometric radial, the same",
    "smooth along the same line",
)


def named(matrix: np.ndarray) -> Rdm:
    return Rdm.from_square(range(len(matrix)), matrix)


def p_values(pair: Pair, covariate: np.ndarray, seed: int) -> list[float]:
    """Of the free, stratified and partial Mantel tests, and of that of the radial residuals."""
    x, y = map(named, pair)
    free = Permutations.free(N, PERMUTATIONS, seed)
    within = Permutations.within(STRATA.tolist(), 1000, seed)
    rest = radial_residuals(x, y)
    nulls = (
        mantel([x], y, free),
        mantel([x], y, within),
        partial_mantel(x, y, [named(covariate)], free),
        mantel([rest.x], rest.y, free),
    )
    return [float(null.p_values()[0]) for null in nulls]


FAMILIES = {
    "layers unrelated": (0.0, False),
    "neighbors alike": (0.9, False),
    "neighbors nearly the same": (0.99, False),
    "neighbors alike, the same clusters in all, stratified": (0.9, True),
}


def layers_and_other(
    rng: np.random.Generator, likeness: float, clustered: bool
) -> tuple[list[np.ndarray], np.ndarray]:
    """Layers, each of which keeps so much of the last, and a geometry unrelated to them."""
    centers = [1.5 * scattered(rng)[STRATA] if clustered else 0.0 for _ in range(2)]
    points, layers = scattered(rng), []
    for _ in range(LAYERS):
        layers.append(distances(centers[0] + points))
        points = likeness * points + np.sqrt(1 - likeness**2) * scattered(rng)
    return layers, distances(centers[1] + scattered(rng))


def family_p_values(
    rng: np.random.Generator, likeness: float, clustered: bool, seed: int
) -> tuple[float, float]:
    """The smallest p of all layers, uncorrected and family-wise."""
    layers, other = layers_and_other(rng, likeness, clustered)
    within = Permutations.within(STRATA.tolist(), 1000, seed)
    free = Permutations.free(N, PERMUTATIONS, seed)
    null = mantel(list(map(named, layers)), named(other), within if clustered else free)
    return float(null.p_values().min()), float(null.family_wise_p_values().min())


def rate(p: np.ndarray) -> str:
    """A percentage with its 95 % Clopper-Pearson interval."""
    n, k = len(p), int(np.sum(p <= 0.05))
    low = beta.ppf(0.025, k, n - k + 1) if k else 0.0
    high = beta.ppf(0.975, k + 1, n - k) if k < n else 1.0
    return f"{100 * k / n:.1f} ({100 * low:.1f}–{100 * high:.1f})"


@dataclass(frozen=True)
class Measured:
    """Studies that are measured on few prompts, with noise.

    Attributes:
        shared: degree to which the divergences' points are those of the hidden states.
        noisy: whose noise is large in either geometry: "all" alike, "others" or "the same".
        anchor: distance of the anchor from the center, in either geometry.
    """

    shared: float = 0.0
    noisy: str = "all"
    anchor: tuple[float, float] = (0.0, 0.0)


MEASURED = {
    "nothing": Measured(),
    "nothing; unequal noise, other personas noisy in each": Measured(noisy="others"),
    "nothing; unequal noise, the same personas noisy in both": Measured(noisy="the same"),
    "nothing; the anchor far from all in hidden states": Measured(anchor=(6, 0)),
    "nothing; the anchor far from all in both": Measured(anchor=(6, 6)),
    "points, to a degree of 0.5": Measured(0.5),
    "points, to 0.5; unequal noise, other personas noisy in each": Measured(0.5, "others"),
    "points, to 0.5; the anchor far from all in hidden states": Measured(0.5, anchor=(6, 0)),
}


def measured(of: Measured, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(Q, N + 1, d) vectors, those of the anchor last, and (N + 1, N + 1) mean divergences."""
    x, own = rng.standard_normal((2, N + 1, 4))
    y = of.shared * x + np.sqrt(1 - of.shared**2) * own
    for side, distance in zip((x, y), of.anchor, strict=True):
        side[-1] += np.array([distance, 0, 0, 0])
    spread = [rng.uniform(0.4, 2.0, (N + 1, 1)) for _ in range(2)]
    of_x, of_y = {
        "all": (1.0, 1.0),
        "others": (spread[0], spread[1]),
        "the same": (spread[0], spread[0]),
    }[of.noisy]
    vectors = of_x * rng.standard_normal((PROMPTS, N + 1, WIDTH))
    vectors[:, :, :4] += x
    vectors[:, :, 4] += 5
    places = y + of_y * rng.standard_normal((PROMPTS, N + 1, 4))
    js = np.mean([1 - np.exp(-(distances(one) ** 2) / 16) for one in places], axis=0)
    return vectors, js


def measured_p_values(of: Measured, rng: np.random.Generator, seed: int) -> list[float]:
    """Of the Mantel test of cosine distances and of cross-validated ones, of the whitened cosine
    of both, and of the Mantel test with the anchor."""
    vectors, js = measured(of, rng)
    whole = named(js)
    with_anchor = whole.of(weighted_cosine_distances(vectors, np.ones((1, PROMPTS)))[0])
    personas = range(N)
    cosine, divergence = with_anchor.select(list(map(str, personas))), named(js[:N, :N])
    unbiased = cosine.of(crossvalidated_cosine_distances(vectors[:, :N]))
    free = Permutations.free(N, PERMUTATIONS, seed)
    nulls = (
        mantel([cosine], divergence, free),
        mantel([unbiased], divergence, free),
        mantel([with_anchor], whole, Permutations.free(N + 1, PERMUTATIONS, seed)),
    )
    plain, crossed, anchored = (float(null.p_values()[0]) for null in nulls)
    white = [whitened_cosine_test(x, divergence, free)["mantel_p"] for x in (cosine, unbiased)]
    return [plain, crossed, *white, anchored]


def structures_table() -> None:
    """Every permutation test of two RDMs."""
    print("| common structure | Mantel | stratified | partial | mean-marginal residuals |")
    print("|---|---|---|---|---|")
    for number, structure in enumerate(STRUCTURES):
        source = studies(structure, np.random.default_rng(number))
        p = np.array([p_values(*next(source), seed) for seed in range(STUDIES)])
        print(f"| {structure} | {' | '.join(rate(column) for column in p.T)} |", flush=True)


def layers_table() -> None:
    """Many layers at once."""
    print(f"\n| {LAYERS} layers | any p ≤ 0.05 | any family-wise p ≤ 0.05 |")
    print("|---|---|---|")
    for number, (name, family) in enumerate(FAMILIES.items()):
        rng = np.random.default_rng([1, number])
        p = np.array([family_p_values(rng, *family, seed) for seed in range(STUDIES)])
        print(f"| {name} | {' | '.join(rate(column) for column in p.T)} |", flush=True)


def measured_table() -> None:
    """What needs vectors of single prompts, or the anchor."""
    print("\n| common to both | Mantel | cross-validated cosine | whitened cosine ", end="")
    print("| whitened unbiased cosine | with the anchor |")
    print("|---|---|---|---|---|---|")
    for number, (name, of) in enumerate(MEASURED.items()):
        rng = np.random.default_rng([2, number])
        p = np.array([measured_p_values(of, rng, seed) for seed in range(STUDIES)])
        print(f"| {name} | {' | '.join(rate(column) for column in p.T)} |", flush=True)


TABLES = {"structures": structures_table, "layers": layers_table, "measured": measured_table}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Type I error of the permutation tests.")
    parser.add_argument("--table", choices=TABLES, nargs="*", default=list(TABLES))
    for table in parser.parse_args().table:
        TABLES[table]()
