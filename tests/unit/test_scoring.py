"""Rendering, teacher forcing, generation and divergences on a real small model."""

import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from persona_geometry.errors import InputError
from persona_geometry.jobs.scoring import GroupScorer
from persona_geometry.jobs.shard import ShardJob
from persona_geometry.jobs.task import Settings, Task
from persona_geometry.model import forcing
from persona_geometry.model.chat import render, scored_tokens
from persona_geometry.model.forcing import teacher_force
from persona_geometry.model.generation import transformers_backend
from persona_geometry.model.generation.transformers_backend import generate
from persona_geometry.model.loading import LanguageModel, load_model
from persona_geometry.model.selftest import check_model, sample_turns
from persona_geometry.rdms.publish import prompt_divergences
from persona_geometry.store.store import Receipt, Response, Store
from persona_geometry.study.sections import Generation, Model, Scoring

SYSTEMS = ["", "You are a surgeon.", "You are a poet and you love the sea.", "@template", "Bah!"]


@pytest.fixture(scope="module")
def settings(random_model: Path) -> Settings:
    return Settings(
        model=Model.of(path=str(random_model), dtype="float32"),
        generation=Generation.of(max_new_tokens=20),
        scoring=Scoring.of(),
        response_system_prompt="",
        device="cpu",
    )


@pytest.fixture(scope="module")
def model(settings: Settings) -> LanguageModel:
    loaded = load_model(settings.model, "cpu")
    prompts = [render(loaded.tokenizer, system, "Why?") for system in SYSTEMS]
    return check_model(loaded, sample_turns(prompts, 20))


def test_rendering_tells_empty_default_and_own_system_prompts_apart(model: LanguageModel) -> None:
    texts = [model.tokenizer.decode(render(model.tokenizer, s, "Why?")) for s in SYSTEMS[:4]]
    assert "system\n<|im_end|>" in texts[0]
    assert "system\nYou are a surgeon.<|im_end|>" in texts[1]
    assert "system\nYou are a helpful assistant.<|im_end|>" in texts[3]
    assert all(text.endswith("<|im_start|>assistant\n") for text in texts)


def test_folding_and_refusing(model: LanguageModel) -> None:
    text = model.tokenizer.decode(render(model.tokenizer, "Be brief.", "Why?", "fold"))
    assert "user\nBe brief.\n\nWhy?<|im_end|>" in text
    with pytest.raises(InputError, match="'refuse'"):
        render(model.tokenizer, "Be brief.", "Why?", "refuse")


def test_templates_that_drop_or_refuse_the_system_message_are_named(model: LanguageModel) -> None:
    original = model.tokenizer.chat_template
    try:
        model.tokenizer.chat_template = "{{ messages[-1]['content'] }}"
        with pytest.raises(InputError, match="drops or alters the system message"):
            render(model.tokenizer, "Be brief.", "Why?")
        model.tokenizer.chat_template = (
            "{% if messages[0]['role'] == 'system' %}{{ raise_exception('Never') }}{% endif %}"
            "{{ messages[-1]['content'] }}"
        )
        with pytest.raises(InputError, match="refuses a system message"):
            render(model.tokenizer, "Be brief.", "Why?")
        model.tokenizer.chat_template = None
        with pytest.raises(InputError, match="no chat template"):
            render(model.tokenizer, "Be brief.", "Why?")
    finally:
        model.tokenizer.chat_template = original


def test_scored_tokens_are_the_generated_ones_unless_asked_otherwise(model: LanguageModel) -> None:
    tokenizer = model.tokenizer
    ids = tokenizer("yes")["input_ids"]
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    newline = tokenizer("\n")["input_ids"]
    assert scored_tokens(tokenizer, ids, end_of_turn=False, retokenize=False) == ids
    closed = [*ids, end, *newline]
    assert scored_tokens(tokenizer, ids, end_of_turn=True, retokenize=True) == closed
    assert scored_tokens(tokenizer, [*ids, end], end_of_turn=True, retokenize=False) == closed


def test_batched_generation_equals_one_at_a_time(model: LanguageModel) -> None:
    prompts = [render(model.tokenizer, s, "What is the sea?") for s in SYSTEMS]
    batched: dict[int, Response] = {}
    generate(model, prompts, 16, batched.update)
    for i, prompt in enumerate(prompts):
        alone: dict[int, Response] = {}
        generate(model, [prompt], 16, alone.update)
        assert alone[0] == batched[i]
        ids = torch.tensor([prompt])
        for token in batched[i].token_ids:
            logits = model.network(input_ids=ids).logits[0, -1]
            assert int(logits.argmax()) == token
            ids = torch.cat([ids, torch.tensor([[token]])], 1)


def test_decoding_over_a_static_cache_equals_transformers(model: LanguageModel) -> None:
    from persona_geometry.model.generation.static_cache import can_decode, decode

    prompts = [render(model.tokenizer, s, "What is the sea?") for s in SYSTEMS]
    expected: dict[int, Response] = {}
    generate(model, prompts, 40, expected.update)
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    assert can_decode(model.network)
    for row, tokens in enumerate(decode(model.network, ids, mask, 40, [2]).tolist()):
        kept = expected[row].token_ids
        assert tokens[: len(kept)] == kept


def test_batched_forcing_equals_one_at_a_time_and_the_plain_model(model: LanguageModel) -> None:
    prompts = [render(model.tokenizer, s, "What is the sea?") for s in SYSTEMS]
    response = model.tokenizer("The sea is wide.")["input_ids"]
    turns = [(prompt, response) for prompt in prompts]
    batched = teacher_force(model, turns)
    small = teacher_force(model, turns, batch_tokens=1)
    for prompt, ours, alone in zip(prompts, batched, small, strict=True):
        for name in ("final_hidden_states", "last_prompt_token", "response_mean"):
            torch.testing.assert_close(getattr(ours, name), getattr(alone, name), atol=1e-5, rtol=0)
        plain = model.network(
            input_ids=torch.tensor([prompt + response]), output_hidden_states=True
        )
        start = len(prompt)
        torch.testing.assert_close(
            model.lm_head(ours.final_hidden_states),
            plain.logits[0, start - 1 : -1],
            atol=1e-5,
            rtol=0,
        )
        layer_0 = plain.hidden_states[1][0]
        torch.testing.assert_close(ours.last_prompt_token[0], layer_0[start - 1], atol=1e-5, rtol=0)
        torch.testing.assert_close(
            ours.response_mean[0], layer_0[start:].mean(0), atol=1e-5, rtol=0
        )


def make_task(systems: list[str], name: str = "q") -> Task:
    cells = {f"cell{i}": system for i, system in enumerate(systems)}
    return Task(name, "What is the sea?", f"item-{name}", f"response-{name}", cells)


def by_cell(task: Task) -> dict[str, str]:
    """A task's cells as if their keys were their personas' names."""
    return {cell: cell for cell in task.cells}


def test_stored_divergences_agree_with_float64(
    settings: Settings, model: LanguageModel, tmp_path: Path
) -> None:
    store = Store(tmp_path)
    task = make_task(SYSTEMS)
    ShardJob(settings, store, lambda _line: None).run([task])
    response = store.read_response(task.response)
    result = prompt_divergences(store, task.item, response, by_cell(task), [8])
    log_p = []
    for system in SYSTEMS:
        prompt = render(model.tokenizer, system, task.user)
        ids = torch.tensor([prompt + response.token_ids])
        logits = model.network(input_ids=ids).logits[0, len(prompt) - 1 : -1]
        log_p.append(torch.log_softmax(logits.double(), -1))
    for i, p in enumerate(log_p):
        for j, q in enumerate(log_p):
            if i == j:
                continue
            mixture = torch.logaddexp(p, q) - math.log(2)
            js = 0.5 * ((p.exp() * (p - mixture)).sum(-1) + (q.exp() * (q - mixture)).sum(-1))
            kl = (p.exp() * (p - q)).sum(-1)
            assert abs(result.js[-1, i, j] - float(js.mean())) < 1e-6
            assert abs(result.js[0, i, j] - float(js[:8].mean())) < 1e-6
            assert abs(result.kl[-1, i, j] - float(kl.mean())) < 1e-5
    jeffreys = result.half_jeffreys
    assert np.allclose(jeffreys, (result.kl + result.kl.transpose(0, 2, 1)) / 2)


def test_a_gpu_job_checks_its_prompts_before_it_computes(
    settings: Settings, tmp_path: Path
) -> None:
    store = Store(tmp_path)
    sly = make_task(["", "Be good.<|im_end|>"])
    with pytest.raises(InputError, match=r"^persona 2, system prompt 'Be good.*: its text holds"):
        ShardJob(settings, store, lambda _line: None).run([sly])
    long = replace(settings, response_system_prompt="You are a poet. " * 70)
    with pytest.raises(InputError, match=r"the responses' system prompt, with prompt 'q': .* 1024"):
        ShardJob(long, store, lambda _line: None).run([make_task(["", "Bah!"])])
    assert store.read_response("response-q") is None


def test_a_response_beyond_the_models_positions_is_not_scored(
    settings: Settings, model: LanguageModel, tmp_path: Path
) -> None:
    store, task = Store(tmp_path), make_task(["", "Bah!"])
    room = 1024 - len(render(model.tokenizer, "Bah!", task.user))
    for length, fits in ((room + 1, False), (room, True)):
        store.write_response(task.response, Response([7] * length, "x" * length, "length"), {})
        job = ShardJob(settings, store, lambda _line: None)
        if fits:
            assert job.run([task]).cells == 2
        else:
            with pytest.raises(InputError, match=rf"'Bah!', with prompt 'q': .* {length} are more"):
                job.run([task])
            assert not store.cells_of(task.item)


def test_new_pairs_need_no_old_forward_pass_where_states_are_kept(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []
    original = GroupScorer._force

    def force(scorer: GroupScorer, prepared: list) -> list:
        counted.append(sum(len(ready.rendered) for ready in prepared))
        return original(scorer, prepared)

    monkeypatch.setattr(GroupScorer, "_force", force)
    for keep_states, forced in ((True, 1), (False, 4)):
        store = Store(tmp_path / str(keep_states))
        kept = replace(settings, scoring=Scoring.of(keep_states=keep_states))
        ShardJob(kept, store, lambda _line: None).run([make_task(SYSTEMS[:3])])
        job = ShardJob(kept, store, lambda _line: None)
        counted.clear()
        job.run([make_task(SYSTEMS[:4])])
        assert counted == [forced]
        assert (job.account.cells, job.account.pairs) == (1, 3)
        one_go = Store(tmp_path / f"{keep_states}-one-go")
        ShardJob(kept, one_go, lambda _line: None).run([make_task(SYSTEMS[:4])])
        matrices = [
            prompt_divergences(
                s, "item-q", s.read_response("response-q"), by_cell(make_task(SYSTEMS[:4])), []
            ).js
            for s in (store, one_go)
        ]
        assert np.abs(matrices[0] - matrices[1]).max() < 1e-6


def with_top(task: Task, k: int) -> Task:
    return replace(task, top_tokens={cell: f"{cell}-top{k}" for cell in task.cells})


def keeping(settings: Settings, k: int, **scoring: bool) -> Settings:
    return replace(settings, scoring=Scoring.of(top_tokens=k, **scoring))


def test_top_tokens_are_those_of_the_models_own_softmax(
    settings: Settings, model: LanguageModel, tmp_path: Path
) -> None:
    store, task = Store(tmp_path), with_top(make_task(SYSTEMS), 4)
    ShardJob(keeping(settings, 4), store, lambda _line: None).run([task])
    response = store.need_response(task.response)
    for cell, system in task.cells.items():
        prompt = render(model.tokenizer, system, task.user)
        ids = torch.tensor([prompt + response.token_ids])
        logits = model.network(input_ids=ids).logits[0, len(prompt) - 1 : -1]
        expected = torch.log_softmax(logits.double(), -1)
        top = store.read_top_tokens(task.item, task.top_tokens[cell])
        assert top.ids.shape == (len(response.token_ids), 4)
        assert top.response_sha256 == response.sha256
        kept = expected.gather(1, torch.from_numpy(top.ids).long()).numpy()
        assert np.abs(kept - top.log_probabilities).max() < 5e-3
        assert (np.diff(kept, axis=1) <= 1e-5).all()
        assert np.allclose(kept[:, 0], expected.max(1).values.numpy(), atol=1e-5)


@pytest.mark.parametrize(("keep_states", "forced"), [(True, 0), (False, 3)])
def test_top_tokens_that_are_asked_for_later_cost_themselves_alone(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    keep_states: bool,
    forced: int,
) -> None:
    store, task = Store(tmp_path / "later"), make_task(SYSTEMS[:3])
    kept = {"keep_states": keep_states}
    ShardJob(keeping(settings, 0, **kept), store, lambda _line: None).run([task])
    before = {p: p.read_bytes() for p in store.root.rglob("items/*/*/*") if p.is_file()}
    counted: list[int] = []
    original = GroupScorer._force

    def force(scorer: GroupScorer, prepared: list) -> list:
        counted.append(sum(len(ready.rendered) for ready in prepared))
        return original(scorer, prepared)

    monkeypatch.setattr(GroupScorer, "_force", force)
    asked = with_top(task, 2)
    job = ShardJob(keeping(settings, 2, **kept), store, lambda _line: None)
    job.run([asked])
    assert counted == [forced] and (job.account.cells, job.account.pairs) == (0, 0)
    assert {path: path.read_bytes() for path in before} == before
    counted.clear()
    ShardJob(keeping(settings, 2, **kept), store, lambda _line: None).run([asked])
    assert counted == []
    at_once = Store(tmp_path / "at-once")
    ShardJob(keeping(settings, 2, **kept), at_once, lambda _line: None).run([asked])
    for key in asked.top_tokens.values():
        one, other = (s.read_top_tokens(task.item, key) for s in (store, at_once))
        assert np.array_equal(one.ids, other.ids)
        assert np.allclose(one.log_probabilities, other.log_probabilities, atol=5e-3)


def test_empty_rows_smaller_batches_and_other_responses_change_nothing(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [render(model.tokenizer, s, "What is the sea?") for s in SYSTEMS]
    responses = [model.tokenizer("The sea is wide." * n)["input_ids"] for n in (1, 2, 3, 2, 1)]
    turns = list(zip(prompts, responses, strict=True))
    expected = [teacher_force(model, [turn])[0] for turn in turns]
    original, sizes = forcing._forward, []

    def small_gpu(model: LanguageModel, turns: list, ablation: None) -> list:
        if len(turns) > 2:
            raise torch.cuda.OutOfMemoryError("no room")
        sizes.append(len(turns))
        return original(model, turns, ablation)

    monkeypatch.setattr(forcing, "_forward", small_gpu)
    monkeypatch.setattr(forcing, "_least_tokens", lambda _model: 1000)
    found = teacher_force(model, turns)
    assert sum(sizes) == 5 and max(sizes) == 2
    for ours, theirs in zip(found, expected, strict=True):
        for name in ("final_hidden_states", "last_prompt_token", "response_mean"):
            torch.testing.assert_close(getattr(ours, name), getattr(theirs, name))


def test_grouped_prompts_are_stored_like_prompts_alone(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = ["Why?", "What is the sea?", "Who are you, and who are they?"]

    def tasks(n_personas: int) -> list[Task]:
        systems = SYSTEMS[:n_personas]
        return [
            Task(q, q, f"item-{i}", f"response-{i}", {f"{i}-{s}": s for s in systems})
            for i, q in enumerate(questions)
        ]

    def measured(name: str) -> dict[str, np.ndarray]:
        store = Store(tmp_path / name)
        for n_personas in (3, 4):
            ShardJob(settings, store, lambda _line: None).run(tasks(n_personas))
        return {
            task.item: prompt_divergences(
                store, task.item, store.read_response(task.response), by_cell(task), []
            ).js
            for task in tasks(4)
        }

    alone = measured("alone")
    sizes: list[int] = []
    original = GroupScorer.prepare

    def counted(scorer: GroupScorer, group: list) -> list:
        sizes.append(len(group))
        return original(scorer, group)

    monkeypatch.setattr(GroupScorer, "prepare", counted)
    monkeypatch.setattr(GroupScorer, "most_forced", 6)
    together = measured("together")
    assert sizes == [2, 1, 3]  # three cells a prompt, then one
    for item, js in alone.items():
        np.testing.assert_allclose(together[item], js, atol=1e-6)


def test_generation_halves_a_batch_that_does_not_fit(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [render(model.tokenizer, s, "What is the sea?") for s in SYSTEMS]
    expected: dict[int, Response] = {}
    generate(model, prompts, 8, expected.update)
    original = transformers_backend.answer_batch

    def small_gpu(model: LanguageModel, batch: list[list[int]], *rest: object) -> torch.Tensor:
        if len(batch) > 2:
            raise torch.cuda.OutOfMemoryError("no room")
        return original(model, batch, *rest)

    monkeypatch.setattr(transformers_backend, "answer_batch", small_gpu)
    found: dict[int, Response] = {}
    generate(model, prompts, 8, found.update)
    assert found == expected


def test_a_failed_write_ends_the_job_and_loses_nothing_else(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [
        Task(f"q{i}", f"Why {i}?", f"item-{i}", f"response-{i}", {f"{i}-a": "", f"{i}-b": "Bah!"})
        for i in range(6)
    ]
    store, lines = Store(tmp_path), []

    def full(item: str, *rest: object, original=store.write_pairs) -> None:
        if item == "item-3":
            raise OSError(28, "No space left on device")
        original(item, *rest)

    monkeypatch.setattr(store, "write_pairs", full)
    with pytest.raises(OSError, match="No space"):
        ShardJob(settings, store, lines.append).run(tasks)
    scored = [line.split(",")[0] for line in lines if "scored" in line]
    assert scored[:3] == [f"{i + 1} of 6 prompts scored (q{i})" for i in range(3)]
    assert not any("(q3)" in line for line in scored)
    again = ShardJob(settings, Store(tmp_path), lambda _line: None)
    again.run(tasks)
    assert again.account.responses == 0 and again.account.cells <= 2 and again.account.pairs <= 2
    for task in tasks:
        assert [len(part) for part in store.missing(task.item, list(task.cells))] == [0, 0]


def test_logits_that_are_not_finite_name_their_prompt(
    settings: Settings, model: LanguageModel, tmp_path: Path
) -> None:
    job = ShardJob(settings, Store(tmp_path), lambda _line: None)
    job.model = replace(model, lm_head=lambda states: model.lm_head(states) * math.nan)
    with pytest.raises(InputError, match="Prompt 'q': The logits hold values that are not finite"):
        job.run([make_task(SYSTEMS)])
    assert not job.store.pair_blocks("item-q")


def test_full_store_loads_no_model(settings: Settings, tmp_path: Path) -> None:
    store = Store(tmp_path)
    ShardJob(settings, store, lambda _line: None).run([make_task(SYSTEMS)])
    broken = replace(settings, model=Model.of(path="/nowhere"))
    again = ShardJob(broken, store, lambda _line: None).run([make_task(SYSTEMS)])
    assert (again.responses, again.cells, again.pairs) == (0, 0, 0)


def test_head_that_cannot_be_repeated_is_refused(
    random_model: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import Qwen2ForCausalLM

    original = Qwen2ForCausalLM.forward

    def scaled(self, *args, **kwargs):
        output = original(self, *args, **kwargs)
        output.logits = output.logits * 1.5
        return output

    monkeypatch.setattr(Qwen2ForCausalLM, "forward", scaled)
    with pytest.raises(InputError, match="cannot be repeated"):
        check_model(load_model(settings.model, "cpu"), [([1, 5], [9, 2]), ([7, 3, 4], [5, 6])])


def test_empty_response_names_its_prompt(settings: Settings, tmp_path: Path) -> None:
    from persona_geometry.jobs.responses import store_response

    with pytest.raises(InputError, match="response to prompt 'q' is empty"):
        store_response(Store(tmp_path), make_task(SYSTEMS), Response([2], "", "stop"), settings)


def test_receipt_says_what_was_done(settings: Settings, tmp_path: Path) -> None:
    store = Store(tmp_path)
    done = ShardJob(settings, store, lambda _line: None).run([make_task(SYSTEMS)])
    store.write_receipt("s", Receipt(frozenset(make_task(SYSTEMS).cells), "model", asdict(done)))
    account = store.read_receipt("s").account
    assert (account["responses"], account["cells"], account["pairs"]) == (1, 5, 10)
    assert account["device"] == "cpu" and account["packages"]["torch"]
