"""Loading a causal language model, and its parts that the measurements need."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from traceback import walk_tb
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM
from transformers.utils import logging as transformers_logging

from persona_geometry.errors import InputError
from persona_geometry.gpu import kernels
from persona_geometry.model.adapter import merged
from persona_geometry.model.attention import attention_kernel
from persona_geometry.model.checkpoint import check_loading, read_headers, weight_files
from persona_geometry.model.configs import UNBUILDABLE, load_config, load_tokenizer, unbuildable
from persona_geometry.model.hub import model_folder
from persona_geometry.model.packed_linear import PackedLinear, pack
from persona_geometry.model.tensors import few
from persona_geometry.study.sections import Model

Batching = Literal["padded", "equal", "alone"]
Decoding = Literal["static", "padded", "equal", "alone", "uncached"]


@dataclass(frozen=True)
class LanguageModel:
    """A loaded model, and how it may be run.

    The ways to run it are the slowest ones, right for every causal model, until
    `selftest.check_model` has seen that the model allows faster ones.

    Attributes:
        network: the causal LM, in evaluation mode.
        tokenizer: its tokenizer.
        blocks: its decoder blocks; layer L is the output of blocks[L].
        lm_head: head inputs (..., d) to float32 logits (..., V).
        batching: what a forward pass may hold: rows "padded" on the right to one length, rows of
            "equal" length, or a row "alone".
        decoding: how answers are generated: over a "static" cache, by transformers with rows
            "padded" on the left, of "equal" length or "alone", or alone and "uncached", every step
            a whole forward pass.
    """

    network: Any
    tokenizer: Any
    blocks: nn.ModuleList
    lm_head: Callable[[Tensor], Tensor]
    batching: Batching = "alone"
    decoding: Decoding = "uncached"

    @property
    def device(self) -> torch.device:
        """Where inputs go."""
        device: torch.device = self.network.get_input_embeddings().weight.device
        return device

    @property
    def head_device(self) -> torch.device:
        device: torch.device = self.network.get_output_embeddings().weight.device
        return device

    @property
    def dtype(self) -> torch.dtype:
        dtype: torch.dtype = self.network.dtype
        return dtype

    @property
    def body(self) -> Any:
        """The text decoder: what runs the blocks and gives the head's inputs."""
        return next(m for m in self.network.modules() if self.blocks in m.children())

    @property
    def state_size(self) -> int:
        """Width d of the head's inputs; in some models it is not the width of the blocks."""
        return int(self.network.get_output_embeddings().weight.shape[1])


def load_model(model: Model, device: str = "auto") -> LanguageModel:
    """Load a model.

    Args:
        model: a study's `model` section.
        device: "cpu", "cuda", or "auto" (a GPU where there is one).

    Raises:
        InputError: no such device, weights that are not the model's, not a decoder-only language
            model, or an attention kernel that it does not have.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("execution.device is 'cuda', but torch sees no GPU on this machine.")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    transformers_logging.disable_progress_bar()
    folder = model_folder(model)
    placed = {"device_map": "auto"} if model.gpus > 1 else {}
    network, info = _network(folder, model, placed)
    check_loading(info, network, str(folder))
    if model.adapter is not None:
        network = merged(network, Path(model.adapter))
    network.eval()
    if not placed:
        network.to(device)
    network.requires_grad_(False)
    if not placed and kernels.run_on(network.device):
        from persona_geometry.gpu.fused_layers import fuse

        fuse(network)
    if network.device.type == "cpu":
        pack(network)
    tokenizer = load_tokenizer(folder, model.chat_template)
    return LanguageModel(network, tokenizer, _blocks(network), _lm_head(network))


def hidden_size(network: Any) -> int:
    return int(network.config.get_text_config().hidden_size)


def check_weights(model: Model) -> None:
    """Build a model without its weights, and find what its weight files lack or have otherwise.

    Only their headers are read. It takes what importing torch and transformers takes, some
    seconds, and finds for every family what `load_model` would.

    Raises:
        InputError: as `load_model`.
    """
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    folder = model_folder(model)
    config = _causal_config(folder)
    headers = read_headers(weight_files(folder))
    with _explained(folder, model, config):
        with torch.device("meta"):
            outline = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
        network, info = type(outline).from_pretrained(
            None,
            config=outline.config,
            state_dict={n: torch.empty(h.shape, device="meta") for n, h in headers.items()},
            device_map="meta",
            dtype=torch.float32,
            ignore_mismatched_sizes=True,  # so that they are reported and refused
            output_loading_info=True,
        )
    check_loading(info, network, str(folder))


def _network(folder: Path, model: Model, placed: dict[str, str]) -> tuple[Any, dict[str, Any]]:
    """The causal LM, and what was amiss in loading it."""
    config = _causal_config(folder)
    with _explained(folder, model, config):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=getattr(torch, model.dtype),
            attn_implementation=attention_kernel(model.attention, config.to_dict()),
            trust_remote_code=False,
            ignore_mismatched_sizes=True,  # so that they are reported and refused
            output_loading_info=True,
            **placed,
        )
    network, faults = loaded
    return network, faults


def _causal_config(folder: Path) -> Any:
    """A checkpoint's configuration, which must be that of a decoder-only language model."""
    config = load_config(folder)
    if config.is_encoder_decoder or type(config) not in AutoModelForCausalLM._model_mapping:
        raise InputError(
            f"The model in {folder} is of type {config.model_type}, which transformers does not "
            f"load as a decoder-only language model; give one that it does."
        )
    return config


@contextmanager
def _explained(folder: Path, model: Model, config: Any) -> Iterator[None]:
    """Say in one sentence why transformers cannot make a model."""
    try:
        yield
    except (InputError, torch.cuda.OutOfMemoryError):
        raise
    except UNBUILDABLE as error:
        unmade = _unmade_tensors(error)
        if unmade:
            raise InputError(
                f"The weights of {folder} do not make {few(unmade)} of the model: a part, such as "
                f"an expert's tensor, is missing or has another shape; download or save the "
                f"checkpoint again, with the config.json it belongs to."
            ) from error
        if "attention" not in str(error).lower():
            raise unbuildable(folder, error) from error
        raise InputError(
            f"model.attention is '{model.attention}', which models of type {config.model_type} "
            f"cannot be run with here ({_first_sentence(error)}); set it to 'eager'."
        ) from error


def _unmade_tensors(error: Exception) -> list[str]:
    """The model's tensors that transformers could not make of several stored ones.

    It says so in a log alone; the error has the names only in the frames it came through.
    """
    for frame, _ in walk_tb(error.__traceback__):
        unmade = getattr(frame.f_locals.get("loading_info"), "conversion_errors", None)
        if unmade:
            return sorted(unmade)
    return []


def _first_sentence(error: Exception) -> str:
    return str(error).split(". ")[0].split("\n")[0].rstrip(".")


def _blocks(network: Any) -> nn.ModuleList:
    """The text decoder's blocks: a multimodal model may have a vision tower that is as deep."""
    depth = network.config.get_text_config().num_hidden_layers
    for root in (network.get_decoder(), network.base_model):
        for module in root.modules():
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

    def configured(*names: str) -> float | None:
        return next((v for name in names if (v := getattr(config, name, None))), None)

    softcap = configured("final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap")
    scale = configured("logit_scale", "lm_head_multiplier") or 1.0
    scale /= configured("logits_scaling") or 1.0
    if weight.dtype == torch.float32 or weight.is_cuda:
        transposed = weight.t()
    else:
        transposed = weight.float().t()
    mixed = weight.is_cuda and weight.dtype != torch.float32

    def lm_head(states: Tensor) -> Tensor:
        rows = states.reshape(-1, states.shape[-1]).to(transposed.dtype)
        if isinstance(projection, PackedLinear):
            logits = projection(rows)
        else:
            logits = torch.mm(rows, transposed, torch.float32) if mixed else rows @ transposed
            if bias is not None:
                logits += bias
        if scale != 1.0:
            logits *= scale
        if softcap is not None:
            logits = softcap * torch.tanh(logits / softcap)
        return logits.view(*states.shape[:-1], -1)

    return lm_head
