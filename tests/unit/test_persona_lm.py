"""The embedded model: small, readable, and true to its system prompt."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "resources" / "persona-lm"


def test_it_is_small_enough_to_commit() -> None:
    assert sum(file.stat().st_size for file in MODEL.iterdir()) < 10_000_000


def test_template_keeps_an_empty_system_message_and_fills_in_a_missing_one() -> None:
    from corpus import TEMPLATE_DEFAULT
    from transformers import AutoTokenizer

    from persona_geometry.model.chat import render

    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    texts = [tokenizer.decode(render(tokenizer, system, "Why?")) for system in ("", "@template")]
    assert texts[0].startswith("<|im_start|>system\n<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>")
    assert texts[1].startswith(f"<|im_start|>system\n{TEMPLATE_DEFAULT}<|im_end|>")
    assert tokenizer.eos_token == "<|im_end|>"


def test_training_text_leaves_the_shipped_studies_out() -> None:
    from itertools import islice

    from corpus import conversations
    from train import held_out_speakers, shipped_texts

    shipped, skipped = shipped_texts(), held_out_speakers()
    assert len(shipped) == 19 + 40 and len(skipped) > 50
    for conversation in islice(conversations(8, shipped, skipped), 3_000):
        assert conversation.system not in shipped and conversation.user not in shipped
        assert conversation.speaker not in skipped


def test_generator_drops_the_texts_it_is_told_to_hold_out() -> None:
    """Texts that it does use, since it would not have used the shipped ones anyway."""
    from collections import Counter
    from itertools import islice

    from corpus import conversations

    usual = list(islice(conversations(8), 3_000))
    held_out = {
        Counter(c.system for c in usual if c.system).most_common(1)[0][0],
        Counter(c.user for c in usual).most_common(1)[0][0],
    }
    for conversation in islice(conversations(8, frozenset(held_out)), 3_000):
        assert not held_out & {conversation.system, conversation.user}


def test_behavior_follows_the_system_prompt_of_unseen_personas() -> None:
    from itertools import islice

    import torch
    from corpus import conversations
    from train import answer_loss, held_out_speakers, shipped_texts, under_another_persona
    from transformers import AutoModelForCausalLM, AutoTokenizer

    network = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    skipped = held_out_speakers()
    stream = islice(conversations(99, shipped_texts()), 2_000)
    examples = [c for c in stream if c.speaker in skipped][:64]
    right = answer_loss(network, tokenizer, examples, "cpu")
    wrong = answer_loss(network, tokenizer, under_another_persona(examples), "cpu")
    assert right < 0.4 < 1.0 < wrong


def test_divergences_of_the_embedded_study_agree_with_float64(device: str, tmp_path: Path) -> None:
    """A sample of the pairs of a prompt of the shipped study, each persona forced alone."""
    import math
    from itertools import combinations
    from random import Random

    import torch
    import yaml

    from persona_geometry.jobs.shard import ShardJob
    from persona_geometry.jobs.task import Settings, Task
    from persona_geometry.model.chat import render
    from persona_geometry.model.loading import load_model
    from persona_geometry.rdms.publish import prompt_divergences
    from persona_geometry.store.store import Store
    from persona_geometry.study.sections import Generation, Model, Scoring
    from persona_geometry.study.tables import read_personas, read_prompts

    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    model_settings = Model.of(**config["model"] | {"path": str(MODEL)})
    settings = Settings(
        model=model_settings,
        generation=Generation.of(**config["generation"]),
        scoring=Scoring.of(),
        response_system_prompt="",
        device=device,
    )
    personas = read_personas(ROOT / config["personas"])
    prompt = read_prompts(ROOT / config["prompts"])[1]
    task = Task("q", prompt.text, "item", "response", {p.name: p.system_prompt for p in personas})
    store = Store(tmp_path)
    ShardJob(settings, store, lambda _line: None).run([task])
    response = store.need_response(task.response)
    result = prompt_divergences(
        store, task.item, response, {key: key for key in task.cells}, []
    ).js[0]

    model = load_model(model_settings, "cpu")

    def log_probabilities(persona: int) -> torch.Tensor:
        ids = render(model.tokenizer, personas[persona].system_prompt, prompt.text)
        logits = model.network(torch.tensor([ids + response.token_ids])).logits
        return torch.log_softmax(logits[0, len(ids) - 1 : -1].double(), -1)

    with torch.inference_mode():
        for i, j in Random(0).sample(list(combinations(range(len(personas)), 2)), 8):
            p, q = log_probabilities(i), log_probabilities(j)
            mixture = torch.logaddexp(p, q) - math.log(2)
            js = 0.5 * ((p.exp() * (p - mixture)).sum(-1) + (q.exp() * (q - mixture)).sum(-1))
            assert abs(float(js.mean()) - result[i, j]) < (1e-6 if device == "cpu" else 1e-5)
