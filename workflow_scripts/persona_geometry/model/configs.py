"""A checkpoint's configuration and tokenizer as transformers reads them."""

from pathlib import Path
from typing import Any

from persona_geometry.errors import InputError

UNBUILDABLE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, ImportError)
UNBUILDABLE += (AssertionError, OSError, RuntimeError)
"""What transformers raises for a config.json or a tokenizer that it cannot make sense of."""


def load_config(folder: Path) -> Any:
    """A checkpoint's configuration, with its family's defaults.

    Raises:
        InputError: transformers cannot read it.
    """
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except UNBUILDABLE as error:
        raise unbuildable(folder, error) from error


def load_tokenizer(folder: Path, chat_template: str | None = None) -> Any:
    """A checkpoint's tokenizer, with a chat template of the study's where it gives one.

    Raises:
        InputError: transformers cannot read it.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except UNBUILDABLE as error:
        raise InputError(
            f"transformers cannot read the tokenizer in {folder} ({_brief(error)}); download the "
            f"checkpoint again, or save the model's tokenizer beside it."
        ) from error
    if chat_template is not None:
        tokenizer.chat_template = chat_template
    return tokenizer


def unbuildable(folder: Path, error: Exception) -> InputError:
    """What to say of a checkpoint whose config.json transformers cannot follow."""
    return InputError(
        f"transformers cannot make the model that {folder / 'config.json'} describes "
        f"({_brief(error)}); download or save the checkpoint again."
    )


def _brief(error: Exception) -> str:
    said = str(error).strip().split("\n")[0].rstrip(".")
    return f"{type(error).__name__}: {said[:160]}" if said else type(error).__name__
