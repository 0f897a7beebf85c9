"""A checkpoint's configuration and tokenizer as transformers reads them."""

from pathlib import Path
from typing import Any

from persona_geometry.errors import InputError

UNBUILDABLE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, ImportError)
UNBUILDABLE += (AssertionError, OSError, RuntimeError)
"""What transformers raises for a model that it cannot build from its config.json."""


def load_config(folder: Path) -> Any:
    """A checkpoint's configuration, with its family's defaults.

    Raises:
        InputError: transformers cannot read it.
    """
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # whatever the family's own checks of its values raise
        raise unbuildable(folder, error) from error


def load_tokenizer(folder: Path, chat_template: str | None = None) -> Any:
    """A checkpoint's tokenizer, with a chat template of the study's where it gives one.

    Raises:
        InputError: transformers cannot read it.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # of its Rust code too
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
    said = " ".join(str(error).split("\n\n")[0].split()).split(". ")[0].rstrip(".")
    return f"{type(error).__name__}: {said[:160]}" if said else type(error).__name__
