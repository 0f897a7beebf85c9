"""Fused layers repeat what a model's own code gives, and replace nothing that they do not repeat.

On a CPU the kernels run in Triton's interpreter, which must be switched on before Triton is first
imported: a device's models are run in one process of their own.
"""

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("triton")

WORKER = """
import json, sys, torch, transformers
from functools import partial
from persona_geometry.gpu import fused_layers

out, device = sys.argv[1:]

torch.manual_seed(0)
size = dict(vocab_size=50, hidden_size=48, intermediate_size=80, num_hidden_layers=2,
            num_attention_heads=3, num_key_value_heads=1, head_dim=16, initializer_range=0.3,
            pad_token_id=0)
models = {
    "qwen2": transformers.Qwen2ForCausalLM(transformers.Qwen2Config(**size)),
    "llama": transformers.LlamaForCausalLM(transformers.LlamaConfig(**size)),
    "qwen3": transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**size)),
    "gelu": transformers.LlamaForCausalLM(transformers.LlamaConfig(**size, hidden_act="gelu")),
    "gemma": transformers.GemmaForCausalLM(transformers.GemmaConfig(**size)),
    "phi3": transformers.Phi3ForCausalLM(transformers.Phi3Config(**size)),
    "cohere": transformers.CohereForCausalLM(transformers.CohereConfig(**size)),
}
ids = torch.randint(50, (2, 6)).to(device)
found = {}
for name, network in models.items():
    for module in network.modules():
        if hasattr(module, "variance_epsilon") or type(module).__name__.endswith("RMSNorm"):
            torch.nn.init.normal_(module.weight, 0.5)
    network.to(torch.bfloat16)
    for dtype in (torch.float32, torch.bfloat16):
        network.to(device, dtype).eval()
        with torch.inference_mode():
            own = network(ids).logits.float()
            fused_layers.fuse(network)
            fused = network(ids).logits.float()
        for module in network.modules():
            replaced = module.__dict__.pop("forward", None)
            if replaced is not None:
                kind = type(module).__name__
                found.setdefault(name, {}).setdefault(kind, 0)
                found[name][kind] += 1
        source = sys.modules[type(network).__module__]
        rotary = source.apply_rotary_pos_emb
        fused_rotary = isinstance(rotary, partial)
        if fused_rotary:
            source.apply_rotary_pos_emb = rotary.args[0]
        found.setdefault(name, {})["rotary"] = fused_rotary
        exact = own if dtype == torch.float32 else exact
        found[name][str(dtype)] = [float((x - exact).norm() / exact.norm()) for x in (own, fused)]
hidden = torch.randn(4, 40, 200).to(device)
spans = [(0, 40), (3, 1), (5, 33)]
starts, counts = torch.tensor(spans).T.contiguous().to(device)
means = fused_layers.row_means(hidden, starts, counts)
alone = fused_layers.row_means(hidden[2:, 4:], starts[2:] - 4, counts[2:])
expected = torch.stack([row[a : a + n].double().mean(0) for row, (a, n) in zip(hidden, spans)])
found["means"] = [float((means - expected).abs().max()), torch.equal(means[2:], alone)]
json.dump(found, open(out, "w"))
"""


@pytest.fixture(scope="module")
def found(device: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    out = tmp_path_factory.mktemp("fused") / "found.json"
    environment = dict(os.environ)
    if device == "cpu":
        environment["TRITON_INTERPRET"] = "1"
    subprocess.run([sys.executable, "-c", WORKER, str(out), device], env=environment, check=True)
    return json.loads(out.read_text())


@pytest.mark.parametrize("name", ["qwen2", "llama", "qwen3", "phi3", "gelu", "gemma", "cohere"])
def test_logits_are_repeated(found: dict[str, dict], name: str) -> None:
    assert found[name]["torch.float32"][1] < 1e-5
    own, fused = found[name]["torch.bfloat16"]
    assert 0 < fused < 1.5 * own


def test_means_are_right_and_depend_on_no_other_row(found: dict) -> None:
    error, equal = found["means"]
    assert error < 1e-6 and equal


def test_norms_mlps_and_rotations_of_common_models_are_fused(found: dict[str, dict]) -> None:
    assert found["qwen2"]["Qwen2RMSNorm"] == 2 * 5 and found["qwen2"]["Qwen2MLP"] == 2 * 2
    assert found["llama"]["LlamaRMSNorm"] == 2 * 5 and found["llama"]["LlamaMLP"] == 2 * 2
    assert found["qwen3"]["Qwen3RMSNorm"] == 2 * 9
    assert all(found[name]["rotary"] for name in ("qwen2", "llama", "qwen3"))


def test_what_is_not_repeated_is_left_alone(found: dict[str, dict]) -> None:
    assert "LlamaMLP" not in found["gelu"] and "LlamaRMSNorm" in found["gelu"]
    assert "GemmaRMSNorm" not in found["gemma"] and "GemmaMLP" not in found["gemma"]
    assert not found["cohere"]["rotary"]
