"""Which attention kernel a model is run with, known from its config.json alone.

The kernel is part of what determines a stored result, so it has to be known before a model is
loaded, and without torch.
"""

from typing import Any

from persona_geometry.errors import InputError
from persona_geometry.model.tensors import text_config

WITHOUT_SDPA = frozenset(
    {
        *("big_bird", "bigbird_pegasus", "bloom", "codegen", "cpmant", "deepseek_v4"),
        *("falcon_mamba", "git", "got_ocr2", "gpt_neo", "gpt_neox_japanese", "gpt_oss", "gptj"),
        *("granite_swa", "granitemoe_swa", "hy_v4", "mamba", "mamba2", "megatron-bert"),
        *("mimo_v2_flash", "mpt", "mvp", "openai-gpt", "prophetnet", "reformer", "rembert"),
        *("roformer", "rwkv", "trocr", "xglm", "xlm", "xlnet", "xlstm"),
    }
)
"""Model types of causal language models that transformers 5.19 has written for `eager` only."""


def attention_kernel(asked: str, config: dict[str, Any] | None) -> str:
    """The attention kernel to run: the one asked for, or what `auto` stands for.

    `auto` is `sdpa`, torch's fused attention, unless a model needs `eager`: one whose attention
    scores are soft-capped, which `sdpa` leaves out, or one that transformers has no `sdpa` for.

    Args:
        asked: `model.attention`.
        config: the model's config.json; None where it is not known yet, which counts as plain.

    Raises:
        InputError: `sdpa` was asked for, and the model needs `eager`.
    """
    reason = _needs_eager(config or {})
    if asked == "auto":
        return "eager" if reason else "sdpa"
    if asked == "sdpa" and reason:
        raise InputError(
            f"model.attention is 'sdpa', but {reason}; set it to 'eager', or to 'auto' and run the "
            f"workflow again."
        )
    return asked


def _needs_eager(config: dict[str, Any]) -> str:
    text = text_config(config)
    if text.get("attn_logit_softcapping") is not None:
        return "the model soft-caps its attention scores, which 'sdpa' leaves out"
    lacking = WITHOUT_SDPA & {config.get("model_type"), text.get("model_type")}
    if lacking:
        return f"transformers has no 'sdpa' for models of type {min(lacking)}"
    return ""
