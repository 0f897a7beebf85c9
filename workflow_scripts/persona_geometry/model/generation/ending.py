"""Where an answer ends: one rule for every backend."""

from collections.abc import Sequence
from typing import Any

from persona_geometry.store.store import Response


def end_tokens(generation_config: Any, tokenizer: Any) -> list[int]:
    """The tokens that end an answer: those of the generation config, or else the tokenizer's."""
    ends = generation_config.eos_token_id
    if ends is None:
        ends = tokenizer.eos_token_id
    if ends is None:
        return []
    return [ends] if isinstance(ends, int) else list(ends)


def to_response(tokenizer: Any, token_ids: Sequence[int], ends: Sequence[int]) -> Response:
    """Cut generated tokens after the first end-of-turn token and decode them.

    The end-of-turn token itself is kept: the model said it, so it is scored.
    """
    stop = next((n for n, token in enumerate(token_ids) if token in ends), None)
    kept = list(token_ids if stop is None else token_ids[: stop + 1])
    text = tokenizer.decode(kept, skip_special_tokens=True)
    return Response(kept, text, "length" if stop is None else "stop")
