"""Requests of GPU jobs grow with the work and with every retry."""

import pytest

from persona_geometry.jobs.size import batch_tokens, memory_mb, runtime_minutes

QWEN_7B = 15_231_233_024
LLAMA_70B = 141_107_412_992


def test_requests_of_known_models_fit_usual_nodes() -> None:
    assert 30_000 < memory_mb(QWEN_7B) < 40_000
    assert 150_000 < memory_mb(LLAMA_70B) < 200_000
    assert runtime_minutes(QWEN_7B, 20, 20, 256) == 10
    assert 15 < runtime_minutes(QWEN_7B, 400, 20, 256) < 30


def test_time_limit_covers_measured_costs_several_times() -> None:
    load, generate, score = 17.0, 0.8, 0.25
    for prompts in (20, 400, 4000):
        measured = load + prompts * (generate + score)
        assert runtime_minutes(QWEN_7B, prompts, 20, 256) * 60 > 2 * measured


@pytest.mark.parametrize("argument", range(4))
def test_more_work_never_asks_for_less(argument: int) -> None:
    base = [QWEN_7B, 400, 20, 256]
    more = list(base)
    more[argument] *= 4
    assert runtime_minutes(*more) > runtime_minutes(*base)


def test_retries_ask_for_more_and_take_smaller_batches() -> None:
    limits = [runtime_minutes(QWEN_7B, 400, 20, 256, attempt) for attempt in (1, 2, 3)]
    assert limits == [limits[0], 2 * limits[0], 3 * limits[0]]
    assert memory_mb(QWEN_7B, 3) == pytest.approx(2 * memory_mb(QWEN_7B), abs=2)
    assert [batch_tokens(0, attempt) for attempt in (1, 2, 3)] == [0, 8192, 4096]
    assert [batch_tokens(1000, attempt) for attempt in (1, 2, 3)] == [1000, 500, 250]
    assert batch_tokens(1, 9) == 1
