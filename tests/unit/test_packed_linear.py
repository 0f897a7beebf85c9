"""Linear layers in oneDNN's layout: the same products, and no weight held twice."""

import pytest
import torch
import transformers
from torch import nn

from persona_geometry.model import packed_linear
from persona_geometry.model.packed_linear import PackedLinear, pack

CONFIG = transformers.Qwen2Config(
    vocab_size=97,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    tie_word_embeddings=True,
)


def network(dtype: torch.dtype = torch.float32) -> nn.Module:
    torch.manual_seed(0)
    made = transformers.AutoModelForCausalLM.from_config(CONFIG)
    for name, parameter in made.named_parameters():
        if name.endswith("bias"):  # transformers makes them zero
            nn.init.normal_(parameter)
    return made.to(dtype).eval().requires_grad_(False)


@torch.inference_mode()
def test_a_packed_model_gives_the_same_logits_and_tokens() -> None:
    plain, packed = network(), network()
    pack(packed)
    layers = [m for m in packed.modules() if isinstance(m, nn.Linear)]
    assert len(layers) == 15 and all(type(m) is PackedLinear for m in layers)
    ids = torch.randint(0, 97, (3, 40), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(packed(ids).logits, plain(ids).logits, atol=1e-5, rtol=1e-5)
    answers = [m.generate(ids, max_new_tokens=8, do_sample=False) for m in (plain, packed)]
    assert torch.equal(*answers)


def test_weights_are_held_once_but_for_the_head_that_is_the_embedding() -> None:
    packed = network()
    own = [m.weight.clone() for m in packed.modules() if isinstance(m, nn.Linear)]
    pack(packed)
    layers = [m for m in packed.modules() if isinstance(m, nn.Linear)]
    assert all(torch.equal(m.weight, weight) for m, weight in zip(layers, own, strict=True))
    held = {name for name, _ in packed.named_parameters() if name.endswith("_proj.weight")}
    assert not held
    assert packed.get_output_embeddings().weight is packed.get_input_embeddings().weight
    assert packed.get_input_embeddings().weight.device.type == "cpu"


def test_other_precisions_are_left_as_they_are() -> None:
    left = network(torch.bfloat16)
    pack(left)
    assert not any(isinstance(m, PackedLinear) for m in left.modules())


@pytest.mark.parametrize("fault", ["wrong", "missing"])
def test_a_layer_that_onednn_does_not_repeat_is_left_as_it_is(
    monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    def forward(self: PackedLinear, input: torch.Tensor) -> torch.Tensor:
        if fault == "missing":
            raise RuntimeError("no such operator")
        return input.new_full((*input.shape[:-1], self.out_features), 0.1)

    monkeypatch.setattr(packed_linear.PackedLinear, "forward", forward)
    left = network()
    pack(left)
    assert not any(isinstance(m, PackedLinear) for m in left.modules())


@torch.inference_mode()
def test_models_that_read_a_layers_weight_themselves_are_packed_too() -> None:
    config = transformers.MambaConfig(
        vocab_size=97, hidden_size=32, state_size=4, num_hidden_layers=2, time_step_rank=4
    )
    torch.manual_seed(0)
    plain = transformers.AutoModelForCausalLM.from_config(config).eval()
    ids = torch.randint(0, 97, (2, 20), generator=torch.Generator().manual_seed(1))
    expected = plain(ids).logits
    pack(plain)
    assert any(isinstance(m, PackedLinear) for m in plain.modules())
    torch.testing.assert_close(plain(ids).logits, expected, atol=1e-5, rtol=1e-5)
