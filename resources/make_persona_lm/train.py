"""Train the embedded model from scratch.

    python resources/make_persona_lm/train.py OUT [--steps 4000] [--batch 64]

Writes a checkpoint of about 3.6 million parameters in bfloat16, its tokenizer, and figures.json:
what was held out, and how much the right system prompt lowers the loss of an answer.
"""

import argparse
import csv
import json
import math
import platform
import time
from itertools import islice
from pathlib import Path

import torch
from corpus import TEMPLATE_DEFAULT, Speaker, conversations, speakers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

ROOT = Path(__file__).parents[2]
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{%- if messages[0]['role'] != 'system' %}{{- '<|im_start|>system\\n"
    + TEMPLATE_DEFAULT
    + "<|im_end|>\\n' }}{%- endif %}"
    "{%- for message in messages %}{{- '<|im_start|>' + message['role'] + '\\n' + "
    "message['content'] + '<|im_end|>\\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
LENGTH = 256


def shipped_texts() -> frozenset[str]:
    """System prompts and questions of the shipped studies, which training must not contain."""
    texts = set()
    for name, column in (
        ("personas", "system_prompt"),
        ("prompts", "text"),
        ("prompts_heldout", "text"),
    ):
        with (ROOT / "config" / f"{name}.tsv").open(encoding="utf-8") as stream:
            texts |= {row[column] for row in csv.DictReader(stream, delimiter="\t")}
    return frozenset(texts - {""})


def held_out_speakers() -> frozenset[Speaker]:
    """Every ninth combination of an occupation and a manner."""
    return frozenset(s for i, s in enumerate(speakers()) if s.manner and i % 9 == 4)


def train_tokenizer(seed: int, words: int) -> PreTrainedTokenizerFast:
    examples = islice(conversations(seed, shipped_texts()), 20_000)
    texts = (f"{c.system or ''}\n{c.user}\n{c.answer}" for c in examples)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=words,
            special_tokens=SPECIAL,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    fast.add_special_tokens({"additional_special_tokens": ["<|im_start|>"]})
    fast.chat_template = TEMPLATE
    fast.model_max_length = 1024
    return fast


def encoded(tokenizer, conversation) -> tuple[list[int], int]:
    """Token ids of a conversation, and where the answer begins."""
    messages = [{"role": "user", "content": conversation.user}]
    if conversation.system is not None:
        messages.insert(0, {"role": "system", "content": conversation.system})
    prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    answer = tokenizer(conversation.answer + "<|im_end|>", add_special_tokens=False)["input_ids"]
    return ids + answer, len(ids)


def batch_of(tokenizer, examples, device) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and labels; only answers are learned, and padding is not."""
    rows = [encoded(tokenizer, example) for example in examples]
    width = min(LENGTH, max(len(ids) for ids, _ in rows))
    inputs = torch.zeros(len(rows), width, dtype=torch.long)
    labels = torch.full((len(rows), width), -100)
    for i, (ids, start) in enumerate(rows):
        ids = ids[:width]
        inputs[i, : len(ids)] = torch.tensor(ids)
        labels[i, start : len(ids)] = torch.tensor(ids[start:])
    return inputs.to(device), labels.to(device)


@torch.no_grad()
def answer_loss(network, tokenizer, examples, device) -> float:
    """Mean loss of an answer token, in nats."""
    total = count = 0.0
    for start in range(0, len(examples), 64):
        inputs, labels = batch_of(tokenizer, examples[start : start + 64], device)
        n = int((labels[:, 1:] != -100).sum())
        total += float(network(input_ids=inputs, labels=labels).loss) * n
        count += n
    return total / count


def under_another_persona(examples) -> list:
    """The same questions and answers, each under the system prompt of the next example."""
    shifted = examples[1:] + examples[:1]
    return [
        type(own)(other.system, own.user, own.answer, own.speaker)
        for own, other in zip(examples, shifted, strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(arguments.seed)
    torch.set_float32_matmul_precision("high")
    started = time.perf_counter()
    tokenizer = train_tokenizer(arguments.seed, 2048)
    network = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=2048,
            hidden_size=192,
            intermediate_size=512,
            num_hidden_layers=8,
            num_attention_heads=6,
            num_key_value_heads=2,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.convert_tokens_to_ids("<|im_end|>"),
            pad_token_id=0,
        )
    ).to(device)
    skip = held_out_speakers()
    stream = conversations(arguments.seed + 1, shipped_texts(), skip)
    optimizer = torch.optim.AdamW(
        network.parameters(), arguments.rate, (0.9, 0.98), weight_decay=0.05
    )
    warm = max(1, arguments.steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda s: (
            min(1.0, (s + 1) / warm)
            * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, s / arguments.steps))))
        ),
    )
    for step in range(arguments.steps):
        inputs, labels = batch_of(tokenizer, list(islice(stream, arguments.batch)), device)
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            loss = network(input_ids=inputs, labels=labels).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 200 == 0:
            print(
                f"step {step} loss {float(loss):.3f} {time.perf_counter() - started:.0f} s",
                flush=True,
            )
    seconds = time.perf_counter() - started
    network = network.to(torch.bfloat16).float().eval()
    fresh = [
        c
        for c in islice(conversations(arguments.seed + 2, shipped_texts()), 30_000)
        if c.speaker in skip
    ][:512]
    seen = list(islice(conversations(arguments.seed + 3, shipped_texts(), skip), 512))
    figures = {
        "parameters": sum(p.numel() for p in network.parameters()),
        "steps": arguments.steps,
        "batch": arguments.batch,
        "seconds": round(seconds),
        "device": torch.cuda.get_device_name() if device == "cuda" else platform.processor(),
        "torch": torch.__version__,
        "loss_seen_speakers": answer_loss(network, tokenizer, seen, device),
        "loss_held_out_speakers": answer_loss(network, tokenizer, fresh, device),
        "loss_held_out_speakers_wrong_system_prompt": answer_loss(
            network, tokenizer, under_another_persona(fresh), device
        ),
    }
    print(json.dumps(figures, indent=1))
    arguments.out.mkdir(parents=True, exist_ok=True)
    network.to(torch.bfloat16).save_pretrained(arguments.out)
    tokenizer.save_pretrained(arguments.out)
    (arguments.out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
