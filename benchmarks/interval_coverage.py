"""Coverage of the bootstrap intervals, and truth of the noise ceiling, on simulated studies.

    OMP_NUM_THREADS=1 python benchmarks/interval_coverage.py

Personas are points x, with points y in the divergence geometry that share x to the degree
`agreement`. A prompt blurs every x and y by noise of its own and weighs the axes of y anew. What an
interval should hold is known by simulating the study again and again, with new prompts, new
personas, or both (the `repeated` target: the mean of such studies), and without noise from prompts
(the `limit` target: endlessly many prompts, and personas where they vary). Prints Markdown tables.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import beta, spearmanr

from persona_geometry.rdms.rdm import Rdm, RdmStack
from persona_geometry.rdms.triangle import vectorize
from persona_geometry.rsa.bootstrap import bootstrap_intervals
from persona_geometry.rsa.noise_ceiling import noise_ceiling
from persona_geometry.rsa.outcomes import outcomes_comparison

PERSONAS, PROMPTS, LATENT, WIDTH = 19, 20, 4, 16
SETS, STUDIES, RESAMPLES, REPETITIONS = 8, 40, 300, 400


@dataclass(frozen=True)
class Scenario:
    """A population of studies."""

    name: str
    agreement: float
    noise: float
    clusters: str = "none"


SCENARIOS = (
    Scenario("no agreement, little noise", 0.0, 0.4),
    Scenario("some agreement, little noise", 0.7, 0.4),
    Scenario("strong agreement, little noise", 0.95, 0.4),
    Scenario("strong agreement, five clusters, the same ones every time", 0.95, 0.4, "same"),
    Scenario("strong agreement, five clusters, new ones every time", 0.95, 0.4, "new"),
    Scenario("strong agreement, much noise", 0.95, 1.2),
)


def names_of(matrix: np.ndarray) -> tuple[str, ...]:
    return tuple(f"p{k}" for k in range(matrix.shape[-1]))


def named(matrix: np.ndarray) -> Rdm:
    return Rdm.from_square(names_of(matrix), matrix)


def stacked(matrices: np.ndarray) -> RdmStack:
    prompts = tuple(f"q{k}" for k in range(len(matrices)))
    return RdmStack(names_of(matrices), prompts, vectorize(matrices))


def draw_personas(
    scenario: Scenario, rng: np.random.Generator, n: int = PERSONAS
) -> tuple[np.ndarray, np.ndarray]:
    x, own = rng.standard_normal((2, n, LATENT))
    if scenario.clusters != "none":
        source = rng if scenario.clusters == "new" else np.random.default_rng(5)
        centers = source.standard_normal((2, 5, LATENT)) * 1.5
        member = rng.integers(5, size=n)
        x, own = centers[0][member] + 0.6 * x, centers[1][member] + 0.6 * own
    return x, scenario.agreement * x + np.sqrt(1 - scenario.agreement**2) * own


def draw_axes(scenario: Scenario, rng: np.random.Generator, n: int = PROMPTS) -> np.ndarray:
    return 1 + 0.5 * scenario.noise * rng.standard_normal((n, LATENT))


def measure(
    scenario: Scenario,
    personas: tuple[np.ndarray, np.ndarray],
    axes: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """(Q, N, d) vectors and (Q, N, N) divergences of one study."""
    x, y = personas
    shape = len(axes), len(x)
    vectors = scenario.noise * rng.standard_normal((*shape, WIDTH))
    vectors[:, :, :LATENT] += x
    vectors[:, :, LATENT] += 3
    places = (y + scenario.noise * rng.standard_normal((*shape, LATENT))) * axes[:, None]
    inner = places @ places.transpose(0, 2, 1)
    norms = np.einsum("qii->qi", inner)
    squared = np.maximum(norms[:, :, None] + norms[:, None] - 2 * inner, 0)
    return vectors, np.log(2) * (1 - np.exp(-squared / 8))


def cosine_distances(vectors: np.ndarray) -> np.ndarray:
    centroids = vectors.mean(axis=0)
    centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    return 1 - centroids @ centroids.T


def rho(vectors: np.ndarray, js: np.ndarray) -> float:
    upper = np.triu_indices(js.shape[-1], 1)
    return float(spearmanr(cosine_distances(vectors)[upper], js.mean(axis=0)[upper]).statistic)


def limit_rho(scenario: Scenario, personas: tuple, rng: np.random.Generator) -> float:
    """Correlation with so many prompts that their noise is gone."""
    vectors, js = 0.0, 0.0
    for _ in range(20):
        part = measure(scenario, personas, draw_axes(scenario, rng, 50), rng)
        vectors, js = vectors + part[0].mean(axis=0), js + part[1].mean(axis=0)
    return rho(np.asarray(vectors)[None], np.asarray(js)[None])


def studies_of(
    varied: str, scenario: Scenario, rng: np.random.Generator
) -> tuple[Callable[[], tuple], float]:
    """A source of studies that differ in what is varied, and their correlation in the limit."""
    personas, axes = draw_personas(scenario, rng), draw_axes(scenario, rng)
    if varied == "prompts":
        limit = limit_rho(scenario, personas, rng)
        return lambda: measure(scenario, personas, draw_axes(scenario, rng), rng), limit
    many = draw_personas(scenario, rng, 250)
    if varied == "personas":
        limit = rho(*measure(scenario, many, axes, rng))
        return lambda: measure(scenario, draw_personas(scenario, rng), axes, rng), limit

    def anew() -> tuple:
        return measure(scenario, draw_personas(scenario, rng), draw_axes(scenario, rng), rng)

    return anew, limit_rho(scenario, many, rng)


def rate(hits: list[bool]) -> str:
    """A percentage with its 95 % Clopper-Pearson interval."""
    n, k = len(hits), sum(hits)
    low = beta.ppf(0.025, k, n - k + 1) if k else 0.0
    high = beta.ppf(0.975, k + 1, n - k) if k < n else 1.0
    return f"{100 * k / n:.1f} ({100 * low:.1f}–{100 * high:.1f})"


def coverage_table() -> None:
    print("| population | interval | mean ρ | SD of ρ | mean SE | ", end="")
    print("holds repeated, % | holds limit, % |")
    print("|---|---|---|---|---|---|---|")
    for number, scenario in enumerate(SCENARIOS):
        for varied in ("prompts", "personas", "dual"):
            repeated, limited, errors, spread, means = [], [], [], [], []
            for block in range(SETS):
                rng = np.random.default_rng([number, block, len(varied)])
                draw, limit = studies_of(varied, scenario, rng)
                truth = np.array([rho(*draw()) for _ in range(REPETITIONS)])
                spread.append(truth.std(ddof=1))
                means.append(truth.mean())
                for k in range(STUDIES):
                    vectors, js = draw()
                    cosine, stack = named(cosine_distances(vectors)), stacked(js)
                    interval = bootstrap_intervals(
                        vectors, cosine, stack.mean(), stack, RESAMPLES, k
                    )[varied]
                    repeated.append(interval["low"] <= truth.mean() <= interval["high"])
                    limited.append(interval["low"] <= limit <= interval["high"])
                    errors.append(interval["se"])
            print(
                f"| {scenario.name} | {varied} | {np.mean(means):.2f} | {np.mean(spread):.3f} | "
                f"{np.mean(errors):.3f} | {rate(repeated)} | {rate(limited)} |",
                flush=True,
            )


def ceiling_table() -> None:
    print("\n| population | ρ of the limit with the measured divergences | mean `rho_ceiling` |")
    print("|---|---|---|")
    upper = np.triu_indices(PERSONAS, 1)
    for number, scenario in enumerate(SCENARIOS):
        reached, ceilings = [], []
        for block in range(40):
            rng = np.random.default_rng([number, block, 99])
            personas = draw_personas(scenario, rng)
            limit = measure(scenario, personas, draw_axes(scenario, rng, 1000), rng)[1]
            _, js = measure(scenario, personas, draw_axes(scenario, rng), rng)
            means = limit.mean(axis=0)[upper], js.mean(axis=0)[upper]
            reached.append(spearmanr(*means).statistic)
            ceilings.append(noise_ceiling(stacked(js), 100, block)["rho_ceiling"])
        print(f"| {scenario.name} | {np.mean(reached):.3f} | {np.mean(ceilings):.3f} |", flush=True)


def outcome_table() -> None:
    print(
        "\n| error of | rival | mean difference | SD | mean SE | holds the mean, % | ",
        end="",
    )
    print("names JS, % | names cosine, % |")
    print("|---|---|---|---|---|---|---|---|")
    for owner in ("pairs", "personas"):
        for name, blur in (("as good", 0.5), ("worse", 1.0), ("useless", 50.0)):
            rng = np.random.default_rng([len(owner), round(10 * blur)])
            studies = (outcome_study(owner, blur, rng) for _ in range(SETS * STUDIES))
            results = [outcomes_comparison(*study, RESAMPLES, k) for k, study in enumerate(studies)]
            differences = [r["difference"] for r in results]
            values = np.array([d["value"] for d in differences])
            held = [d["low"] <= values.mean() <= d["high"] for d in differences]
            print(
                f"| {owner} | {name} | {values.mean():.2f} | {values.std(ddof=1):.3f} | "
                f"{np.mean([d['se'] for d in differences]):.3f} | {rate(held)} | "
                f"{rate([r['stronger'] == 'js' for r in results])} | "
                f"{rate([r['stronger'] == 'cosine' for r in results])} |",
                flush=True,
            )


def outcome_study(owner: str, blur: float, rng: np.random.Generator) -> tuple:
    """Twelve personas, two thirds of their ordered pairs, and errors of pairs or of personas."""
    n = 12
    points = rng.standard_normal((n, 3))

    def measured(size: float) -> np.ndarray:
        if owner == "personas":
            moved = points + 0.8 * size * rng.standard_normal((n, 3))
            return np.linalg.norm(moved[:, None] - moved, axis=-1)
        error = np.triu(np.abs(rng.standard_normal((n, n))), 1)
        return np.linalg.norm(points[:, None] - points, axis=-1) + size * (error + error.T)

    js, cosine, effect = measured(0.5), measured(blur), measured(0.5)
    outcomes = [
        (str(i), str(j), float(0.3 * rng.standard_normal() - effect[i, j]))
        for i in range(n)
        for j in range(n)
        if i != j and (i + j) % 3
    ]
    names = [str(i) for i in range(n)]
    return Rdm.from_square(names, cosine), Rdm.from_square(names, js), outcomes


if __name__ == "__main__":
    coverage_table()
    ceiling_table()
    outcome_table()
