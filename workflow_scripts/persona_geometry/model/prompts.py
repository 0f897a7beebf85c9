"""Whether the prompts of a study are what its tables say: checked by rendering them.

Rendering is concatenation: a template puts its own text around a persona's and a prompt's. That
is tried with marked texts; then every persona is rendered once and every prompt once, instead of
all their pairs.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from persona_geometry.errors import InputError
from persona_geometry.model.chat import (
    FOLD,
    REWORD,
    altered,
    chat_template,
    opens_answer,
    render,
    render_text,
    scored_tokens,
    tokenize,
)
from persona_geometry.model.tokenizer_files import template_variables
from persona_geometry.study.sections import Model
from persona_geometry.study.tables import TEMPLATE_DEFAULT

# Two personas and two prompts that nobody writes, with what templates are known to change.
_SYSTEM = "Mark 1: <É & 'x'>\n\n  Be Brief.", 'Mark 2, ß: be LONG\tand "so on" </s1>.'
_USER = "Mark 3: {x} \\n is  it?", "Mark 4 – «WHO»\n\n\n& why?"

_RESERVED = {"messages", "add_generation_prompt", "tools", "documents", "raise_exception"}
_POSITIONS = "max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length"


@dataclass(frozen=True)
class Texts:
    """What a study has rendered: texts by the words that name each in a message.

    Attributes:
        personas: system prompts.
        prompts: users' messages.
        of_responses: name and text of the system prompt of the shared responses.
    """

    personas: Mapping[str, str]
    prompts: Mapping[str, str]
    of_responses: tuple[str, str]


def check_prompts(
    tokenizer: Any,
    model: Model,
    texts: Texts,
    positions: int | None,
    *,
    max_new_tokens: int,
    end_of_turn: bool,
) -> int:
    """Refuse personas and prompts that do not become what the tables say.

    Args:
        tokenizer: the model's.
        model: a study's `model` section.
        texts: what is rendered, at least one of each kind.
        positions: how many tokens the model has positions for; None for any number.
        max_new_tokens: length of the longest response.
        end_of_turn: whether the template's closing tokens are scored after it.

    Returns:
        Tokens of the longest prompt.

    Raises:
        InputError: a template argument that the template does not use; a template that depends on
            the day, or that drops or alters a text; a text with a token of the template's own; two
            texts that become the same tokens; a prompt that leaves no positions for its response.
    """
    role, arguments = model.system_role, model.template_arguments
    frame = check_template(tokenizer, model)
    system_prompts = {texts.of_responses[0]: texts.of_responses[1], **texts.personas}
    if TEMPLATE_DEFAULT in system_prompts.values():
        _frame(tokenizer, (TEMPLATE_DEFAULT, TEMPLATE_DEFAULT), role, arguments)
    _check_control_tokens(tokenizer, {**system_prompts, **texts.prompts})
    _check_turn_marks(frame, {**system_prompts, **texts.prompts})

    system, user = TEMPLATE_DEFAULT if role == "refuse" else _SYSTEM[1], _USER[1]
    personas, prompts = {}, {}
    for name, text in system_prompts.items():
        with _about(name):
            rendered = render_text(tokenizer, text, user, role, arguments)
            if text == "" and role == "native" and rendered != frame.replace(system, ""):
                raise InputError(
                    "its empty system message does not reach the model as one, since the chat "
                    "template leaves it out or puts another text there; write '@template' for no "
                    "system message."
                )
            if text not in ("", TEMPLATE_DEFAULT):
                _check_frame(rendered, frame, system, text, FOLD if role == "native" else REWORD)
            personas[name] = tokenize(tokenizer, rendered)
    for name, text in texts.prompts.items():
        with _about(name):
            rendered = render_text(tokenizer, system, text, role, arguments)
            _check_frame(rendered, frame, user, text, REWORD)
            prompts[name] = tokenize(tokenizer, rendered)
    _check_distinct({name: personas[name] for name in texts.personas}, "personas")
    _check_distinct(prompts, "prompts")

    persona = max(personas, key=lambda name: len(personas[name]))
    prompt = max(prompts, key=lambda name: len(prompts[name]))
    longest = system_prompts[persona], texts.prompts[prompt]
    length = len(render(tokenizer, *longest, role, arguments))
    closing = scored_tokens(
        tokenizer,
        [],
        end_of_turn=end_of_turn,
        retokenize=False,
        template_arguments=arguments,
    )
    check_length(f"{persona}, with {prompt}", length, max_new_tokens + len(closing), positions)
    return length


def check_template(tokenizer: Any, model: Model) -> str:
    """Refuse a chat template that does not give two texts as they are, each in its place.

    Returns:
        What the template makes of marked texts.

    Raises:
        InputError: as `render_text`, or an argument that the template does not use.
    """
    role, arguments = model.system_role, model.template_arguments
    _check_arguments(tokenizer, arguments)
    if not tokenize(tokenizer, "a"):
        raise InputError(
            "The model's tokenizer makes no token of the letter a; give the tokenizer that belongs "
            "to the weights."
        )
    return _frame(
        tokenizer,
        (TEMPLATE_DEFAULT, TEMPLATE_DEFAULT) if role == "refuse" else _SYSTEM,
        role,
        arguments,
    )


def answer_remark(tokenizer: Any, model: Model) -> str | None:
    """A sentence where a template does not open the answer that it is asked to open.

    Templates that open it unasked, as those that end with [/INST] or ### Response:, do.

    Raises:
        InputError: nothing follows the user's text, so that the model would go on with it.
    """
    system = TEMPLATE_DEFAULT if model.system_role == "refuse" else _SYSTEM[1]
    user, arguments = _USER[1], model.template_arguments
    rendered = render_text(tokenizer, system, user, model.system_role, arguments)
    if not rendered[rendered.rindex(user) + len(user) :].strip():
        raise InputError(
            "The model's chat template puts nothing behind the user's text, so that the model "
            "would go on with it instead of answering; use an instruction-tuned model, or give "
            "the template a mark that opens the answer."
        )
    if opens_answer(tokenizer, rendered, system, user, model.system_role, arguments):
        return None
    return (
        "The model's chat template does not open the answer (it takes no notice of "
        "add_generation_prompt), so that the first tokens of a response are those that open it."
    )


def _frame(
    tokenizer: Any, systems: tuple[str, str], role: str, arguments: Mapping[str, Any]
) -> str:
    """What the template makes of marked texts, which must be the same around two of them."""
    one, other = (
        render_text(tokenizer, system, user, role, arguments)
        for system, user in zip(systems, _USER, strict=True)
    )
    for mine, theirs in zip((systems[0], _USER[0]), (systems[1], _USER[1]), strict=True):
        one = one.replace(mine, theirs)
    if one != other:
        raise InputError(
            "The model's chat template renders two prompts differently beyond their texts, so that "
            "its own part of them cannot be told; use another model."
        )
    if any(other.count(mark) > 1 for mark in (systems[1], _USER[1])):
        raise InputError(
            "The model's chat template gives a text more than once; use another model."
        )
    return other


def _check_turn_marks(frame: str, texts: Mapping[str, str]) -> None:
    """Refuse texts that hold a line of the template's own, which would open a turn."""
    own = frame
    for mark in (_SYSTEM[1], _USER[1]):
        own = own.replace(mark, "\n")
    marks = {line.strip() for line in own.splitlines()}
    marks = {mark for mark in marks if len(mark) > 2 and not mark.isalpha()}
    for name, text in texts.items():
        for mark in marks:
            if mark in text:
                raise InputError(
                    f"{name}: its text holds {mark!r}, with which the model's chat template marks "
                    f"a turn; reword the text."
                )


def _check_arguments(tokenizer: Any, arguments: Mapping[str, Any]) -> None:
    used = template_variables(chat_template(tokenizer)) - _RESERVED
    used -= set(tokenizer.special_tokens_map)
    for name in arguments:
        if name not in used:
            raise InputError(
                f"model.template_arguments names '{name}', which the model's chat template does "
                f"not use; remove or correct it (known: {', '.join(sorted(used)) or 'none'})."
            )


def check_length(what: str, prompt: int, answer: int, positions: int | None) -> None:
    """Refuse what is longer than a model has positions for.

    Args:
        what: names the persona and the prompt.
        prompt: tokens of the prompt.
        answer: tokens of the response, or of the longest that there may be.
        positions: how many tokens the model has positions for; None for any number.

    Raises:
        InputError: names both lengths and the limit.
    """
    if positions is not None and prompt + answer > positions:
        raise InputError(
            f"{what}: a prompt of {prompt} tokens and a response of up to {answer} are more than "
            f"the model's {positions} positions; shorten the longer text, or lower "
            f"generation.max_new_tokens."
        )


def positions_of(config: Any) -> int | None:
    """How many tokens a model has positions for, by its Hugging Face configuration."""
    text = config.get_text_config()
    found = (getattr(text, name, None) for name in _POSITIONS)
    return next((number for number in found if number), None)


@contextmanager
def _about(name: str) -> Iterator[None]:
    """Put the name of what is rendered before whatever is wrong with it."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


def _check_frame(rendered: str, frame: str, mark: str, text: str, remedy: str) -> None:
    """Refuse a text that was not put, as it is, where the mark stands."""
    if rendered != frame.replace(mark, text):
        stripped = rendered == frame.replace(mark, text.strip())
        raise altered("text", text, stripped, remedy)


def _check_distinct(rendered: Mapping[str, Sequence[int]], kind: str) -> None:
    name_of: dict[tuple[int, ...], str] = {}
    for name, ids in rendered.items():
        twin = name_of.setdefault(tuple(ids), name)
        if twin != name:
            raise InputError(
                f"{name}: it becomes the same tokens as {twin}, and two identical {kind} have no "
                f"distance; change or remove one of them."
            )


def _check_control_tokens(tokenizer: Any, texts: Mapping[str, str]) -> None:
    """Refuse texts in which the tokenizer finds tokens that only the template may set."""
    template = chat_template(tokenizer)
    control = {
        number: token.content
        for number, token in tokenizer.added_tokens_decoder.items()
        if token.special or (token.content.strip() and token.content in template)
    }
    for name, text in texts.items():
        found = control.keys() & set(tokenize(tokenizer, text))
        tokens = [control[number] for number in sorted(found) if _said(number, text, tokenizer)]
        if tokens:
            raise InputError(
                f"{name}: its text holds {tokens[0]!r}, which the model reads as a token of its "
                f"chat template; reword the text."
            )


def _said(number: int, text: str, tokenizer: Any) -> bool:
    """Whether a control token stands in a text, and not only for a character that is unknown."""
    return number != tokenizer.unk_token_id or tokenizer.unk_token in text
