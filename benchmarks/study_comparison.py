"""Type I error and coverage of what `snakemake compare` says of two studies, by simulation.

    OMP_NUM_THREADS=1 python benchmarks/study_comparison.py [--table NAME]

Personas, prompts and measurements are those of interval_coverage.py, here of two models: each has
hidden points of its own that share those of the personas to a degree, and divergence points that
agree with them to another. Tests are tried on studies that have nothing in common but what a row
names; intervals are held against the mean of studies measured again and again, with new personas,
new prompts, or both. Prints Markdown tables.
"""

import argparse
from collections.abc import Callable

import numpy as np
from interval_coverage import (
    LATENT,
    PERSONAS,
    PROMPTS,
    Scenario,
    cosine_distances,
    draw_axes,
    measure,
    named,
    rate,
    rho,
    stacked,
)

from persona_geometry.comparison.decoupled import decoupling, relabeled
from persona_geometry.comparison.matching import prompt_strata
from persona_geometry.comparison.repeats import (
    correlation_intervals,
    difference,
    difference_intervals,
    relabeled_between,
    second_order,
)
from persona_geometry.rsa.jackknife import jackknife
from persona_geometry.rsa.permutation import Permutations, mantel
from persona_geometry.rsa.ranks import spearman

NULL_STUDIES, PERMUTATIONS, LAYERS = 1000, 199, 4
SETS, STUDIES, REPETITIONS = 8, 40, 150
NOISE = Scenario("two studies", 0.0, 0.4)
AGREEMENTS = 0.95, 0.7
UPPER = np.triu_indices(PERSONAS, 1)

Points = tuple[np.ndarray, np.ndarray]


def distances(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[:, None] - points, axis=-1)


def noise(rng: np.random.Generator, size: float) -> np.ndarray:
    raw = np.triu(size * rng.standard_normal((PERSONAS, PERSONAS)), 1)
    return raw + raw.T


def test_row(name: str, seed: int) -> str:
    """How often each test rejects at 0.05."""
    rng = np.random.default_rng([seed, 7])
    hits: dict[str, list[bool]] = {k: [] for k in ("js", "layers", "decoupling", "overlap")}
    for study in range(NULL_STUDIES):
        shared = rng.standard_normal((PERSONAS, LATENT))
        points = []
        for _ in range(2):
            own = rng.standard_normal((PERSONAS, LATENT))
            points.append(shared if name == "the same geometry, decoupled by chance" else own)
        if name == "unrelated, radial in both":
            points = [p * np.exp(0.6 * rng.standard_normal((PERSONAS, 1))) for p in points]
        permutations = Permutations.free(PERSONAS, PERMUTATIONS, study)
        js = [named(distances(p) + noise(rng, 0.3)) for p in points]
        layers = [[named(distances(p) + noise(rng, 0.3)) for _ in range(LAYERS)] for p in points]
        family = relabeled_between(layers[0], layers[1], permutations)["family_wise_p"]
        z = [decoupling(of[0], divergence) for of, divergence in zip(layers, js, strict=True)]
        decoupled = relabeled(z[0], z[1], PERSONAS, 5, permutations)
        hits["js"].append(bool(mantel([js[0]], js[1], permutations).p_values()[0] <= 0.05))
        hits["layers"].append(bool((family <= 0.05).any()))
        hits["decoupling"].append(decoupled["p"] <= 0.05)
        hits["overlap"].append(decoupled["overlap_p"] <= 0.05)
    return f"| {name} | {' | '.join(map(rate, hits.values()))} |"


def test_table() -> None:
    print("| two studies | divergences | any two of 4 × 4 layers, family-wise ", end="")
    print("| decoupling | overlap of top 5 |")
    print("|---|---|---|---|---|")
    names = "unrelated", "unrelated, radial in both", "the same geometry, decoupled by chance"
    for seed, name in enumerate(names):
        print(test_row(name, seed), flush=True)


def draw_models(rng: np.random.Generator, same_model: bool) -> tuple[Points, Points]:
    """Hidden and divergence points of the personas in either model."""
    x = rng.standard_normal((PERSONAS, LATENT))
    found = []
    for agreed in AGREEMENTS:
        own, other = rng.standard_normal((2, PERSONAS, LATENT))
        hidden = 0.9 * x + np.sqrt(1 - 0.9**2) * own
        found.append((hidden, agreed * hidden + np.sqrt(1 - agreed**2) * other))
    return (found[0], found[0]) if same_model else (found[0], found[1])


def pairs_of_studies(
    kind: str, same_model: bool, same_prompts: bool, rng: np.random.Generator
) -> Callable[[], tuple]:
    """A source of two studies' vectors and divergences that differ in what is varied."""
    fixed = draw_models(rng, same_model)
    axes = draw_axes(NOISE, rng), draw_axes(NOISE, rng)

    def draw() -> tuple:
        models = fixed if kind == "prompts" else draw_models(rng, same_model)
        used = axes if kind == "personas" else (draw_axes(NOISE, rng), draw_axes(NOISE, rng))
        return tuple(
            measure(NOISE, (*points, []), used[0 if same_prompts else k], rng)
            for k, points in enumerate(models)
        )

    return draw


def coverage_row(kind: str, same_model: bool, same_prompts: bool, seed: int) -> str:
    """How often the intervals of Δρ and of the divergences' correlation hold the truth."""
    names = ("difference", "divergences")
    hits, widths = ({name: [] for name in names} for _ in range(2))
    means: dict[str, list[float]] = {name: [] for name in names}
    prompts = [f"q{k}" for k in range(PROMPTS)]
    theirs = prompts if same_prompts else [f"r{k}" for k in range(PROMPTS)]
    strata = prompt_strata(prompts, theirs)
    for block in range(SETS):
        rng = np.random.default_rng([seed, block])
        draw = pairs_of_studies(kind, same_model, same_prompts, rng)
        truth: dict[str, list[float]] = {name: [] for name in names}
        for _ in range(REPETITIONS):
            one, other = draw()
            truth["difference"].append(rho(*one) - rho(*other))
            js = [study[1].mean(0)[UPPER] for study in (one, other)]
            truth["divergences"].append(spearman(js[0], js[1]) or 0.0)
        for _ in range(STUDIES):
            studies = draw()
            stacks = [stacked(js) for _, js in studies]
            layers = [
                jackknife(named(cosine_distances(vectors)), stack.mean(), stack, vectors)
                for (vectors, _), stack in zip(studies, stacks, strict=True)
            ]
            without = [stack.means_without_each() for stack in stacks]
            found = {
                "difference": difference_intervals(difference(layers[0], layers[1], strata)),
                "divergences": correlation_intervals(
                    second_order(stacks[0].mean(), stacks[1].mean(), without[0], without[1], strata)
                ),
            }
            for name in names:
                interval, mean = found[name][kind], np.mean(truth[name])
                hits[name].append(bool(interval["low"] <= mean <= interval["high"]))
                widths[name].append(interval["high"] - interval["low"])
        for name in names:
            means[name].append(float(np.mean(truth[name])))
    cells = ["the same" if same_model else "other", "the same" if same_prompts else "other", kind]
    for name in names:
        mean, width = np.mean(means[name]), np.mean(widths[name])
        cells += [f"{mean:.2f}", rate(hits[name]), f"{width:.3f}"]
    return f"| {' | '.join(cells)} |"


def coverage_table() -> None:
    print("\n| model | prompts | interval | mean Δρ | Δρ: holds it, % | width ", end="")
    print("| mean ρ of divergences | holds it, % | width |")
    print("|---|---|---|---|---|---|---|---|---|")
    seed = 0
    for same_model, same_prompts in ((True, False), (False, True), (False, False)):
        for kind in ("personas", "prompts", "dual"):
            print(coverage_row(kind, same_model, same_prompts, seed), flush=True)
            seed += 1


TABLES = {"tests": test_table, "coverage": coverage_table}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Type I error and coverage of comparisons.")
    parser.add_argument("--table", choices=TABLES, nargs="*", default=list(TABLES))
    for table in parser.parse_args().table:
        TABLES[table]()
