"""Memory and seconds of GPU jobs, by formula: what they come to, before any has run.

The rates are those that docs/performance.md records of an H100 or H200, without slack; what a
scheduler is asked for has it (`size`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from persona_geometry.model.tensors import (
    depth_of,
    parameters_of,
    size_of,
    text_config,
    width_of,
)

CARD_BYTES = 80e9
"""Memory of an H100."""
WEIGHTS_SHARE = 0.8
"""Of a card's memory, what weights may take, so that work has room beside them."""
SECONDS_TO_IMPORT = 14.0
SECONDS_TO_TRY = 1.6  # the self-test, and compiling what it needs
SECONDS_TO_START_VLLM = 180.0  # cold, vLLM 0.26 on an H100; 83 warm
LOADED_BYTES_PER_SECOND = 2.2e9  # from the page cache
FORWARD_FLOPS_PER_SECOND = {2: 5.85e14, 4: 3.7e13}  # by bytes a value; float32 has no tensor cores
HEAD_FLOPS_PER_SECOND = {2: 5e14, 4: 3.2e13}
PAIR_WORDS_PER_SECOND = 2.15e12
DECODED_BYTES_PER_SECOND = 1.5e12  # every step reads the weights once
DECODED_AT_ONCE = 128
FILE_BYTES = {"float32": 4, "float64": 8}  # a value in the weight files; else two
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")


@dataclass(frozen=True)
class Shape:
    """What of a model decides memory and time.

    Attributes:
        parameters: all of them.
        looked_up: those of an embedding that only looks rows up, so that no product uses them.
        width, depth, inner, vocabulary: of hidden states, layers, feed-forward states, words.
        sparse: whether a token passes through some of its experts only, so that forward passes
            take less than the formula says.
    """

    parameters: int
    looked_up: int
    width: int
    depth: int
    inner: int
    vocabulary: int
    sparse: bool = False


def shape_of(config: Mapping[str, Any], weight_bytes: int | None = None) -> Shape | None:
    """A model's shape from its config.json.

    Args:
        config: the config.json.
        weight_bytes: size of its weight files, from which parameters are counted where the
            family's tensors are not known from the config alone.

    Returns:
        None where the config does not tell its sizes.
    """
    text = text_config(config)
    width, depth = width_of(text), depth_of(text)
    vocabulary = size_of(text, "decoder_vocab_size", "vocab_size")
    if width is None or depth is None or vocabulary is None:
        return None
    parameters = parameters_of(config)
    if parameters is None:
        if weight_bytes is None:
            return None
        kept_in = text.get("dtype") or text.get("torch_dtype") or config.get("torch_dtype")
        parameters = weight_bytes // FILE_BYTES.get(str(kept_in), 2)
    tied = config.get("tie_word_embeddings", text.get("tie_word_embeddings", False))
    return Shape(
        parameters=parameters,
        looked_up=0 if tied else vocabulary * width,
        width=width,
        depth=depth,
        inner=size_of(text, "intermediate_size", "ffn_dim", "n_inner") or 4 * width,
        vocabulary=vocabulary,
        sparse=any(size_of(text, key) for key in EXPERTS),
    )


@dataclass(frozen=True)
class Work:
    """What GPU jobs have to do.

    Attributes:
        jobs: how many they are.
        responses, cells, pairs: still to be computed.
        logits: cells whose logits are needed, stored cells among them.
        forced: cells that the model is run over, stored ones without states among them.
        new_tokens: longest response.
        prompt_tokens: tokens before it, on the average.
        starts_vllm: whether one of the jobs starts vLLM for the responses.
    """

    jobs: int = 1
    responses: int = 0
    cells: int = 0
    pairs: int = 0
    logits: int = 0
    forced: int = 0
    new_tokens: int = 256
    prompt_tokens: float = 64.0
    starts_vllm: bool = False


@dataclass(frozen=True)
class Seconds:
    """Seconds of GPU jobs, one after another, by stage.

    `source` says where the rates are from, `at_most` whether they are an upper bound.
    """

    start: float
    generate: float
    force: float
    diverge: float
    source: str
    at_most: bool = False

    @property
    def total(self) -> float:
        return self.start + self.generate + self.force + self.diverge


def seconds_by_formula(work: Work, shape: Shape, value_bytes: int) -> Seconds:
    """Seconds on H100s; a model spread over several takes as long, its layers being one after
    another.

    Args:
        work: what is to be done.
        shape: of the model.
        value_bytes: 2 or 4, by the precision it is run in.
    """
    weights = shape.parameters * value_bytes
    start = SECONDS_TO_IMPORT + SECONDS_TO_TRY + weights / LOADED_BYTES_PER_SECOND
    steps = math.ceil(work.responses / DECODED_AT_ONCE) * work.new_tokens
    used = 2 * (shape.parameters - shape.looked_up)
    forward = used * (work.prompt_tokens + work.new_tokens)
    head = 2 * shape.width * shape.vocabulary * work.new_tokens
    words = work.pairs * work.new_tokens * shape.vocabulary
    return Seconds(
        start=work.jobs * start + work.starts_vllm * SECONDS_TO_START_VLLM,
        generate=steps * weights / DECODED_BYTES_PER_SECOND,
        force=work.forced * forward / FORWARD_FLOPS_PER_SECOND[value_bytes],
        diverge=work.logits * head / HEAD_FLOPS_PER_SECOND[value_bytes]
        + words / PAIR_WORDS_PER_SECOND,
        source="by formula, on H100s",
        at_most=shape.sparse,
    )


def seconds_as_before(work: Work, accounts: Sequence[Mapping[str, Any]]) -> Seconds | None:
    """Seconds at the rates of earlier GPU jobs of the model; None where none has scored.

    Args:
        work: what is to be done.
        accounts: of these jobs, as their receipts have them.
    """
    cells, pairs, responses = (
        sum(account[name] for account in accounts) for name in ("cells", "pairs", "responses")
    )
    if not cells:
        return None

    def took(*stages: str) -> float:
        return sum((a["seconds"].get(stage, 0.0) for a in accounts for stage in stages), 0.0)

    devices = sorted({account["device"] for account in accounts if account["device"]})
    loading = SECONDS_TO_IMPORT + took("load", "check") / len(accounts)
    return Seconds(
        start=work.jobs * loading,
        generate=work.responses * took("generate") / responses if responses else 0.0,
        force=work.forced * took("force") / cells,
        diverge=work.pairs * took("diverge") / pairs if pairs else 0.0,
        source=f"as this model's jobs took on {', '.join(devices) or 'this machine'}",
    )


def gpu_bytes(shape: Shape, value_bytes: int, personas: int, work: Work, gpus: int = 1) -> float:
    """Peak memory of the fullest GPU in bytes, where there is room; batches shrink where not.

    Beside the weights: logits of all personas, as made and as kept, or the states inside a block,
    whichever take more.
    """
    logits = 2 * personas * work.new_tokens * shape.vocabulary * value_bytes
    tokens = personas * (work.prompt_tokens + work.new_tokens)
    states = value_bytes * (3 * shape.inner + 12 * shape.width) * tokens
    return shape.parameters * value_bytes / gpus + max(logits, states)


def gpus_needed(shape: Shape, value_bytes: int) -> int:
    """H100s that the weights must be spread over."""
    return math.ceil(shape.parameters * value_bytes / (WEIGHTS_SHARE * CARD_BYTES))
