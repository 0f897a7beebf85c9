"""A checkpoint that is not what it says stops the run before its GPU job."""

import json
import shutil
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from .conftest import Workspace

TARGET = "results/test/js_matrix.json"


def lose_tensor(model: Path) -> None:
    tensors = load_file(model / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, model / "model.safetensors", {"format": "pt"})


def deepen(model: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))


def truncate(model: Path) -> None:
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def break_template(model: Path) -> None:
    (model / "chat_template.jinja").write_text("{% for %}")


DAMAGE = {
    "tensor": (lose_tensor, "lack model.layers.1.mlp.up_proj.weight; download"),
    "config": (deepen, "asks for 3 layers, but the weights lack layer 2; download"),
    "file": (truncate, "is cut short or damaged"),
    "template": (break_template, "The chat template 'default'"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_model_stops_the_run_in_one_sentence_before_the_gpu_job(
    workspace: Workspace, random_model: Path, kind: str
) -> None:
    damage, sentence = DAMAGE[kind]
    model = shutil.copytree(random_model, workspace.folder / "model")
    damage(model)
    workspace.config["model"]["path"] = str(model)
    output = workspace.run(TARGET, "--show-failed-logs", fails=True)
    assert sentence in output
    assert "rule teacher_force" not in output and workspace.stored() == (0, 0, 0)


@pytest.mark.parametrize("cause", ["weights", "config"])
def test_what_the_fingerprint_needs_is_missed_by_the_dry_run(
    workspace: Workspace, random_model: Path, cause: str
) -> None:
    model = shutil.copytree(random_model, workspace.folder / "model")
    if cause == "weights":
        (model / "model.safetensors").rename(model / "pytorch_model.bin")
        sentence = "holds its weights as PyTorch .bin files"
    else:
        (model / "config.json").write_text("{")
        sentence = "config.json is not a JSON object"
    workspace.config["model"]["path"] = str(model)
    output = workspace.run("--dry-run", TARGET, fails=True)
    assert sentence in output and "Traceback" not in output
