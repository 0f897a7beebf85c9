"""Coverage and width of the intervals, and truth of ceilings, on simulated studies.

    OMP_NUM_THREADS=1 python benchmarks/interval_coverage.py [--table NAME]

Personas are points x, with points y in the divergence geometry that share x to the degree
`agreement`. A prompt blurs every x and y by noise of its own and weighs the axes of y anew. What an
interval should hold is known by simulating the study again and again, with new prompts, new
personas, or both (the `repeated` target: the mean of such studies), and without noise from prompts
(the `limit` target: endlessly many prompts, and personas where they vary). Prints Markdown tables.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import beta

from persona_geometry.rdms.rdm import Rdm, RdmStack
from persona_geometry.rdms.triangle import vectorize
from persona_geometry.rsa.bootstrap import (
    bootstrap_intervals,
    dual_variance,
    multiplicities,
    pair_weights,
    weighted_spearman,
)
from persona_geometry.rsa.contrasts import contrasts, peak
from persona_geometry.rsa.equivalence import BEYOND, EQUAL, equivalence
from persona_geometry.rsa.intervals import Spread, combined, fisher_interval, t_interval
from persona_geometry.rsa.jackknife import Jackknife, intervals, jackknife, spreads
from persona_geometry.rsa.noise_ceiling import noise_ceiling
from persona_geometry.rsa.outcomes import outcomes_comparison
from persona_geometry.rsa.prompt_centroids import (
    crossvalidated_cosine_distances,
    weighted_cosine_distances,
)
from persona_geometry.rsa.ranks import spearman
from persona_geometry.rsa.reliability import split_prompts

PERSONAS, PROMPTS, LATENT, WIDTH = 19, 20, 4, 16
SETS, STUDIES, RESAMPLES, REPETITIONS = 8, 40, 200, 200
MANY = 125  # studies a set where each takes little


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
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Points of n personas in either geometry, and their clusters."""
    x, own = rng.standard_normal((2, n, LATENT))
    member: list[int] = []
    if scenario.clusters != "none":
        source = rng if scenario.clusters == "new" else np.random.default_rng(5)
        centers = source.standard_normal((2, 5, LATENT)) * 1.5
        member = list(rng.integers(5, size=n))
        x, own = centers[0][member] + 0.6 * x, centers[1][member] + 0.6 * own
    y = scenario.agreement * x + np.sqrt(1 - scenario.agreement**2) * own
    return x, y, [str(k) for k in member]


def draw_axes(scenario: Scenario, rng: np.random.Generator, n: int = PROMPTS) -> np.ndarray:
    return 1 + 0.5 * scenario.noise * rng.standard_normal((n, LATENT))


def measure(
    scenario: Scenario,
    personas: tuple[np.ndarray, np.ndarray, list[str]],
    axes: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """(Q, N, d) vectors and (Q, N, N) divergences of one study."""
    x, y, _ = personas
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
    value = spearman(cosine_distances(vectors)[upper], js.mean(axis=0)[upper])
    assert value is not None
    return value


def limit_rho(scenario: Scenario, personas: tuple, rng: np.random.Generator) -> float:
    """Correlation with so many prompts that their noise is gone."""
    vectors, js = 0.0, 0.0
    for _ in range(20):
        part = measure(scenario, personas, draw_axes(scenario, rng, 50), rng)
        vectors, js = vectors + part[0].mean(axis=0), js + part[1].mean(axis=0)
    return rho(np.asarray(vectors)[None], np.asarray(js)[None])


def studies_of(
    varied: str,
    scenario: Scenario,
    rng: np.random.Generator,
    n_personas: int = PERSONAS,
    n_prompts: int = PROMPTS,
) -> tuple[Callable[[], tuple], float]:
    """A source of studies that differ in what is varied, and their correlation in the limit.

    A study is its vectors, its divergences, and the clusters of its personas.
    """
    fixed, fixed_axes = (
        draw_personas(scenario, rng, n_personas),
        draw_axes(scenario, rng, n_prompts),
    )
    many = draw_personas(scenario, rng, 250)

    def study() -> tuple:
        personas = fixed if varied == "prompts" else draw_personas(scenario, rng, n_personas)
        keep_axes = varied in ("personas", "clusters")
        axes = fixed_axes if keep_axes else draw_axes(scenario, rng, n_prompts)
        return *measure(scenario, personas, axes, rng), personas[2]

    if varied == "prompts":
        return study, limit_rho(scenario, fixed, rng)
    if varied == "dual":
        return study, limit_rho(scenario, many, rng)
    return study, rho(*measure(scenario, many, fixed_axes, rng))


def rate(hits: list[bool]) -> str:
    """A percentage with its 95 % Clopper-Pearson interval."""
    n, k = len(hits), sum(hits)
    low = beta.ppf(0.025, k, n - k + 1) if k else 0.0
    high = beta.ppf(0.975, k + 1, n - k) if k < n else 1.0
    return f"{100 * k / n:.1f} ({100 * low:.1f}–{100 * high:.1f})"


def coverage_row(scenario: Scenario, kind: str, *size: int, seed: int, limit: bool = True) -> str:
    """How often either interval holds the truth, and how wide it is."""
    names = "bootstrap", "jackknife"
    repeated, limited, widths = ({name: [] for name in names} for _ in range(3))
    spread, means = [], []
    for block in range(SETS):
        rng = np.random.default_rng([seed, block, len(kind), *size])
        draw, endless = studies_of(kind, scenario, rng, *size)
        truth = np.array([rho(*draw()[:2]) for _ in range(REPETITIONS)])
        spread.append(truth.std(ddof=1))
        means.append(truth.mean())
        for k in range(STUDIES):
            vectors, js, clusters = draw()
            cosine, stack = named(cosine_distances(vectors)), stacked(js)
            study = (cosine, stack.mean(), stack)
            found = (
                bootstrap_intervals(vectors, *study, RESAMPLES, k, clusters),
                intervals(jackknife(*study, vectors, clusters)),
            )
            for name, interval in zip(names, (of[kind] for of in found), strict=True):
                if interval["low"] is not None:
                    repeated[name].append(interval["low"] <= truth.mean() <= interval["high"])
                    limited[name].append(interval["low"] <= endless <= interval["high"])
                    widths[name].append(interval["high"] - interval["low"])
    cells = [scenario.name, kind, *map(str, size)]
    cells += [f"{np.mean(means):.2f}", f"{np.mean(spread):.3f}"]
    for name in names:
        if len(repeated[name]) < SETS * STUDIES / 2:
            cells += ["–"] * (3 if limit else 2)
            continue
        cells += [rate(repeated[name])] + ([rate(limited[name])] if limit else [])
        cells += [f"{np.mean(widths[name]):.3f}"]
    return f"| {' | '.join(cells)} |"


def coverage_table() -> None:
    """Every population with nineteen personas and twenty prompts."""
    print("| population | interval | mean ρ | SD of ρ ", end="")
    print("| bootstrap: repeated, % | limit, % | width ", end="")
    print("| jackknife: repeated, % | limit, % | width |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for number, scenario in enumerate(SCENARIOS):
        kinds = ["prompts", "personas", "dual"]
        for kind in kinds + (["clusters"] if scenario.clusters == "new" else []):
            print(coverage_row(scenario, kind, seed=number), flush=True)


def small_table() -> None:
    """Few prompts, and few personas."""
    print("\n| population | interval | personas | prompts | mean ρ | SD of ρ ", end="")
    print("| bootstrap: repeated, % | width | jackknife: repeated, % | width |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    sizes = [("dual", 19, q) for q in (2, 3, 5)] + [("personas", n, 20) for n in (6, 8, 12)]
    for number in (1, 2, 5):
        for kind, *size in sizes:
            row = coverage_row(SCENARIOS[number], kind, *size, seed=100 + number, limit=False)
            print(row, flush=True)


ALTERNATIVES = (
    "bootstrap on ρ (published)",
    "bootstrap on z",
    "dual bootstrap on z, Welch–Satterthwaite",
    "jackknife on ρ",
    "jackknife on z (`intervals`)",
)


def alternatives(
    vectors: np.ndarray, stack: RdmStack, kind: str, seed: int
) -> dict[str, dict[str, Any]]:
    """The intervals of ρ that could have been chosen, over personas or over both."""
    cosine, divergence = named(cosine_distances(vectors)), stack.mean()
    own = jackknife(cosine, divergence, stack, vectors)
    sizes = {"prompts": len(stack), "personas": len(cosine)}
    stream = np.random.default_rng(seed)
    prompts, personas = (multiplicities(stream, size, RESAMPLES) for size in sizes.values())
    weights, alike = pair_weights(personas), np.ones((RESAMPLES, len(cosine.vector)))
    moved = weighted_cosine_distances(vectors, prompts), prompts @ stack.vectors / len(stack)
    drawn = {
        "prompts": weighted_spearman(*moved, alike),
        "personas": weighted_spearman(cosine.vector, divergence.vector, weights),
        "dual": weighted_spearman(*moved, weights),
    }

    def spread(of: Callable[[np.ndarray], np.ndarray]) -> dict[str, Spread]:
        """Variance, degrees as published, and by Welch and Satterthwaite."""
        variance = {k: float(np.nanvar(of(values), ddof=1)) for k, values in drawn.items()}
        both = dual_variance(*variance.values(), n_prompts=len(stack), n_personas=len(cosine))
        alone = {k: Spread(variance[k] * n / (n - 1), n - 1) for k, n in sizes.items()}
        summed = combined(alone["prompts"], alone["personas"])
        return {
            **alone,
            "dual": Spread(both, min(sizes.values()) - 1),
            "satterthwaite": Spread(both, summed.df),
        }

    def z(rho: np.ndarray) -> np.ndarray:
        return np.arctanh(np.clip(rho, -1 + 1e-6, 1 - 1e-6))

    on_rho, on_z = spread(np.asarray), spread(z)
    found = {
        ALTERNATIVES[0]: t_interval(own.rho, on_rho[kind], 1.0),
        ALTERNATIVES[1]: fisher_interval(own.rho, on_z[kind]),
        ALTERNATIVES[3]: t_interval(own.rho, spreads(own.without)[kind], 1.0),
        ALTERNATIVES[4]: intervals(own)[kind],
    }
    if kind == "dual":
        found[ALTERNATIVES[2]] = fisher_interval(own.rho, on_z["satterthwaite"])
    return found


def alternatives_row(scenario: Scenario, kind: str, *size: int, seed: int) -> str:
    """How often each of the intervals holds the mean of repeated studies, and its width."""
    held, widths = ({name: [] for name in ALTERNATIVES} for _ in range(2))
    for block in range(SETS):
        rng = np.random.default_rng([seed, block, len(kind), *size])
        draw, _ = studies_of(kind, scenario, rng, *size)
        truth = np.mean([rho(*draw()[:2]) for _ in range(REPETITIONS)])
        for k in range(STUDIES):
            vectors, js, _ = draw()
            for name, found in alternatives(vectors, stacked(js), kind, k).items():
                if found["low"] is not None:
                    held[name].append(found["low"] <= truth <= found["high"])
                    widths[name].append(found["high"] - found["low"])
    cells = [
        f"{rate(held[name])} | {np.mean(widths[name]):.3f}" if held[name] else "– | –"
        for name in ALTERNATIVES
    ]
    return f"| {' | '.join([scenario.name, kind, *map(str, size), *cells])} |"


def alternatives_table() -> None:
    """What was weighed and not taken, beside what was."""
    print("\n| population | interval | personas | prompts ", end="")
    print("".join(f"| {name}: holds, % | width " for name in ALTERNATIVES) + "|")
    print("|---|---|---|---" + "|---|---" * len(ALTERNATIVES) + "|")
    sizes = [("personas", n, 20) for n in (8, 19)] + [("dual", 19, q) for q in (2, 3, 5, 20)]
    for number in (1, 2):
        for kind, *size in sizes:
            row = alternatives_row(SCENARIOS[number], kind, *size, seed=300 + number)
            print(row, flush=True)


LAYERS = {
    "six layers alike": (0.8,) * 6,
    "two best, the rest falls": (0.5, 0.65, 0.8, 0.8, 0.65, 0.5),
    "one best by far": (0.3, 0.5, 0.95, 0.5, 0.3, 0.2),
}


def layers_table() -> None:
    """Differences of layers, and the set that is to hold the best of them."""
    print("\n| layers | SD of the difference | contrast holds it, % | width ", end="")
    print("| peak is a best layer, % | set holds it, personas, % | layers in it ", end="")
    print("| set holds it, dual, % | layers in it |")
    print("|---|---|---|---|---|---|---|---|---|")
    for number, (name, agreements) in enumerate(LAYERS.items()):
        rng = np.random.default_rng([number, 77])
        studies = [layered_study(agreements, rng) for _ in range(SETS * STUDIES)]
        differences = np.array([study[1].rho - study[2].rho for study in studies])
        truth, best = differences.mean(), int(np.argmax(agreements))
        found = [contrasts({1: study[1], 2: study[2]})[0]["dual"] for study in studies]
        held = [interval["low"] <= truth <= interval["high"] for interval in found]
        cells = [name, f"{differences.std(ddof=1):.3f}", rate(held)]
        cells.append(f"{np.mean([i['high'] - i['low'] for i in found]):.3f}")
        for over in (("personas",), ("prompts", "personas")):
            peaks = [peak(dict(enumerate(study)), over, k) for k, study in enumerate(studies)]
            if over == ("personas",):
                tops = [agreements[p["layer"]] == max(agreements) for p in peaks]
                cells.append(rate(tops))
            cells.append(rate([best in p["confidence_set"] for p in peaks]))
            cells.append(f"{np.mean([len(p['confidence_set']) for p in peaks]):.1f}")
        print(f"| {' | '.join(cells)} |", flush=True)


def layered_study(agreements: tuple[float, ...], rng: np.random.Generator) -> list[Jackknife]:
    """Layers of one study that share y, new personas and prompts, to different degrees."""
    calm = SCENARIOS[0]
    _, y, _ = draw_personas(calm, rng)
    axes = draw_axes(calm, rng)
    by_prompt = stacked(measure(calm, (y, y, []), axes, rng)[1])
    found = []
    for agreement in agreements:
        x = agreement * y + np.sqrt(1 - agreement**2) * rng.standard_normal(y.shape)
        vectors, _ = measure(calm, (x, y, []), axes, rng)
        cosine = named(cosine_distances(vectors))
        found.append(jackknife(cosine, by_prompt.mean(), by_prompt, vectors))
    return found


def layered(
    agreements: tuple[float, ...], rng: np.random.Generator, *, clustered: bool
) -> tuple[np.ndarray, list[np.ndarray], list[str]]:
    """Points of the divergences and of each layer, and clusters, drawn anew."""
    member = rng.integers(5, size=PERSONAS) if clustered else None

    def points() -> np.ndarray:
        own = rng.standard_normal((PERSONAS, LATENT))
        if member is None:
            return own
        return 1.5 * rng.standard_normal((5, LATENT))[member] + 0.6 * own

    y = points()
    layers = [a * y + np.sqrt(1 - a**2) * points() for a in agreements]
    return y, layers, [] if member is None else [str(k) for k in member]


def layer_studies(
    kind: str, agreements: tuple[float, ...], rng: np.random.Generator
) -> Callable[[], tuple[list[np.ndarray], np.ndarray, list[str]]]:
    """A source of studies of several layers that differ in what is varied."""
    calm, clustered = SCENARIOS[0], kind == "clusters"
    fixed = layered(agreements, rng, clustered=clustered), draw_axes(calm, rng)

    def study() -> tuple[list[np.ndarray], np.ndarray, list[str]]:
        new = kind != "prompts"
        y, layers, clusters = layered(agreements, rng, clustered=clustered) if new else fixed[0]
        axes = draw_axes(calm, rng) if kind in ("prompts", "dual") else fixed[1]
        js = measure(calm, (y, y, []), axes, rng)[1]
        return [measure(calm, (x, y, []), axes, rng)[0] for x in layers], js, clusters

    return study


def contrast_row(kind: str, agreements: tuple[float, ...], seed: int) -> str:
    """How often an interval of a difference holds it, and what is called equal."""
    held, widths, errors, truths = [], [], [], []
    equal, beyond, near = [], [], []
    for block in range(SETS):
        rng = np.random.default_rng([seed, block, len(kind)])
        study = layer_studies(kind, agreements, rng)
        drawn = [study() for _ in range(REPETITIONS)]
        rhos = np.array([[rho(v, js) for v in vectors] for vectors, js, _ in drawn])
        truth = float((rhos[:, 0] - rhos[:, 1]).mean())
        truths.append(truth)
        for _ in range(MANY):
            vectors, js, clusters = study()
            stack = stacked(js)
            own = [
                jackknife(named(cosine_distances(v)), stack.mean(), stack, v, clusters)
                for v in vectors
            ]
            found = contrasts(dict(enumerate(own)))[0]
            interval, value = found[kind], found["difference"]
            if interval["low"] is None:
                continue
            errors.append(value - truth)
            held.append(interval["low"] <= truth <= interval["high"])
            widths.append(interval["high"] - interval["low"])
            edge, within = (
                equivalence(value, interval, bound)["verdict"] for bound in (abs(truth), 0.3)
            )
            equal.append(edge == EQUAL)
            beyond.append(edge == BEYOND)
            near.append(within == EQUAL)
    cells = [", ".join(map(str, agreements)), kind, f"{np.mean(truths):z.2f}"]
    cells += [f"{np.std(errors):.3f}", rate(held), f"{np.mean(widths):.3f}"]
    cells += map(rate, (equal, beyond)) if agreements[0] != agreements[1] else ["", ""]
    return f"| {' | '.join([*cells, rate(near)])} |"


def contrasts_table() -> None:
    """Differences of two layers: coverage, width, and equality within the true difference."""
    print("\n| layers share | interval | mean difference | SD | holds it, % | width ", end="")
    print("| equal within the mean, % | beyond it, % | equal within 0.3, % |")
    print("|---|---|---|---|---|---|---|---|---|")
    for number, agreements in enumerate(((0.8, 0.8), (0.9, 0.6))):
        for kind in ("prompts", "personas", "dual", "clusters"):
            print(contrast_row(kind, agreements, 400 + number), flush=True)


def equality_table() -> None:
    """Equality of ρ itself, over personas and prompts."""
    print("\n| population | prompts | mean ρ | equal within the mean, % | beyond it, % ", end="")
    print("| equal within 0.3, % | within 0.5, % |")
    print("|---|---|---|---|---|---|---|")
    for number in (0, 1, 2, 5):
        for prompts in (3, 20):
            found: list[list[bool]] = []
            rng = np.random.default_rng([500 + number, prompts])
            draw, _ = studies_of("dual", SCENARIOS[number], rng, PERSONAS, prompts)
            truth = float(np.mean([rho(*draw()[:2]) for _ in range(10 * REPETITIONS)]))
            for _ in range(SETS * MANY):
                vectors, js, _ = draw()
                stack = stacked(js)
                own = jackknife(named(cosine_distances(vectors)), stack.mean(), stack, vectors)
                verdict = {
                    bound: equivalence(own.rho, intervals(own)["dual"], bound, fisher=True)[
                        "verdict"
                    ]
                    for bound in (abs(truth), 0.3, 0.5)
                }
                edge = verdict[abs(truth)]
                found.append(
                    [edge == EQUAL, edge == BEYOND, *(verdict[k] == EQUAL for k in (0.3, 0.5))]
                )
            cells = list(map(rate, map(list, zip(*found, strict=True))))
            if number == 0:
                cells[:2] = "", ""
            cells = [SCENARIOS[number].name, str(prompts), f"{truth:z.2f}", *cells]
            print(f"| {' | '.join(cells)} |", flush=True)


def ceiling_table() -> None:
    """What noise of prompts takes off, and how well it is put back."""
    print(
        "\n| population | ρ of the limit with the measured divergences | mean `rho_ceiling` ",
        end="",
    )
    print(
        "| ρ in the limit | measured ρ | cross-validated cosine | `disattenuated` (its SD) ", end=""
    )
    print("| two-sided `ceiling` |")
    print("|---|---|---|---|---|---|---|---|")
    upper = np.triu_indices(PERSONAS, 1)
    for number, scenario in enumerate(SCENARIOS):
        rows = []
        for block in range(40):
            rng = np.random.default_rng([number, block, 99])
            personas = draw_personas(scenario, rng)
            endless = measure(scenario, personas, draw_axes(scenario, rng, 1000), rng)[1]
            vectors, js = measure(scenario, personas, draw_axes(scenario, rng), rng)
            means = endless.mean(axis=0)[upper], js.mean(axis=0)[upper]
            split = split_prompts(vectors, stacked(js), 100, block)
            rows.append(
                [
                    spearman(*means),
                    noise_ceiling(stacked(js), 100, block)["rho_ceiling"],
                    limit_rho(scenario, personas, rng),
                    rho(vectors, js),
                    spearman(crossvalidated_cosine_distances(vectors), means[1]),
                    split["disattenuated"],
                    split["ceiling"],
                ]
            )
        values, spread = np.mean(rows, axis=0), np.std(rows, axis=0, ddof=1)
        cells = [f"{value:.3f}" for value in values[:2]] + [f"{v:.2f}" for v in values[2:]]
        cells[5] += f" ({spread[5]:.2f})"
        print(f"| {scenario.name} | {' | '.join(cells)} |", flush=True)


def outcome_table() -> None:
    print(
        "\n| error of | rival | mean difference | SD | mean SE | holds the mean, % | ",
        end="",
    )
    print("names JS, % | names cosine, % | equal within the mean, % |")
    print("|---|---|---|---|---|---|---|---|---|")
    single = []
    for owner in ("pairs", "personas"):
        for name, blur in (("as good", 0.5), ("worse", 1.0), ("useless", 50.0)):
            rng = np.random.default_rng([len(owner), round(10 * blur)])
            studies = (outcome_study(owner, blur, rng) for _ in range(SETS * STUDIES))
            results = [outcomes_comparison(*study, RESAMPLES, k) for k, study in enumerate(studies)]
            differences = [r["difference"] for r in results]
            values = np.array([d["value"] for d in differences])
            mean = abs(values.mean())
            edge = [equivalence(d["value"], d, mean)["verdict"] == EQUAL for d in differences]
            cells = [owner, name, f"{values.mean():.2f}", f"{values.std(ddof=1):.3f}"]
            cells += [f"{np.mean([d['se'] for d in differences]):.3f}"]
            cells += [rate([d["low"] <= values.mean() <= d["high"] for d in differences])]
            cells += [rate([r["stronger"] == k for r in results]) for k in ("js", "cosine")]
            cells += [rate(edge) if mean > 0.05 else ""]
            print(f"| {' | '.join(cells)} |", flush=True)
            single += [_single_outcome(owner, name, kind, results) for kind in ("js", "cosine")]
    print("\n| error of | rival | correlation of outcomes with | mean ρ | SD of ρ ", end="")
    print("| interval holds the mean, % | width |")
    print("|---|---|---|---|---|---|---|")
    print("\n".join(single), flush=True)


def _single_outcome(owner: str, rival: str, kind: str, results: list[dict[str, Any]]) -> str:
    found = [r[kind] for r in results]
    values = np.array([one["spearman"] for one in found])
    held = [one["low"] <= values.mean() <= one["high"] for one in found]
    width = np.mean([one["high"] - one["low"] for one in found])
    cells = [owner, rival, kind, f"{values.mean():.2f}", f"{values.std(ddof=1):.3f}"]
    return f"| {' | '.join([*cells, rate(held), f'{width:.2f}'])} |"


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


TABLES = {
    "coverage": coverage_table,
    "small": small_table,
    "alternatives": alternatives_table,
    "layers": layers_table,
    "contrasts": contrasts_table,
    "equality": equality_table,
    "ceiling": ceiling_table,
    "outcomes": outcome_table,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Coverage and width of the intervals.")
    parser.add_argument("--table", choices=TABLES, nargs="*", default=list(TABLES))
    for table in parser.parse_args().table:
        TABLES[table]()
