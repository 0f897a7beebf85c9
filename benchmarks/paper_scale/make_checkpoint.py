"""Make a random checkpoint in the shape of Qwen2.5-7B-Instruct, with a tokenizer of that size.

    python benchmarks/paper_scale/make_checkpoint.py FOLDER [--layers 28] [--hidden 3584] ...

The weights are random, so what the model says means nothing; what it costs is what a real model of
that shape costs. The head is scaled so that next-token distributions are peaked, as real ones are.
"""

import argparse
from itertools import islice, product
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

TEMPLATE = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou are a model.<|im_end|>\n"
    "{% endif %}{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
LOGIT_STD = 6.0


def make_tokenizer(n_words: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of `n_words`: bytes, then pairs, then triples of them."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pairs = product(alphabet, alphabet)
    triples = ((a + b, c) for a, b, c in product(alphabet, alphabet, alphabet))
    n_merges = n_words - len(SPECIAL) - len(alphabet)
    merges = list(islice(pairs, n_merges))
    merges += list(islice(triples, n_merges - len(merges)))
    words = SPECIAL + alphabet + [a + b for a, b in merges]
    tokenizer = Tokenizer(models.BPE({word: i for i, word in enumerate(words)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    fast.add_special_tokens({"additional_special_tokens": ["<|im_start|>"]})
    fast.chat_template = TEMPLATE
    return fast


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, default=28)
    parser.add_argument("--hidden", type=int, default=3584)
    parser.add_argument("--intermediate", type=int, default=18944)
    parser.add_argument("--vocabulary", type=int, default=152_064)
    arguments = parser.parse_args()
    config = Qwen2Config(
        vocab_size=arguments.vocabulary,
        hidden_size=arguments.hidden,
        intermediate_size=arguments.intermediate,
        num_hidden_layers=arguments.layers,
        num_attention_heads=arguments.hidden // 128,
        num_key_value_heads=max(1, arguments.hidden // 896),
        max_position_embeddings=32_768,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=2,
        pad_token_id=0,
    )
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        network = Qwen2ForCausalLM(config)
    torch.nn.init.normal_(network.lm_head.weight, std=LOGIT_STD / arguments.hidden**0.5)
    network.save_pretrained(arguments.folder, max_shard_size="4GB")
    make_tokenizer(arguments.vocabulary).save_pretrained(arguments.folder)


if __name__ == "__main__":
    main()
