"""Does the embedded model follow persona texts that its training never contained?

    python resources/make_persona_lm/evaluate.py [MODEL] [--answers 5]

Answers of the generator are scored under persona texts that are not the generator's: the study's
own, which name known occupations in other words, and texts about occupations that never occur in
training, with and without a habit that does. Figures are printed as JSON, losses in nats a token.
"""

import argparse
import csv
import json
import random
from pathlib import Path

import torch
from corpus import FAMILIES, Conversation, Speaker, answer, question, topics
from torch import Tensor
from torch.nn.functional import cross_entropy
from train import ROOT, batch_of
from transformers import AutoModelForCausalLM, AutoTokenizer

UNSEEN = {
    "veterinarian": "medical",
    "locksmith": "security",
    "gendarme": "services",
    "sysadmin": "tech",
    "sommelier": "kitchen",
    "sonneteer": "poetry",
    "dictator": "villainy",
    "ventriloquist": "comedy",
    "orchardist": "garden",
    "stevedore": "sea",
    "notary": "law",
    "botanist": "science",
    "swimmer": "sport",
    "rabbi": "spirit",
}
"""Occupations that share no word with the generator's, each with the family it would belong to."""


def study_personas() -> dict[str, tuple[str, Speaker]]:
    """The shipped personas with a text: name to the text and the generator's speaker nearest it."""
    known = {who: Speaker(family, who, None) for family, c in FAMILIES.items() for who in c["who"]}
    with (ROOT / "config" / "personas.tsv").open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream, delimiter="\t") if row["system_prompt"]]
    return {
        row["persona"]: (
            row["system_prompt"],
            known[max((who for who in known if who in row["system_prompt"]), key=len)],
        )
        for row in rows
    }


@torch.inference_mode()
def answer_losses(network, tokenizer, examples: list[Conversation]) -> Tensor:
    """Mean loss of each conversation's answer, in nats a token; (n,)."""
    found = []
    for start in range(0, len(examples), 64):
        inputs, labels = batch_of(tokenizer, examples[start : start + 64], "cpu")
        logits = network(input_ids=inputs).logits[:, :-1].transpose(1, 2)
        losses = cross_entropy(logits, labels[:, 1:], reduction="none")
        found.append(losses.sum(1) / (labels[:, 1:] != -100).sum(1))
    return torch.cat(found)


def loss_table(
    network, tokenizer, texts: list[str], sources: list[Speaker], answers: int, draw: random.Random
) -> Tensor:
    """Loss of answers of every source under every text; (sources, texts), nats a token."""
    examples = []
    for source in sources:
        for topic in draw.choices(topics(), k=answers):
            user, said = question(topic, draw), answer(source, topic, draw)
            examples += [Conversation(text, user, said, source) for text in texts]
    losses = answer_losses(network, tokenizer, examples)
    return losses.view(len(sources), answers, len(texts)).mean(1)


def right_and_wrong(table: Tensor) -> dict[str, float]:
    """Of a square table whose diagonal holds the right texts: losses, and how often right wins."""
    own = table.diagonal()
    others = (table.sum(1) - own) / (len(table) - 1)
    return {
        "right": round(float(own.mean()), 3),
        "wrong": round(float(others.mean()), 3),
        "right_text_has_lowest_loss": int((table.argmin(1) == torch.arange(len(table))).sum()),
        "of": len(table),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", type=Path, default=ROOT / "resources" / "persona-lm")
    parser.add_argument("--answers", type=int, default=5)
    arguments = parser.parse_args()
    network = AutoModelForCausalLM.from_pretrained(arguments.model, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    draw = random.Random(5)
    study = study_personas()
    named = [f"You are a {who}." for who in UNSEEN]
    habits = [
        f"You are a {who}. You {draw.choice(FAMILIES[family]['habits'])}."
        for who, family in UNSEEN.items()
    ]
    relatives = [
        Speaker(family, draw.choice(list(FAMILIES[family]["who"])), None)
        for family in UNSEEN.values()
    ]
    cases = {
        "study_personas": ([t for t, _ in study.values()], [s for _, s in study.values()]),
        "unseen_occupation_with_habit": (habits, relatives),
        "unseen_occupation_alone": (named, relatives),
    }
    figures = {
        name: right_and_wrong(
            loss_table(network, tokenizer, texts, sources, arguments.answers, draw)
        )
        for name, (texts, sources) in cases.items()
    }
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
