"""Which model families the workflow measures rightly, and which it refuses.

Makes a tiny random checkpoint of every family, measures it as a scoring job does, and compares with
a computation that shares nothing with it: the plain model in float64 with eager attention, one
unpadded row at a time. Writes docs/models.md.

    python benchmarks/model_families.py             # all families, about five minutes
    python benchmarks/model_families.py qwen3 gpt2  # prints the rows of some, writes nothing
"""

import argparse
import itertools
import tempfile
import warnings
from dataclasses import dataclass
from datetime import date
from functools import reduce
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from torch.nn.functional import cosine_similarity, log_softmax
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from persona_geometry.divergence import pairwise_divergences
from persona_geometry.errors import InputError
from persona_geometry.files import write_text
from persona_geometry.model.chat import render
from persona_geometry.model.checkpoint import inspect_checkpoint
from persona_geometry.model.forcing import Forced, teacher_force
from persona_geometry.model.generation.transformers_backend import generate
from persona_geometry.model.loading import LanguageModel, check_weights, load_model
from persona_geometry.model.selftest import check_model, sample_turns
from persona_geometry.store.store import Response
from persona_geometry.study.sections import Model

PAGE = Path(__file__).parents[1] / "docs" / "models.md"
TOLERANCE = 1e-5
NEW_TOKENS = 12
SYSTEMS = (
    "You are a pirate.",
    "",
    "You are a careful surgeon who answers briefly, and who never guesses.",
    "@template",
)
PAIRS = list(itertools.combinations(range(len(SYSTEMS)), 2))
QUESTIONS = ("How do you start a day?", "Why?")
TEMPLATE = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou are a helpful assistant."
    "<|im_end|>\n{% endif %}{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
WORDS = len(SPECIAL) + 256
SIZE: dict[str, Any] = {
    "vocab_size": WORDS,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
    "initializer_range": 0.25,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


@dataclass(frozen=True)
class Family:
    """A row of the table.

    Attributes:
        name: as people call it.
        kind: what the names of its classes in transformers begin with.
        options: of its configuration, beyond SIZE.
        suffix: what the name of its model class ends with, or the whole name.
        blocks: where that model keeps its decoder blocks.
    """

    name: str
    kind: str
    options: dict[str, Any]
    suffix: str = "ForCausalLM"
    blocks: str = "model.layers"

    @property
    def model(self) -> str:
        return self.suffix if hasattr(transformers, self.suffix) else self.kind + self.suffix


def rotary(**scaling: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_theta": 10000.0, **scaling}}


def alternating(*kinds: str) -> dict[str, Any]:
    return {"layer_types": list(itertools.islice(itertools.cycle(kinds), 3))}


WINDOW = {"sliding_window": 48}
SLIDING = {**WINDOW, **alternating("sliding_attention", "full_attention")}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
LOCAL_EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
LINEAR = {
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "head_dim": 8,
    **alternating("linear_attention", "full_attention"),
}
LATENT = {
    "num_key_value_heads": 4,
    "kv_lora_rank": 16,
    "q_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "first_k_dense_replace": 1,
}
STATE_SPACE = {
    "mamba_n_heads": 8,
    "mamba_d_head": 8,
    "mamba_d_state": 8,
    "mamba_n_groups": 1,
    "mamba_d_ssm": 64,
    "mamba_chunk_size": 16,
}
LONG = {
    "rope_type": "longrope",
    "short_factor": [1.0] * 4,
    "long_factor": [1.0, 3.0, 7.0, 20.0],
    "original_max_position_embeddings": 100,
}
VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "image_size": 28,
    "patch_size": 14,
}


def pictured(text: str, vision: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Options of a model with a vision tower as deep as its text decoder."""
    return {
        "text_config": {"model_type": text, **SIZE, **options},
        "vision_config": {**VISION, **vision},
    }


GEMMA = {"head_dim": 8, "query_pre_attn_scalar": 8, **SLIDING}
LISTED = "model.language_model.layers"
STACKED = "transformer.h"
FAMILIES = [
    Family("Llama 2", "Llama", rotary()),
    Family(
        "Llama 3.1, 3.2, 3.3",
        "Llama",
        rotary(
            rope_type="llama3",
            factor=8.0,
            low_freq_factor=1.0,
            high_freq_factor=4.0,
            original_max_position_embeddings=64,
        ),
    ),
    Family("Llama, linear rotary scaling", "Llama", rotary(rope_type="linear", factor=4.0)),
    Family(
        "Llama, YaRN",
        "Llama",
        rotary(rope_type="yarn", factor=4.0, original_max_position_embeddings=64),
    ),
    Family(
        "Llama, dynamic NTK scaling",
        "Llama",
        {**rotary(rope_type="dynamic", factor=4.0), "max_position_embeddings": 100},
    ),
    Family("Llama, is_causal: false", "Llama", {**rotary(), "is_causal": False}),
    Family(
        "Llama 4",
        "Llama4Text",
        {
            **LOCAL_EXPERTS,
            "head_dim": 8,
            "intermediate_size_mlp": 64,
            "attention_chunk_size": 64,
            "interleave_moe_layer_step": 1,
        },
        suffix="Llama4ForCausalLM",
    ),
    Family("Qwen2, Qwen2.5", "Qwen2", {}),
    Family("Qwen2-MoE", "Qwen2Moe", {**EXPERTS, "shared_expert_intermediate_size": 32}),
    Family("Qwen3", "Qwen3", {"head_dim": 8}),
    Family("Qwen3-MoE", "Qwen3Moe", {**EXPERTS, "head_dim": 8}),
    Family("Qwen3-Next", "Qwen3Next", {**EXPERTS, **LINEAR, "shared_expert_intermediate_size": 32}),
    Family("Qwen3.5", "Qwen3_5Text", LINEAR, suffix="Qwen3_5ForCausalLM"),
    Family(
        "Qwen3.5-MoE",
        "Qwen3_5MoeText",
        {**EXPERTS, **LINEAR, "shared_expert_intermediate_size": 32},
        suffix="Qwen3_5MoeForCausalLM",
    ),
    Family("Gemma 1", "Gemma", {"head_dim": 8}),
    Family(
        "Gemma 2",
        "Gemma2",
        {**GEMMA, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 5.0},
    ),
    Family("Gemma 3, text", "Gemma3Text", GEMMA, suffix="Gemma3ForCausalLM"),
    Family(
        "Gemma 3, multimodal",
        "Gemma3",
        {
            **pictured("gemma3_text", {"model_type": "siglip_vision_model"}, **GEMMA),
            "mm_tokens_per_image": 4,
        },
        suffix="ForConditionalGeneration",
        blocks=LISTED,
    ),
    Family(
        "Gemma 3, bidirectional",
        "Gemma3Text",
        {**GEMMA, "use_bidirectional_attention": True},
        suffix="Gemma3ForCausalLM",
    ),
    Family(
        "Gemma 3n, text",
        "Gemma3nText",
        {
            **SLIDING,
            "head_dim": 8,
            "num_kv_shared_layers": 0,
            "laurel_rank": 4,
            "hidden_size_per_layer_input": 8,
            "vocab_size_per_layer_input": WORDS,
            "activation_sparsity_pattern": [0.0] * 3,
        },
        suffix="Gemma3nForCausalLM",
    ),
    Family(
        "Gemma 4, text",
        "Gemma4Text",
        {
            **SLIDING,
            "head_dim": 8,
            "global_head_dim": 8,
            "hidden_size_per_layer_input": 8,
            "vocab_size_per_layer_input": WORDS,
        },
        suffix="Gemma4ForCausalLM",
    ),
    Family("VaultGemma", "VaultGemma", {**GEMMA, "attn_logit_softcapping": 2.0}),
    Family("Mistral (sliding window)", "Mistral", WINDOW),
    Family("Ministral", "Ministral", {**SLIDING, "head_dim": 8}),
    Family("Ministral 3", "Ministral3", {"head_dim": 8}),
    Family("Mixtral", "Mixtral", LOCAL_EXPERTS),
    Family("Phi-1, Phi-2", "Phi", {}),
    Family("Phi-3, Phi-4", "Phi3", WINDOW),
    Family("Phi-3 (longrope)", "Phi3", {**rotary(**LONG), "original_max_position_embeddings": 100}),
    Family("Phi-3.5-MoE", "Phimoe", {**LOCAL_EXPERTS, **rotary()}),
    Family(
        "Phi-4-multimodal",
        "Phi4Multimodal",
        {
            **rotary(),
            "vision_config": {**VISION, "crop_size": 28},
            "audio_config": {
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_blocks": 2,
                "num_attention_heads": 4,
            },
        },
    ),
    Family("OLMo", "Olmo", {}),
    Family("OLMo 2", "Olmo2", {}),
    Family("OLMo 3", "Olmo3", SLIDING),
    Family("OLMo hybrid", "OlmoHybrid", {**LINEAR, "linear_num_key_heads": 4}),
    Family("OLMoE", "Olmoe", EXPERTS),
    Family(
        "Granite",
        "Granite",
        {"logits_scaling": 4.0, "residual_multiplier": 0.5, "embedding_multiplier": 2.0},
    ),
    Family("GraniteMoe", "GraniteMoe", {**LOCAL_EXPERTS, "logits_scaling": 4.0}),
    Family(
        "Granite 4 (GraniteMoeHybrid)",
        "GraniteMoeHybrid",
        {
            **LOCAL_EXPERTS,
            **STATE_SPACE,
            **alternating("mamba", "attention"),
            "shared_intermediate_size": 32,
        },
    ),
    Family("Command R (Cohere)", "Cohere", {"logit_scale": 0.25}),
    Family("Command R7B (Cohere2)", "Cohere2", {**SLIDING, "logit_scale": 0.25}),
    Family("GPT-OSS", "GptOss", {**SLIDING, **LOCAL_EXPERTS, "head_dim": 8}),
    Family("DeepSeek V2", "DeepseekV2", {**LATENT, "head_dim": 8}),
    Family("DeepSeek V3", "DeepseekV3", {**LATENT, "n_group": 1, "topk_group": 1}),
    Family("Mamba", "Mamba", {"state_size": 8, "time_step_rank": 4}, blocks="backbone.layers"),
    Family(
        "Mamba 2",
        "Mamba2",
        {"num_heads": 8, "head_dim": 8, "state_size": 8, "n_groups": 1, "chunk_size": 16},
        blocks="backbone.layers",
    ),
    Family(
        "Falcon Mamba",
        "FalconMamba",
        {"state_size": 8, "time_step_rank": 4},
        blocks="backbone.layers",
    ),
    Family(
        "Jamba",
        "Jamba",
        {
            "num_experts": 2,
            "num_experts_per_tok": 1,
            "attn_layer_period": 2,
            "attn_layer_offset": 1,
            "expert_layer_offset": 0,
            "mamba_d_state": 8,
            "mamba_dt_rank": 4,
        },
    ),
    Family("Bamba", "Bamba", {**STATE_SPACE, "attn_layer_indices": [1]}),
    Family(
        "Zamba2",
        "Zamba2",
        {
            "layers_block_type": ["mamba", "hybrid", "mamba"],
            "n_mamba_heads": 8,
            "mamba_d_state": 8,
            "mamba_headdim": 8,
            "chunk_size": 16,
            "num_key_value_heads": 4,
            "num_hidden_layers": 3,
        },
    ),
    Family("Falcon-H1", "FalconH1", {**STATE_SPACE, "lm_head_multiplier": 0.5}),
    Family(
        "Nemotron-H",
        "NemotronH",
        {
            "layers_block_type": ["mamba", "attention", "mlp"],
            "head_dim": 8,
            "ssm_state_size": 8,
            "mamba_num_heads": 8,
            "mamba_head_dim": 8,
            "n_groups": 1,
            "chunk_size": 16,
        },
    ),
    Family(
        "RecurrentGemma",
        "RecurrentGemma",
        {
            "num_key_value_heads": 1,
            "head_dim": 8,
            "lru_width": 32,
            "attention_window_size": 16,
            "block_types": ["recurrent", "attention"],
        },
    ),
    Family("LFM2", "Lfm2", alternating("conv", "full_attention")),
    Family(
        "xLSTM",
        "xLSTM",
        {"num_heads": 4, "qk_dim_factor": 0.5, "num_blocks": 3},
        blocks="backbone.blocks",
    ),
    Family("RWKV", "Rwkv", {"attention_hidden_size": 32}, blocks="rwkv.blocks"),
    Family("SmolLM3", "SmolLM3", {"no_rope_layer_interval": 2}),
    Family("StarCoder 2", "Starcoder2", WINDOW),
    Family("Falcon (rotary)", "Falcon", {}, blocks=STACKED),
    Family("Falcon (ALiBi)", "Falcon", {"alibi": True}, blocks=STACKED),
    Family("BLOOM (ALiBi)", "Bloom", {}, blocks=STACKED),
    Family("MPT (ALiBi)", "Mpt", {}, blocks="transformer.blocks"),
    Family("GPT-2", "GPT2", {}, suffix="LMHeadModel", blocks=STACKED),
    Family(
        "GPT-Neo",
        "GPTNeo",
        {"attention_types": [[["global", "local", "global"], 1]], "window_size": 16},
        blocks=STACKED,
    ),
    Family("GPT-NeoX", "GPTNeoX", {}, blocks="gpt_neox.layers"),
    Family("GPT-J", "GPTJ", {"rotary_dim": 4}, blocks=STACKED),
    Family("GPT-BigCode", "GPTBigCode", {}, blocks=STACKED),
    Family("CodeGen", "CodeGen", {"rotary_dim": 4}, blocks=STACKED),
    Family("OPT", "OPT", {"ffn_dim": 64}, blocks="model.decoder.layers"),
    Family(
        "OPT-350m (narrow head)",
        "OPT",
        {"ffn_dim": 64, "word_embed_proj_dim": 16, "do_layer_norm_before": False},
        blocks="model.decoder.layers",
    ),
    Family("StableLM", "StableLm", {}),
    Family("Nemotron", "Nemotron", {}),
    Family("GLM-4 (glm)", "Glm", {"head_dim": 8}),
    Family("GLM-4 (glm4)", "Glm4", {"head_dim": 8}),
    Family(
        "GLM-4.5 (glm4_moe)",
        "Glm4Moe",
        {
            "head_dim": 8,
            "n_routed_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 32,
            "first_k_dense_replace": 1,
        },
    ),
    Family("ERNIE 4.5", "Ernie4_5", {"head_dim": 8}),
    Family("EXAONE 4", "Exaone4", SLIDING),
    Family("Hunyuan", "HunYuanDenseV1", {"head_dim": 8}),
    Family("Seed-OSS", "SeedOss", {"head_dim": 8}),
    Family(
        "MiniCPM 3",
        "MiniCPM3",
        {
            "num_key_value_heads": 4,
            "kv_lora_rank": 16,
            "q_lora_rank": 16,
            "qk_rope_head_dim": 8,
            "qk_nope_head_dim": 8,
            "v_head_dim": 8,
        },
    ),
    Family(
        "MiniMax",
        "MiniMax",
        {
            **LOCAL_EXPERTS,
            "head_dim": 8,
            "block_size": 16,
            **alternating("linear_attention", "full_attention"),
        },
    ),
    Family("Apertus", "Apertus", {}),
    Family(
        "Kimi Linear",
        "KimiLinear",
        {
            **LATENT,
            "linear_head_dim": 8,
            "linear_num_heads": 4,
            "num_experts": 4,
            "num_local_experts": 4,
        },
    ),
    Family(
        "JetMoe",
        "JetMoe",
        {
            "num_local_experts": 4,
            "num_experts_per_tok": 2,
            "kv_channels": 8,
            "num_key_value_heads": 2,
        },
    ),
    Family("Doge", "Doge", {}),
    Family("DiffLlama", "DiffLlama", {}),
    Family("NanoChat", "NanoChat", {"head_dim": 8, "final_logit_softcapping": 5.0}),
    Family(
        "BERT as a decoder",
        "Bert",
        {"is_decoder": True},
        suffix="LMHeadModel",
        blocks="bert.encoder.layer",
    ),
    Family("BERT, not a decoder", "Bert", {}, suffix="LMHeadModel", blocks="bert.encoder.layer"),
    Family("RoBERTa as a decoder", "Roberta", {"is_decoder": True}, blocks="roberta.encoder.layer"),
    Family("ModernBERT decoder", "ModernBertDecoder", {}),
    Family(
        "XLNet",
        "XLNet",
        {"d_inner": 64, "d_head": 8},
        suffix="LMHeadModel",
        blocks="transformer.layer",
    ),
    Family(
        "ALBERT (one shared block)",
        "Albert",
        {"embedding_size": 16},
        suffix="ForMaskedLM",
        blocks="albert.encoder.albert_layer_groups",
    ),
    Family(
        "T5 (encoder-decoder)",
        "T5",
        {"d_kv": 8, "d_ff": 64, "num_layers": 3, "decoder_start_token_id": 0},
        suffix="ForConditionalGeneration",
        blocks="decoder.block",
    ),
    Family(
        "BART (encoder-decoder)",
        "Bart",
        {
            "encoder_layers": 3,
            "decoder_layers": 3,
            "encoder_ffn_dim": 64,
            "decoder_ffn_dim": 64,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
        },
        suffix="ForConditionalGeneration",
        blocks="model.decoder.layers",
    ),
    Family(
        "LLaVA",
        "Llava",
        {**pictured("llama", {"model_type": "clip_vision_model"}), "image_token_index": 258},
        suffix="ForConditionalGeneration",
        blocks=LISTED,
    ),
    Family(
        "Qwen2-VL",
        "Qwen2VL",
        {
            "text_config": {**SIZE, **rotary(mrope_section=[2, 1, 1])},
            "vision_config": {"depth": 3, "embed_dim": 32, "num_heads": 4, "hidden_size": 32},
        },
        suffix="ForConditionalGeneration",
        blocks=LISTED,
    ),
    Family(
        "Mistral 3 (vision)",
        "Mistral3",
        pictured("mistral", {"model_type": "pixtral", "head_dim": 8}),
        suffix="ForConditionalGeneration",
        blocks=LISTED,
    ),
]


def write_checkpoint(family: Family, folder: Path) -> None:
    """Save a random network of a family, large effects and all, with a tokenizer of bytes."""
    config_class = getattr(transformers, f"{family.kind}Config")
    known = {*config_class.__dataclass_fields__, *config_class.attribute_map}
    size = {name: value for name, value in SIZE.items() if name in known}
    config = config_class(**{**size, **family.options})
    torch.manual_seed(0)
    network = getattr(transformers, family.model)(config)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.ndim >= 2 and "A_log" not in name:
                weight.normal_(0, 0.25)
    network.save_pretrained(folder)
    write_tokenizer(folder)


def write_tokenizer(folder: Path) -> None:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(SPECIAL + alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    fast.add_special_tokens({"additional_special_tokens": ["<|im_start|>"]})
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)


@dataclass(frozen=True)
class Measured:
    """What a study takes from a model.

    Attributes:
        answers: token ids, a list a question.
        js: (pairs, tokens) divergences of the personas, the questions' tokens one after the other.
        centroids: (2, personas, layers, width) of last prompt tokens, and of response means.
    """

    answers: list[list[int]]
    js: Tensor
    centroids: Tensor

    @property
    def cosines(self) -> Tensor:
        first, second = zip(*PAIRS, strict=True)
        return cosine_similarity(
            self.centroids[:, list(first)], self.centroids[:, list(second)], dim=-1
        )


class Reference:
    """The plain model in float64, one unpadded row at a time."""

    def __init__(self, family: Family, folder: Path) -> None:
        self.network = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=torch.float64,
            attn_implementation="eager",
            experts_implementation="eager",
        ).eval()
        self.blocks = reduce(getattr, family.blocks.split("."), self.network)

    def measure(self, prompts: list[list[list[int]]]) -> Measured:
        answers = [self.answer(rows[0]) for rows in prompts]
        js, last, mean = [], [], []
        for rows, answer in zip(prompts, answers, strict=True):
            ran = [(len(row), *self.run(row + answer)) for row in rows]
            log_p = [log_softmax(logits[n - 1 : -1], -1) for n, logits, _ in ran]
            js.append(torch.stack([jensen_shannon(log_p[i], log_p[j]) for i, j in PAIRS]))
            last.append(torch.stack([outputs[:, n - 1] for n, _, outputs in ran]))
            mean.append(torch.stack([outputs[:, n:].mean(1) for n, _, outputs in ran]))
        centroids = torch.stack([torch.stack(vectors).mean(0) for vectors in (last, mean)])
        return Measured(answers, torch.cat(js, 1), centroids)

    def answer(self, prompt: list[int]) -> list[int]:
        ids = list(prompt)
        while len(ids) < len(prompt) + NEW_TOKENS and ids[-1] != SIZE["eos_token_id"]:
            ids.append(int(self.run(ids)[0][-1].argmax()))
        return ids[len(prompt) :]

    @torch.no_grad()
    def run(self, ids: list[int]) -> tuple[Tensor, Tensor]:
        """Logits (T, V) and outputs of the blocks (L, T, d) of one row."""
        outputs: list[Tensor] = []

        def keep(_module: Any, _inputs: Any, output: Any) -> None:
            outputs.append((output[0] if isinstance(output, tuple) else output)[0])

        hooks = [block.register_forward_hook(keep) for block in self.blocks]
        logits = self.network(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
        for hook in hooks:
            hook.remove()
        return logits.double(), torch.stack(outputs).double()


def jensen_shannon(log_p: Tensor, log_q: Tensor) -> Tensor:
    p, q = log_p.exp(), log_q.exp()
    middle = ((p + q) / 2).log()
    return ((p * (log_p - middle)).sum(-1) + (q * (log_q - middle)).sum(-1)) / 2


def as_a_job_does(
    model: LanguageModel, prompts: list[list[list[int]]], responses: list[list[int]]
) -> Measured:
    """Measure with a model that the self-test has passed, every row of the study in one batch."""
    found: dict[int, Response] = {}
    generate(model, [rows[0] for rows in prompts], NEW_TOKENS, found.update)
    turns = [(row, one) for rows, one in zip(prompts, responses, strict=True) for row in rows]
    forced = teacher_force(model, turns)
    js = [
        divergences(model, forced[first : first + len(SYSTEMS)])
        for first in range(0, len(turns), len(SYSTEMS))
    ]
    centroids = [
        torch.stack([getattr(one, name) for one in forced]).unflatten(0, (-1, len(SYSTEMS))).mean(0)
        for name in ("last_prompt_token", "response_mean")
    ]
    answers = [found[place].token_ids for place in range(len(prompts))]
    return Measured(answers, torch.cat(js, 1).cpu(), torch.stack(centroids).cpu().double())


def divergences(model: LanguageModel, forced: list[Forced]) -> Tensor:
    states = torch.stack([one.final_hidden_states for one in forced])
    return pairwise_divergences(
        lambda start, stop: model.lm_head(states[:, start:stop]),
        *states.shape[:2],
        PAIRS,
        device=model.head_device,
    ).js


@dataclass(frozen=True)
class Verdict:
    """A family's row: why it is refused, or how it is run and how far that is from the reference.

    Attributes:
        ways: batching and decoding that the self-test chose.
        effect: mean JS of the personas.
        js, cosine: largest differences from the reference.
        answers: whether the answers are the reference's.
    """

    refusal: str = ""
    ways: tuple[str, str] = ("", "")
    effect: float = 0.0
    js: float = 0.0
    cosine: float = 0.0
    answers: bool = True

    @property
    def right(self) -> bool:
        return max(self.js, self.cosine) < TOLERANCE and self.answers


def judge(family: Family, folder: Path, device: str) -> Verdict:
    write_checkpoint(family, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    prompts = [[render(tokenizer, system, user) for system in SYSTEMS] for user in QUESTIONS]
    rows = sorted((row for of_question in prompts for row in of_question), key=len)
    samples = sample_turns([rows[0], rows[len(rows) // 2], rows[-1]], NEW_TOKENS)
    try:
        inspect_checkpoint(folder, "The model")
        plain = Model.of(path=str(folder), dtype="float32")
        check_weights(plain)
        model = load_model(plain, device)
        model = check_model(model, samples)
    except InputError as error:
        return Verdict(str(error).replace(str(folder), "the folder"))
    wanted = Reference(family, folder).measure(prompts)
    ours = as_a_job_does(model, prompts, wanted.answers)
    return Verdict(
        ways=(model.batching, model.decoding),
        effect=float(wanted.js.mean()),
        js=float((ours.js - wanted.js).abs().max()),
        cosine=float((ours.cosines - wanted.cosines).abs().max()),
        answers=ours.answers == wanted.answers,
    )


BATCHING = {
    "padded": "",
    "equal": "rows of one length at a time",
    "alone": "rows one by one",
}
DECODING = {
    "static": "",
    "padded": "answers by transformers' own steps",
    "equal": "answers of one length at a time",
    "alone": "answers one by one",
    "uncached": "answers one by one, without a cache",
}


def line(family: Family, verdict: Verdict) -> str:
    if verdict.refusal:
        return f"| {family.name} | refused: {verdict.refusal} | | | | |"
    batching, decoding = verdict.ways
    how = "; ".join(filter(None, (BATCHING[batching], DECODING[decoding])))
    return (
        f"| {family.name} | {'right' if verdict.right else '**WRONG**'}{how and f' ({how})'} "
        f"| {verdict.effect:.3f} | {verdict.js:.0e} | {verdict.cosine:.0e} "
        f"| {'equal' if verdict.answers else '**not equal**'} |"
    )


INTRODUCTION = """# Model families

Made by `python benchmarks/model_families.py` on {date}, with transformers {version} and torch
{torch} on a CPU: of {all} families {right} are measured rightly, {refused} are refused, {wrong} are
measured wrongly.

Each row is a tiny random checkpoint of a family (three blocks, 32 wide, weights large enough that
personas differ), measured as a study does it in float32: checked, built without its weights,
loaded, tried by the self-test, its answers generated, all rows of a study of unequal length forced
in one call, logits recomputed from the kept states, divergences and centroids taken. It is compared
with the plain model of transformers in float64 with eager attention, one unpadded row at a time,
its answers the likeliest tokens of repeated whole forward passes.

- **right**: no divergence and no cosine of centroids is {tolerance:.0e} or more from the reference,
  and the answers are the same tokens. In parentheses: the slower way that the self-test chose,
  because a faster one would be wrong.
- **refused**: the job ends with this sentence before anything is stored.
- **JS**: the mean divergence of the personas, in nats; then the largest difference of any
  divergence, and of any cosine, from the reference.

The verdict is of a family's code in this version of transformers, not of a checkpoint: the
self-test runs again whenever a model is loaded, on rows of the study at hand
(`model/selftest.py`). Answers are generated over a static cache where that gives what a forward
pass gives, on a GPU as captured steps. [`model.attention`](../config/README.md) was left at
`auto`.

| family | verdict | JS | largest ΔJS | largest Δcosine | answers |
|---|---|---|---|---|---|
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="parts of names; nothing is written then")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    parts = [part.lower() for part in arguments.names]
    chosen = [f for f in FAMILIES if not parts or any(part in f.name.lower() for part in parts)]
    verdicts = []
    for family in chosen:
        with tempfile.TemporaryDirectory() as folder:
            verdicts.append(judge(family, Path(folder), arguments.device))
        print(line(family, verdicts[-1]), verdicts[-1].ways, flush=True)
    refused = sum(bool(verdict.refusal) for verdict in verdicts)
    wrong = sum(not verdict.right for verdict in verdicts)
    if chosen == FAMILIES and arguments.device == "cpu":
        introduction = INTRODUCTION.format(
            date=date.today(),
            version=transformers.__version__,
            torch=torch.__version__.split("+")[0],
            right=len(verdicts) - refused - wrong,
            all=len(verdicts),
            refused=refused,
            wrong=wrong,
            tolerance=TOLERANCE,
        )
        lines = [line(*row) for row in zip(chosen, verdicts, strict=True)]
        write_text(PAGE, introduction + "\n".join(lines) + "\n")
    if wrong:
        raise SystemExit(f"{wrong} families are measured wrongly.")


if __name__ == "__main__":
    main()
