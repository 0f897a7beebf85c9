"""The fused kernel against the float64 definitions and the torch reference.

On a CPU the kernel runs in Triton's interpreter, which must be switched on before Triton is first
imported: the cases of a device are computed in one process of their own.
"""

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import rel_entr

pytest.importorskip("triton")

from persona_geometry.divergence import fused, pairwise_divergences

WORKER = """
import sys, torch
from persona_geometry.divergence import fused, pairwise_divergences
cases, out, device = sys.argv[1:]
if device == "cpu":
    fused.SEGMENT = 256
found = {}
for name, (logits, pairs, chunk) in torch.load(cases).items():
    x = logits.to(device)
    result = pairwise_divergences(
        lambda a, b: x[:, a:b], *x.shape[:2], pairs, token_chunk=chunk, backend="triton",
        device=device,
    )
    found[name] = torch.stack([result.js, result.kl_pq, result.kl_qp]).cpu()
torch.save(found, out)
"""


def random_logits(
    n: int, t: int, v: int, spread: float = 2.0, seed: int = 0, dtype: torch.dtype = torch.float32
) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    shared = 4 * torch.randn(1, t, v, generator=generator)
    return (shared + spread * torch.randn(n, t, v, generator=generator)).to(dtype)


def all_pairs(n: int) -> torch.Tensor:
    return torch.combinations(torch.arange(n))


def cases() -> dict[str, tuple[torch.Tensor, torch.Tensor, int | None]]:
    square = random_logits(11, 2, 300, seed=1)
    twins = random_logits(2, 2, 200, seed=2)[[0, 0, 1, 1]]
    disjoint = torch.full((2, 1, 256), -100.0)
    disjoint[0, 0, :128] = disjoint[1, 0, 128:] = 0.0
    return {
        "all pairs, words beyond the last block": (square, all_pairs(11), None),
        "the same in chunks of one": (square, all_pairs(11), 1),
        "words that fill segments": (random_logits(5, 1, 512, seed=3), all_pairs(5), None),
        "a word more than segments": (random_logits(5, 1, 513, seed=4), all_pairs(5), None),
        "fewer words than a block": (random_logits(5, 3, 17, seed=5), all_pairs(5), None),
        "half precision": (random_logits(9, 1, 260, seed=6, dtype=torch.bfloat16), all_pairs(9), 1),
        "far apart": (random_logits(5, 1, 300, spread=8.0, seed=7), all_pairs(5), None),
        "close": (random_logits(5, 1, 300, spread=1e-3, seed=8), all_pairs(5), None),
        "new against old": (square, torch.tensor([(10, k) for k in range(10)]), None),
        "old against new": (square, torch.tensor([(k, 10) for k in range(10)]), None),
        "any order, some twice": (
            square,
            torch.tensor([(5, 1), (0, 3), (3, 0), (5, 1), (2, 2), (10, 9)]),
            None,
        ),
        "equal": (twins, torch.tensor([(0, 1), (2, 3)]), None),
        "disjoint": (disjoint, all_pairs(2), None),
        "not contiguous": (random_logits(5, 300, 2, seed=9).mT, all_pairs(5), None),
    }


CASES = cases()


@pytest.fixture(scope="module")
def results(device: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    folder = tmp_path_factory.mktemp("kernel")
    torch.save(CASES, folder / "cases.pt")
    interpreted = {"TRITON_INTERPRET": "1"} if device == "cpu" else {}
    environment = os.environ | interpreted | {"OMP_NUM_THREADS": "1"}
    files = [str(folder / name) for name in ("cases.pt", "out.pt")]
    command = [sys.executable, "-c", WORKER, *files, device]
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return torch.load(folder / "out.pt")


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_the_definitions_in_float64(
    name: str, results: dict[str, torch.Tensor]
) -> None:
    logits, pairs, _ = CASES[name]
    assert results[name].shape == (3, len(pairs), logits.shape[1])
    probs = torch.softmax(logits.double(), -1).numpy()
    for n, (i, j) in enumerate(pairs.tolist()):
        p, q = probs[i], probs[j]
        m = (p + q) / 2
        js = (rel_entr(p, m) + rel_entr(q, m)).sum(-1) / 2
        np.testing.assert_allclose(results[name][0, n], js, atol=1e-6, rtol=0)
        for row, kl in ((1, rel_entr(p, q)), (2, rel_entr(q, p))):
            np.testing.assert_allclose(results[name][row, n], kl.sum(-1), atol=2e-6, rtol=2e-6)


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_the_reference(name: str, results: dict[str, torch.Tensor]) -> None:
    logits, pairs, _ = CASES[name]
    reference = pairwise_divergences(
        lambda a, b: logits[:, a:b], *logits.shape[:2], pairs, backend="torch", device="cpu"
    )
    expected = torch.stack([reference.js, reference.kl_pq, reference.kl_qp])
    torch.testing.assert_close(results[name], expected, atol=2e-6, rtol=2e-6)


def test_equal_distributions_are_exactly_zero_apart(results: dict[str, torch.Tensor]) -> None:
    assert not results["equal"].any()


def test_close_pairs_obey_the_sharp_bound(results: dict[str, torch.Tensor]) -> None:
    js, kl_pq, kl_qp = results["close"]
    assert (js <= (kl_pq + kl_qp) / 8).all()


def test_chunks_change_no_bit(results: dict[str, torch.Tensor]) -> None:
    whole, chunked = "all pairs, words beyond the last block", "the same in chunks of one"
    assert torch.equal(results[whole], results[chunked])


PERSONAS = st.integers(0, 40)


@given(
    chosen=st.sets(st.tuples(PERSONAS, PERSONAS), min_size=1, max_size=200),
    shape=st.tuples(st.sampled_from([1, 2, 4, 8]), st.sampled_from([1, 4, 8, 16])),
)
def test_tiles_hold_every_pair_once_and_name_its_personas(
    chosen: set[tuple[int, int]], shape: tuple[int, int]
) -> None:
    pairs = np.array(list(chosen))
    tiling = fused.tiling(pairs, *shape)
    assert tiling.firsts.shape[1:] == shape[:1] and tiling.seconds.shape[1:] == shape[1:]
    assert sorted(tiling.slots[tiling.slots >= 0]) == list(range(len(pairs)))
    tile, row, column = np.nonzero(tiling.slots >= 0)
    found = np.stack([tiling.firsts[tile, row], tiling.seconds[tile, column]], axis=1)
    np.testing.assert_array_equal(found, pairs[tiling.slots[tile, row, column]])
    assert (tiling.slots >= 0).any(axis=(1, 2)).all()
    assert set(tiling.firsts.flat) <= set(pairs[:, 0])
    assert set(tiling.seconds.flat) <= set(pairs[:, 1])


def test_few_cells_are_wasted_on_all_pairs_and_one_new_persona() -> None:
    triangle = np.array(list(itertools.combinations(range(200), 2)))
    assert fused.tiling(triangle, 8, 8).slots.size < 1.07 * len(triangle)
    newcomer = np.array([(200, k) for k in range(200)])
    assert fused.tiling(newcomer, 1, 8).slots.size == 200


def test_the_cases_above_try_every_tile() -> None:
    distinct = (np.unique(pairs.numpy(), axis=0) for _, pairs, _ in CASES.values())
    assert {fused.cheapest(pairs)[0] for pairs in distinct} == set(fused.TILES)
