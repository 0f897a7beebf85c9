"""Speed of the Mantel tests beside scikit-bio's, and of a whole alignment.

    python benchmarks/mantel_speed.py [--repeats 3]

Needs scikit-bio (`pip install scikit-bio==0.7.4`). Both sides get the same matrices in the same
process, take turns, and are timed by wall clock and by processor time of all threads; the fastest
turn of each counts. The alignment is of a study of 20 personas and 20 prompts: four layers in full,
28 as a curve. Prints Markdown tables.
"""

import argparse
import resource
import time
from collections.abc import Callable

import numpy as np

from persona_geometry.rdms.rdm import Rdm, RdmStack
from persona_geometry.rdms.triangle import vectorize
from persona_geometry.rsa.alignment import align
from persona_geometry.rsa.geometries import Geometries
from persona_geometry.rsa.permutation import Permutations, mantel
from persona_geometry.study.sections import Alignment

MANTEL_SIZES = ((19, 28, 100_000), (200, 4, 10_000))
CLUSTER_SIZES = (4, 3, 2, 2)
SETTINGS = {
    "permutations": 100_000,
    "seed": 42,
    "leave_out": ["p11"],
    "top_k": 5,
    "predictions": [["p12", "p11"]],
    "bootstrap": 1000,
    "noise_ceiling_splits": 200,
    "gates": [{"statistic": "spearman", "comparison": ">", "threshold": 0.5, "layer": 10}],
}


def cosine_distances(vectors: np.ndarray) -> np.ndarray:
    unit = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    distances = np.maximum(1.0 - unit @ np.swapaxes(unit, -1, -2), 0.0)
    distances[..., range(distances.shape[-1]), range(distances.shape[-1])] = 0.0
    return (distances + np.swapaxes(distances, -1, -2)) / 2.0


def study(n: int = 20, prompts: int = 20, width: int = 3584) -> Geometries:
    """A simulated study in the size of the full one, the anchor last."""
    rng = np.random.default_rng(0)
    base = rng.standard_normal((n, width))
    detailed = (10, 15, 20, 25)
    vectors = {x: base + 3 * rng.standard_normal((prompts, n, width)) for x in detailed}
    cosine = {
        x: cosine_distances(
            vectors[x].mean(0) if x in vectors else base + rng.standard_normal((n, width))
        )
        for x in range(28)
    }
    by_prompt = {
        cutoff: cosine_distances(base + 3 * rng.standard_normal((prompts, n, width))) / 4
        for cutoff in ("8", "32", "full")
    }
    names = (*(f"p{i}" for i in range(n - 1)), "anchor")
    labels_of_prompts = tuple(f"q{i}" for i in range(prompts))
    stacks = {
        cutoff: RdmStack(names, labels_of_prompts, vectorize(values))
        for cutoff, values in by_prompt.items()
    }
    labels = np.repeat(range(len(CLUSTER_SIZES)), CLUSTER_SIZES)
    return Geometries(
        anchor="anchor",
        clusters={names[i]: f"cluster {label}" for i, label in enumerate(labels)},
        cosine={x: Rdm.from_square(names, d) for x, d in cosine.items()},
        divergence={cutoff: stack.mean() for cutoff, stack in stacks.items()},
        by_prompt=stacks,
        vectors={x: values.astype(np.float32) for x, values in vectors.items()},
    )


def timed(task: Callable[[], object]) -> tuple[float, float]:
    """Wall-clock and processor seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    task()
    return time.perf_counter() - wall, time.process_time() - processor


def compare(n: int, layers: int, permutations: int, repeats: int) -> str:
    from skbio.stats.distance import DistanceMatrix
    from skbio.stats.distance import mantel as skbio_mantel

    rng = np.random.default_rng(n)
    matrices = [cosine_distances(rng.standard_normal((n, 30))) for _ in range(layers + 1)]

    *skbio_fixed, skbio_moved = [DistanceMatrix(matrix) for matrix in matrices]

    def ours() -> None:
        names = tuple(map(str, range(n)))
        *fixed, moved = [Rdm.from_square(names, matrix) for matrix in matrices]
        mantel(fixed, moved, Permutations.free(n, permutations, 0)).p_values()

    def theirs() -> None:
        for matrix in skbio_fixed:
            skbio_mantel(
                matrix,
                skbio_moved,
                method="spearman",
                permutations=permutations,
                alternative="greater",
                seed=0,
            )

    turns = [(timed(ours), timed(theirs)) for _ in range(repeats)]
    own, other = (np.min([turn[side] for turn in turns], axis=0) for side in (0, 1))
    cells = [f"{n}", f"{layers}", f"{permutations:,}"]
    for k in (0, 1):
        cells += [f"{own[k]:.2f}", f"{other[k]:.2f}", f"{other[k] / own[k]:.1f}"]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of the Mantel tests and the alignment.")
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats

    whole = study()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    settings = Alignment.of(**SETTINGS)
    wall, processor = timed(
        lambda: align(whole, settings, [10, 15, 20, 25], 10, "speed", "js", lambda _line: None)
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print("| whole alignment | wall s | processor s | peak MB | of it inputs and imports |")
    print("|---|---|---|---|---|")
    print(
        f"| 20 personas, 20 prompts, 100,000 permutations | {wall:.1f} | {processor:.1f} "
        f"| {peak / 1000:.0f} | {before / 1000:.0f} |\n"
    )
    print(
        "| personas | layers | permutations | wall s | scikit-bio | ratio "
        "| processor s | scikit-bio | ratio |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for size in MANTEL_SIZES:
        print(compare(*size, repeats))


if __name__ == "__main__":
    main()
