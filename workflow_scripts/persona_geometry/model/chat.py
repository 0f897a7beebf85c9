"""Rendering: the token ids that a persona and a prompt become.

Generation and teacher forcing both go through `render`, so they cannot disagree.
"""

from typing import Any

from persona_geometry.errors import InputError
from persona_geometry.study.tables import TEMPLATE_DEFAULT

_MARK = "persona-geometry-marks-this-place"


def render(tokenizer: Any, system_prompt: str, user: str, system_role: str = "native") -> list[int]:
    """Token ids of a prompt under a persona, up to where the model's answer begins.

    Args:
        tokenizer: a Hugging Face tokenizer with a chat template.
        system_prompt: a text, an empty text (a literal empty system message), or `@template`
            (no system message).
        user: the user's message.
        system_role: "native" gives the system prompt as a system message; "fold" puts it before
            the user's text, for templates without a system role; "refuse" allows `@template` only.

    Raises:
        InputError: no chat template, or one that refuses or drops the system message.
    """
    text = _render_text(tokenizer, _messages(system_prompt, user, system_role), True)
    own_message = system_role == "native" and system_prompt != TEMPLATE_DEFAULT
    if own_message and system_prompt.strip() not in text:
        raise InputError(
            "The model's chat template drops the system message; set model.system_role to 'fold' "
            "to put personas before the user's text."
        )
    return _tokenize(tokenizer, text)


def scored_tokens(
    tokenizer: Any, token_ids: list[int], *, end_of_turn: bool, retokenize: bool
) -> list[int]:
    """The tokens of a response that are scored.

    By default exactly the generated ones. With `retokenize` the response's text is tokenized
    anew; with `end_of_turn` the template's closing tokens follow, once, also where the response
    was cut.
    """
    if not (end_of_turn or retokenize):
        return token_ids
    ids = token_ids
    if retokenize:
        ids = _tokenize(tokenizer, tokenizer.decode(token_ids, skip_special_tokens=True))
    if end_of_turn:
        closing = _closing_tokens(tokenizer)
        while ids and ids[-1] in closing[:1]:
            ids = ids[:-1]
        ids = ids + closing
    return ids


def _messages(system_prompt: str, user: str, system_role: str) -> list[dict[str, str]]:
    if system_prompt == TEMPLATE_DEFAULT:
        return [{"role": "user", "content": user}]
    if system_role == "refuse":
        raise InputError(
            "model.system_role is 'refuse', but a persona has a system prompt of its own; use "
            "'native' or 'fold', or give every persona the system prompt '@template'."
        )
    if system_role == "fold":
        folded = f"{system_prompt}\n\n{user}" if system_prompt else user
        return [{"role": "user", "content": folded}]
    return [{"role": "system", "content": system_prompt}, {"role": "user", "content": user}]


def _render_text(tokenizer: Any, messages: list[dict[str, str]], open_answer: bool) -> str:
    if not getattr(tokenizer, "chat_template", None):
        raise InputError(
            "The model's tokenizer has no chat template; use an instruction-tuned model."
        )
    try:
        return tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=open_answer
        )
    except Exception as error:
        if "system" in str(error).lower():
            raise InputError(
                f"The model's chat template refuses a system message ({error}); set "
                f"model.system_role to 'fold' to put personas before the user's text."
            ) from error
        raise


def _tokenize(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _closing_tokens(tokenizer: Any) -> list[int]:
    messages = [{"role": "user", "content": "-"}, {"role": "assistant", "content": _MARK}]
    return _tokenize(tokenizer, _render_text(tokenizer, messages, False).split(_MARK)[1])
