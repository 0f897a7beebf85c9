"""Time the divergences at paper scale, beside their floors and the plain way of computing them.

Random hidden states and a random head in Qwen2.5-7B's shape stand in for the model; the head's
scale gives next-token distributions of a few nats. Run from the repository's root:

    python benchmarks/divergence_kernel.py

and without a GPU with --vocabulary 2048 --hidden 64 --tokens 24 --many 40.

Prints a Markdown table; "kept logits" leaves the head's product out. A floor is the larger of two
times: that of the logarithms and exponentials the kernel needs on the GPU's special-function units
(16 a cycle and multiprocessor), and that of reading the logits once at the copy bandwidth measured
here. The plain way moves fp32 log-probabilities to the CPU and loops over the pairs there.
"""

import argparse
import subprocess
import time
from collections.abc import Callable
from itertools import combinations

import torch

from persona_geometry.divergence import pairwise_divergences

Pairs = list[tuple[int, int]]


class Head:
    """Logits in float32 of random hidden states under a random head."""

    def __init__(self, vocabulary: int, hidden: int, device: torch.device) -> None:
        self.device = device
        self.dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        self.weight = torch.randn(vocabulary, hidden, device=device, dtype=self.dtype)

    def states(self, personas: int, tokens: int, spread: float = 0.4) -> torch.Tensor:
        """(personas, tokens, hidden): one shared part, and a smaller one for each persona."""
        hidden = self.weight.shape[1]
        shared = torch.randn(1, tokens, hidden, device=self.device)
        own = torch.randn(personas, tokens, hidden, device=self.device)
        return ((shared + spread * own) * (4.5 / hidden**0.5)).to(self.dtype)

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        rows = states.flatten(0, 1)
        out = {"out_dtype": torch.float32} if self.device.type == "cuda" else {}
        return torch.mm(rows, self.weight.T, **out).view(*states.shape[:2], -1)


def seconds(work: Callable[[], object], device: torch.device, repeats: int = 5) -> float:
    """Median time of `work` after one warm-up."""

    def once() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    once()
    return sorted(once() for _ in range(repeats))[repeats // 2]


def highest_clock() -> float:
    """Cycles a second of the first GPU's multiprocessors at their fastest."""
    query = ["nvidia-smi", "--query-gpu=clocks.max.sm", "--format=csv,noheader,nounits"]
    return float(subprocess.check_output(query, text=True).split()[0]) * 1e6


def plain_way(logits: torch.Tensor, pairs: Pairs) -> torch.Tensor:
    """Half-Jeffreys and JS (2, pairs, T): log-softmax to the CPU in fp32, then pair by pair."""
    log_probs = torch.log_softmax(logits.float().cpu(), dim=-1)
    out = torch.empty(2, len(pairs), logits.shape[1])
    for n, (i, j) in enumerate(pairs):
        log_p, log_q = log_probs[i], log_probs[j]
        p, q = log_p.exp(), log_q.exp()
        out[0, n] = ((p * (log_p - log_q)).sum(-1) + (q * (log_q - log_p)).sum(-1)) / 2
        log_m = ((p + q) / 2).log()
        out[1, n] = ((p * (log_p - log_m)).sum(-1) + (q * (log_q - log_m)).sum(-1)) / 2
    return out


def exact(logits: torch.Tensor, pairs: Pairs) -> torch.Tensor:
    """JS, KL, KL (3, pairs, t) in float64."""
    log_probs = torch.log_softmax(logits.double(), dim=-1)
    out = []
    for i, j in pairs:
        log_p, log_q = log_probs[i], log_probs[j]
        p, q = log_p.exp(), log_q.exp()
        log_m = ((p + q) / 2).log()
        js = ((p * (log_p - log_m)).sum(-1) + (q * (log_q - log_m)).sum(-1)) / 2
        out.append(torch.stack([js, (p * (log_p - log_q)).sum(-1), (q * (log_q - log_p)).sum(-1)]))
    return torch.stack(out, dim=1)


class Benchmark:
    def __init__(self, arguments: argparse.Namespace) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.tokens, self.many = arguments.tokens, arguments.many
        self.head = Head(arguments.vocabulary, arguments.hidden, self.device)
        self.vocabulary = arguments.vocabulary
        if self.device.type == "cuda":
            properties = torch.cuda.get_device_properties(self.device)
            clock = highest_clock()
            self.functions_per_second = properties.multi_processor_count * 16 * clock
            block = torch.empty(1 << 31, dtype=torch.uint8, device=self.device).random_()
            other = torch.empty_like(block)
            self.bandwidth = 2 * block.numel() / seconds(lambda: other.copy_(block), self.device)
            print(
                f"{properties.name}, torch {torch.__version__}: copies {self.bandwidth / 1e12:.2f} "
                f"TB/s, special functions {self.functions_per_second / 1e12:.2f}e12/s at "
                f"{clock / 1e6:.0f} MHz\n"
            )

    def floor(self, personas: int, pairs: int) -> str:
        """Seconds that the divergences of `pairs` among `personas` must take, head apart."""
        if self.device.type == "cpu":
            return "-"
        words = self.tokens * self.vocabulary
        functions = words * (pairs + personas) / self.functions_per_second
        reading = words * personas * 4 / self.bandwidth
        return f"{max(functions, reading):.4f}"

    def row(self, what: str, time_s: float, floor: str = "-", note: str = "") -> None:
        print(f"| {what} | {time_s:.4f} | {floor} | {note} |", flush=True)

    def divergences(self, states: torch.Tensor, pairs: Pairs, backend: str = "auto") -> object:
        return pairwise_divergences(
            lambda start, stop: self.head.logits(states[:, start:stop]),
            *states.shape[:2],
            pairs,
            backend=backend,
            device=self.device,
        )

    def from_kept_logits(self, states: torch.Tensor, pairs: Pairs, backend: str = "auto") -> float:
        """Seconds without the head, scaled from as many tokens as half the memory holds."""
        personas = states.shape[0]
        free = torch.cuda.mem_get_info()[0] if self.device.type == "cuda" else 4_000_000_000
        share = min(self.tokens, max(1, free // 2 // (personas * self.vocabulary * 4)))
        logits = self.head.logits(states[:, :share])
        time_s = seconds(
            lambda: pairwise_divergences(
                lambda start, stop: logits[:, start:stop],
                personas,
                share,
                pairs,
                token_chunk=share,
                backend=backend,
                device=self.device,
            ),
            self.device,
        )
        return time_s * self.tokens / share

    def accuracy(self) -> None:
        pairs = list(combinations(range(20), 2))
        for spread in (0.003, 0.4, 1.5):
            states = self.head.states(20, 2, spread)
            result = self.divergences(states, pairs)
            got = torch.stack([result.js, result.kl_pq, result.kl_qp])
            same_logits = exact(self.head.logits(states), pairs)
            rows = states.flatten(0, 1).double()
            same_states = exact((rows @ self.head.weight.T.double()).view(20, 2, -1), pairs)
            largest = same_logits.amax((1, 2)).tolist()
            errors = [(got - x).abs().amax((1, 2)).tolist() for x in (same_logits, same_states)]
            print(
                f"largest JS {largest[0]:.3g}, KL {max(largest[1:]):.3g} nats; error against "
                f"float64 on the same logits: JS {errors[0][0]:.1e}, KL {max(errors[0][1:]):.1e}; "
                f"on the same hidden states: JS {errors[1][0]:.1e}, KL {max(errors[1][1:]):.1e}"
            )

    def small_study(self, plain_tokens: int) -> None:
        states, pairs = self.head.states(20, self.tokens), list(combinations(range(20), 2))
        what = f"20 personas x {self.tokens} tokens, {len(pairs)} pairs"
        logits_s = seconds(lambda: self.head.logits(states), self.device)
        both_s = seconds(lambda: torch.log_softmax(self.head.logits(states), -1), self.device)
        self.row(f"{what}: logits", logits_s)
        self.row(f"{what}: logits and log-softmax", both_s)
        kept_s = self.from_kept_logits(states, pairs)
        self.row(f"{what}: JS and KL of kept logits", kept_s, self.floor(20, len(pairs)))
        total = seconds(lambda: self.divergences(states, pairs), self.device)
        self.row(f"{what}: JS and KL", total, note=f"{total / both_s:.2f} of logits and softmax")
        torch_s = seconds(lambda: self.divergences(states, pairs, "torch"), self.device, 3)
        self.row(f"{what}: JS and KL in plain torch", torch_s)
        part = self.head.logits(states[:, :plain_tokens])
        start = time.perf_counter()
        plain_way(part, pairs)
        plain_s = (time.perf_counter() - start) * self.tokens / part.shape[1]
        note = f"{plain_s / total:.0f} times as long; {part.shape[1]} tokens, scaled"
        self.row(f"{what}: the plain way on the CPU, logits kept", plain_s, note=note)

    def many_personas(self) -> None:
        for personas in (self.many // 4, self.many // 2, self.many):
            states = self.head.states(personas, self.tokens)
            pairs = list(combinations(range(personas), 2))
            what = f"{personas} personas, {len(pairs)} pairs"
            kept_s = self.from_kept_logits(states, pairs)
            rate = len(pairs) * self.tokens * self.vocabulary / kept_s
            note = f"{rate:.2e} pair-words/s"
            self.row(
                f"{what}: JS and KL of kept logits", kept_s, self.floor(personas, len(pairs)), note
            )
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        total = seconds(lambda: self.divergences(states, pairs), self.device, 3)
        note = ""
        if self.device.type == "cuda":
            note = f"{torch.cuda.max_memory_allocated() / 1e9:.1f} GB at most"
        self.row(f"{what}: JS and KL", total, note=note)
        states = self.head.states(self.many + 1, self.tokens)
        newcomer = [(self.many, k) for k in range(self.many)]
        what = f"one persona more, {len(newcomer)} pairs"
        kept_s = self.from_kept_logits(states, newcomer)
        floor = self.floor(len(states), len(newcomer))
        self.row(f"{what}: JS and KL of kept logits", kept_s, floor)
        extra = seconds(lambda: self.divergences(states, newcomer), self.device, 3)
        self.row(f"{what}: JS and KL", extra, note=f"1/{total / extra:.0f} of all pairs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vocabulary", type=int, default=152_064)
    parser.add_argument("--hidden", type=int, default=3584)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--many", type=int, default=200, help="personas of the large study")
    parser.add_argument(
        "--plain-tokens", type=int, default=32, help="tokens the plain way is given"
    )
    arguments = parser.parse_args()
    torch.manual_seed(0)
    benchmark = Benchmark(arguments)
    benchmark.accuracy()
    print("\n| what | seconds | floor | note |\n|---|---|---|---|")
    benchmark.small_study(arguments.plain_tokens)
    benchmark.many_personas()


if __name__ == "__main__":
    main()
