"""Loading a causal language model, and its parts that the measurements need."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from persona_geometry.errors import InputError
from persona_geometry.gpu import kernels
from persona_geometry.model.checkpoint import check_loading
from persona_geometry.model.hub import model_folder
from persona_geometry.study.sections import Model


@dataclass(frozen=True)
class LanguageModel:
    """A loaded model.

    Attributes:
        network: the causal LM, in evaluation mode.
        tokenizer: its tokenizer.
        blocks: its decoder blocks; layer L is the output of blocks[L].
        lm_head: head inputs (..., d) to float32 logits (..., V).
    """

    network: Any
    tokenizer: Any
    blocks: nn.ModuleList
    lm_head: Callable[[Tensor], Tensor]

    @property
    def device(self) -> torch.device:
        """Where inputs go."""
        return self.network.get_input_embeddings().weight.device

    @property
    def head_device(self) -> torch.device:
        return self.network.get_output_embeddings().weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.network.dtype


def load_model(model: Model, device: str = "auto") -> LanguageModel:
    """Load a model.

    Args:
        model: a study's `model` section.
        device: "cpu", "cuda", or "auto" (a GPU where there is one).

    Raises:
        InputError: no such device, weights that are not the model's, or a head whose logits
            cannot be repeated from its inputs.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("execution.device is 'cuda', but torch sees no GPU on this machine.")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    transformers_logging.disable_progress_bar()
    folder = model_folder(model)
    placed = {"device_map": "auto"} if model.gpus > 1 else {}
    whole: Any = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=getattr(torch, model.dtype),
        attn_implementation=model.attention,
        trust_remote_code=False,
        ignore_mismatched_sizes=True,  # so that they are reported and refused
        output_loading_info=True,
        **placed,
    )
    network, info = whole
    check_loading(info, (name for name, _ in network.named_modules()), str(folder))
    network.eval()
    if not placed:
        network.to(device)
    network.requires_grad_(False)
    if not placed and kernels.run_on(network.device):
        from persona_geometry.gpu.fused_layers import fuse

        fuse(network)
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    loaded = LanguageModel(network, tokenizer, _blocks(network), _lm_head(network))
    _check_head(loaded)
    return loaded


def hidden_size(network: Any) -> int:
    return network.config.get_text_config().hidden_size


def _blocks(network: Any) -> nn.ModuleList:
    depth = network.config.get_text_config().num_hidden_layers
    for module in network.modules():
        if isinstance(module, nn.ModuleList) and len(module) == depth:
            return module
    raise InputError(
        f"The model ({type(network).__name__}) has no list of {depth} decoder blocks; "
        f"it is not a decoder-only transformer that this workflow can measure."
    )


def _lm_head(network: Any) -> Callable[[Tensor], Tensor]:
    """The model's own head, with its products accumulated and returned in float32.

    A bfloat16 head rounds a logit of 20 to steps of 0.125, which would swamp small divergences.
    """
    projection = network.get_output_embeddings()
    weight, bias = projection.weight, getattr(projection, "bias", None)
    config = network.config.get_text_config()
    softcap = getattr(config, "final_logit_softcapping", None)
    scale = getattr(config, "logit_scale", None) or 1.0
    scale /= getattr(config, "logits_scaling", None) or 1.0
    if weight.dtype == torch.float32 or weight.is_cuda:
        transposed = weight.t()
    else:
        transposed = weight.float().t()
    mixed = weight.is_cuda and weight.dtype != torch.float32

    def lm_head(states: Tensor) -> Tensor:
        rows = states.reshape(-1, states.shape[-1]).to(transposed.dtype)
        logits = torch.mm(rows, transposed, torch.float32) if mixed else rows @ transposed
        if bias is not None:
            logits += bias
        if scale != 1.0:
            logits *= scale
        if softcap is not None:
            logits = softcap * torch.tanh(logits / softcap)
        return logits.view(*states.shape[:-1], -1)

    return lm_head


@torch.inference_mode()
def _check_head(model: LanguageModel) -> None:
    ids = torch.tensor([[1, 5, 9, 2, 7, 3]], device=model.device)
    states = model.network.base_model(input_ids=ids, use_cache=False).last_hidden_state
    ours = model.lm_head(states.to(model.head_device))
    theirs = model.network(input_ids=ids, use_cache=False).logits.float().to(ours.device)
    worst = float((ours - theirs).abs().max() / theirs.abs().max().clamp_min(1.0))
    allowed = 1e-4 if model.dtype == torch.float32 else 2e-2
    if not worst <= allowed:
        raise InputError(
            f"The model's logits cannot be repeated from its last hidden states (relative "
            f"difference {worst:.1e}, {allowed:.0e} allowed): {type(model.network).__name__} "
            f"computes its head in a way that this workflow does not know."
        )
