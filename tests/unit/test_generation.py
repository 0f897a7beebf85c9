"""Where answers end, that nothing but the likeliest token is taken, and how vLLM is started."""

import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from persona_geometry.errors import InputError
from persona_geometry.model.generation import vllm_backend
from persona_geometry.model.generation.ending import end_tokens, to_response
from persona_geometry.study.sections import Model

TOKENIZER = SimpleNamespace(
    eos_token_id=9, decode=lambda ids, skip_special_tokens: " ".join(str(i) for i in ids if i < 8)
)


@pytest.mark.parametrize(
    ("configured", "tokenizers", "expected"),
    [([3, 4], 9, [3, 4]), (3, 9, [3]), (None, 9, [9]), (None, None, [])],
)
def test_end_tokens_are_the_configs_or_else_the_tokenizers(
    configured: object, tokenizers: int | None, expected: list[int]
) -> None:
    config = SimpleNamespace(eos_token_id=configured)
    assert end_tokens(config, SimpleNamespace(eos_token_id=tokenizers)) == expected


def test_answer_keeps_its_end_token_and_nothing_after_it() -> None:
    ended = to_response(TOKENIZER, (1, 2, 9, 3, 9), [8, 9])
    assert (ended.token_ids, ended.text, ended.finish_reason) == ([1, 2, 9], "1 2", "stop")
    cut = to_response(TOKENIZER, [1, 2, 3], [8, 9])
    assert (cut.token_ids, cut.text, cut.finish_reason) == ([1, 2, 3], "1 2 3", "length")


def test_sampling_settings_of_the_model_change_no_answer(random_model: Path) -> None:
    from persona_geometry.model.generation.transformers_backend import generate
    from persona_geometry.model.loading import load_model

    settings = Model.of(path=str(random_model), dtype="float32")
    answers = []
    for shipped in ({}, {"repetition_penalty": 1.5, "do_sample": True}):
        model = load_model(settings, "cpu")
        for name, value in shipped.items():
            setattr(model.network.generation_config, name, value)
        found = {}
        generate(model, [[1, 5, 6], [7, 8]], 40, found.update)
        answers.append(found)
    assert answers[0] == answers[1]
    assert any(len(set(r.token_ids)) < len(r.token_ids) for r in answers[0].values()), "no repeats"


class Platform:
    """Stands for the platform that vLLM finds."""

    def __init__(self, device_type: str, capability: tuple[int, int] = (0, 0)) -> None:
        self.device_type = device_type
        self.capability = capability

    def has_device_capability(self, wanted: tuple[int, int]) -> bool:
        return self.capability >= wanted


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("VLLM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(os, "environ", os.environ.copy())


def found(monkeypatch: pytest.MonkeyPatch, platform: Platform) -> None:
    module = ModuleType("vllm.platforms")
    module.current_platform = platform
    monkeypatch.setitem(sys.modules, "vllm", ModuleType("vllm"))
    monkeypatch.setitem(sys.modules, "vllm.platforms", module)


@pytest.mark.parametrize(
    ("platform", "on_cpu", "invariant"),
    [
        (Platform("cpu"), True, None),
        (Platform("cuda", (9, 0)), False, "1"),
        (Platform("cuda", (7, 5)), False, None),
    ],
)
def test_environment_fits_the_device(
    monkeypatch: pytest.MonkeyPatch,
    environment: None,
    platform: Platform,
    on_cpu: bool,
    invariant: str | None,
) -> None:
    found(monkeypatch, platform)
    assert vllm_backend._prepare("auto") is on_cpu
    assert os.environ.get("VLLM_BATCH_INVARIANT") == invariant
    assert os.environ.get("VLLM_CPU_KVCACHE_SPACE") == ("1" if on_cpu else None)
    assert os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"


@pytest.mark.parametrize(
    ("platform", "device"), [(Platform("cpu"), "cuda"), (Platform(""), "auto")]
)
def test_device_that_this_vllm_does_not_have_is_refused(
    monkeypatch: pytest.MonkeyPatch, environment: None, platform: Platform, device: str
) -> None:
    found(monkeypatch, platform)
    with pytest.raises(InputError, match="install the build for that device"):
        vllm_backend._prepare(device)


def test_missing_vllm_is_named_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, environment: None
) -> None:
    monkeypatch.setitem(sys.modules, "vllm.platforms", None)
    with pytest.raises(InputError, match=r"install envs/gpu.txt or envs/vllm-cpu.txt"):
        vllm_backend._prepare("auto")
