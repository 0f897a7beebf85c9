"""What a checkpoint folder is: a causal language model, whole, with its tokenizer.

Read from its configuration and the headers of its weight files, before a GPU is asked for, so
neither torch nor transformers is imported. What depends on a family's own code is checked again
when the model is loaded.
"""

import ast
import importlib.util
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from persona_geometry.errors import InputError
from persona_geometry.model.tensors import Tensor, check_tensors, few, text_config
from persona_geometry.model.tokenizer_files import (
    check_chat_template,
    check_tokenizer,
    read_object,
)

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
PRECISIONS = {"float32", "float16", "bfloat16", "float64", "auto"}
POINTER = b"version https://git-lfs"

_OTHER_FORMATS = {
    "*.gguf": "GGUF files",
    "consolidated*": "consolidated files of the original release",
    "*.bin": "PyTorch .bin files",
    "*.pth": "PyTorch .pth files",
    "*.pt": "PyTorch .pt files",
    "*.h5": "TensorFlow files",
    "*.msgpack": "Flax files",
    "*.onnx": "ONNX files",
    "*.safetensors": f".safetensors files, but neither {WEIGHTS} nor {INDEX}",
}


def inspect_checkpoint(folder: Path, source: str, has_template: bool = False) -> dict[str, Any]:
    """Check a checkpoint folder and say what it is.

    Args:
        folder: the folder.
        source: what the study calls the model, for messages.
        has_template: whether the study gives the chat template.

    Returns:
        "config" (its config.json) and "weight_bytes".

    Raises:
        InputError: it is not a whole causal language model in plain floating point with a
            tokenizer and a chat template; one sentence names the file, tensor or key.
    """
    config = read_config(folder)
    _check_kind(folder, config, source)
    _check_sizes(text_config(config), source)
    _check_head_counts(text_config(config), source)
    files = weight_files(folder)
    tensors = read_headers(files)
    _check_against_index(folder, files, tensors)
    rows = check_tensors(config, tensors, source)
    _check_ends(folder, rows)
    if not has_template:
        check_chat_template(folder)
    check_tokenizer(folder, rows)
    return {"config": config, "weight_bytes": sum(file.stat().st_size for file in files)}


def read_config(folder: Path) -> dict[str, Any]:
    """A checkpoint's config.json.

    Raises:
        InputError: it is not there or is not a JSON object.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise InputError(
            f"{folder} holds no config.json; give the folder of a Hugging Face checkpoint."
        )
    config = read_object(path)
    _check_types(config, path)
    return config


def weight_files(folder: Path) -> list[Path]:
    """The files that the weights are loaded from: one, or those that the index names.

    Raises:
        InputError: there are none, or one that the index names is missing.
    """
    if (folder / WEIGHTS).is_file():
        others = set(_weight_map(folder).values()) if (folder / INDEX).is_file() else set()
        if any((folder / name).is_file() for name in others - {WEIGHTS}):
            raise InputError(
                f"{folder} holds its weights twice, as {WEIGHTS} and as {INDEX} with its files; "
                f"keep one of the two."
            )
        return [folder / WEIGHTS]
    if not (folder / INDEX).is_file():
        raise InputError(_without_weights(folder))
    files = [folder / name for name in sorted(set(_weight_map(folder).values()))]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise InputError(
            f"{folder} lacks the weight file {few(missing)} that {INDEX} names; download it again."
        )
    return files


def check_loading(info: dict[str, Any], network: Any, source: str) -> None:
    """Refuse a model that was not loaded from its checkpoint tensor by tensor.

    Args:
        info: the loading info of transformers' `from_pretrained`: "missing_keys",
            "unexpected_keys" and "mismatched_keys", less what its family may lack or leave.
        network: the loaded model.
        source: what the study calls the model, for messages.

    Raises:
        InputError: a tensor is missing, so that its values are random; has another shape; or was
            left, although it belongs to no part that is not loaded as a whole.
    """
    if info["missing_keys"]:
        raise InputError(
            f"The weights of {source} lack {few(sorted(info['missing_keys']))}, which would be "
            f"random; download or save the checkpoint again, with the config.json it belongs to."
        )
    if info["mismatched_keys"]:
        name, stored, expected = min(info["mismatched_keys"])
        raise InputError(
            f"The tensor {name} of {source} has shape {tuple(stored)}, but config.json asks for "
            f"{tuple(expected)}; download or save the checkpoint again."
        )
    parts = {part for name, _ in network.named_modules() for part in name.split(".")}
    left = sorted(name for name in info["unexpected_keys"] if not _of_another_part(name, parts))
    if left:
        raise InputError(
            f"{source} holds {few(left)}, which the model that its config.json names has no place "
            f"for; give the causal language model that these weights belong to."
        )


_OTHER_PARTS = re.compile(
    r"vision|visual|image|video|audio|speech|multi_modal|mm_|modality|connector|aligner|mtp|nextn"
)


def _of_another_part(name: str, loaded: set[str]) -> bool:
    """Whether a tensor is of a tower or a head that is not loaded, such as a vision encoder."""
    return any(_OTHER_PARTS.search(part) and part not in loaded for part in name.split("."))


def _check_kind(folder: Path, config: dict[str, Any], source: str) -> None:
    if any(folder.glob("adapter_*")):
        raise InputError(
            f"{folder} holds an adapter ({min(folder.glob('adapter_*')).name}), which may be "
            f"applied or ignored; merge it into the weights, or remove it."
        )
    _check_architecture(config, source)
    if config.get("quantization_config") or config.get("compression_config"):
        method = (config.get("quantization_config") or {}).get("quant_method", "unknown method")
        raise InputError(
            f"{source} is quantised (quantization_config in config.json: {method}); give its "
            f"checkpoint in bfloat16, float16 or float32."
        )
    for part in (config, text_config(config)):
        precision = part.get("dtype") or part.get("torch_dtype") or "auto"
        if str(precision).removeprefix("torch.") not in PRECISIONS:
            raise InputError(
                f"{source} has dtype '{precision}' in config.json; give its checkpoint in "
                f"bfloat16, float16 or float32."
            )
    if config.get("transformers_weights"):
        raise InputError(
            f"{source} names a weight file of its own (transformers_weights in config.json); "
            f"rename that file to {WEIGHTS} and remove the key."
        )


def _check_architecture(config: dict[str, Any], source: str) -> None:
    """Refuse what is no causal language model, or needs code that is not in transformers."""
    kind, named = config.get("model_type"), config.get("architectures") or []
    if config.get("is_encoder_decoder") or text_config(config).get("is_encoder_decoder"):
        raise InputError(
            f"{source} is an encoder-decoder ({', '.join(named) or kind}); give a decoder-only "
            f"language model."
        )
    if not named or not kind:
        key = "architectures" if kind else "model_type"
        raise InputError(
            f"{source}: config.json has no {key}, so nothing says what the weights are; add it as "
            f"the model's publisher gives it."
        )
    classes = causal_classes()
    if classes is None:
        return
    expected = classes.get(kind)
    if expected is None and config.get("auto_map"):
        raise InputError(
            f"{source} needs code of its own (auto_map in config.json), which this workflow does "
            f"not run; give a model whose type, here '{kind}', is part of transformers."
        )
    if expected is None:
        raise InputError(
            f"{source} is a {named[0]} (model_type '{kind}'), which transformers does not load "
            f"as a causal language model; give a model that it does."
        )
    text_of_multimodal = "text_config" in config and named[0].endswith("ForConditionalGeneration")
    if expected.casefold() not in {name.casefold() for name in named} and not text_of_multimodal:
        raise InputError(
            f"{source} is a {named[0]}, not a {expected} (architectures in config.json), and "
            f"would get a random head; give the causal language model."
        )


@cache
def causal_classes() -> dict[str, str] | None:
    """Model type to the class that transformers loads it as, read from its table unimported.

    None where transformers is not installed or keeps its table otherwise.
    """
    package = importlib.util.find_spec("transformers")
    if package is None or package.origin is None:
        return None
    table = Path(package.origin).parent / "models" / "auto" / "modeling_auto.py"
    if not table.is_file():
        return None
    for node in ast.parse(table.read_text()).body:
        match node:
            case ast.Assign(
                targets=[ast.Name("MODEL_FOR_CAUSAL_LM_MAPPING_NAMES")],
                value=ast.Call(args=[pairs]),
            ):
                return dict(ast.literal_eval(pairs))
    return None


def _without_weights(folder: Path) -> str:
    """Why a folder's weights cannot be loaded, and what to do."""
    for pattern, kind in _OTHER_FORMATS.items():
        found = sorted(folder.glob(pattern))
        if found:
            return (
                f"{folder} holds its weights as {kind} ({few([f.name for f in found])}); convert "
                f"them with transformers' save_pretrained, or download the checkpoint again."
            )
    return (
        f"{folder} holds no weights ({WEIGHTS}, or {INDEX} and the files it names); download the "
        f"checkpoint again."
    )


def _weight_map(folder: Path) -> dict[str, str]:
    path = folder / INDEX
    try:
        names: dict[str, str] = json.loads(path.read_bytes())["weight_map"]
        if names and all(isinstance(file, str) for file in names.values()):
            return names
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise InputError(f"{path} is no index of weight files; download the checkpoint again.")


def read_headers(files: Sequence[Path]) -> dict[str, Tensor]:
    """Name, shape and dtype of every tensor of some weight files.

    Raises:
        InputError: a file is cut short or no weight file, or a tensor is in two of them.
    """
    tensors: dict[str, Tensor] = {}
    for file in files:
        state = file.stat()
        header = _header(file, state.st_size, state.st_mtime_ns)
        if twice := next((name for name in header if name in tensors), None):
            raise InputError(
                f"{file} holds the tensor {twice}, which another weight file of the checkpoint "
                f"holds too; download or save the checkpoint again."
            )
        tensors |= header
    return tensors


@cache
def _header(file: Path, _size: int, _changed: int) -> dict[str, Tensor]:
    """Of one file; read once, as long as it stays as it is."""
    with file.open("rb") as stream:
        if stream.read(len(POINTER)) == POINTER:
            raise InputError(
                f"{file} is a git-lfs pointer, not the weights; run 'git lfs pull' in its "
                f"folder, or download the checkpoint again."
            )
    try:
        with safe_open(file, framework="numpy") as stream:
            parts = {name: stream.get_slice(name) for name in stream.keys()}
            return {
                n: Tensor(tuple(part.get_shape()), part.get_dtype()) for n, part in parts.items()
            }
    except SafetensorError as error:
        raise InputError(
            f"{file} is cut short or damaged ({error}); download the checkpoint again."
        ) from error


_TYPES: dict[str, tuple[type, ...]] = {
    "model_type": (str,),
    "architectures": (list,),
    "text_config": (dict,),
    "quantization_config": (dict,),
    "auto_map": (dict,),
    "tie_word_embeddings": (bool,),
    "is_encoder_decoder": (bool,),
    **dict.fromkeys(
        (
            *("num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim"),
            *("hidden_size", "intermediate_size", "vocab_size", "max_position_embeddings"),
            "num_nextn_predict_layers",
        ),
        (int,),
    ),
}


def _check_types(config: dict[str, Any], path: Path) -> None:
    """Refuse values of config.json that are of another kind than what is read from it."""
    for key, kinds in _TYPES.items():
        value = config.get(key)
        wrong = value is not None and (
            not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)
        )
        if key == "architectures" and isinstance(value, list):
            wrong = not all(isinstance(name, str) for name in value)
        if wrong and not (isinstance(value, list) and int in kinds):  # a size for each layer
            raise InputError(
                f"{path}: {key} is {json.dumps(value)[:60]}, which is not of the right kind; "
                f"download or save the checkpoint again."
            )


def _check_head_counts(text: Mapping[str, Any], source: str) -> None:
    """Refuse query heads that cannot be shared out among the heads of keys and values."""
    heads, keyed = text.get("num_attention_heads"), text.get("num_key_value_heads")
    if isinstance(heads, int) and isinstance(keyed, int) and (keyed < 1 or heads % keyed):
        raise InputError(
            f"config.json of {source} asks for {heads} attention heads that share {keyed} of keys "
            f"and values, which does not divide; download or save the checkpoint again."
        )


def _check_sizes(text: Mapping[str, Any], source: str) -> None:
    """Refuse a size that no model has."""
    for key in ("num_hidden_layers", "hidden_size", "vocab_size", "max_position_embeddings"):
        if isinstance(size := text.get(key), int) and size < 1:
            raise InputError(
                f"config.json of {source} has {key} {size}; download or save the checkpoint again."
            )


def _check_ends(folder: Path, rows: int) -> None:
    """Refuse end-of-turn tokens that cannot be read or that no row of the embedding is."""
    path = folder / "generation_config.json"
    ends = read_object(path).get("eos_token_id") if path.is_file() else None
    for end in ends if isinstance(ends, list) else [ends]:
        if end is not None and (not isinstance(end, int) or (rows and not 0 <= end < rows)):
            raise InputError(
                f"{path}: eos_token_id names the token {end!r}, which the model does not have; "
                f"download the checkpoint again."
            )


def _check_against_index(folder: Path, files: Sequence[Path], tensors: dict[str, Tensor]) -> None:
    if files == [folder / WEIGHTS]:
        return
    missing = sorted(set(_weight_map(folder)) - set(tensors))
    if missing:
        raise InputError(
            f"{folder / INDEX} names the tensor {few(missing)}, which its weight file does not "
            f"hold; download the checkpoint again."
        )
