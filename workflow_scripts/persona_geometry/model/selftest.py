"""Whether a loaded model measures what it should, tried on rows of the study itself.

A model family may see what follows a token, count padding as text, scale its rotary angles by the
longest row of a batch, keep its blocks elsewhere, or change its logits after the head. Each gives
numbers that look like any others. So a few rows are run plainly, each alone and unpadded, and by
the ways that the measurements use; the fastest way that repeats the plain one is taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import torch
from torch import Tensor

from persona_geometry.errors import InputError
from persona_geometry.gpu.transfer import to_device
from persona_geometry.model.attention import attention_kernel
from persona_geometry.model.forcing import Forced, teacher_force
from persona_geometry.model.generation.ending import end_tokens
from persona_geometry.model.generation.static_cache import can_decode
from persona_geometry.model.generation.transformers_backend import answer_batch, greedy
from persona_geometry.model.loading import Batching, Decoding, LanguageModel

Turn = tuple[list[int], list[int]]

FAILURES = (RuntimeError, ValueError, TypeError, LookupError, AttributeError)
"""What code raises that was not written for what it is given."""

STEPS = 4
"""Tokens that are generated: after three, a captured step has been replayed."""


@dataclass(frozen=True)
class Rounding:
    """How far two ways of computing the same may be apart: relative errors of vectors.

    In float32 the largest error counts. Otherwise the mean does, for a token of a mixture may go
    to another expert, and what rounding does to a model is seen from its two attention kernels.

    Attributes:
        kernels: between fused and eager attention.
        rows: between a row alone, among others, and generated token by token.
        head: of a logit that the head gives again, as a share of the largest.
    """

    kernels: float
    rows: float
    head: float

    @classmethod
    def of(cls, dtype: torch.dtype, between_kernels: float = 0.03) -> "Rounding":
        if dtype == torch.float32:
            return cls(1e-3, 1e-3, 1e-4)
        return cls(0.2, min(max(3 * between_kernels, 0.03), 0.2), 2e-2)


@dataclass(frozen=True)
class Plain:
    """A row run alone, unpadded, by the model's own forward pass.

    Attributes:
        turn: the row: token ids of a prompt and its response.
        logits: (T, V) float32, of the positions that predict the response.
        states: (T, d) float32, the last hidden states there.
        outputs: (L, T + 1, d) float32, of every block, from the last prompt token on.
    """

    turn: Turn
    logits: Tensor
    states: Tensor
    outputs: Tensor


def sample_turns(prompts: Sequence[list[int]], new_tokens: int) -> list[Turn]:
    """Rows to try a model on, before there are responses: the tokens of the prompts answer them.

    Args:
        prompts: a few rendered prompts of a study, its shortest and longest among them.
        new_tokens: length of the longest response.

    Returns:
        A turn a prompt; the longer the prompt, the longer its response, up to `new_tokens`.
    """
    ordered = sorted(prompts, key=len)
    tokens = [token for prompt in ordered for token in prompt]
    tokens *= -(-new_tokens // len(tokens))
    shares = [max(1, new_tokens * n // len(ordered)) for n in range(1, len(ordered) + 1)]
    return [(prompt, tokens[:share]) for prompt, share in zip(ordered, shares, strict=True)]


@torch.inference_mode()
def check_model(
    model: LanguageModel, turns: Sequence[Turn], *, decoding: bool = True
) -> LanguageModel:
    """Try a model on a few rows, and give it back with the fastest ways to run it rightly.

    A later token must change no earlier state, the kernel must leave nothing out, the head must
    repeat the model's logits from its last states, and every block must be run once. Rows that
    share a batch must give what they give alone, and the first tokens of answers must be the
    likeliest ones of a forward pass; where they are not, slower ways are tried.

    Args:
        model: a model as loaded.
        turns: token ids of two or more prompts and responses of the study, of unequal length, the
            shortest and the longest among them.
        decoding: whether the model generates answers too.

    Raises:
        InputError: the model cannot be measured; what is wrong with it.
    """
    ordered = sorted(turns, key=lambda turn: len(turn[0]) + len(turn[1]))
    try:
        plain = [_run_plainly(model, turn) for turn in ordered]
    except (InputError, torch.cuda.OutOfMemoryError):
        raise
    except FAILURES as error:
        raise _refusal(model, f"fails in a forward pass ({_brief(error)})") from error
    _check_finite(model, plain)
    _check_memory(model)
    _check_alive(model, plain[0])
    _check_causality(model, plain[0])
    _check_head(model, plain[0])
    rounding = _check_kernel(model, plain[0])
    model = _with_batching(model, plain, rounding)
    return _with_decoding(model, plain, rounding) if decoding else model


def _with_batching(
    model: LanguageModel, plain: Sequence[Plain], rounding: Rounding
) -> LanguageModel:
    """The model with the fullest batches that give what the plain rows gave."""
    wrong = ""
    for batching in get_args(Batching):
        tried = replace(model, batching=batching)
        rows = _cut_to_one_length(model, plain) if batching == "equal" else plain
        wrong = _unlike(tried, rows, rounding)
        if not wrong:
            return tried
    raise _refusal(model, wrong)


def _unlike(model: LanguageModel, plain: Sequence[Plain], rounding: Rounding) -> str:
    """What teacher forcing does not repeat of some rows, the longest first; empty if nothing."""
    rows = plain[::-1]
    try:
        forced = teacher_force(model, [row.turn for row in rows])
    except torch.cuda.OutOfMemoryError:
        raise
    except FAILURES as error:
        return f"fails where its blocks are looked at ({_brief(error)})"
    if all(_alike(model, *pair, rounding) for pair in zip(forced, rows, strict=True)):
        return ""
    return "gives a row other states among other rows than alone"


def _alike(model: LanguageModel, ours: Forced, row: Plain, rounding: Rounding) -> bool:
    """Whether what was forced is what the plain row gave."""
    last, mean = row.outputs[:, 0], row.outputs[:, 1:].mean(1)
    pairs = [
        (ours.last_prompt_token.float(), last),
        (ours.response_mean, mean),
        (ours.final_hidden_states.float(), row.states),
    ]
    return all(_gap(*pair, model.dtype) <= rounding.rows for pair in pairs)


def _with_decoding(
    model: LanguageModel, plain: Sequence[Plain], rounding: Rounding
) -> LanguageModel:
    """The model with the fastest way of generating whose first tokens are the likeliest ones.

    Where the lengths of rows matter to each other, keys kept from a shorter prefix may be wrong,
    and only whole forward passes are right.
    """
    if model.batching != "padded":
        return replace(model, decoding="uncached")
    rows = [prompt + response for prompt, response in (plain[0].turn, plain[-1].turn)]
    for decoding in get_args(Decoding):
        if decoding == "static" and not can_decode(model.network):
            continue
        tried = replace(model, decoding=decoding)
        rows_tried = [row[-len(rows[0]) :] for row in rows] if decoding == "equal" else rows
        if _takes_the_likeliest(tried, rows_tried, rounding):
            return tried
    raise _refusal(
        model, "generates other tokens than those that its forward pass finds most likely"
    )


def _takes_the_likeliest(
    model: LanguageModel, rows: Sequence[list[int]], rounding: Rounding
) -> bool:
    """Whether the first steps of generating have a forward pass's logits, and take the largest."""
    ends = end_tokens(model.network.generation_config, model.tokenizer)
    config = greedy(STEPS, ends, model.decoding != "uncached")
    one_by_one = model.decoding in ("alone", "uncached")
    for batch in [[row] for row in rows] if one_by_one else [rows]:
        logits: list[Tensor] = []
        try:
            answers = answer_batch(model, batch, config, logits).tolist()
        except torch.cuda.OutOfMemoryError:
            raise
        except torch.AcceleratorError as error:  # nothing runs on this GPU any more
            raise _refusal(model, f"stops the GPU as it answers ({_brief(error)})") from error
        except FAILURES:
            return False
        of_rows = torch.stack(logits, 1).float()
        for row, answer, ours in zip(batch, answers, of_rows, strict=True):
            # What follows a row's end is arbitrary.
            n = next((n for n, token in enumerate(answer, 1) if token in ends), len(answer))
            theirs = _run_plainly(model, (row, answer[:n])).logits
            taken = ours[range(n), answer[:n]]
            likeliest = bool((taken == ours[:n].amax(1)).all())
            if not (likeliest and _gap(ours[:n], theirs, model.dtype) <= rounding.rows):
                return False
    return True


def _check_alive(model: LanguageModel, row: Plain) -> None:
    """Weights that were never filled give every word the same logit, or leave a block without work.

    A file whose download was cut off may have all its bytes, and zeros for what did not come.
    """
    if (row.logits.amax(1) == row.logits.amin(1)).any():
        raise _refusal(
            model, "gives every word the same probability, as weights do that are all zero"
        )
    same = (row.outputs[1:] == row.outputs[:-1]).flatten(1).all(1)
    if same.any():
        raise _refusal(
            model,
            f"has a decoder block that changes nothing (layer {int(same.nonzero()[0]) + 1}), as "
            f"weights do that are all zero",
        )


def _check_memory(model: LanguageModel) -> None:
    """Dynamic rotary scaling keeps the longest row so far, beyond the original length."""
    for module in model.network.modules():
        original = getattr(module, "original_max_seq_len", None)
        if original is not None and module.max_seq_len_cached > original:
            raise _refusal(
                model,
                f"scales its rotary angles by the longest row so far (dynamic scaling), which rows "
                f"beyond {original} tokens change for all that follow",
            )


def _check_finite(model: LanguageModel, plain: Sequence[Plain]) -> None:
    if not all(part.isfinite().all() for row in plain for part in (row.outputs, row.states)):
        raise _refusal(
            model,
            f"has hidden states that are not finite numbers: its weights are damaged, or it does "
            f"not fit {str(model.dtype).removeprefix('torch.')} (see model.dtype)",
        )


def _check_head(model: LanguageModel, row: Plain) -> None:
    ours = model.lm_head(row.states.to(model.head_device, model.dtype))
    theirs = row.logits.to(ours.device)
    worst = float((ours - theirs).abs().max() / theirs.abs().max().clamp_min(1.0))
    allowed = Rounding.of(model.dtype).head
    if not worst <= allowed:
        raise _refusal(
            model,
            f"has logits that cannot be repeated from its last hidden states (relative difference "
            f"{worst:.1e}, {allowed:.0e} allowed): it computes its head in a way that this "
            f"workflow does not know",
        )


def _check_causality(model: LanguageModel, row: Plain) -> None:
    """Change the second half of a response; nothing before it may move."""
    prompt, response = row.turn
    kept = len(response) // 2
    others = [prompt[0] if token != prompt[0] else prompt[-1] for token in response[kept:]]
    changed = _run_plainly(model, (prompt, response[:kept] + others))
    before, after = row.outputs[:, : kept + 1], changed.outputs[:, : kept + 1]
    if not _gap(after, before, model.dtype) <= Rounding.of(model.dtype).rows:
        raise _refusal(
            model,
            "is not causal: a token changes the states before it, so that a prediction would see "
            "its answer",
        )


def _check_kernel(model: LanguageModel, row: Plain) -> Rounding:
    """Fused and eager attention must agree, but where the fused one is known to lack something.

    Says what rounding may do to this model.
    """
    config = model.network.config.get_text_config()
    used = config._attn_implementation
    if used == "eager" and (attention_kernel("auto", model.network.config.to_dict()) == "eager"):
        return Rounding.of(model.dtype)
    other = "sdpa" if used == "eager" else "eager"
    config._attn_implementation = other
    try:
        again = _run_plainly(model, row.turn)
    finally:
        config._attn_implementation = used
    apart = _gap(again.outputs, row.outputs, model.dtype)
    if not apart <= Rounding.of(model.dtype).kernels:
        raise _refusal(
            model,
            f"gives other states with {used} attention than with {other}, so that one of them "
            f"leaves something out in this version of transformers",
        )
    return Rounding.of(model.dtype, apart)


def _run_plainly(model: LanguageModel, turn: Turn) -> Plain:
    prompt, response = turn
    outputs: list[Tensor] = []
    states: list[Tensor] = []

    def keep(_module: torch.nn.Module, _inputs: Any, output: Any) -> None:
        outputs.append(output[0] if isinstance(output, tuple) else output)

    def keep_last(_module: torch.nn.Module, _inputs: Any, output: Any) -> None:
        states.append(output.last_hidden_state)

    hooks = [block.register_forward_hook(keep) for block in model.blocks]
    hooks.append(model.body.register_forward_hook(keep_last))
    try:
        ids = to_device(torch.tensor([prompt + response]), model.device)
        logits = model.network(input_ids=ids, use_cache=False).logits
    finally:
        for hook in hooks:
            hook.remove()
    one_each = len(outputs) == len(model.blocks)
    if not one_each or any(output.shape[:-1] != ids.shape for output in outputs):
        raise _refusal(
            model,
            f"does not run each of its {len(model.blocks)} decoder blocks once a token, so that a "
            f"layer's output is not one vector a token",
        )
    if len(states) != 1 or states[0].shape[:-1] != ids.shape:
        raise _refusal(model, "has not one last hidden state a token")
    home, predicting = logits.device, slice(len(prompt) - 1, -1)
    return Plain(
        turn,
        logits[0, predicting].float(),
        states[0][0, predicting].float().to(home),
        torch.stack([output[0, len(prompt) - 1 :].float().to(home) for output in outputs]),
    )


def _cut_to_one_length(model: LanguageModel, plain: Sequence[Plain]) -> list[Plain]:
    """The shortest row, and the end of the longest one that is as long."""
    shortest, longest = plain[0], plain[-1]
    prompt, response = shortest.turn
    ids = (longest.turn[0] + longest.turn[1])[-len(prompt) - len(response) :]
    return [shortest, _run_plainly(model, (ids[: len(prompt)], ids[len(prompt) :]))]


def _gap(ours: Tensor, theirs: Tensor, dtype: torch.dtype) -> float:
    """Relative error of vectors (..., d): the largest in float32, the mean otherwise."""
    ours = ours.to(theirs.device)
    error = (ours - theirs).norm(dim=-1) / theirs.norm(dim=-1).clamp_min(1e-6)
    return float(error.max() if dtype == torch.float32 else error.mean())


def _refusal(model: LanguageModel, what: str) -> InputError:
    return InputError(
        f"The model ({type(model.network).__name__}) {what}; this workflow cannot measure it, name "
        f"another model."
    )


def _brief(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200]
