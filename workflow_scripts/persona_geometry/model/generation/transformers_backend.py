"""Greedy generation with transformers, batched with left padding."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from transformers import GenerationConfig

from persona_geometry.model.generation.ending import end_tokens, to_response
from persona_geometry.model.generation.static_cache import decode
from persona_geometry.model.loading import LanguageModel
from persona_geometry.store.store import Response

GPU_BATCH = 128  # a step costs little more than for one: the weights are read once for all
CPU_BATCH = 32


@torch.inference_mode()
def generate(
    model: LanguageModel,
    prompts: Sequence[list[int]],
    max_new_tokens: int,
    save: Callable[[dict[int, Response]], object],
) -> None:
    """Answer prompts greedily; the answers of a batch are handed to `save` together.

    Nothing but the most likely token is taken: sampling settings and penalties that a model
    ships in its generation config are left out, its end-of-turn tokens are kept.

    Args:
        model: the loaded model.
        prompts: rendered token ids.
        max_new_tokens: length at which a response is cut.
        save: called with a batch's responses by their prompts' index.

    Prompts are answered in batches as `model.decoding` allows, the longest first; a batch that
    does not fit is halved.
    """
    ends = end_tokens(model.network.generation_config, model.tokenizer)
    config = greedy(max_new_tokens, ends, model.decoding != "uncached")
    order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
    batch_size = GPU_BATCH if model.device.type == "cuda" else CPU_BATCH
    if model.decoding in ("alone", "uncached"):
        batch_size = 1
    while order:
        width = len(prompts[order[0]])
        batch = order[:batch_size]
        if model.decoding == "equal":
            batch = [i for i in batch if len(prompts[i]) == width]
        try:
            answers = answer_batch(model, [prompts[i] for i in batch], config)
        except torch.cuda.OutOfMemoryError:
            if len(batch) == 1:
                raise
            batch_size = len(batch) // 2
            torch.cuda.empty_cache()
            continue
        save(
            {
                i: to_response(model.tokenizer, answer, ends)
                for i, answer in zip(batch, answers.tolist(), strict=True)
            }
        )
        order = order[len(batch) :]


def answer_batch(
    model: LanguageModel,
    prompts: Sequence[list[int]],
    config: GenerationConfig,
    logits: list[Tensor] | None = None,
) -> Tensor:
    """Answer prompts in one batch, padded on the left to the longest; (B, n) tokens.

    `logits` is given those of every step, (B, V) each.
    """
    width = max(map(len, prompts))
    ids = torch.full((len(prompts), width), config.pad_token_id)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    ids, mask = ids.to(model.device), mask.to(model.device)
    if model.decoding == "static":
        ends = config.eos_token_id or []
        return decode(model.network, ids, mask, config.max_new_tokens, ends, logits)
    # generate() fills whatever a given config leaves open from the model's own, penalties included.
    model.network.generation_config = config
    whole = model.network.generate(
        input_ids=ids,
        attention_mask=mask,
        output_logits=logits is not None,
        return_dict_in_generate=True,
    )
    if logits is not None:
        logits += whole.logits
    tokens: Tensor = whole.sequences[:, width:]
    return tokens


def greedy(max_new_tokens: int, ends: Sequence[int], use_cache: bool) -> GenerationConfig:
    """Nothing but the likeliest token, until one of `ends`."""
    return GenerationConfig(
        do_sample=False,
        max_new_tokens=max_new_tokens,
        eos_token_id=list(ends) or None,
        pad_token_id=ends[0] if ends else 0,
        use_cache=use_cache,
    )
