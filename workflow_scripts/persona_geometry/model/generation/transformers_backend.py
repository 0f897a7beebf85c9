"""Greedy generation with transformers, batched with left padding."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from transformers import GenerationConfig

from persona_geometry.model.generation.captured import can_decode, decode
from persona_geometry.model.generation.ending import end_tokens, to_response
from persona_geometry.model.loading import LanguageModel
from persona_geometry.store.store import Response

GPU_BATCH = 128  # a step costs little more than for one: the weights are read once for all
CPU_BATCH = 32


@torch.inference_mode()
def generate(
    model: LanguageModel,
    prompts: Sequence[list[int]],
    max_new_tokens: int,
    save: Callable[[int, Response], None],
) -> None:
    """Answer prompts greedily; each answer is handed to `save` as soon as its batch is done.

    Nothing but the most likely token is taken: sampling settings and penalties that a model
    ships in its generation config are left out, its end-of-turn tokens are kept.

    Args:
        model: the loaded model.
        prompts: rendered token ids.
        max_new_tokens: length at which a response is cut.
        save: called with the prompt's index and its response.

    Prompts are answered in batches, the longest first; a batch that does not fit is halved.
    """
    ends = end_tokens(model.network.generation_config, model.tokenizer)
    pad = ends[0] if ends else 0
    config = GenerationConfig(
        do_sample=False, max_new_tokens=max_new_tokens, eos_token_id=ends or None, pad_token_id=pad
    )
    order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
    batch_size = GPU_BATCH if model.device.type == "cuda" else CPU_BATCH
    while order:
        batch = order[:batch_size]
        width = len(prompts[batch[0]])
        ids = torch.full((len(batch), width), pad)
        mask = torch.zeros_like(ids)
        for row, i in enumerate(batch):
            ids[row, width - len(prompts[i]) :] = torch.tensor(prompts[i])
            mask[row, width - len(prompts[i]) :] = 1
        try:
            answers = _answer(model, ids.to(model.device), mask.to(model.device), config)
        except torch.cuda.OutOfMemoryError:
            if len(batch) == 1:
                raise
            batch_size = len(batch) // 2
            torch.cuda.empty_cache()
            continue
        for i, answer in zip(batch, answers.tolist(), strict=True):
            save(i, to_response(model.tokenizer, answer, ends))
        order = order[len(batch) :]


def _answer(model: LanguageModel, ids: Tensor, mask: Tensor, config: GenerationConfig) -> Tensor:
    if model.device.type == "cuda" and can_decode(model.network):
        return decode(model.network, ids, mask, config.max_new_tokens, config.eos_token_id or [])
    # generate() fills whatever a given config leaves open from the model's own, penalties included.
    model.network.generation_config = config
    whole = model.network.generate(input_ids=ids, attention_mask=mask)
    return whole[:, ids.shape[1] :]
