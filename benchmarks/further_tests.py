"""Level, coverage and power of tests for many layers, direction, equality and other geometries.

    OMP_NUM_THREADS=1 python benchmarks/further_tests.py [--table NAME]

Nineteen personas are points in latent space; a geometry shares the points to a stated degree.
Families of tests are layers, prompts and cutoffs, of which none, some or most agree. Prints
Markdown tables, rates with their 95 % Clopper-Pearson intervals.
"""

import argparse
from itertools import permutations

import numpy as np
from scipy.stats import beta

from persona_geometry.rdms.rdm import Rdm
from persona_geometry.rsa.asymmetry import kl_asymmetry
from persona_geometry.rsa.comparators import whitened_cosine_test
from persona_geometry.rsa.decoupling import TopPairs
from persona_geometry.rsa.equivalence import equivalence
from persona_geometry.rsa.jackknife import intervals, jackknife
from persona_geometry.rsa.multiplicity import (
    fdr_q_values,
    p_values_of_families,
    step_down_p_values,
)
from persona_geometry.rsa.other_geometries import compare_geometries
from persona_geometry.rsa.permutation import Permutations, mantel

N, LATENT, LAYERS, PERMUTATIONS, STUDIES = 19, 4, 28, 499, 1000
TRUTH_FROM = 4000
OF_MANY = 1999  # with fewer, the false discovery rate of 28 tests can find no single one


def rdm(points: np.ndarray) -> Rdm:
    gaps = np.linalg.norm(points[:, None] - points, axis=-1)
    return Rdm.from_square(range(len(points)), gaps)


def points(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((N, LATENT))


def sharing(rng: np.random.Generator, x: np.ndarray, degree: float) -> np.ndarray:
    return degree * x + np.sqrt(1 - degree**2) * points(rng)


def rate(found: list[bool] | np.ndarray) -> str:
    n, k = len(found), int(np.sum(found))
    low = beta.ppf(0.025, k, n - k + 1) if k else 0.0
    high = beta.ppf(0.975, k + 1, n - k) if k < n else 1.0
    return f"{100 * k / n:.1f} ({100 * low:.1f}–{100 * high:.1f})"


def many() -> None:
    """True and false findings among 28 layers, some of which agree."""
    print(
        "| layers that agree | likeness | any false: family-wise, % | step-down | "
        "false share at FDR 0.05, % | found: family-wise, % | step-down | FDR |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for number, (true, degree, likeness) in enumerate(
        [(0, 0.0, 0.0), (0, 0.0, 0.9), (7, 0.7, 0.0), (7, 0.7, 0.9), (21, 0.7, 0.0), (21, 0.7, 0.9)]
    ):
        rng = np.random.default_rng([7, number])
        false = {"single": [], "step": []}
        power: dict[str, list[float]] = {"single": [], "step": [], "fdr": []}
        share = []
        for seed in range(STUDIES):
            y, own = points(rng), points(rng)
            layers = []
            for layer in range(LAYERS):
                own = likeness * own + np.sqrt(1 - likeness**2) * points(rng)
                base = degree * y + np.sqrt(1 - degree**2) * own if layer < true else own
                layers.append(rdm(base))
            null = mantel(layers, rdm(y), Permutations.free(N, OF_MANY, seed))
            found = {
                "single": null.family_wise_p_values() <= 0.05,
                "step": step_down_p_values(null) <= 0.05,
                "fdr": fdr_q_values(null.p_values()) <= 0.05,
            }
            for name in false:
                false[name].append(bool(found[name][true:].any()))
            share.append(found["fdr"][true:].sum() / max(1, found["fdr"].sum()))
            for name in power:
                power[name].append(found[name][:true].mean() if true else np.nan)
        shown = [f"{100 * np.mean(power[k]):.1f}" if true else "" for k in power]
        print(
            f"| {true} of {LAYERS} | {likeness} | {rate(false['single'])} "
            f"| {rate(false['step'])} | {100 * np.mean(share):.1f} | {' | '.join(shown)} |",
            flush=True,
        )


def families() -> None:
    """True and false findings among the prompts and the cutoffs of one layer."""
    print(
        "| family | that agree | likeness | any false: single p, % | step-down | "
        "false share at FDR 0.05, % | found: single p, % | step-down | FDR |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    prompts = [("20 prompts", true, like) for true in (0, 5, 15) for like in (0.0, 0.9)]
    cutoffs = [("3 cutoffs", true, 0.0) for true in (0, 1, 2)]
    for number, (family, true, likeness) in enumerate(prompts + cutoffs):
        rng = np.random.default_rng([13, number])
        found: list[tuple[np.ndarray, ...]] = []
        for seed in range(STUDIES):
            x = points(rng)
            tested = (
                of_prompts(rng, x, true, likeness)
                if family == "20 prompts"
                else of_cutoffs(rng, x, true)
            )
            free = Permutations.free(N, OF_MANY, seed)
            p, _, step = p_values_of_families(
                tested, rdm(x), free.inverse(), [slice(0, len(tested))]
            )
            found.append((p <= 0.05, step <= 0.05, fdr_q_values(p) <= 0.05))
        alone, step, fdr = (np.array(kind) for kind in zip(*found, strict=True))
        # The members that agree come last.
        size = alone.shape[1]
        false = [kind[:, : size - true].any(axis=1) for kind in (alone, step)]
        share = fdr[:, : size - true].sum(axis=1) / np.maximum(1, fdr.sum(axis=1))
        power = [
            f"{100 * kind[:, size - true :].mean():.1f}" if true else ""
            for kind in (alone, step, fdr)
        ]
        print(
            f"| {family} | {true} of {size} | {likeness} | {' | '.join(map(rate, false))} "
            f"| {100 * share.mean():.1f} | {' | '.join(power)} |",
            flush=True,
        )


def of_prompts(rng: np.random.Generator, x: np.ndarray, true: int, likeness: float) -> list[Rdm]:
    """Divergences of twenty prompts, the last ones of which share the points of the cosines."""
    own, found = points(rng), []
    for prompt in range(20):
        own = likeness * own + np.sqrt(1 - likeness**2) * points(rng)
        base = 0.7 * x + np.sqrt(1 - 0.7**2) * own if prompt >= 20 - true else own
        found.append(rdm(base))
    return found


def of_cutoffs(rng: np.random.Generator, x: np.ndarray, true: int) -> list[Rdm]:
    """Divergences over 8, 32 and 256 tokens, of which so many contain tokens that agree."""
    parts = [
        rdm(sharing(rng, x, 0.7) if part >= 3 - true else points(rng)).vector for part in range(3)
    ]
    sums = np.cumsum([8 * parts[0], 24 * parts[1], 224 * parts[2]], axis=0)
    return [rdm(x).of(total / tokens) for total, tokens in zip(sums, (8, 32, 256), strict=True)]


def single() -> None:
    """Level and power of the two-sided Mantel test and of the whitened cosine."""
    print("| share of the points | Mantel, one-sided | two-sided | whitened cosine |")
    print("|---|---|---|---|")
    for number, degree in enumerate((0.0, 0.4, 0.6)):
        rng = np.random.default_rng([8, number])
        found = []
        for seed in range(STUDIES):
            x = points(rng)
            one, other = rdm(x), rdm(sharing(rng, x, degree))
            free = Permutations.free(N, PERMUTATIONS, seed)
            null = mantel([one], other, free)
            white = whitened_cosine_test(one, other, free)["mantel_p"]
            found.append([null.p_values()[0], null.two_sided_p_values()[0], white])
        columns = (np.array(found) <= 0.05).T
        print(f"| {degree} | {' | '.join(map(rate, columns))} |", flush=True)


def directed(rng: np.random.Generator, degree: float, n: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """KL and outcomes whose asymmetric parts have a persona's part and a pair's."""
    u, v = rng.standard_normal((2, n))
    v = degree * u + np.sqrt(1 - degree**2) * v
    return tuple(5 + side[:, None] - side + 0.7 * rng.standard_normal((n, n)) for side in (u, v))


def asymmetry() -> None:
    """Level, power and coverage of the comparison of asymmetric parts."""
    print(
        "| asymmetries shared | mean ρ | SD of ρ | p ≤ 0.05, % | interval holds the mean, % "
        "| width |"
    )
    print("|---|---|---|---|---|---|")
    names = [f"p{k}" for k in range(12)]
    for number, degree in enumerate((0.0, 0.5, 0.9)):
        rng = np.random.default_rng([9, number])
        results = []
        for seed in range(STUDIES):
            kl, values = directed(rng, degree)
            rows = [(names[i], names[j], values[i, j]) for i, j in permutations(range(12), 2)]
            results.append(kl_asymmetry(names, kl, rows, Permutations.free(12, PERMUTATIONS, seed)))
        rho = np.array([one["spearman"] for one in results])
        ends = np.array([[one["low"], one["high"]] for one in results])
        holds = (ends[:, 0] <= rho.mean()) & (rho.mean() <= ends[:, 1])
        rejected = [one["p_two_sided"] <= 0.05 for one in results]
        print(
            f"| {degree} | {rho.mean():.2f} | {rho.std():.3f} | {rate(rejected)} | {rate(holds)} "
            f"| {np.diff(ends).mean():.2f} |",
            flush=True,
        )


def equal() -> None:
    """How often ρ is called equivalent or beyond, by what its mean over studies is."""
    print(
        "| share of the points | mean ρ | smallest effect | equivalent, % | beyond, % | "
        "undecided, % |"
    )
    print("|---|---|---|---|---|---|")
    for number, degree in enumerate((0.0, 0.0, 0.5, 0.5, 0.7, 0.7)):
        rng = np.random.default_rng([10, number])
        many = []
        for _ in range(TRUTH_FROM):
            x = points(rng)
            many.append(np.corrcoef(rdm(x).ranks, rdm(sharing(rng, x, degree)).ranks)[0, 1])
        mean = float(np.mean(many))
        smallest = (0.3, 0.5)[number] if degree == 0 else (mean if number % 2 == 0 else mean / 3)
        verdicts = []
        for _ in range(STUDIES):
            x = points(rng)
            own = jackknife(rdm(x), rdm(sharing(rng, x, degree)))
            found = equivalence(own.rho, intervals(own)["personas"], smallest, fisher=True)
            verdicts.append(found["verdict"])
        shares = [rate([v == k for v in verdicts]) for k in ("equivalent", "beyond", "undecided")]
        print(f"| {degree} | {mean:.2f} | {smallest:.2f} | {' | '.join(shares)} |", flush=True)


def others() -> None:
    """Coverage of the difference of two geometries of the same personas, and false equality."""
    print(
        "| shares of the points | mean difference | SD | interval holds the mean, % | width "
        "| equal within that mean, % | within 0.3, % |"
    )
    print("|---|---|---|---|---|---|---|")
    for number, (one, other) in enumerate(((0.6, 0.6), (0.8, 0.6), (0.9, 0.5))):
        rng = np.random.default_rng([11, number])
        found = []
        for _ in range(STUDIES):
            y = points(rng)
            main, beside = rdm(sharing(rng, y, one)), rdm(sharing(rng, y, other))
            result = compare_geometries(
                {"other": {0: beside}},
                rdm(y),
                {0: jackknife(main, rdm(y))},
                Permutations.free(N, 1, 0),
                0.3,
            )
            found.append(result["other"][0]["difference"])
        values = np.array([d["value"] for d in found])
        mean = values.mean()
        holds = [d["low"] <= mean <= d["high"] for d in found]
        width = np.mean([d["high"] - d["low"] for d in found])
        edge = (
            rate([equivalence(d["value"], d, abs(mean))["verdict"] == "equivalent" for d in found])
            if abs(mean) > 0.05
            else ""
        )
        within = rate([d["equivalence"]["verdict"] == "equivalent" for d in found])
        print(
            f"| {one}, {other} | {mean:.2f} | {values.std():.3f} | {rate(holds)} | {width:.2f} "
            f"| {edge} | {within} |",
            flush=True,
        )


def stability() -> None:
    """Of the pairs named as decoupled, which share is on top of the noiseless distances too."""
    print("| prompts | share of resamples | pairs | on top without noise, % | mean share, % |")
    print("|---|---|---|---|---|")
    edges = (0.25, 0.5, 0.75)
    for number, prompts in enumerate((5, 20, 80)):
        rng = np.random.default_rng([12, number])
        shares, true = [], []
        for _ in range(STUDIES // 2):
            x = points(rng)
            one, other = (rdm(side).vector for side in (x, sharing(rng, x, 0.7)))
            by_prompt = [v + rng.standard_normal((prompts, len(v))) for v in (one, other)]
            truth = largest(one[None], other[None])[0] > 0
            named = largest(*(v.mean(0, keepdims=True) for v in by_prompt))[0] > 0
            drawn = rng.multinomial(prompts, np.full(prompts, 1 / prompts), size=200) / prompts
            share, taken = largest(*(drawn @ v for v in by_prompt))
            shares.append(share[named] / taken)
            true.append(truth[named])
        share, found = np.concatenate(shares), np.concatenate(true)
        group = np.digitize(share, edges)
        for k, label in enumerate(("below 0.25", "0.25–0.5", "0.5–0.75", "0.75 or more")):
            own = group == k
            cells = f"{rate(found[own])} | {100 * share[own].mean():.1f}" if own.any() else " | "
            print(f"| {prompts} | {label} | {own.sum()} | {cells} |", flush=True)


def largest(cosine: np.ndarray, divergence: np.ndarray) -> tuple[np.ndarray, int]:
    """How often each pair is among the five most decoupled ones, and of how many."""
    top = TopPairs(N, 5)
    top.see(cosine, divergence)
    return top.hits, top.taken


TABLES = {
    "many": many,
    "families": families,
    "single": single,
    "asymmetry": asymmetry,
    "equal": equal,
    "others": others,
    "stability": stability,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", choices=TABLES)
    chosen = parser.parse_args().table
    for name in [chosen] if chosen else TABLES:
        print(f"\n{name}\n")
        TABLES[name]()
