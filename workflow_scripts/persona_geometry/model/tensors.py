"""What the names and shapes of a checkpoint's tensors say, against its config.json.

For the plainest families every name and shape is known from the config. For the others it is
what holds for all of them: the embedding, the head, and layers that are alike.
"""

import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from persona_geometry.errors import InputError


class Tensor(NamedTuple):
    """A tensor's header."""

    shape: tuple[int, ...]
    dtype: str


FLOATS = {"F64", "F32", "F16", "BF16"}

_AGAIN = "download or save the checkpoint again, with the config.json it belongs to."
_NORMS = ("input_layernorm", "post_attention_layernorm")
_LAYER = re.compile(r"^(?P<stack>(?:.*?\.)?)(?:layers|h|blocks)\.(?P<index>\d+)\.(?P<rest>.+)$")
_NOT_TEXT = re.compile(
    r"vision|visual|image|video|audio|speech|multi_modal|projector|connector|resampler|qformer"
    r"|encoder|mtp|nextn"
)
_WRAPPERS = re.compile(r"^(module|_orig_mod|base_model\.model|pretrained_model|policy)\.")
_QUANTISED = re.compile(
    r"\.(qweight|qzeros|g_idx|weight_scale(_inv)?|weight_packed|SCB|absmax|quant_state.*)$"
    r"|_(blocks|scales)$|\.(scales|biases)$"
)
_HEADS = re.compile(
    r"(^|\.)(score|classifier|classification_head|v_head|value_head|reward_head|regression_head"
    r"|qa_outputs|sequence_summary)\."
)
# Families whose layers lack parts of each other in ways that config.json does not list.
_UNEVEN = {"gpt_neox_japanese", "hy_v4", "modernbert-decoder", "rwkv", "zamba", "zamba2"}
_FLAGS = ("tie_word_embeddings", "attention_bias", "mlp_bias", "use_sliding_window")
_EMBEDDING = re.compile(r"(^|\.)(embed_tokens|wte|embed_in|word_embeddings|embeddings)\.weight$")


def few(names: Sequence[str]) -> str:
    """The first three of some names, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a config.json that describes the text decoder."""
    text = config.get("text_config")
    return text if isinstance(text, dict) else config


def check_tensors(config: Mapping[str, Any], tensors: Mapping[str, Tensor], source: str) -> int:
    """Refuse tensors that are not those of the model that a config.json describes.

    Args:
        config: the checkpoint's config.json.
        tensors: every tensor of its weights.
        source: what the study calls the model, for messages.

    Returns:
        Rows of the embedding.

    Raises:
        InputError: a tensor is missing, unexpected, misshapen or quantised.
    """
    text = text_config(config)
    own = {name: tensor for name, tensor in tensors.items() if not _NOT_TEXT.search(name)}
    _check_prefix(own, source)
    _check_precision(own, source)
    layers = _layers(own)
    if layers:
        _check_depth(layers, text, source)
    _check_heads(own, source)
    expected = _plain_tensors(config)
    if expected is not None:
        _check_exactly(own, expected, source)
    else:
        _check_alike(layers, text, source)
    rows = _check_embedding(own, text, source)
    _check_head(own, config, rows, source)
    return rows


def _check_prefix(tensors: Mapping[str, Tensor], source: str) -> None:
    wrapped = next((match for match in map(_WRAPPERS.match, tensors) if match), None)
    if wrapped:
        raise InputError(
            f"The tensors of {source} have the prefix '{wrapped[0]}' of a wrapper, as "
            f"{wrapped.string}; save the model inside it with save_pretrained."
        )


def _check_precision(tensors: Mapping[str, Tensor], source: str) -> None:
    for name, (_, dtype) in tensors.items():
        weight = name.endswith((".weight", ".bias"))
        if _QUANTISED.search(name) or dtype.startswith(("F8", "F4", "F6")):
            quantised = True
        else:
            quantised = weight and dtype not in FLOATS
        if quantised:
            raise InputError(
                f"{source} is quantised: its tensor {name} has dtype {dtype}; give its "
                f"checkpoint in bfloat16, float16 or float32."
            )


def _layers(tensors: Mapping[str, Tensor]) -> dict[int, dict[str, tuple[int, ...]]]:
    """Layer to name and shape of its tensors; empty where there is not one stack of layers."""
    stacks: dict[str, dict[int, dict[str, tuple[int, ...]]]] = {}
    for name, tensor in tensors.items():
        found = _LAYER.match(name)
        if found:
            stack = stacks.setdefault(found["stack"], defaultdict(dict))
            stack[int(found["index"])][found["rest"]] = tensor.shape
    return dict(next(iter(stacks.values()))) if len(stacks) == 1 else {}


def size_of(text: Mapping[str, Any], *keys: str) -> int | None:
    """The first of some keys that a text decoder's config gives a whole number for."""
    return next((text[key] for key in keys if isinstance(text.get(key), int)), None)


def width_of(text: Mapping[str, Any]) -> int | None:
    """Width of the hidden states of a text decoder, where its config says."""
    return size_of(text, "hidden_size", "n_embd", "d_model")


def depth_of(text: Mapping[str, Any]) -> int | None:
    """Number of decoder layers of a text decoder, where its config says."""
    return size_of(text, "num_hidden_layers", "n_layer", "n_layers", "num_layers")


def _check_depth(layers: Mapping[int, Any], text: Mapping[str, Any], source: str) -> None:
    depth = depth_of(text)
    if depth is None:
        return
    missing = sorted(set(range(depth)) - set(layers))
    if missing:
        raise InputError(
            f"config.json of {source} asks for {depth} layers, but the weights lack layer "
            f"{few([str(layer) for layer in missing])}; {_AGAIN}"
        )
    # Layers that predict further tokens follow those of the model, and are not loaded.
    beyond = sorted(set(layers) - set(range(depth + (text.get("num_nextn_predict_layers") or 0))))
    if beyond:
        raise InputError(
            f"config.json of {source} asks for {depth} layers, but the weights also hold layer "
            f"{few([str(layer) for layer in beyond])}; {_AGAIN}"
        )


def _check_heads(tensors: Mapping[str, Tensor], source: str) -> None:
    heads = sorted(name for name in tensors if _HEADS.search(name) and not _LAYER.match(name))
    if heads:
        raise InputError(
            f"{source} holds {few(heads)}, the head of a classifier, reward or embedding model; "
            f"give the causal language model."
        )


def _check_exactly(
    tensors: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]], source: str
) -> None:
    # Transformers finds the tensors of a bare decoder, whose names lack the prefix.
    stored = {
        name if name in expected or f"model.{name}" not in expected else f"model.{name}": tensor
        for name, tensor in tensors.items()
        if not name.endswith("rotary_emb.inv_freq")
    }
    missing = sorted(set(expected) - set(stored) - {"lm_head.weight"})
    if missing:
        raise InputError(f"The weights of {source} lack {few(missing)}; {_AGAIN}")
    unexpected = sorted(set(stored) - set(expected))
    if unexpected:
        raise InputError(
            f"{source} holds {few(unexpected)}, which a model as its config.json describes it has "
            f"no place for; {_AGAIN}"
        )
    for name, tensor in stored.items():
        _check_shape(name, tensor.shape, expected[name], source)


def _check_shape(name: str, shape: tuple[int, ...], expected: tuple[int, ...], source: str) -> None:
    if shape != expected:
        raise InputError(
            f"The tensor {name} of {source} has shape {shape}, but config.json asks for "
            f"{expected}; {_AGAIN}"
        )


def told_by_headers(config: Mapping[str, Any]) -> bool:
    """Whether `check_tensors` alone says that a checkpoint can be loaded, each tensor in its place.

    So it is in a family without variants, in its plain form: nothing in its config.json asks
    transformers to build it otherwise, and nothing is what a model cannot be built with.
    """
    rotary = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if _plain_tensors(config) is None or not isinstance(rotary, dict):
        return False
    padding = config.get("pad_token_id")
    numbers = [config.get("rms_norm_eps"), config.get("attention_dropout", 0.0)]
    numbers += [config.get("rope_theta", 1e4), rotary.get("rope_theta", 1e4)]
    return (
        config.get("hidden_act") == "silu"
        and set(rotary) <= {"rope_theta", "rope_type"}
        and rotary.get("rope_type", "default") == "default"
        and set(config.get("layer_types") or ()) <= {"full_attention"}
        and not config.get("quantization_config")
        and (padding is None or (type(padding) is int and 0 <= padding < config["vocab_size"]))
        and all(type(number) in (int, float) for number in numbers)
        and all(type(config.get(flag, False)) is bool for flag in _FLAGS)
    )


def _plain_tensors(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]] | None:
    """Every tensor of a model of a family without variants; None for the others."""
    family = config.get("model_type")
    if family not in ("llama", "mistral", "qwen2", "qwen3"):
        return None
    keys = ("hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers")
    sizes: list[Any] = [config.get(key) for key in (*keys, "vocab_size")]
    width = config.get("head_dim")
    if not all(isinstance(size, int) and size > 0 for size in sizes):
        return None
    hidden, inner, heads, depth, vocabulary = sizes
    if width is None and (family == "qwen3" or hidden % heads):
        return None
    width = width or hidden // heads
    queries = heads * width
    keyed = (config.get("num_key_value_heads") or heads) * width
    biased = config.get("attention_bias", False) if family in ("llama", "qwen3") else False
    matrices = {
        "self_attn.q_proj": ((queries, hidden), biased or family == "qwen2"),
        "self_attn.k_proj": ((keyed, hidden), biased or family == "qwen2"),
        "self_attn.v_proj": ((keyed, hidden), biased or family == "qwen2"),
        "self_attn.o_proj": ((hidden, queries), biased),
    }
    mlp_biased = config.get("mlp_bias", False) if family == "llama" else False
    matrices |= {
        "mlp.gate_proj": ((inner, hidden), mlp_biased),
        "mlp.up_proj": ((inner, hidden), mlp_biased),
        "mlp.down_proj": ((hidden, inner), mlp_biased),
    }
    layer: dict[str, tuple[int, ...]] = {f"{norm}.weight": (hidden,) for norm in _NORMS}
    if family == "qwen3":
        layer |= {f"self_attn.{norm}.weight": (width,) for norm in ("q_norm", "k_norm")}
    for name, (shape, has_bias) in matrices.items():
        layer[f"{name}.weight"] = shape
        if has_bias:
            layer[f"{name}.bias"] = shape[:1]
    return {
        "model.embed_tokens.weight": (vocabulary, hidden),
        "model.norm.weight": (hidden,),
        "lm_head.weight": (vocabulary, hidden),
        **{f"model.layers.{i}.{name}": s for i in range(depth) for name, s in layer.items()},
    }


def parameters_of(config: Mapping[str, Any]) -> int | None:
    """Number of parameters of a model of a family without variants; None for the others."""
    tensors = _plain_tensors(config)
    if tensors is None:
        return None
    shared = {"lm_head.weight"} if config.get("tie_word_embeddings") else set()
    return sum(math.prod(shape) for name, shape in tensors.items() if name not in shared)


def _check_alike(
    layers: Mapping[int, Mapping[str, tuple[int, ...]]], text: Mapping[str, Any], source: str
) -> None:
    """Refuse a layer that lacks a part of what another of its kind has, or has it otherwise."""
    by_layer = any(
        isinstance(value, list) and value and isinstance(value[0], (int, float, dict))
        for value in text.values()
    )
    if by_layer or text.get("model_type") in _UNEVEN:
        return
    depth = depth_of(text) or len(layers)
    kinds = text.get("layer_types") or []
    sharing = depth - (text.get("num_kv_shared_layers") or 0)
    groups: dict[tuple[Any, bool], dict[int, Mapping[str, tuple[int, ...]]]] = defaultdict(dict)
    for index, layer in layers.items():
        if index < depth:
            kind = kinds[index] if index < len(kinds) else None
            groups[kind, index >= sharing][index] = layer
    for group in groups.values():
        for index, layer in group.items():
            for other, names in group.items():
                if set(layer) < set(names):
                    lacking = sorted(set(names) - set(layer))
                    raise InputError(
                        f"Layer {index} of {source} lacks {few(lacking)}, which layer {other} "
                        f"has; {_AGAIN}"
                    )
                for name in set(layer) & set(names):
                    if layer[name] != names[name]:
                        raise InputError(
                            f"The tensor {name} has shape {layer[name]} in layer {index} of "
                            f"{source} and {names[name]} in layer {other}; {_AGAIN}"
                        )


def _embedding(tensors: Mapping[str, Tensor]) -> str | None:
    found = [name for name in tensors if _EMBEDDING.search(name) and not _LAYER.match(name)]
    return found[0] if len(found) == 1 else None


def _check_embedding(tensors: Mapping[str, Tensor], text: Mapping[str, Any], source: str) -> int:
    """Rows of the embedding."""
    rows = size_of(text, "decoder_vocab_size", "vocab_size")
    narrow = size_of(text, "word_embed_proj_dim", "embedding_size", "input_embedding_size")
    width = narrow or width_of(text)
    name = _embedding(tensors)
    if name is None:
        return rows or 0
    shape = tensors[name].shape
    _check_shape(name, shape, (rows or shape[0], width or shape[-1]), source)
    return shape[0]


def _check_head(
    tensors: Mapping[str, Tensor], config: Mapping[str, Any], rows: int, source: str
) -> None:
    """Refuse weights without a head that are not said to share the embedding's."""
    embedding = _embedding(tensors)
    if embedding is None:
        return
    outside = {n: t.shape for n, t in tensors.items() if n != embedding and not _LAYER.match(n)}
    for name, shape in outside.items():
        if name.endswith("lm_head.weight"):
            _check_shape(name, shape, (rows, *shape[1:]), source)
    if any(len(shape) == 2 and shape[0] == rows for shape in outside.values()):
        return
    said = [part.get("tie_word_embeddings") for part in (config, text_config(config))]
    untied = _plain_tensors(config) is not None or False in said
    if untied and True not in said:
        raise InputError(
            f"The weights of {source} lack the head lm_head.weight, and config.json does not say "
            f"tie_word_embeddings: true; {_AGAIN}"
        )
