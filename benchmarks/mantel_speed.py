"""Speed of the Mantel tests beside scikit-bio's, and of a whole alignment.

    python benchmarks/mantel_speed.py [--repeats 3] [--threads 2]

Needs scikit-bio (`pip install scikit-bio==0.7.4`). Both sides get the same matrices in the same
process, take turns, and are timed by wall clock and by processor time of all threads; the fastest
turn of each counts. The alignments, each in a process of its own, are of 20 personas and 20
prompts (four layers in full, 28 as a curve), of 20 personas and 1,000 prompts (one layer in full,
and four, 28 as a curve), of 20 personas and 20 prompts with all that a config can ask for beside,
and of 200 personas without prompts (28 layers as a curve: their tests,
jackknives and the set of their peak; and with one of them in full). Vectors of single prompts are
read from a file, as in a study. Prints Markdown tables.
"""

import argparse
import itertools
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from persona_geometry.rdms.files import LayerVectors, read_layer_vectors, write_layer_vectors
from persona_geometry.rdms.rdm import Rdm, RdmStack
from persona_geometry.rdms.triangle import vectorize
from persona_geometry.rsa.alignment import align
from persona_geometry.rsa.contrasts import peak
from persona_geometry.rsa.geometries import Geometries
from persona_geometry.rsa.jackknife import jackknife
from persona_geometry.rsa.permutation import Permutations, mantel
from persona_geometry.study.sections import Alignment

ALIGNMENT_SIZES = {  # personas, prompts, layers in full
    "20 personas, 20 prompts": (20, 20, (10, 15, 20, 25)),
    "20 personas, 1,000 prompts, one layer in full": (20, 1000, (10,)),
    "20 personas, 1,000 prompts, four layers": (20, 1000, (10, 15, 20, 25)),
    "200 personas, RDMs only": (200, 0, (10,)),
}
WIDTH = 3584
MANTEL_SIZES = ((19, 28, 100_000), (200, 4, 10_000))
CLUSTER_SIZES = (4, 3, 2, 2)
ASKED = {"comparators": ["rho_a", "tau_a", "whitened_cosine"], "smallest_effect": 0.2}
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


def names_of(n: int) -> list[str]:
    """The anchor last."""
    return [*(f"p{i}" for i in range(n - 1)), "anchor"]


def blurred(base: np.ndarray, prompts: int, rng: np.random.Generator) -> np.ndarray:
    noise = rng.standard_normal((prompts, *base.shape), dtype=np.float32)
    return np.add(base, np.multiply(noise, 3, out=noise), out=noise)


def points(n: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, WIDTH), dtype=np.float32)


def write_vectors(path: Path, n: int, prompts: int, layers: tuple[int, ...]) -> None:
    """The vectors of single prompts, as a study keeps them."""
    rng, base = np.random.default_rng(1), points(n)
    of_layers = {layer: blurred(base, prompts, rng) for layer in layers}
    labels = [f"q{i}" for i in range(prompts)]
    write_layer_vectors(path, LayerVectors(names_of(n), labels, of_layers))


def study(n: int, prompts: int, vectors: Mapping[int, np.ndarray]) -> Geometries:
    """A simulated study of 28 layers; without prompts, of RDMs alone."""
    rng, base, names = np.random.default_rng(0), points(n), tuple(names_of(n))
    cosine = {
        layer: cosine_distances(
            vectors[layer].mean(0, dtype=np.float64)
            if layer in vectors
            else base + rng.standard_normal((n, WIDTH))
        )
        for layer in range(28)
    }
    labels_of_prompts = tuple(f"q{i}" for i in range(prompts))
    stacks = {
        cutoff: RdmStack(
            names,
            labels_of_prompts,
            vectorize(cosine_distances(blurred(base[:, :300], prompts, rng))) / 4,
        )
        for cutoff in ("8", "32", "full")
        if prompts
    }
    alone = {
        "full": Rdm.from_square(names, cosine_distances(blurred(base[:, :300], 1, rng)[0]) / 4)
    }
    labels = np.repeat(range(len(CLUSTER_SIZES)), CLUSTER_SIZES)
    return Geometries(
        anchor="anchor",
        clusters={names[i]: f"cluster {label}" for i, label in enumerate(labels)},
        cosine={x: Rdm.from_square(names, d) for x, d in cosine.items()},
        divergence={cutoff: stack.mean() for cutoff, stack in stacks.items()} or alone,
        by_prompt=stacks or None,
        vectors=vectors or None,
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


def with_everything(whole: Geometries) -> Geometries:
    """The same with outcomes, KL, the words of system prompts, and three other geometries."""
    rng, names = np.random.default_rng(2), whole.personas
    pairs = list(itertools.permutations([n for n in names if n != whole.anchor], 2))
    values = rng.standard_normal(len(pairs)).tolist()
    return replace(
        whole,
        others=dict.fromkeys(
            ("mean_centered", "components_removed", "response_mean"), whole.cosine
        ),
        lexical=whole.divergence["full"],
        kl=rng.random((len(names), len(names))),
        outcomes=[(*pair, value) for pair, value in zip(pairs, values, strict=True)],
    )


def measure_alignment(
    n: int,
    prompts: int,
    layers: tuple[int, ...],
    path: Path,
    threads: int,
    everything: bool = False,
) -> tuple:
    """Wall-clock and processor seconds of an alignment, and MB at its peak and before it."""
    whole = study(n, prompts, read_layer_vectors(path).layers if prompts else {})
    if everything:
        whole = with_everything(whole)
    settings = Alignment.of(**SETTINGS | (ASKED if everything else {}))
    before = peak_mb()
    wall, processor = timed(
        lambda: align(
            whole, settings, layers, layers[0], "speed", "js", lambda _line: None, threads
        )
    )
    return wall, processor, peak_mb(), before


def measure_curve(n: int) -> tuple:
    """The same of a curve of 28 layers alone."""
    whole = study(n, 0, {})
    before, divergence = peak_mb(), whole.divergence["full"]

    def curve() -> None:
        permutations = Permutations.free(n, SETTINGS["permutations"], SETTINGS["seed"])
        null = mantel(list(whole.cosine.values()), divergence, permutations)
        null.p_values(), null.family_wise_p_values()
        without = {layer: jackknife(rdm, divergence) for layer, rdm in whole.cosine.items()}
        peak(without, ("personas",), SETTINGS["seed"])

    return (*timed(curve), peak_mb(), before)


def peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000


def alone(task: Callable[..., Any], *of: object) -> Any:
    """What a task gives in a process of its own, whose peak of memory is its own too."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(task, of)


def show(name: str, measured: tuple) -> None:
    wall, processor, most, before = measured
    print(f"| {name} | {wall:.1f} | {processor:.1f} | {most} | {before} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of the Mantel tests and the alignment.")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="of an alignment: layers at a time")
    arguments = parser.parse_args()
    repeats, threads = arguments.repeats, arguments.threads

    print("| whole alignment | wall s | processor s | peak MB | of it inputs and imports |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vectors.npz"
        for name, (n, prompts, layers) in ALIGNMENT_SIZES.items():
            if prompts:
                alone(write_vectors, path, n, prompts, layers)
            show(name, alone(measure_alignment, n, prompts, layers, path, threads))
            if prompts == n:
                found = alone(measure_alignment, n, prompts, layers, path, threads, True)
                show(f"{name}, with all that can be asked for", found)
    show("200 personas, curve alone", alone(measure_curve, 200))
    print()
    print(
        "| personas | layers | permutations | wall s | scikit-bio | ratio "
        "| processor s | scikit-bio | ratio |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for size in MANTEL_SIZES:
        print(compare(*size, repeats))


if __name__ == "__main__":
    main()
