"""What a checkpoint is, is known before a GPU is asked for; weights are never made up."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from persona_geometry.errors import InputError
from persona_geometry.model.checkpoint import INDEX, WEIGHTS
from persona_geometry.model.fingerprint import fingerprint_folder, loaded_files
from persona_geometry.model.hub import describe_model
from persona_geometry.study.sections import Model

ROOT = Path(__file__).parents[2]
UP = "model.layers.1.mlp.up_proj.weight"
NORM = "model.norm.weight"


@pytest.fixture
def folder(random_model: Path, tmp_path: Path) -> Path:
    """A whole Qwen2 checkpoint, to be damaged."""
    return Path(shutil.copytree(random_model, tmp_path / "model"))


def describe(folder: Path) -> dict[str, Any]:
    return describe_model(Model.of(path=str(folder)), print)


def edit_tensors(folder: Path, change: Callable[[dict[str, np.ndarray]], object]) -> None:
    tensors = load_file(folder / WEIGHTS)
    changed = change(tensors)
    save_file(changed if isinstance(changed, dict) else tensors, folder / WEIGHTS, {"format": "pt"})


def edit_json(folder: Path, file: str = "config.json", **values: Any) -> None:
    path = folder / file
    content = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(content | values))


def shard(folder: Path) -> dict[str, str]:
    """Cut the weights into two files with an index; tensor to file."""
    tensors = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    names = sorted(tensors)
    parts = {"model-1-of-2.safetensors": names[::2], "model-2-of-2.safetensors": names[1::2]}
    for file, held in parts.items():
        save_file({name: tensors[name] for name in held}, folder / file, {"format": "pt"})
    weight_map = {name: file for file, held in parts.items() for name in held}
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return weight_map


def renamed(folder: Path, name: str) -> None:
    (folder / WEIGHTS).rename(folder / name)


def cut(folder: Path, size: int) -> None:
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[:size])


def without_shard(folder: Path) -> None:
    shard(folder)
    (folder / "model-2-of-2.safetensors").unlink()


def with_false_index(folder: Path) -> None:
    edit_json(folder, INDEX, weight_map=shard(folder) | {"model.x": "model-1-of-2.safetensors"})


def without_index(folder: Path) -> None:
    shard(folder)
    (folder / INDEX).unlink()


def untemplated(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    content = json.loads((folder / "tokenizer_config.json").read_text())
    content.pop("chat_template", None)
    (folder / "tokenizer_config.json").write_text(json.dumps(content))


def template(folder: Path, text: str) -> None:
    untemplated(folder)
    (folder / "chat_template.jinja").write_text(text)


def grown_tokenizer(folder: Path) -> None:
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"]["vocab"]["pirate"] = len(content["model"]["vocab"]) + 40
    (folder / "tokenizer.json").write_text(json.dumps(content))


def padded_beyond(folder: Path) -> None:
    token = {"content": "[PAD]", "special": True, "id": 259}
    content = json.loads((folder / "tokenizer.json").read_text())
    content["added_tokens"].append(content["added_tokens"][0] | token)
    (folder / "tokenizer.json").write_text(json.dumps(content))
    edit_json(folder, "tokenizer_config.json", pad_token="[PAD]")


def prefixed(prefix: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        edit_tensors(folder, lambda t: {prefix + name: value for name, value in t.items()})

    return damage


def tensors(change: Callable[[dict[str, np.ndarray]], object]) -> Callable[[Path], None]:
    return lambda folder: edit_tensors(folder, change)


def config(**values: Any) -> Callable[[Path], None]:
    return lambda folder: edit_json(folder, **values)


def other_family(change: Callable[[dict[str, np.ndarray]], object]) -> Callable[[Path], None]:
    """Damage of a model whose names and shapes are not all known from its config."""

    def damage(folder: Path) -> None:
        edit_json(folder, model_type="granite", architectures=["GraniteForCausalLM"])
        edit_tensors(folder, change)

    return damage


ONE = np.ones((2, 2), np.float32)


def with_a_tensor_twice(folder: Path) -> None:
    """Another value of a tensor, in a second weight file that the index names too."""
    weight_map = shard(folder)
    first, second = sorted(set(weight_map.values()))
    name = next(name for name, file in weight_map.items() if file == first)
    held = load_file(folder / second) | {name: 5 * load_file(folder / first)[name]}
    save_file(held, folder / second, {"format": "pt"})


def with_weights_twice(folder: Path) -> None:
    whole = (folder / WEIGHTS).read_bytes()
    shard(folder)
    (folder / WEIGHTS).write_bytes(whole)


def generation_config(text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "generation_config.json").write_text(text)


BYTES = np.ones((2, 2), np.uint8)
HEADLESS = "lack the head lm_head.weight, and config.json does not say tie_word_embeddings"
DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a missing tensor": (tensors(lambda t: t.pop(UP)), rf"weights of \S+ lack {UP};"),
    "five missing tensors": (
        tensors(lambda t: {n: v for n, v in t.items() if "norm" not in n}),
        r"input_layernorm\.weight, .* and 2 more;",
    ),
    "an unexpected tensor": (
        tensors(lambda t: t.update({"model.extra.weight": ONE})),
        r"holds model\.extra\.weight, which a model as its config\.json describes it has no place",
    ),
    "a misshapen tensor": (
        tensors(lambda t: t.update({UP: ONE})),
        rf"tensor {UP} of \S+ has shape \(2, 2\), but config\.json asks for \(64, 32\)",
    ),
    "another intermediate size": (config(intermediate_size=96), r"asks for \(96, 32\)|\(32, 96\)"),
    "another vocabulary": (config(vocab_size=300), r"\(259, 32\), but config\.json asks for"),
    "no positions": (config(max_position_embeddings=0), "has max_position_embeddings 0; download"),
    "heads that cannot share": (
        config(num_key_value_heads=3),
        "asks for 2 attention heads that share 3 of keys and values, which does not divide",
    ),
    "a deeper config": (
        config(num_hidden_layers=4),
        "asks for 4 layers, but the weights lack layer 2, 3;",
    ),
    "a shallower config": (
        config(num_hidden_layers=1),
        "asks for 1 layers, but the weights also hold layer 1;",
    ),
    "a layer missing in between": (
        tensors(lambda t: {n: v for n, v in t.items() if ".layers.0." not in n}),
        "asks for 2 layers, but the weights lack layer 0;",
    ),
    "a wrapper's prefix": (prefixed("module."), r"have the prefix 'module\.' of a wrapper"),
    "a compiled model": (prefixed("_orig_mod."), r"have the prefix '_orig_mod\.' of a wrapper"),
    "an adapter's base": (prefixed("base_model.model."), "the prefix 'base_model.model.'"),
    "an unknown prefix": (prefixed("net."), r"lack model\.embed_tokens\.weight, "),
    "another family: a tensor missing": (
        other_family(lambda t: t.pop(UP)),
        r"Layer 1 of \S+ lacks mlp\.up_proj\.weight, which layer 0 has",
    ),
    "another family: a misshapen tensor": (
        other_family(lambda t: t.update({UP: ONE})),
        r"tensor mlp\.up_proj\.weight has shape .* in layer 0 of \S+ and .* in layer 1",
    ),
    "another family: a misshapen head": (
        other_family(lambda t: t.update({"lm_head.weight": ONE})),
        r"tensor lm_head\.weight of \S+ has shape \(2, 2\), but config\.json asks for \(259, 2\)",
    ),
    "no head": (tensors(lambda t: t.pop("lm_head.weight")), HEADLESS),
    "a classifier, by its config": (
        config(architectures=["Qwen2ForSequenceClassification"]),
        "is a Qwen2ForSequenceClassification, not a Qwen2ForCausalLM",
    ),
    "a classifier, by its tensors": (
        tensors(lambda t: t.update({"score.weight": ONE})),
        r"holds score\.weight, the head of a classifier",
    ),
    "a reward model": (
        tensors(lambda t: t.update({"v_head.summary.weight": ONE})),
        r"holds v_head\.summary\.weight, the head of a classifier",
    ),
    "an embedding model": (config(architectures=["Qwen2Model"]), "is a Qwen2Model, not a"),
    "another architecture": (config(architectures=["LlamaForCausalLM"]), "not a Qwen2ForCausalLM"),
    "no architecture": (config(architectures=None), r"config\.json has no architectures"),
    "no model type": (config(model_type=None), r"config\.json has no model_type"),
    "an encoder-decoder": (
        config(
            model_type="t5", architectures=["T5ForConditionalGeneration"], is_encoder_decoder=True
        ),
        r"is an encoder-decoder \(T5ForConditionalGeneration\)",
    ),
    "an unknown type": (
        config(model_type="qwen2x"),
        r"\(model_type 'qwen2x'\), which transformers",
    ),
    "code of its own": (
        config(model_type="custom", auto_map={"AutoModelForCausalLM": "custom.Custom"}),
        r"needs code of its own \(auto_map in config\.json\)",
    ),
    "an adapter beside the weights": (
        lambda folder: (folder / "adapter_config.json").write_text("{}"),
        r"holds an adapter \(adapter_config\.json\)",
    ),
    "an adapter alone": (
        lambda folder: (
            renamed(folder, "adapter_model.safetensors"),
            (folder / "adapter_config.json").write_text("{}"),
        ),
        "holds an adapter",
    ),
    "quantised, by its config": (
        config(quantization_config={"quant_method": "gptq"}),
        r"is quantised \(quantization_config in config\.json: gptq\)",
    ),
    "quantised, by its tensors": (
        tensors(lambda t: t.update({UP.replace("weight", "qweight"): BYTES})),
        r"is quantised: its tensor \S+qweight has dtype U8",
    ),
    "integer weights": (
        tensors(lambda t: t.update({UP: t[UP].astype(np.int8)})),
        rf"is quantised: its tensor {UP} has dtype I8",
    ),
    "an odd dtype": (config(dtype="float8_e4m3fn"), "has dtype 'float8_e4m3fn' in config.json"),
    "a weight file of its own": (config(transformers_weights="x.safetensors"), "of its own"),
    "an integer norm": (
        tensors(lambda t: t.update({NORM: t[NORM].astype(np.int32)})),
        rf"is quantised: its tensor {NORM} has dtype I32",
    ),
    "a tensor in two files": (with_a_tensor_twice, "which another weight file of the checkpoint"),
    "weights in two forms": (with_weights_twice, "holds its weights twice"),
    "a cut generation config": (generation_config('{"eos_'), r"generation_config\.json is not a"),
    "an end token beyond the embedding": (
        generation_config('{"eos_token_id": [2, 9999]}'),
        "eos_token_id names the token 9999, which the model does not have",
    ),
    "a depth in words": (config(num_hidden_layers="2"), "num_hidden_layers is .*right kind"),
    "an architecture that is no text": (config(architectures=[None]), "architectures is .*kind"),
    "a quantisation that is no section": (config(quantization_config="gptq"), "right kind"),
    "a config with a byte order mark": (
        lambda folder: (folder / "config.json").write_text(
            "\ufeff" + (folder / "config.json").read_text()
        ),
        r"config\.json is not a JSON object",
    ),
    "a template that is a number": (
        lambda folder: (
            (folder / "chat_template.jinja").unlink(missing_ok=True),
            edit_json(folder, "tokenizer_config.json", chat_template=5),
        ),
        "is neither a text nor a list of named texts",
    ),
    ".bin only": (
        lambda folder: renamed(folder, "pytorch_model.bin"),
        r"as PyTorch \.bin files \(pytorch_model\.bin\); convert",
    ),
    "GGUF only": (lambda folder: renamed(folder, "model.Q4.gguf"), r"as GGUF files \(model\.Q4"),
    "consolidated only": (
        lambda folder: renamed(folder, "consolidated.00.pth"),
        "as consolidated files of the original release",
    ),
    "consolidated safetensors only": (
        lambda folder: renamed(folder, "consolidated.safetensors"),
        "as consolidated files of the original release",
    ),
    "another name": (
        lambda folder: renamed(folder, "weights.safetensors"),
        r"neither model\.safetensors nor model\.safetensors\.index\.json \(weights",
    ),
    "no weights": (lambda folder: (folder / WEIGHTS).unlink(), "holds no weights"),
    "truncated tensors": (lambda folder: cut(folder, -1000), "is cut short or damaged"),
    "a truncated header": (lambda folder: cut(folder, 100), "is cut short or damaged"),
    "an empty file": (lambda folder: cut(folder, 0), "is cut short or damaged"),
    "a web page": (
        lambda folder: (folder / WEIGHTS).write_text("<html>Not found</html>"),
        "is cut short or damaged",
    ),
    "a git-lfs pointer": (
        lambda folder: (folder / WEIGHTS).write_text(
            "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
        ),
        "is a git-lfs pointer, not the weights; run 'git lfs pull'",
    ),
    "a missing shard": (without_shard, r"lacks the weight file model-2-of-2\.safetensors that"),
    "an index of what is not there": (with_false_index, r"names the tensor model\.x, which"),
    "shards without an index": (without_index, r"neither model\.safetensors nor"),
    "a broken index": (
        lambda folder: (shard(folder), (folder / INDEX).write_text("{")),
        "is no index of weight files",
    ),
    "no config": (lambda folder: (folder / "config.json").unlink(), r"holds no config\.json"),
    "a broken config": (
        lambda folder: (folder / "config.json").write_text("{"),
        r"config\.json is not a JSON object",
    ),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), "holds no tokenizer"),
    "a broken tokenizer": (
        lambda folder: (folder / "tokenizer.json").write_text('{"model": '),
        r"tokenizer\.json is not a JSON object",
    ),
    "a tokenizer of another form": (
        lambda folder: (folder / "tokenizer.json").write_text('{"model": {"vocab": 3}}'),
        "does not list tokens as a tokenizer does",
    ),
    "a tokenizer larger than the embedding": (
        grown_tokenizer,
        r"gives the token 'pirate' the id 299, but the model's embedding has 259 rows",
    ),
    "padding beyond the embedding": (padded_beyond, r"the token '\[PAD\]' the id 259"),
    "a tokenizer with code of its own": (
        lambda folder: (
            (folder / "tokenizer.json").rename(folder / "vocab.json"),
            (folder / "vocab.json").write_text("{}"),
            edit_json(folder, "tokenizer_config.json", auto_map={"AutoTokenizer": ["x.Y", None]}),
        ),
        "needs code of its own",
    ),
    "no chat template": (untemplated, "has no chat template"),
    "an empty chat template": (lambda folder: template(folder, " \n"), "has no chat template"),
    "a broken chat template": (
        lambda folder: template(folder, "{% for m in messages %}\n{{ m.content }\n{% endfor %}"),
        "The chat template 'default' in .* is broken at line 2",
    ),
}


@pytest.mark.parametrize(("damage", "sentence"), DAMAGE.values(), ids=DAMAGE)
def test_what_is_not_a_whole_model_is_refused_in_one_sentence(
    folder: Path, damage: Callable[[Path], object], sentence: str
) -> None:
    damage(folder)
    with pytest.raises(InputError, match=sentence) as refusal:
        describe(folder)
    said = str(refusal.value)
    assert said.endswith(".") and "\n" not in said and ". " not in said


def test_whole_checkpoint_is_described(folder: Path) -> None:
    found = describe(folder)
    assert found["config"]["model_type"] == "qwen2"
    assert found["weight_bytes"] == (folder / WEIGHTS).stat().st_size


def test_shards_with_an_index_are_described(folder: Path) -> None:
    shard(folder)
    sizes = [file.stat().st_size for file in folder.glob("model-*")]
    assert describe(folder)["weight_bytes"] == sum(sizes)


def test_tied_head_may_be_left_out(folder: Path) -> None:
    edit_json(folder, tie_word_embeddings=True)
    edit_tensors(folder, lambda t: t.pop("lm_head.weight"))
    describe(folder)


def test_tokenizers_may_have_special_tokens_that_nothing_uses(folder: Path) -> None:
    padded_beyond(folder)
    edit_json(folder, "tokenizer_config.json", pad_token="<|endoftext|>")
    describe(folder)


def test_template_with_generation_marks_and_named_templates_are_described(folder: Path) -> None:
    marked = "{% generation %}{{ messages[0].content }}{% endgeneration %}{% break %}"
    template(folder, f"{{% for m in messages %}}{marked}{{% endfor %}}")
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "rag.jinja").write_text("{{ messages }}")
    describe(folder)
    untemplated(folder)
    with pytest.raises(InputError, match="has no chat template"):
        describe(folder)


def save_tiny(folder: Path, tokenizer: Path, **family: Any) -> Path:
    """A tiny random checkpoint of another family, with the tokenizer of a given folder."""
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(family.pop("model_type"), **family)
    network_class = family.pop("network", None)
    network = (
        getattr(transformers, network_class)(config)
        if network_class
        else transformers.AutoModelForCausalLM.from_config(config)
    )
    network.save_pretrained(folder)
    for file in tokenizer.iterdir():
        if "token" in file.name or "template" in file.name:
            shutil.copy(file, folder / file.name)
    return folder


SIZES = {
    "vocab_size": 259,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": 2,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {"tie_word_embeddings": True},
    "mistral": {},
    "qwen3": {},
    "gemma2": {},
    "olmo2": {},
    "gpt_neox": {},
    "phi3": {},
    "qwen2_moe": {"num_experts": 4, "moe_intermediate_size": 16},
    "qwen3_next": {"num_experts": 4, "moe_intermediate_size": 16},
    "deepseek_v3": {"n_routed_experts": 8, "moe_intermediate_size": 16, "first_k_dense_replace": 2},
}


@pytest.mark.parametrize("family", FAMILIES)
def test_families_are_described_and_loaded(random_model: Path, tmp_path: Path, family: str) -> None:
    from persona_geometry.model.checkpoint import check_loading

    folder = save_tiny(tmp_path, random_model, model_type=family, **SIZES | FAMILIES[family])
    assert describe(folder)["config"]["model_type"] == family
    build(folder)
    network, info = load(folder)
    check_loading(info, network, family)


def build(folder: Path) -> None:
    from persona_geometry.model.loading import check_weights

    check_weights(Model.of(path=str(folder)))


def without(folder: Path, part: str) -> None:
    edit_tensors(folder, lambda t: {n: v for n, v in t.items() if part not in n})


ABSENT = {
    "gemma2": ("pre_feedforward_layernorm", r"lack model\.layers\.0\.pre_feed\S+, .* and 1 more"),
    "olmo2": ("q_norm", r"lack model\.layers\.0\.self_attn\.q_norm\.weight, "),
    "gpt_neox": ("dense_4h_to_h.bias", r"lack gpt_neox\.layers\.0\.mlp\.dense_4h_to_h\.bias, "),
    "phi3": ("model.norm", r"lack model\.norm\.weight, which would be random"),
    "qwen2_moe": (
        "up_proj",
        r"make model\.layers\.0\.mlp\.experts\.gate_up_proj, .* and 1 more of",
    ),
    "deepseek_v3": ("experts.7.gate_proj", r"make model\.layers\.\d\.mlp\.experts\.gate_up_proj, "),
}


@pytest.mark.parametrize("family", ABSENT)
def test_what_every_layer_lacks_is_found_without_reading_the_weights(
    random_model: Path, tmp_path: Path, family: str
) -> None:
    part, sentence = ABSENT[family]
    folder = save_tiny(tmp_path, random_model, model_type=family, **SIZES | FAMILIES[family])
    without(folder, part)
    describe(folder)  # each layer is like the others, so that nothing is amiss
    with pytest.raises(InputError, match=sentence):
        build(folder)


UNMAKEABLE: list[dict[str, Any]] = [
    {"hidden_act": "geluu"},
    {"num_attention_heads": 5},
    {"num_attention_heads": 2},
    {"num_hidden_layers": 1, "layer_types": None},
    {"rope_parameters": {"rope_type": "x", "rope_theta": 1e4}},
    {"intermediate_size": 65},
    {"tie_word_embeddings": 3},
    {"rms_norm_eps": "small"},
]
UNUSUAL: list[dict[str, Any]] = [
    {},
    {"rope_parameters": {"rope_type": "default", "rope_theta": "10k"}},
    {"rope_parameters": ["default"]},
    {"rope_parameters": None, "rope_theta": None},
    {"rms_norm_eps": None},
    {"attention_dropout": "none"},
    {"pad_token_id": 259},
    {"pad_token_id": -1},
    {"layer_types": ["sliding_attention"] * 4},
    {"layer_types": ["full_attention"]},
    {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}},
    {"attention_bias": True},
    {"mlp_bias": 1},
    {"use_sliding_window": "no"},
]


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2", "qwen3"])
@pytest.mark.parametrize("fault", UNMAKEABLE + UNUSUAL, ids=lambda fault: "-".join(fault) or "none")
def test_where_headers_tell_enough_building_the_model_finds_nothing_more(
    random_model: Path, tmp_path: Path, family: str, fault: dict[str, Any]
) -> None:
    from persona_geometry.model.configs import load_config
    from persona_geometry.model.tensors import told_by_headers

    folder = save_tiny(
        tmp_path, random_model, model_type=family, **SIZES | FAMILIES.get(family, {})
    )
    edit_json(folder, **fault)
    try:
        config = describe(folder)["config"]
        load_config(folder)
    except InputError:
        return
    told = told_by_headers(config)
    assert told or fault
    if told:
        build(folder)
        load(folder)


@pytest.mark.parametrize("family", ["olmo2", "phi3"])
@pytest.mark.parametrize("fault", UNMAKEABLE, ids=lambda fault: str(next(iter(fault))))
def test_what_no_model_can_be_made_of_is_found_without_reading_the_weights(
    random_model: Path, tmp_path: Path, family: str, fault: dict[str, Any]
) -> None:
    folder = save_tiny(tmp_path, random_model, model_type=family, **SIZES | FAMILIES[family])
    edit_json(folder, **fault)
    with pytest.raises(InputError, match=r"config\.json") as refusal:
        describe(folder)
        build(folder)
    assert "\n" not in str(refusal.value)


def load(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(
        folder, output_loading_info=True, ignore_mismatched_sizes=True
    )


@pytest.fixture
def multimodal(random_model: Path, tmp_path: Path) -> Path:
    """A tiny model of text and images, whose text decoder alone is loaded."""
    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2}
    text = {k: v for k, v in SIZES.items() if k != "bos_token_id"}
    return save_tiny(
        tmp_path / "multimodal",
        random_model,
        model_type="qwen3_5",
        network="Qwen3_5ForConditionalGeneration",
        text_config=text | {"model_type": "qwen3_5_text"},
        vision_config=vision | {"out_hidden_size": 32},
        image_token_id=3,
        video_token_id=4,
    )


def test_text_decoder_of_a_multimodal_model_is_loaded_without_its_tower(multimodal: Path) -> None:
    from persona_geometry.model.checkpoint import check_loading

    names = load_file_names(multimodal)
    assert any("visual" in name for name in names)
    assert describe(multimodal)["config"]["text_config"]["num_hidden_layers"] == 4
    build(multimodal)
    network, info = load(multimodal)
    check_loading(info, network, "it")
    text = json.loads((multimodal / "config.json").read_text())["text_config"]
    edit_json(multimodal, text_config=text | {"num_hidden_layers": 5, "layer_types": None})
    with pytest.raises(InputError, match="asks for 5 layers, but the weights lack layer 4"):
        describe(multimodal)


def load_file_names(folder: Path) -> list[str]:
    from safetensors import safe_open

    with safe_open(folder / WEIGHTS, framework="numpy") as stream:
        return list(stream.keys())


LOADED_WRONG = {
    "missing": (lambda t: t.pop(UP), rf"weights of \S+ lack {UP}, which would be random"),
    "unexpected": (lambda t: t.update({"model.extra.weight": ONE}), "holds model.extra.weight"),
    "misshapen": (lambda t: t.update({UP: ONE}), rf"tensor {UP} of \S+ has shape \(2, 2\), but"),
    "prefix": (lambda t: {f"net.{n}": v for n, v in t.items()}, r"lack .* and \d+ more"),
}


@pytest.mark.parametrize(("damage", "sentence"), LOADED_WRONG.values(), ids=LOADED_WRONG)
def test_weights_are_never_made_up_at_load(
    folder: Path, damage: Callable[[dict[str, np.ndarray]], object], sentence: str
) -> None:
    from persona_geometry.model.loading import load_model

    edit_tensors(folder, damage)
    with pytest.raises(InputError, match=sentence):
        load_model(Model.of(path=str(folder), dtype="float32"), "cpu")


def test_head_that_is_tied_is_not_missing_at_load(folder: Path) -> None:
    from persona_geometry.model.loading import load_model

    edit_json(folder, tie_word_embeddings=True)
    edit_tensors(folder, lambda t: t.pop("lm_head.weight"))
    build(folder)
    network = load_model(Model.of(path=str(folder), dtype="float32"), "cpu").network
    assert network.lm_head.weight is network.model.embed_tokens.weight


# The fingerprint


def test_fingerprint_of_the_embedded_model_is_what_it_was() -> None:
    assert fingerprint_folder(ROOT / "resources" / "persona-lm") == (
        "8bc9ab27752f372d0edc552296f0d661dce99319b10192877b644d841d30c662"
    )


@pytest.mark.parametrize(
    "file",
    [
        *("eval_results.json", "README.md", "trainer_state.json", "training_args.bin"),
        *("pytorch_model.bin", "optimizer.pt", "consolidated.safetensors", "modeling_x.py"),
    ],
)
def test_files_that_are_not_loaded_do_not_count(folder: Path, file: str) -> None:
    before = fingerprint_folder(folder)
    (folder / file).write_text("something")
    assert fingerprint_folder(folder) == before


@pytest.mark.parametrize(
    "file",
    [
        *("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"),
        *("special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "vocab.txt"),
        *("tokenizer.model", "spiece.model", "chat_template.jinja", "chat_template.json"),
        *("additional_chat_templates/rag.jinja", "model.safetensors", "qwen.tiktoken"),
    ],
)
def test_every_file_that_is_loaded_counts(folder: Path, file: str) -> None:
    before = fingerprint_folder(folder)
    path = folder / file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes((path.read_bytes() if path.exists() else b"") + b" ")
    assert path in loaded_files(folder) and fingerprint_folder(folder) != before


def test_every_shard_counts(folder: Path) -> None:
    shard(folder)
    before = fingerprint_folder(folder)
    path = folder / "model-2-of-2.safetensors"
    path.write_bytes(path.read_bytes() + b" ")
    assert {path, folder / INDEX} <= set(loaded_files(folder))
    assert fingerprint_folder(folder) != before


@pytest.mark.parametrize("kept", ["", "8bc9", "8bc9" * 16 + "8", "x" * 64, "\0" * 64])
def test_damaged_cache_of_a_fingerprint_is_computed_again(
    folder: Path, tmp_path: Path, kept: str
) -> None:
    cache = tmp_path / "cache"
    right = fingerprint_folder(folder, cache)
    (file,) = cache.iterdir()
    assert file.read_text() == right
    file.write_text(kept)
    assert fingerprint_folder(folder, cache) == right == file.read_text()


def test_cache_notices_other_content_of_the_same_size_and_time(
    folder: Path, tmp_path: Path
) -> None:
    import os

    before = fingerprint_folder(folder, tmp_path / "cache")
    path = folder / WEIGHTS
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    os.utime(path, ns=times)
    assert fingerprint_folder(folder, tmp_path / "cache") != before
