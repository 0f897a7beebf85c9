"""Models from GGUF files, with adapters, and with chat templates of the study."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from persona_geometry.divergence import pairwise_divergences
from persona_geometry.errors import InputError
from persona_geometry.model.chat import render
from persona_geometry.model.configs import load_tokenizer
from persona_geometry.model.forcing import teacher_force
from persona_geometry.model.gguf import unpack
from persona_geometry.model.hub import describe_model
from persona_geometry.model.loading import LanguageModel, load_model
from persona_geometry.study.config import Study, read_study
from persona_geometry.study.config_files import read_config
from persona_geometry.study.recipes import fingerprint, items, prompts_key, with_unpacked
from persona_geometry.study.sections import Model
from tests.conftest import TEMPLATE, make_tokenizer

ROOT = Path(__file__).parents[2]
HEADS, KEY_VALUE_HEADS, WIDTH = 4, 2, 64
NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
    "model.layers.": "blk.",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "post_attention_layernorm": "ffn_norm",
    "input_layernorm": "attn_norm",
}


def as_gguf(name: str, weight: np.ndarray) -> tuple[str, np.ndarray]:
    """A tensor of a Llama checkpoint as GGUF names it and orders its rotary pairs."""
    for heads, part in ((HEADS, "q_proj"), (KEY_VALUE_HEADS, "k_proj")):
        if part in name:
            pairs = weight.reshape(heads, 2, weight.shape[0] // heads // 2, -1)
            weight = pairs.swapaxes(1, 2).reshape(weight.shape)
    for ours, theirs in NAMES.items():
        name = name.replace(ours, theirs)
    return name, weight


def write_gguf(file: Path, folder: Path, kind: gguf.GGMLQuantizationType) -> None:
    """Write a random Llama as a GGUF file, and a folder with the weights that it stands for.

    Matrices are of the given kind, vectors float32.
    """
    tokenizer = make_tokenizer()
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=WIDTH, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=HEADS, num_key_value_heads=KEY_VALUE_HEADS, initializer_range=0.3,
        max_position_embeddings=512, eos_token_id=2, bos_token_id=None, tie_word_embeddings=False,
    )  # fmt: skip
    network = LlamaForCausalLM(config)
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_context_length(512)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(2)
    writer.add_feed_forward_length(96)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_VALUE_HEADS)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(len(tokenizer))
    writer.add_tokenizer_model("gpt2")
    vocabulary = tokenizer.get_vocab()
    tokens = sorted(vocabulary, key=lambda token: vocabulary[token])
    writer.add_token_list([*tokens[:-1], "ab"])  # GGUF writes no empty list of merges
    writer.add_token_types([3] * 3 + [1] * (len(tokenizer) - 3))
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(2)
    writer.add_chat_template(TEMPLATE)
    stands_for = {}
    for name, weight in network.state_dict().items():
        array = weight.numpy()
        if array.ndim == 2:
            array = gguf.quants.dequantize(gguf.quants.quantize(array, kind), kind)
        stands_for[name] = torch.from_numpy(array.astype(np.float32))
        theirs, ordered = as_gguf(name, array)
        if array.ndim == 2:
            packed = gguf.quants.quantize(np.ascontiguousarray(ordered, np.float32), kind)
            writer.add_tensor(theirs, packed, raw_dtype=kind)
        else:
            writer.add_tensor(theirs, ordered)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    network.load_state_dict(stands_for)
    network.save_pretrained(folder)


def divergences(model: LanguageModel) -> torch.Tensor:
    """(3, pairs, T) divergences of three personas on one response, as a scoring job takes them."""
    rows = [render(model.tokenizer, system, "Why?") for system in ("Be exact.", "Sing!", "")]
    model = replace(model, batching="padded")
    states = torch.stack([f.final_hidden_states for f in teacher_force(
        model, [(row, [5, 9, 40, 7]) for row in rows])])  # fmt: skip
    pairs = [(0, 1), (0, 2), (1, 2)]
    found = pairwise_divergences(
        lambda a, b: model.lm_head(states[:, a:b]), 3, 4, pairs, device="cpu"
    )
    return torch.stack([found.js, found.kl_pq, found.kl_qp])


@pytest.mark.parametrize("kind", ["F32", "Q8_0", "Q4_1"])
def test_a_gguf_file_gives_what_a_folder_of_the_same_weights_gives(
    kind: str, tmp_path: Path
) -> None:
    file, folder, unpacked = (tmp_path / name for name in ("m.gguf", "folder", "unpacked"))
    write_gguf(file, folder, gguf.GGMLQuantizationType[kind])
    counts = unpack(file, unpacked)
    for part in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(unpacked / part, folder)
    assert sum(counts.values()) == 21 and counts[kind] >= 16
    settings = Model.of(dtype="float32", gguf=str(file), path=str(unpacked))
    described = describe_model(settings, print)
    assert described["quantised"] == counts and described["source"] == str(file)
    from_folder = load_model(replace(settings, gguf=None, path=str(folder)), "cpu")
    found = divergences(load_model(settings, "cpu"))
    assert found.min() >= 0 and found[0].max() > 1e-3
    assert torch.equal(found, divergences(from_folder))


@pytest.mark.parametrize("content", [b"not at all", b"GGUF" + bytes(40)])
def test_what_is_no_whole_gguf_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(content)
    with pytest.raises(InputError, match=r"m\.gguf (is no GGUF file|is cut short)"):
        unpack(tmp_path / "m.gguf", tmp_path / "unpacked")
    assert not (tmp_path / "unpacked").exists()


def embedded_study(**model: Any) -> Study:
    config = read_config(ROOT / "config" / "config.yaml")
    config |= {table: str(ROOT / config[table]) for table in ("personas", "prompts")}
    config["model"] = {"path": str(ROOT / "resources" / "persona-lm"), **model}
    if "gguf" in model:
        del config["model"]["path"]
    return read_study(config, "study.yaml")


def keys(study: Study) -> set[str]:
    key = fingerprint(study)
    return {cell for item in items(study, key) for cell in item.cells.values()} | {
        prompts_key(study, key)
    }


def test_a_gguf_file_is_known_by_its_content(tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(b"GGUF one")
    study = embedded_study(gguf=str(file))
    first, folder = fingerprint(study), with_unpacked(study, tmp_path).model.path
    moved = embedded_study(gguf=str(file.rename(tmp_path / "n.gguf")))
    assert fingerprint(moved) == first and with_unpacked(moved, tmp_path).model.path == folder
    (tmp_path / "n.gguf").write_bytes(b"GGUF two")
    assert fingerprint(moved) != first and with_unpacked(moved, tmp_path).model.path != folder


def test_a_gguf_file_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match=r"model\.gguf 'nowhere\.gguf' is not there"):
        embedded_study(gguf="nowhere.gguf")


@pytest.fixture
def adapter(random_model: Path, tmp_path: Path) -> Path:
    """A random LoRA of the random model."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    base = AutoModelForCausalLM.from_pretrained(random_model)
    settings = LoraConfig(
        r=4, lora_alpha=16, target_modules=["q_proj", "up_proj"], init_lora_weights=False
    )
    adapted = get_peft_model(base, settings)
    adapted.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def test_a_merged_adapter_does_what_an_unmerged_one_does(random_model: Path, adapter: Path) -> None:
    from peft import PeftModel

    ids = torch.arange(20)[None] + 5
    settings = Model.of(path=str(random_model), dtype="float32")
    base = load_model(settings, "cpu").network
    merged = load_model(replace(settings, adapter=str(adapter)), "cpu").network
    unmerged = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(random_model), adapter
    )
    with torch.inference_mode():
        plain, expected, found = (n(input_ids=ids).logits for n in (base, unmerged, merged))
    scale = expected.abs().max()
    assert ((expected - plain).abs().max() / scale) > 1e-2
    assert ((found - expected).abs().max() / scale) < 1e-5


def test_an_adapter_is_part_of_every_key(adapter: Path) -> None:
    adapted = keys(embedded_study(adapter=str(adapter)))
    assert not keys(embedded_study()) & adapted
    weights = adapter / "adapter_model.safetensors"
    save_file({name: 2 * w for name, w in load_file(weights).items()}, weights)
    assert not adapted & keys(embedded_study(adapter=str(adapter)))


def broken(folder: Path, how: str) -> None:
    weights, settings = folder / "adapter_model.safetensors", folder / "adapter_config.json"
    tensors, config = load_file(weights), json.loads(settings.read_text())
    name = next(iter(tensors))
    if how == "lacks a tensor":
        del tensors[name]
    elif how == "has one too many":
        tensors[name.replace("layers.0", "layers.7")] = tensors[name].clone()
    elif how == "of another width":
        tensors[name] = torch.zeros(4, 7)
    elif how == "of another model":
        config["target_modules"] = ["query_key_value"]
    else:
        config["peft_type"] = "IA3"
    save_file(tensors, weights)
    settings.write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("lacks a tensor", "does not fit the model"),
        ("has one too many", "does not fit the model"),
        ("of another width", "does not fit the model"),
        ("of another model", "does not fit the model"),
        ("of another kind", "adapter of type IA3"),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused(
    how: str, said: str, random_model: Path, adapter: Path
) -> None:
    broken(adapter, how)
    with pytest.raises(InputError, match=said):
        load_model(Model.of(path=str(random_model), dtype="float32", adapter=str(adapter)), "cpu")


def test_an_adapter_needs_its_files_and_transformers(adapter: Path) -> None:
    with pytest.raises(InputError, match=r"holds no adapter_config\.json"):
        embedded_study(adapter=str(adapter.parent))
    config = read_config(ROOT / "config" / "config.yaml")
    config["model"]["adapter"] = str(adapter)
    config["generation"]["backend"] = "vllm"
    with pytest.raises(InputError, match=r"would answer without model\.adapter"):
        read_study(config)


FEW_SHOT = ROOT / "resources" / "chat_templates" / "few_shot.jinja"


def test_the_shipped_template_gives_a_base_model_a_conversation(random_model: Path) -> None:
    study = embedded_study(chat_template=str(FEW_SHOT))
    tokenizer = load_tokenizer(random_model, study.model.chat_template)
    text = tokenizer.decode(render(tokenizer, "You are a poet.", "Why?"))
    assert text.startswith("You are a poet.\n\nQuestion: What is the capital of France?\nAnswer: ")
    assert text.endswith("\n\nQuestion: Why?\nAnswer:")


def test_a_chat_template_may_be_a_text_and_is_part_of_every_key() -> None:
    plain = embedded_study()
    by_file = embedded_study(chat_template=str(FEW_SHOT))
    by_text = embedded_study(chat_template=FEW_SHOT.read_text())
    assert keys(by_file) == keys(by_text) and not keys(plain) & keys(by_file)
    with pytest.raises(InputError, match="neither a file nor a Jinja template"):
        embedded_study(chat_template="few_shot.jinja")


def test_a_model_without_a_template_may_be_given_one(random_model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(random_model, tmp_path / "base"))
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(InputError, match="has no chat template"):
        describe_model(Model.of(path=str(folder)), print)
    describe_model(Model.of(path=str(folder), chat_template=FEW_SHOT.read_text()), print)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "config" / "models").glob("*.yaml")), ids=lambda p: p.stem
)
def test_a_shipped_model_makes_a_study_with_the_full_size_one(path: Path) -> None:
    base, own = read_config(ROOT / "config" / "qwen2.5-7b.yaml"), read_config(path)
    merged = base | {
        key: {**base[key], **value} if isinstance(value, dict) else value
        for key, value in own.items()
    }
    study = read_study(merged, str(path))
    assert study.name == path.stem and study.model.hub[0] != base["model"]["name"]
