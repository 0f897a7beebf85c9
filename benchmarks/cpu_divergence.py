"""Time the divergences of a prompt on a CPU, beside what the CPU can do at best.

Logits of 20 personas over SmolLM2's 49,152 words, random as in trained models' order of size. Run
from the repository's root, on an idle machine:

    OMP_NUM_THREADS=2 python benchmarks/cpu_divergence.py

Prints a Markdown table with the largest errors against float64. The rates above it are measured in
the same run with as many threads: a large float32 product, and log1p over arrays in cache.
Pair-words are pairs x tokens x words. CPU seconds are those of all threads, and say on a busy
machine what the wall clock cannot.
"""

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations

import torch
from divergence_kernel import exact

from persona_geometry.divergence import blocked, reference


def best(work: Callable[[], object], repeats: int = 5) -> tuple[float, float]:
    """Least wall-clock and CPU seconds of `work`, after one warm-up."""
    work()
    times = []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        times.append((time.perf_counter() - wall, time.process_time() - cpu))
    return min(wall for wall, _ in times), min(cpu for _, cpu in times)


def log_rate(threads: int, words: int = 1 << 16, rounds: int = 200) -> float:
    """log1p a second, each thread on an array of its own."""

    def work(_thread: int) -> None:
        x, out = torch.rand(words), torch.empty(words)
        for _ in range(rounds):
            torch.log1p(x, out=out)

    with ThreadPoolExecutor(threads, "", torch.set_num_threads, (1,)) as pool:
        wall, _ = best(lambda: list(pool.map(work, range(threads))))
    torch.set_num_threads(threads)
    return threads * words * rounds / wall


def product_rate(size: int = 2048) -> float:
    """Float32 operations a second of a large product."""
    a, b = torch.randn(2, size, size)
    return 2 * size**3 / best(lambda: a @ b)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vocabulary", type=int, default=49_152)
    parser.add_argument("--personas", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=16, help="tokens that are timed")
    parser.add_argument("--response", type=int, default=256, help="tokens of a prompt")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    threads, words, tokens = torch.get_num_threads(), arguments.vocabulary, arguments.tokens
    pairs = torch.tensor(list(combinations(range(arguments.personas), 2)))
    print(
        f"{threads} threads, torch {torch.__version__}: float32 products "
        f"{product_rate() / 1e9:.0f} GFLOP/s, log1p {log_rate(threads) / 1e6:.0f} million/s\n"
    )
    print(
        "| spread | way | wall s a prompt | CPU s a prompt | pair-words/s | JS within | KL within |"
    )
    print("|---|---|---|---|---|---|---|")
    for spread in (0.003, 0.3, 1.0):
        shared = 3 * torch.randn(1, tokens, words)
        logits = shared + spread * torch.randn(arguments.personas, tokens, words)
        expected = exact(logits[:, :2], pairs.tolist())
        ways = {
            "blocked": blocked.planned(pairs),
            "reference": lambda x: reference.divergences(x, pairs),
        }
        for name, way in ways.items():
            part = logits if name == "blocked" else logits[:, :2]
            wall, cpu = best(lambda way=way, part=part: way(part), 3)
            scale = arguments.response / part.shape[1]
            js, *kl = (way(logits[:, :2]) - expected).abs().amax((1, 2)).tolist()
            rate = len(pairs) * part.shape[1] * words / wall
            print(
                f"| {spread} | {name} | {wall * scale:.1f} | {cpu * scale:.1f} | {rate / 1e6:.0f} "
                f"million | {js:.0e} | {max(kl):.0e} |"
            )


if __name__ == "__main__":
    main()
