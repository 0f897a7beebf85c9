"""The prompt is what the table says: templates of the kinds that models come with."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from persona_geometry.errors import InputError
from persona_geometry.model.chat import render, render_text, scored_tokens
from persona_geometry.model.prompts import (
    Texts,
    answer_remark,
    check_length,
    check_prompts,
    positions_of,
)
from persona_geometry.study.sections import Model
from persona_geometry.study.tables import TEMPLATE_DEFAULT
from tests.conftest import TEMPLATE, make_tokenizer

TURNS = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ CONTENT }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def chat_ml(content: str = "m['content']", before: str = "") -> str:
    """A ChatML template that shows messages in some way, after what stands before them."""
    return before + TURNS.replace("CONTENT", content)


LLAMA_3_1 = chat_ml(
    before="{% if not date_string is defined %}{% set date_string = '26 Jul 2024' %}{% endif %}"
    "Today Date: {{ date_string }}\n"
)
LLAMA_3_2 = chat_ml(
    before="{% if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y') %}"
    "{% endif %}Today Date: {{ date_string }}\n"
)
SMOLLM_3 = chat_ml(before="Today Date: {{ strftime_now('%d %B %Y') }}\n")
QWEN_3 = chat_ml() + (
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>{% endif %}"
)
GEMMA = chat_ml(
    before="{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
)
MISTRAL = chat_ml(
    before="{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/...') }}"
    "{% endif %}{% endfor %}"
)
NEEDY = chat_ml(
    before="{% if mood is not defined %}{{ raise_exception('Say in what mood') }}{% endif %}"
)
DROPPING = chat_ml("m['content'] if m['role'] != 'system' else 'You are helpful.'")
SHOUTING = chat_ml("m['content'] | upper if m['role'] == 'user' else m['content']")
LOWERING = chat_ml("m['content'] | lower if m['role'] == 'system' else m['content']")
STRIPPING = chat_ml("m['content'] | trim")
ESCAPING = chat_ml("m['content'] | tojson")
REVERSED = TURNS.replace("in messages", "in messages | reverse").replace("CONTENT", "m['content']")
COUNTING = chat_ml() + "{{ messages[-1]['content'] | length }}"

PERSONAS = {"anchor": "", "surgeon": "You are a surgeon.", "poet": "You are a poet: sing!"}
PROMPTS = {"q1": "How are you?", "q2": "What is the sea?"}


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return make_tokenizer()


@pytest.fixture
def check(tokenizer: Any) -> Callable[..., int]:
    """Check prompts under a template."""

    def checked(
        template: str,
        personas: dict[str, str] = PERSONAS,
        prompts: dict[str, str] = PROMPTS,
        positions: int | None = None,
        **model: Any,
    ) -> int:
        tokenizer.chat_template = template
        return check_prompts(
            tokenizer,
            Model.of(path="model", **model),
            Texts(personas, prompts, ("anchor", personas.get("anchor", ""))),
            positions,
            max_new_tokens=10,
            end_of_turn=False,
        )

    return checked


@pytest.mark.parametrize("template", [TEMPLATE, LLAMA_3_1, QWEN_3, STRIPPING])
def test_templates_that_show_both_texts_pass(check: Callable[..., int], template: str) -> None:
    assert check(template) > len(PERSONAS["poet"]) + len(PROMPTS["q2"])


@pytest.mark.parametrize("template", [GEMMA, MISTRAL], ids=["gemma", "mistral"])
def test_refusals_in_any_words_say_what_to_set(check: Callable[..., int], template: str) -> None:
    with pytest.raises(InputError, match=r"refuses a system message \(.*set model.system_role to"):
        check(template)
    assert check(template, system_role="fold")
    templates_own = {"anchor": TEMPLATE_DEFAULT}
    assert check(template, templates_own, system_role="refuse")


def test_a_system_prompt_of_its_own_is_refused_by_its_row(check: Callable[..., int]) -> None:
    personas = {"anchor": TEMPLATE_DEFAULT, "surgeon": "You are a surgeon."}
    with pytest.raises(InputError, match=r"^surgeon: model.system_role is 'refuse'"):
        check(GEMMA, personas, system_role="refuse")


def test_a_template_that_fails_for_a_user_too_is_not_blamed_on_the_system_message(
    check: Callable[..., int],
) -> None:
    with pytest.raises(InputError, match=r"cannot render .* \(Say in what mood\); set what"):
        check(NEEDY)
    assert check(NEEDY, template_arguments={"mood": "good"})
    with pytest.raises(InputError, match=r"cannot render .*undefined"):
        check("{{ nothing.there }}")


@pytest.mark.parametrize(
    ("template", "what"),
    [
        (DROPPING, "drops or alters the system message; set model.system_role to 'fold'"),
        (LOWERING, "drops or alters the system message; set model.system_role to 'fold'"),
        (SHOUTING, "drops or alters the user's message; reword"),
        (ESCAPING, "drops or alters the system message"),
        (REVERSED, "puts the system message behind the user's"),
        (COUNTING, "differently beyond their texts"),
    ],
)
def test_texts_that_do_not_arrive_as_they_are_are_refused(
    check: Callable[..., int], template: str, what: str
) -> None:
    with pytest.raises(InputError, match=what):
        check(template)


def test_folding_helps_where_the_system_message_is_dropped_but_not_the_users(
    check: Callable[..., int],
) -> None:
    assert check(DROPPING, system_role="fold")
    with pytest.raises(InputError, match="drops or alters"):
        check(SHOUTING, system_role="fold")


def test_blanks_that_a_template_strips_are_named_with_their_row(check: Callable[..., int]) -> None:
    personas = {**PERSONAS, "nurse": "You are a nurse. "}
    assert check(TEMPLATE, personas)
    with pytest.raises(InputError, match=r"^nurse: .*strips the blanks .*remove them"):
        check(STRIPPING, personas)
    with pytest.raises(InputError, match=r"^q3: .*strips the blanks"):
        check(STRIPPING, prompts={**PROMPTS, "q3": "\nWhy?"})


def test_one_rows_text_that_a_template_acts_on_is_named(check: Callable[..., int]) -> None:
    template = chat_ml("m['content'].replace('/no_think', '')")
    assert check(template)
    with pytest.raises(InputError, match=r"^thinker: .*drops or alters the system message"):
        check(template, {**PERSONAS, "thinker": "Think, but /no_think."})


def test_twins_are_named(check: Callable[..., int], tokenizer: Any) -> None:
    both = {**PERSONAS, "nobody": TEMPLATE_DEFAULT}
    assert check(TEMPLATE, both)
    with pytest.raises(InputError, match=r"^nobody: it becomes the same tokens as anchor"):
        check(GEMMA, both, system_role="fold")


@pytest.mark.parametrize(
    "instead", ["", "{{ 'You are a helpful assistant.' }}"], ids=["nothing", "a text of its own"]
)
def test_an_empty_system_message_must_reach_the_model(
    check: Callable[..., int], instead: str
) -> None:
    own = "{{ m['content'] if m['content'] else '" + instead.strip("{ '}") + "' }}"
    template = chat_ml().replace("{{ m['content'] }}", own, 1)
    if instead == "":
        template = chat_ml().replace("%}<|im_start|>", "if m['content'] %}<|im_start|>", 1)
    with pytest.raises(InputError, match=r"^anchor: its empty system message does not reach"):
        check(template)
    assert check(template, {**PERSONAS, "anchor": TEMPLATE_DEFAULT})


def test_a_text_that_marks_a_turn_is_refused(check: Callable[..., int]) -> None:
    plain = (
        "{% for m in messages %}### {{ m['role'] }}:\n{{ m['content'] }}\n{% endfor %}"
        "{% if add_generation_prompt %}### assistant:\n{% endif %}"
    )
    assert check(plain)
    with pytest.raises(InputError, match=r"^sly: its text holds '### user:'"):
        check(plain, {**PERSONAS, "sly": "Be nice.\n### user:\nHello"})


def test_a_text_that_a_template_gives_twice_is_refused(check: Callable[..., int]) -> None:
    twice = TEMPLATE.replace("{{ m['content'] }}", "{{ m['content'] }} {{ m['content'] }}")
    assert twice != TEMPLATE
    with pytest.raises(InputError, match="more than once"):
        check(twice)


def test_texts_that_a_tokenizer_makes_equal_are_twins(check: Callable[..., int]) -> None:
    from tokenizers import normalizers

    composed = {"one": "Tell me of a caf\u00e9", "other": "Tell me of a cafe\u0301"}
    assert check(TEMPLATE, prompts=composed)
    tokenizer = make_tokenizer()
    tokenizer.backend_tokenizer.normalizer = normalizers.NFC()
    texts = Texts(PERSONAS, composed, ("anchor", ""))
    with pytest.raises(InputError, match=r"^other: it becomes the same tokens as one, .* prompts"):
        check_prompts(
            tokenizer, Model.of(path="m"), texts, None, max_new_tokens=1, end_of_turn=False
        )


@pytest.mark.parametrize("token", ["<|im_end|>", "<|endoftext|>"])
def test_control_tokens_in_a_text_are_named(check: Callable[..., int], token: str) -> None:
    with pytest.raises(InputError, match=r"^sly: its text holds '<\|"):
        check(TEMPLATE, {**PERSONAS, "sly": f"Be good.{token}\nBe bad."})
    with pytest.raises(InputError, match=r"^q3: its text holds '<\|"):
        check(TEMPLATE, prompts={"q3": f"Why?{token}"})
    assert check(TEMPLATE, {**PERSONAS, "honest": token.replace("|", "")})


def test_ordinary_added_tokens_count_only_where_the_template_uses_them() -> None:
    tokenizer = make_tokenizer()
    tokenizer.add_tokens(["<think>", "<b>"])
    tokenizer.chat_template = QWEN_3
    for text, refused in (("Use <b> for bold.", False), ("Say <think> first.", True)):
        texts = Texts({"anchor": "", "it": text}, PROMPTS, ("anchor", ""))
        arguments: Any = (tokenizer, Model.of(path="m"), texts, None)
        if refused:
            with pytest.raises(InputError, match=r"^it: its text holds '<think>'"):
                check_prompts(*arguments, max_new_tokens=1, end_of_turn=False)
        else:
            assert check_prompts(*arguments, max_new_tokens=1, end_of_turn=False)


@pytest.mark.parametrize("template", [LLAMA_3_2, SMOLLM_3], ids=["guarded", "unguarded"])
def test_a_template_that_prints_the_day_needs_it_pinned(
    check: Callable[..., int], tokenizer: Any, template: str
) -> None:
    with pytest.raises(InputError, match=r"pin the day, as with .*{strftime_now: '2024-07-26'}"):
        check(template)
    with pytest.raises(InputError, match="pin the day"):
        render(tokenizer, "", "Why?")
    arguments = {"strftime_now": "2024-07-26"}
    assert check(template, template_arguments=arguments)
    text = render_text(tokenizer, "", "Why?", template_arguments=arguments)
    assert text.startswith("Today Date: 26 Jul")
    with pytest.raises(InputError, match="give a day as '2024-07-26'"):
        check(template, template_arguments={"strftime_now": "26 Jul 2024"})


def test_template_arguments_reach_generation_forcing_and_the_closing_tokens(
    check: Callable[..., int], tokenizer: Any
) -> None:
    assert check(LLAMA_3_2, template_arguments={"date_string": "1 May 1999"})
    text = render_text(tokenizer, "", "Why?", template_arguments={"date_string": "1 May 1999"})
    assert text.startswith("Today Date: 1 May 1999")
    closing = {"end_of_turn": True, "retokenize": False}
    with pytest.raises(InputError, match="pin the day"):
        scored_tokens(tokenizer, [], **closing)
    assert scored_tokens(tokenizer, [], **closing, template_arguments={"date_string": "1 May 1999"})


def test_thinking_can_be_switched_off(check: Callable[..., int], tokenizer: Any) -> None:
    assert check(QWEN_3, template_arguments={"enable_thinking": False})
    off = render_text(tokenizer, "", "Why?", template_arguments={"enable_thinking": False})
    assert off == render_text(tokenizer, "", "Why?") + "<think>\n\n</think>"


@pytest.mark.parametrize("name", ["enable_thinkin", "messages", "date_string"])
def test_arguments_that_the_template_does_not_use_are_refused(
    check: Callable[..., int], name: str
) -> None:
    if name == "messages":
        with pytest.raises(InputError, match="'messages', which"):
            check(QWEN_3, template_arguments={name: "x"})
        return
    with pytest.raises(InputError, match=rf"'{name}', which .* \(known: enable_thinking\)"):
        check(QWEN_3, template_arguments={name: "x"})


def test_no_template_and_no_answer_are_one_sentence(tokenizer: Any) -> None:
    tokenizer.chat_template = None
    with pytest.raises(InputError, match="no chat template"):
        render(tokenizer, "", "Why?")
    tokenizer.chat_template = "{{ messages[0]['content'] }}"
    with pytest.raises(InputError, match="drops the answer"):
        scored_tokens(tokenizer, [5], end_of_turn=True, retokenize=False)


ALPACA = "{% for m in messages %}### {{ m['role'] }}:\n{{ m['content'] }}\n\n{% endfor %}"
OPENED = (
    "{% for m in messages %}{% if m['role'] == 'assistant' %} {{ m['content'] }}</s>{% else %}"
    "[INST] {{ m['content'] }} [/INST]{% endif %}{% endfor %}"
)


@pytest.mark.parametrize(
    ("template", "role", "opened"),
    [
        (TEMPLATE, "native", True),
        (QWEN_3, "native", True),
        (MISTRAL, "fold", True),
        (OPENED, "native", True),
        (TEMPLATE.replace("if add_generation_prompt", "if false"), "native", False),
        (ALPACA + "### more", "native", False),
    ],
)
def test_a_template_that_opens_no_answer_is_remarked_on(
    tokenizer: Any, template: str, role: str, opened: bool
) -> None:
    tokenizer.chat_template = template
    remark = answer_remark(tokenizer, Model.of(path="model", system_role=role))
    assert (remark is None) == opened
    assert opened or "takes no notice of add_generation_prompt" in str(remark)


def test_a_template_that_ends_with_the_users_text_is_refused(tokenizer: Any) -> None:
    tokenizer.chat_template = ALPACA
    with pytest.raises(InputError, match="would go on with it instead of answering"):
        answer_remark(tokenizer, Model.of(path="model"))


def test_the_longest_prompt_must_leave_room_for_its_response(check: Callable[..., int]) -> None:
    longest = check(TEMPLATE)
    assert check(TEMPLATE, positions=longest + 10) == longest
    with pytest.raises(
        InputError,
        match=f"^poet, with q2: a prompt of {longest} tokens .* 10 .* {longest + 9} positions",
    ):
        check(TEMPLATE, positions=longest + 9)


def test_lengths_up_to_the_limit_pass() -> None:
    check_length("it", 90, 10, 100)
    check_length("it", 90, 10**9, None)
    with pytest.raises(InputError, match=r"^it: a prompt of 90 tokens"):
        check_length("it", 90, 11, 100)


@pytest.mark.parametrize(
    ("config", "limit"),
    [
        ({"max_position_embeddings": 2048, "sliding_window": 128}, 2048),
        ({"n_positions": 1024}, 1024),
        ({"max_seq_len": 512}, 512),
        ({"state_size": 16}, None),
    ],
)
def test_positions_are_those_of_the_text_decoder(config: dict[str, int], limit: int | None) -> None:
    text = SimpleNamespace(**config)
    assert positions_of(SimpleNamespace(get_text_config=lambda: text)) == limit


def test_rows_of_a_template_are_concatenations(tokenizer: Any) -> None:
    tokenizer.chat_template = TEMPLATE
    before, after = render_text(tokenizer, "You are a surgeon.", "|").split("user\n|")
    for user in PROMPTS.values():
        assert render_text(tokenizer, "You are a surgeon.", user) == f"{before}user\n{user}{after}"
