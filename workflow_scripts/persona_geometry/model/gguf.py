"""GGUF files: unpacked once into an ordinary checkpoint, which is all that the rest ever sees.

Quantised weights come out as the numbers that they stand for, in float32.
"""

import functools
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from persona_geometry.errors import InputError
from persona_geometry.files import write_json

UNPACKED = "unpacked.json"
"""Beside the checkpoint: the file that it was unpacked from, and its tensors of each kind."""
MAGIC = b"GGUF"


def unpack(file: Path, folder: Path) -> dict[str, int]:
    """Write the checkpoint that a GGUF file holds: weights in float32, tokenizer, chat template.

    Args:
        file: the GGUF file.
        folder: of the checkpoint; it exists whole or not at all.

    Returns:
        The number of tensors of each kind, such as {"F32": 61, "Q4_1": 210}.

    Raises:
        InputError: not a GGUF file, or one of a model that transformers cannot read from it.
    """
    with _read_once():
        kinds = tensor_kinds(file)
        network, tokenizer = _load(file)
    making = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(making, ignore_errors=True)
    network.save_pretrained(making)
    tokenizer.save_pretrained(making)
    write_json(making / UNPACKED, {"file": file.name, "tensors": kinds}, indent=1)
    shutil.rmtree(folder, ignore_errors=True)
    making.rename(folder)
    return kinds


def tensor_kinds(file: Path) -> dict[str, int]:
    """The number of tensors of each kind that a GGUF file holds.

    Raises:
        InputError: not a whole GGUF file.
    """
    gguf = _library()
    with file.open("rb") as stream:
        if stream.read(len(MAGIC)) != MAGIC:
            raise InputError(f"{file} is no GGUF file; download it again, or correct model.gguf.")
    try:
        tensors = gguf.GGUFReader(str(file)).tensors
    except (ValueError, IndexError, KeyError, OSError) as error:
        raise InputError(f"{file} is cut short or damaged ({error}); download it again.") from error
    return dict(sorted(Counter(tensor.tensor_type.name for tensor in tensors).items()))


def _library() -> Any:
    try:
        import gguf
    except ImportError:
        raise InputError(
            "Reading GGUF files needs the packages gguf and accelerate: run "
            "'pip install -r envs/cpu.txt -c envs/constraints.txt'."
        ) from None
    return gguf


@contextmanager
def _read_once() -> Iterator[None]:
    """While this is open, a file is parsed once and the names of its tensors are listed once.

    transformers asks anew for each part of a model, and once a module for the names; a file of
    50,000 tokens takes it three times as long.
    """
    gguf = _library()
    asked = {name: getattr(gguf, name) for name in ("GGUFReader", "get_tensor_name_map")}
    for name, of in asked.items():
        setattr(gguf, name, functools.cache(of))
    try:
        yield
    finally:
        for name, of in asked.items():
            setattr(gguf, name, of)


def _load(file: Path) -> tuple[Any, Any]:
    """The causal LM of a GGUF file, in float32, and its tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    from transformers.utils import logging

    from persona_geometry.model.checkpoint import check_loading

    logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            file.parent,
            gguf_file=file.name,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.float32,
            output_loading_info=True,
        )
    except Exception as error:  # tokenizers raises nothing narrower
        raise InputError(
            f"transformers cannot read the model in {file} ({error}); give its checkpoint as a "
            f"folder (model.path)."
        ) from error
    network, info = loaded
    check_loading(info, network, str(file))
    return network, tokenizer
