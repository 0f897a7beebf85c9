"""Models that would give wrong numbers are run in another way, or refused by name."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor
from transformers import AutoConfig, PreTrainedModel

from persona_geometry.errors import InputError
from persona_geometry.jobs.shard import ShardJob
from persona_geometry.jobs.task import Settings, Task
from persona_geometry.model.attention import WITHOUT_SDPA, attention_kernel
from persona_geometry.model.forcing import teacher_force
from persona_geometry.model.generation.transformers_backend import generate
from persona_geometry.model.loading import LanguageModel, load_model
from persona_geometry.model.selftest import check_model, sample_turns
from persona_geometry.store.store import Response, Store
from persona_geometry.study.sections import Generation, Model, Scoring

SIZE: dict[str, Any] = {
    "vocab_size": 259,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.3,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GEMMA = {**SIZE, "head_dim": 8, "query_pre_attn_scalar": 8}
NEW_TOKENS = 8
PROMPTS = [
    torch.randint(3, 259, (length,), generator=torch.Generator().manual_seed(length)).tolist()
    for length in (12, 30, 19, 30)
]

Saved = Callable[..., Path]


@pytest.fixture
def saved(tmp_path: Path, random_model: Path) -> Saved:
    """Save a random network of a class of transformers beside a tokenizer."""

    def save(kind: str, config: Any) -> Path:
        shutil.copytree(random_model, tmp_path, dirs_exist_ok=True)
        torch.manual_seed(0)
        network: PreTrainedModel = getattr(transformers, kind)(config)
        with torch.no_grad():
            for weight in network.parameters():
                if weight.ndim > 1:
                    weight.normal_(0, 0.3)
        network.save_pretrained(tmp_path)
        return tmp_path

    return save


@pytest.mark.parametrize(
    ("zero", "sentence"),
    [
        ("lm_head", "gives every word the same probability"),
        ("layers.1.", "has a decoder block that changes nothing"),
    ],
)
def test_weights_that_never_came_are_refused(saved: Saved, zero: str, sentence: str) -> None:
    folder = saved("LlamaForCausalLM", transformers.LlamaConfig(**SIZE, tie_word_embeddings=False))
    network = transformers.AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if zero in name:
                weight.zero_()
    network.save_pretrained(folder)
    with pytest.raises(InputError, match=sentence):
        tried(folder)


def loaded(folder: Path, **settings: Any) -> LanguageModel:
    return load_model(Model.of(path=str(folder), dtype="float32", **settings), "cpu")


def tried(folder: Path, **settings: Any) -> LanguageModel:
    return check_model(loaded(folder, **settings), sample_turns(PROMPTS, NEW_TOKENS))


@torch.no_grad()
def plain_logits(network: PreTrainedModel, ids: list[int]) -> Tensor:
    """(S, V) logits of one row."""
    return network(input_ids=torch.tensor([ids]), use_cache=False).logits[0]


def plain_answer(network: PreTrainedModel, prompt: list[int]) -> list[int]:
    """The likeliest tokens of whole forward passes, one after the other."""
    ids = list(prompt)
    while len(ids) < len(prompt) + NEW_TOKENS and ids[-1] != SIZE["eos_token_id"]:
        ids.append(int(plain_logits(network, ids)[-1].argmax()))
    return ids[len(prompt) :]


def assert_measured_rightly(model: LanguageModel, folder: Path, **options: Any) -> None:
    """Forced logits and the answers are those of the plain model, a row alone."""
    network = transformers.AutoModelForCausalLM.from_pretrained(folder, **options).eval()
    turns = [(prompt, PROMPTS[0][:NEW_TOKENS]) for prompt in PROMPTS]
    for (prompt, response), ours in zip(turns, teacher_force(model, turns), strict=True):
        theirs = plain_logits(network, prompt + response)[len(prompt) - 1 : -1]
        logits = model.lm_head(ours.final_hidden_states)
        torch.testing.assert_close(logits, theirs, atol=1e-3, rtol=1e-3)
    answers: dict[int, Response] = {}
    generate(model, PROMPTS, NEW_TOKENS, answers.update)
    for place, prompt in enumerate(PROMPTS):
        assert answers[place].token_ids == plain_answer(network, prompt)


def test_plain_model_is_run_in_padded_batches(random_model: Path) -> None:
    model = tried(random_model)
    assert (model.batching, model.decoding) == ("padded", "static")
    assert_measured_rightly(model, random_model)


def test_rotary_scaling_that_depends_on_length_keeps_rows_of_other_lengths_apart(
    saved: Saved,
) -> None:
    scaling = {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": [1.0] * 4,
        "long_factor": [1.0, 3.0, 7.0, 20.0],
        "original_max_position_embeddings": 30,
    }
    config = transformers.Phi3Config(
        **SIZE, rope_parameters=scaling, original_max_position_embeddings=30
    )
    folder = saved("Phi3ForCausalLM", config)
    model = tried(folder)
    assert model.batching == "equal"
    assert_measured_rightly(model, folder)


def test_rotary_scaling_that_remembers_lengths_is_refused(saved: Saved) -> None:
    scaling = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0}
    config = transformers.LlamaConfig(
        **{**SIZE, "max_position_embeddings": 24}, rope_parameters=scaling
    )
    folder = saved("LlamaForCausalLM", config)
    with pytest.raises(InputError, match=r"dynamic scaling.*beyond 24 tokens"):
        tried(folder)
    short = [prompt[:12] for prompt in PROMPTS]
    assert check_model(loaded(folder), sample_turns(short, NEW_TOKENS)).batching == "padded"


def test_model_that_sees_what_follows_is_refused(saved: Saved) -> None:
    folder = saved("LlamaForCausalLM", transformers.LlamaConfig(**SIZE, is_causal=False))
    with pytest.raises(InputError, match=r"LlamaForCausalLM.*not causal"):
        tried(folder)


def test_soft_capped_attention_is_run_eagerly(saved: Saved) -> None:
    config = transformers.Gemma2Config(**GEMMA, attn_logit_softcapping=2.0)
    folder = saved("Gemma2ForCausalLM", config)
    assert_measured_rightly(tried(folder), folder, attn_implementation="eager")
    with pytest.raises(InputError, match=r"model\.attention is 'sdpa'.*soft-caps.*'eager'"):
        loaded(folder, attention="sdpa")


def test_kernels_that_disagree_are_refused(saved: Saved) -> None:
    folder = saved("FalconForCausalLM", transformers.FalconConfig(**SIZE, alibi=True))
    with pytest.raises(InputError, match=r"FalconForCausalLM.*other states with sdpa"):
        tried(folder)


def test_kernel_that_cannot_be_had_names_its_key(random_model: Path) -> None:
    with pytest.raises(InputError, match=r"model\.attention is 'flash_attention_2'.*'eager'"):
        loaded(random_model, attention="flash_attention_2")


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (
            "RecurrentGemma",
            {"num_key_value_heads": 1, "head_dim": 8, "lru_width": 32, "attention_window_size": 16},
        ),
        ("Rwkv", {"attention_hidden_size": 32}),
    ],
)
def test_recurrent_models_that_read_their_padding_answer_without_it(
    saved: Saved, kind: str, options: dict[str, Any]
) -> None:
    config_class = getattr(transformers, f"{kind}Config")
    known = config_class.__dataclass_fields__
    size = {name: value for name, value in {**SIZE, **options}.items() if name in known}
    folder = saved(f"{kind}ForCausalLM", config_class(**size))
    model = tried(folder)
    assert model.decoding not in ("static", "padded")
    assert_measured_rightly(model, folder)


@pytest.mark.parametrize(
    ("kind", "decoding"), [("Bloom", "padded"), ("Mpt", "static"), ("Qwen2", "static")]
)
def test_static_cache_is_used_only_where_its_steps_give_a_forward_pass(
    saved: Saved, kind: str, decoding: str
) -> None:
    sizes = {"Mpt": {"d_model": 32, "n_heads": 4, "n_layers": 2, "vocab_size": 259}}
    names = {"Bloom": ("vocab_size", "hidden_size"), "Qwen2": tuple(SIZE)}
    size = sizes.get(kind) or {name: SIZE[name] for name in names[kind]}
    ends = {name: SIZE[name] for name in ("pad_token_id", "bos_token_id", "eos_token_id")}
    if kind == "Bloom":
        size |= {"n_layer": 2, "n_head": 4}
    config = getattr(transformers, f"{kind}Config")(**{**size, **ends})
    folder = saved(f"{kind}ForCausalLM", config)
    model = tried(folder)
    assert model.decoding == decoding
    assert_measured_rightly(model, folder)


def test_layers_are_the_text_decoders_beside_a_vision_tower_as_deep(saved: Saved) -> None:
    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": SIZE["num_hidden_layers"],
        "num_attention_heads": 4,
        "image_size": 28,
        "patch_size": 14,
    }
    config = transformers.Gemma3Config(
        text_config=GEMMA, vision_config=vision, mm_tokens_per_image=4
    )
    folder = saved("Gemma3ForConditionalGeneration", config)
    model = tried(folder)
    assert model.blocks is model.network.model.language_model.layers
    assert_measured_rightly(model, folder)


@pytest.mark.parametrize(
    ("kind", "options", "sentence"),
    [
        ("BertLMHeadModel", {"is_decoder": True}, "cannot be repeated from its last hidden"),
        ("BertLMHeadModel", {}, "not causal"),
        ("XLNetLMHeadModel", {"d_inner": 64, "d_head": 8}, "each of its 2 decoder blocks once"),
        ("T5ForConditionalGeneration", {"d_kv": 8, "num_layers": 2}, "of type t5"),
        ("BartForConditionalGeneration", {"encoder_layers": 2, "decoder_layers": 2}, "type bart"),
    ],
)
def test_other_kinds_of_model_are_refused_by_name(
    saved: Saved, kind: str, options: dict[str, Any], sentence: str
) -> None:
    config_class = getattr(transformers, kind).config_class
    known = {*config_class.__dataclass_fields__, *config_class.attribute_map}
    size = {name: value for name, value in SIZE.items() if name in known}
    folder = saved(kind, config_class(**{**size, **options}))
    with pytest.raises(InputError, match=sentence):
        tried(folder)


def test_states_of_a_narrow_head_are_read_again(saved: Saved, tmp_path: Path) -> None:
    config = transformers.OPTConfig(**SIZE, ffn_dim=64, word_embed_proj_dim=16)
    folder = saved("OPTForCausalLM", config)
    settings = Settings(
        model=Model.of(path=str(folder), dtype="float32"),
        generation=Generation.of(max_new_tokens=NEW_TOKENS),
        scoring=Scoring.of(),
        response_system_prompt="",
        device="cpu",
    )
    store = Store(tmp_path / "store")
    cells = {"a": "", "b": "You are a poet.", "c": "Bah!"}

    def run(*names: str) -> int:
        task = Task("q", "Why?", "item", "response", {name: cells[name] for name in names})
        return ShardJob(settings, store, lambda _line: None).run([task]).pairs

    assert (run("a", "b"), run("a", "b", "c")) == (1, 2)


def test_job_refuses_a_model_before_it_stores_anything(saved: Saved, tmp_path: Path) -> None:
    folder = saved("LlamaForCausalLM", transformers.LlamaConfig(**SIZE, is_causal=False))
    settings = Settings(
        model=Model.of(path=str(folder), dtype="float32"),
        generation=Generation.of(max_new_tokens=NEW_TOKENS),
        scoring=Scoring.of(),
        response_system_prompt="",
        device="cpu",
    )
    store = Store(tmp_path / "store")
    task = Task("q", "Why?", "item", "response", {"a": "", "b": "You are a poet."})
    with pytest.raises(InputError, match="not causal"):
        ShardJob(settings, store, lambda _line: None).run([task])
    assert store.read_response("response") is None


def test_auto_attention_is_known_without_the_model() -> None:
    assert attention_kernel("auto", {"model_type": "qwen2"}) == "sdpa"
    assert attention_kernel("auto", None) == "sdpa"
    assert attention_kernel("auto", {"model_type": "gpt_oss"}) == "eager"
    capped = {"model_type": "gemma3", "text_config": {"attn_logit_softcapping": 50.0}}
    assert attention_kernel("auto", capped) == "eager"
    assert attention_kernel("flash_attention_2", capped) == "flash_attention_2"
    with pytest.raises(InputError, match=r"no 'sdpa' for models of type gpt_oss"):
        attention_kernel("sdpa", {"model_type": "gpt_oss"})


def test_models_said_to_lack_a_fused_kernel_lack_it() -> None:
    mapping = transformers.AutoModelForCausalLM._model_mapping
    for kind in WITHOUT_SDPA - {"megatron-bert"}:
        network = mapping[type(AutoConfig.for_model(kind))]
        assert not network._supports_sdpa, kind


def test_states_that_are_no_numbers_are_said_to_be_none(saved: Saved) -> None:
    folder = saved("Qwen2ForCausalLM", transformers.Qwen2Config(**SIZE))
    model = load_model(Model.of(path=str(folder), dtype="float32"), "cpu")
    model.network.model.layers[1].post_attention_layernorm.weight[3] = float("inf")
    with pytest.raises(InputError, match="not finite numbers: its weights are damaged, or it does"):
        check_model(model, sample_turns(PROMPTS, NEW_TOKENS))
