"""PEFT adapters: low-rank changes to a model's weights, merged into them when it is loaded."""

from pathlib import Path
from typing import Any

from persona_geometry.errors import InputError
from persona_geometry.model.tokenizer_files import read_object


def check_adapter(folder: Path) -> None:
    """Refuse an adapter that is no LoRA, before a GPU is asked for.

    Raises:
        InputError: names the file and its kind.
    """
    path = folder / "adapter_config.json"
    kind = read_object(path).get("peft_type")
    if kind != "LORA":
        raise InputError(
            f"{path} is of an adapter of type {kind}; give a LoRA adapter, which can be merged, or "
            f"merge it into a checkpoint yourself."
        )


def merged(network: Any, folder: Path) -> Any:
    """The network with an adapter added to its weights, in their own precision.

    Raises:
        InputError: the adapter does not fit the network, tensor by tensor.
    """
    try:
        from peft import (
            PeftConfig,
            get_peft_model,
            load_peft_weights,
            set_peft_model_state_dict,
        )
    except ImportError:
        raise InputError(
            "Adapters need the package peft: run "
            "'pip install -r envs/cpu.txt -c envs/constraints.txt'."
        ) from None
    check_adapter(folder)
    try:
        config = PeftConfig.from_pretrained(str(folder))
        config.inference_mode = True
        adapted = get_peft_model(network, config, autocast_adapter_dtype=False)
        loaded: Any = set_peft_model_state_dict(
            adapted, load_peft_weights(str(folder), device="cpu")
        )
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        raise InputError(
            f"The adapter in {folder} does not fit the model ({str(error).splitlines()[0]}); give "
            f"the model that it was trained on."
        ) from error
    lacking = [name for name in loaded.missing_keys if "lora_" in name]
    if wrong := sorted([*loaded.unexpected_keys, *lacking]):
        raise InputError(
            f"The adapter in {folder} does not fit the model ({wrong[0]}); give the model that it "
            f"was trained on, or save the adapter again."
        )
    return adapted.merge_and_unload(safe_merge=True)
