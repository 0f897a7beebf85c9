"""The tokens of a response as text, one by one."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

TOKENIZER = "tokenizer.json"


def scored_texts(folder: str | Path, token_ids: Sequence[int], n_scored: int) -> list[str] | None:
    """`token_texts` of a response; None where other tokens than the generated were scored.

    A study may score the text tokenized anew, whose tokens are not recorded.
    """
    return token_texts(folder, token_ids) if len(token_ids) == n_scored else None


def word_texts(folder: str | Path, token_ids: Sequence[int]) -> list[str] | None:
    """What each token is as text by itself, special tokens and leading blanks included.

    Args:
        folder: of the checkpoint.
        token_ids: any tokens.

    Returns:
        A text for each, or None where the checkpoint has no tokenizer.json.
    """
    tokenizer = _tokenizer(Path(folder) / TOKENIZER)
    if tokenizer is None:
        return None

    def text(token: int) -> str:
        # Some tokenizers leave out the blank before a first word, none that before a second.
        once, twice = (tokenizer.decode([token] * n, skip_special_tokens=False) for n in (1, 2))
        return str(twice[len(once) :]) if twice.startswith(once) else once

    return [text(token) for token in token_ids]


def token_texts(folder: str | Path, token_ids: Sequence[int]) -> list[str] | None:
    """What each token adds to the text of a response.

    A character of several tokens is given to the last of them; a token that the text leaves out, as
    that which ends a turn, is empty.

    Args:
        folder: of the checkpoint.
        token_ids: of the response.

    Returns:
        T texts, which joined are the response, or None where the checkpoint has no tokenizer.json.
    """
    tokenizer = _tokenizer(Path(folder) / TOKENIZER)
    if tokenizer is None:
        return None
    texts, before = [], ""
    for end in range(1, len(token_ids) + 1):
        # A character that is still to be finished is decoded as the replacement character.
        text = tokenizer.decode(list(token_ids[:end])).rstrip("�")
        whole = text if text.startswith(before) else before
        texts.append(whole[len(before) :])
        before = whole
    return texts


@cache
def _tokenizer(path: Path) -> Any:
    """The tokenizer of a file, which takes a while to read; None where there is no file."""
    if not path.is_file():
        return None
    from tokenizers import Tokenizer  # slow to import, and only few jobs need it

    return Tokenizer.from_file(str(path))
