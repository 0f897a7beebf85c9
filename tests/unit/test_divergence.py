"""Divergences against float64 definitions, hand values, and their own symmetries."""

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import rel_entr

from persona_geometry.divergence import blocked, pairwise, pairwise_divergences, reference
from persona_geometry.errors import InputError

N, T, V = 6, 7, 501
ALL_PAIRS = list(itertools.combinations(range(N), 2))
BACKEND = "auto"


@pytest.fixture(params=["torch", "blocked", "compiled"], scope="module", autouse=True)
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each of the ways that a CPU has, of which the last is for large vocabularies."""
    global BACKEND
    BACKEND = "torch" if request.param == "torch" else "blocked"
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "compiled":
            patch.setattr(blocked, "COMPILED_WORDS", 0)
        yield request.param
    BACKEND = "auto"


def random_logits(seed: int = 0, spread: float = 2.0, sharpness: float = 4.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    shared = sharpness * torch.randn(1, T, V, generator=generator)
    return shared + spread * torch.randn(N, T, V, generator=generator)


def run(logits: torch.Tensor, pairs=ALL_PAIRS, **settings) -> pairwise.PairDivergences:
    return pairwise_divergences(
        lambda start, stop: logits[:, start:stop],
        logits.shape[0],
        logits.shape[1],
        pairs,
        device="cpu",
        **{"backend": BACKEND, **settings},
    )


def definition(logits: torch.Tensor, i: int, j: int) -> tuple[np.ndarray, ...]:
    """JS, KL(P||Q), KL(Q||P) per token by their definitions in float64."""
    p, q = (torch.softmax(logits[k].double(), -1).numpy() for k in (i, j))
    middle = (p + q) / 2
    js = (rel_entr(p, middle) + rel_entr(q, middle)).sum(-1) / 2
    return js, rel_entr(p, q).sum(-1), rel_entr(q, p).sum(-1)


def stacked(result: pairwise.PairDivergences) -> torch.Tensor:
    return torch.stack([result.js, result.kl_pq, result.kl_qp])


@pytest.mark.parametrize("spread", [0.01, 0.5, 2.0, 8.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_agrees_with_the_definitions_in_float64(spread: float, dtype: torch.dtype) -> None:
    logits = random_logits(1, spread).to(dtype)
    result = run(logits)
    for n, (i, j) in enumerate(ALL_PAIRS):
        js, kl_pq, kl_qp = definition(logits, i, j)
        np.testing.assert_allclose(result.js[n], js, atol=1e-6, rtol=0)
        np.testing.assert_allclose(result.kl_pq[n], kl_pq, atol=1e-6, rtol=1e-6)
        np.testing.assert_allclose(result.kl_qp[n], kl_qp, atol=1e-6, rtol=1e-6)


def test_agrees_with_entropies_at_a_large_vocabulary() -> None:
    generator = torch.Generator().manual_seed(2)
    logits = 3 * torch.randn(2, 1, 152_064, generator=generator)
    logits[:, :, 7] += 10.0
    p, q = torch.softmax(logits[:, 0].double(), -1)

    def entropy(x: torch.Tensor) -> float:
        return float(-(x * x.log()).sum())

    expected = entropy((p + q) / 2) - entropy(p) / 2 - entropy(q) / 2
    assert float(run(logits, [(0, 1)]).js) == pytest.approx(expected, abs=1e-6)


def test_hand_values() -> None:
    """P = (1/2, 1/2) and Q = (1/4, 3/4), whatever constant is added to the logits."""
    logits = torch.tensor([[[0.0, 0.0]], [[5.0, 5.0 + math.log(3)]]])
    result = run(logits, [(0, 1)])
    js = 0.5 * (
        0.5 * math.log(4 / 3) + 0.5 * math.log(4 / 5) + 0.25 * math.log(2 / 3)
        + 0.75 * math.log(6 / 5)
    )  # fmt: skip
    assert float(result.js) == pytest.approx(js, abs=1e-7)
    assert float(result.kl_pq) == pytest.approx(0.5 * math.log(4 / 3), abs=1e-7)
    assert float(result.kl_qp) == pytest.approx(0.75 * math.log(3) - math.log(2), abs=1e-7)


def test_disjoint_distributions_reach_ln_2_and_never_pass_it() -> None:
    logits = torch.full((2, 1, 64), -200.0)
    logits[0, 0, :32] = logits[1, 0, 32:] = 0.0
    result = run(logits, [(0, 1)])
    assert math.log(2) - 1e-6 < result.js.double().item() <= math.log(2)
    assert float(result.kl_pq) == pytest.approx(200.0, rel=1e-6)


def test_equal_distributions_are_exactly_zero_apart() -> None:
    logits = random_logits(3)
    logits[1] = logits[0]
    assert not stacked(run(logits, [(0, 1), (2, 2)])).any()


def test_nearly_equal_distributions_keep_their_leading_digits() -> None:
    """Logits 1e-3 apart give divergences near 1e-7, below the rounding of one entropy."""
    logits = random_logits(4, spread=1e-3)
    result = run(logits)
    for n, (i, j) in enumerate(ALL_PAIRS):
        js, kl_pq, _ = definition(logits, i, j)
        assert js.max() < 1e-6
        np.testing.assert_allclose(result.js[n], js, rtol=5e-3)
        np.testing.assert_allclose(result.kl_pq[n], kl_pq, rtol=5e-3)


def test_swapping_a_pair_keeps_js_and_swaps_kl() -> None:
    logits = random_logits(5)
    there, back = run(logits, ALL_PAIRS), run(logits, [(j, i) for i, j in ALL_PAIRS])
    assert torch.equal(there.js, back.js)
    assert torch.equal(there.kl_pq, back.kl_qp)
    assert torch.equal(there.kl_qp, back.kl_pq)


def test_js_obeys_its_known_bounds() -> None:
    """JS <= ln 2, JS <= Jeffreys / 8, and Pinsker: JS >= total variation squared / 2."""
    logits = random_logits(6, spread=3.0)
    result = run(logits)
    probs = torch.softmax(logits, -1)
    for n, (i, j) in enumerate(ALL_PAIRS):
        variation = (probs[i] - probs[j]).abs().sum(-1) / 2
        assert (result.js[n] >= variation**2 / 2 - 1e-6).all()
        assert (result.js[n] <= (result.kl_pq[n] + result.kl_qp[n]) / 8 + 1e-6).all()
        assert (result.js[n] <= math.log(2)).all()


@given(
    chunk=st.none() | st.integers(1, T + 2),
    pairs=st.lists(st.sampled_from(ALL_PAIRS), min_size=1, max_size=len(ALL_PAIRS)),
)
def test_chunks_change_no_bit(chunk: int | None, pairs: list[tuple[int, int]]) -> None:
    logits = random_logits(7)
    whole = stacked(run(logits, pairs, token_chunk=T))
    assert torch.equal(stacked(run(logits, pairs, token_chunk=chunk)), whole)


@pytest.mark.parametrize("block_words", [1, 2 * V, 5 * V])
def test_blocks_and_batches_of_pairs_change_no_bit(
    block_words: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits = random_logits(8)
    whole = stacked(run(logits, backend="torch"))
    monkeypatch.setattr(reference, "CPU_BLOCK_WORDS", block_words)
    assert torch.equal(stacked(run(logits, backend="torch")), whole)
    alone = [stacked(run(logits, [pair], backend="torch")) for pair in ALL_PAIRS]
    assert torch.equal(torch.cat(alone, dim=1), whole)


@pytest.mark.parametrize("spread", [1e-3, 2.0])
def test_what_is_blocked_is_as_near_the_definition_however_it_is_cut(
    spread: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks, and which personas share a call, change no more than rounding."""
    logits = random_logits(8, spread)
    whole = stacked(run(logits, backend="blocked"))
    alone = [stacked(run(logits, [pair], backend="blocked")) for pair in ALL_PAIRS]
    monkeypatch.setattr(blocked, "BLOCK_WORDS", 37)
    monkeypatch.setattr(blocked, "COMPILED_BLOCK_WORDS", 37)
    cut = stacked(run(logits, backend="blocked"))
    for other in (torch.cat(alone, dim=1), cut):
        assert (other - whole)[0].abs().max() < 3e-7
        np.testing.assert_allclose(other[1:], whole[1:], rtol=1e-6, atol=1e-12)


def test_two_pairs_far_closer_than_the_rest_stay_below_their_bound() -> None:
    """Where the spread of a token is large, JS <= Jeffreys / 8 holds what float32 cannot tell."""
    logits = random_logits(14)
    logits[1] = logits[0] + 1e-4 * random_logits(15)[0]
    result = run(logits)
    js, kl_pq, _ = definition(logits, 0, 1)
    np.testing.assert_allclose(result.js[0], js, atol=1e-7)
    np.testing.assert_allclose(result.kl_pq[0], kl_pq, rtol=1e-3)
    assert (result.js[0] <= (result.kl_pq[0] + result.kl_qp[0]) / 8 * (1 + 1e-3)).all()


def test_pairs_may_come_in_any_order_and_twice() -> None:
    logits = random_logits(9)
    wanted = torch.tensor([[5, 1], [0, 3], [3, 0], [5, 1]])
    result = run(logits, wanted)
    for n, (i, j) in enumerate(wanted.tolist()):
        np.testing.assert_allclose(result.js[n], definition(logits, i, j)[0], atol=1e-6)
        np.testing.assert_allclose(result.kl_pq[n], definition(logits, i, j)[1], atol=1e-6)


def test_only_the_wanted_pairs_are_worked_on(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = []
    words = reference._words
    monkeypatch.setattr(reference, "_words", lambda *a: rows.append(len(a[0])) or words(*a))
    run(random_logits(10), [(N - 1, old) for old in range(N - 1)], backend="torch")
    assert sum(rows) == (N - 1) * T
    rows.clear()
    one = blocked._one_token
    monkeypatch.setattr(blocked, "_one_token", lambda *a: rows.append(len(a[1])) or one(*a))
    run(random_logits(10), [(4, 2), (1, 4)], backend="blocked")
    assert rows == [2 + 3] * T  # two pairs, and each of their three personas


def test_logits_are_asked_for_once_a_token_and_never_more_than_a_chunk() -> None:
    logits, asked = random_logits(11), []

    def logits_of(start: int, stop: int) -> torch.Tensor:
        asked.append((start, stop))
        return logits[:, start:stop]

    pairwise_divergences(logits_of, N, T, ALL_PAIRS, token_chunk=3, device="cpu")
    assert asked == [(0, 3), (3, 6), (6, 7)]
    asked.clear()
    pairwise_divergences(logits_of, N, T, ALL_PAIRS, device="cpu")
    assert asked == [(0, 1), (1, T)]


def test_chunks_follow_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    per_token = N * V * 16 + len(ALL_PAIRS) * pairwise.PAIR_BYTES
    monkeypatch.setattr(pairwise, "CPU_CHUNK_BYTES", 3 * per_token - 1)
    logits, widths = random_logits(12), []
    pairwise_divergences(
        lambda a, b: widths.append(b - a) or logits[:, a:b], N, T, ALL_PAIRS, device="cpu"
    )
    assert widths == [1, 2, 2, 2]


def test_chunks_are_halved_when_memory_runs_out() -> None:
    logits = random_logits(13)

    def small_card(start: int, stop: int, limit: int = 2) -> torch.Tensor:
        if stop - start > limit:
            raise torch.cuda.OutOfMemoryError("no room")
        return logits[:, start:stop]

    result = pairwise_divergences(
        small_card, N, T, ALL_PAIRS, token_chunk=T, backend=BACKEND, device="cpu"
    )
    assert torch.equal(stacked(result), stacked(run(logits)))
    with pytest.raises(torch.cuda.OutOfMemoryError):
        pairwise_divergences(
            lambda a, b: small_card(a, b, 0), N, T, ALL_PAIRS, token_chunk=T, device="cpu"
        )


def test_no_pairs_cost_nothing() -> None:
    def never(start: int, stop: int) -> torch.Tensor:
        raise AssertionError("asked for logits")

    assert pairwise_divergences(never, N, T, [], device="cpu").js.shape == (0, T)


@pytest.mark.parametrize("pair", [(0, N), (-1, 2)])
def test_unknown_personas_are_refused(pair: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=r"Pair 1 is .* 0 to 5"):
        run(random_logits(), [(0, 1), pair])


@pytest.mark.parametrize(
    "settings", [{"token_chunk": 0}, {"backend": "numpy"}, {"backend": "triton"}]
)
def test_unknown_settings_are_refused(settings: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(InputError):
        run(random_logits(), **settings)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("personas", [[2], list(range(N))])
def test_logits_that_are_not_finite_are_refused(value: float, personas: list[int]) -> None:
    logits = random_logits()
    logits[personas, 3, 5] = value
    with pytest.raises(InputError, match="not finite"):
        run(logits)


def test_only_rounding_is_clipped() -> None:
    slight = torch.tensor([[[-1e-6, 0.69315]], [[-1e-6, 3.0]], [[0.0, 3.0]]])
    clipped = pairwise.within_range(slight)
    assert clipped.js.min() == 0 and clipped.js.max() <= math.log(2) and clipped.kl_pq.min() == 0
    for row, value in ((0, 0.694), (0, -0.001), (2, -0.001)):
        wrong = torch.zeros(3, 1, 2)
        wrong[row, 0, 0] = value
        with pytest.raises(ArithmeticError):
            pairwise.within_range(wrong)
