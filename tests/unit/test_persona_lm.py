"""The embedded model: small, readable, and true to its system prompt."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "resources" / "persona-lm"
sys.path.insert(0, str(ROOT / "resources" / "make_persona_lm"))


def test_it_is_small_enough_to_commit() -> None:
    assert sum(file.stat().st_size for file in MODEL.iterdir()) < 10_000_000


def test_template_keeps_an_empty_system_message_and_fills_in_a_missing_one() -> None:
    from corpus import TEMPLATE_DEFAULT
    from transformers import AutoTokenizer

    from persona_geometry.chat import render

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


@pytest.mark.slow
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
