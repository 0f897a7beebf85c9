"""Rendering: the token ids that a persona and a prompt become.

Generation and teacher forcing both go through `render`, so they cannot disagree.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from types import MappingProxyType
from typing import Any

from persona_geometry.errors import InputError
from persona_geometry.study.tables import TEMPLATE_DEFAULT

NO_ARGUMENTS: Mapping[str, Any] = MappingProxyType({})
DAY = "strftime_now"
"""The function by which templates ask for the day; as an argument, the day that it gives."""

FOLD = "set model.system_role to 'fold' to put personas before the user's text"
REWORD = "reword it, or use another model"

_MARK = "persona-geometry-marks-this-place"


def render(
    tokenizer: Any,
    system_prompt: str,
    user: str,
    system_role: str = "native",
    template_arguments: Mapping[str, Any] = NO_ARGUMENTS,
) -> list[int]:
    """Token ids of a prompt under a persona, up to where the model's answer begins.

    Args:
        tokenizer: a Hugging Face tokenizer with a chat template.
        system_prompt: a text, an empty text (a literal empty system message), or `@template`
            (no system message).
        user: the user's message.
        system_role: "native" gives the system prompt as a system message; "fold" puts it before
            the user's text, for templates without a system role; "refuse" allows `@template` only.
        template_arguments: given to the template.

    Raises:
        InputError: as `render_text`.
    """
    text = render_text(tokenizer, system_prompt, user, system_role, template_arguments)
    return tokenize(tokenizer, text)


def render_text(
    tokenizer: Any,
    system_prompt: str,
    user: str,
    system_role: str = "native",
    template_arguments: Mapping[str, Any] = NO_ARGUMENTS,
) -> str:
    """The text of which `render` gives the tokens.

    Raises:
        InputError: there is no chat template; it fails, or refuses the system message; it depends
            on the day; or it does not give both texts as they are, the user's last.
    """
    messages = _messages(system_prompt, user, system_role)
    text = _apply_template(tokenizer, messages, template_arguments, open_answer=True)
    own = "" if system_prompt == TEMPLATE_DEFAULT else system_prompt
    remedy = FOLD if system_role == "native" else REWORD
    place = text.find(own)
    if place < 0:
        raise altered("system message", own, own.strip() in text, remedy)
    if text.find(user, place + len(own)) < 0:
        if user in text:
            raise InputError(
                f"The model's chat template puts the system message behind the user's; {remedy}."
            )
        raise altered("user's message", user, user.strip() in text, REWORD)
    return text


def chat_template(tokenizer: Any) -> str:
    """The template that renders a conversation.

    Raises:
        InputError: there is none.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise InputError(
            "The model's tokenizer has no chat template; use an instruction-tuned model."
        )
    try:
        return str(tokenizer.get_chat_template())
    except ValueError as error:
        raise InputError(
            f"The model's tokenizer has no chat template named 'default' ({error}); give it one."
        ) from error


def tokenize(tokenizer: Any, text: str) -> list[int]:
    """Token ids of a text, and of nothing that the tokenizer would add to it."""
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def scored_tokens(
    tokenizer: Any,
    token_ids: list[int],
    *,
    end_of_turn: bool,
    retokenize: bool,
    template_arguments: Mapping[str, Any] = NO_ARGUMENTS,
) -> list[int]:
    """The tokens of a response that are scored.

    By default exactly the generated ones. With `retokenize` the response's text is tokenized
    anew; with `end_of_turn` the template's closing tokens follow, once, also where the response
    was cut.

    Raises:
        InputError: the template cannot render an answer, or drops it.
    """
    if not (end_of_turn or retokenize):
        return token_ids
    ids = token_ids
    if retokenize:
        ids = tokenize(tokenizer, tokenizer.decode(token_ids, skip_special_tokens=True))
    if end_of_turn:
        closing = _closing_tokens(tokenizer, template_arguments)
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


def _apply_template(
    tokenizer: Any,
    messages: Sequence[Mapping[str, str]],
    arguments: Mapping[str, Any],
    open_answer: bool,
) -> str:
    chat_template(tokenizer)
    given = {**arguments, DAY: _day(arguments.get(DAY))}
    try:
        return str(
            tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=open_answer, **given
            )
        )
    except InputError:
        raise
    except Exception as error:  # whatever the template's author or Jinja raises
        raise _failed(tokenizer, messages, arguments, error) from error


def _failed(
    tokenizer: Any,
    messages: Sequence[Mapping[str, str]],
    arguments: Mapping[str, Any],
    error: Exception,
) -> InputError:
    """What a template's failure means: would it render the same without a system message?"""
    roles = [message["role"] for message in messages]
    if roles[0] == "system":
        try:
            _apply_template(tokenizer, messages[1:], arguments, open_answer=True)
        except InputError:
            pass
        else:
            return InputError(
                f"The model's chat template refuses a system message ({error}); {FOLD}."
            )
    return InputError(
        f"The model's chat template cannot render messages of the roles {', '.join(roles)} "
        f"({error}); set what it asks for in model.template_arguments, or use another model."
    )


def altered(what: str, given: str, without_blanks: bool, remedy: str) -> InputError:
    """A text that a template does not give as it is, but perhaps without the blanks at its ends."""
    if without_blanks and given != given.strip():
        return InputError(
            f"The model's chat template strips the blanks at the ends of the {what} "
            f"{given[:40]!r}; remove them."
        )
    return InputError(f"The model's chat template drops or alters the {what}; {remedy}.")


def _day(pinned: Any) -> Callable[[str], str]:
    """What templates call for the day: the pinned one, or a refusal."""
    if pinned is None:
        return _refuse_day
    try:
        return date.fromisoformat(pinned).strftime
    except (TypeError, ValueError):
        raise InputError(
            f"model.template_arguments.{DAY} is {pinned!r}; give a day as '2024-07-26', in quotes."
        ) from None


def _refuse_day(_format: str) -> str:
    raise InputError(
        f"The model's chat template prints the day on which it is run, so that what is computed "
        f"on two days would differ; pin the day, as with model.template_arguments: "
        f"{{{DAY}: '2024-07-26'}}."
    )


def opens_answer(
    tokenizer: Any,
    rendered: str,
    system_prompt: str,
    user: str,
    system_role: str,
    arguments: Mapping[str, Any],
) -> bool:
    """Whether a rendered prompt ends where an answer begins.

    It does where it differs from what the template gives without being asked to open one, or where
    the template puts an answer right behind it. A template that renders no answers cannot tell.
    """
    messages = _messages(system_prompt, user, system_role)
    if rendered != _apply_template(tokenizer, messages, arguments, open_answer=False):
        return True
    answered = [*messages, {"role": "assistant", "content": _MARK}]
    try:
        whole = _apply_template(tokenizer, answered, arguments, open_answer=False)
    except InputError:
        return True
    return whole[len(rendered) :].lstrip().startswith(_MARK) or _MARK not in whole


def _closing_tokens(tokenizer: Any, arguments: Mapping[str, Any]) -> list[int]:
    messages = [{"role": "user", "content": "-"}, {"role": "assistant", "content": _MARK}]
    _, mark, after = _apply_template(tokenizer, messages, arguments, False).partition(_MARK)
    if not mark:
        raise InputError(
            "The model's chat template drops the answer, so that nothing says how one ends; set "
            "scoring.end_of_turn to false."
        )
    return tokenize(tokenizer, after)
