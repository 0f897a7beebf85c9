"""A study's bundle, through the workflow, unpacked elsewhere and computed again from itself."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from huggingface_hub import DatasetCard
from rocrate.rocrate import ROCrate

from persona_geometry.report.outputs import ARRAYS, FILES, OBJECTS, RUN

from .conftest import Workspace


@pytest.fixture(scope="module")
def bundled(finished: Workspace) -> Workspace:
    finished.config["scoring"] = {"top_tokens": 2}
    finished.config["bundle"] = {"license": "CC-BY-4.0", "authors": ["Ada Lovelace"]}
    finished.run("bundle")
    return finished


def test_a_bundle_is_checked_and_computed_again_in_a_fresh_folder(
    bundled: Workspace, tmp_path: Path
) -> None:
    with zipfile.ZipFile(bundled.result("bundle.zip")) as archive:
        archive.extractall(tmp_path)
    command = [sys.executable, "-m", "persona_geometry.bundle", str(tmp_path)]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    layers = json.loads((tmp_path / "alignment.json").read_text())["layers"]
    for layer in ("0", "1"):
        assert f"layer {layer}: ρ = {layers[layer]['spearman']:.6f}\n" in ran.stdout
    assert "were computed again and are equal." in ran.stdout

    crate = ROCrate(tmp_path)
    held = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    beside = {"ro-crate-metadata.json", "SHA256SUMS"}
    assert {entity.id for entity in crate.data_entities} == held - beside
    assert "vectors.npz" not in held and "report.html" in held

    card = DatasetCard.load(tmp_path / "README.md")
    assert (card.data.license, card.data.pretty_name) == ("cc-by-4.0", "persona-geometry: test")
    assert "by Ada Lovelace" in card.text and "| layer | ρ |" in card.text

    model = bundled.config["model"]["path"]
    for path in held:
        assert model.encode() not in (tmp_path / path).read_bytes()
    assert (
        yaml.safe_load((tmp_path / "config.yaml").read_text())["model"]["path"] == Path(model).name
    )


def test_a_tampered_bundle_is_told_from_what_was_bundled(
    bundled: Workspace, tmp_path: Path
) -> None:
    with zipfile.ZipFile(bundled.result("bundle.zip")) as archive:
        archive.extractall(tmp_path)
    path = tmp_path / "js_matrix.json"
    path.write_text(path.read_text().replace("0.0", "0.1", 1))
    command = [sys.executable, "-m", "persona_geometry.bundle", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 1
    assert ran.stderr == f"Error: {path} is not what was bundled; unpack the bundle again.\n"


def test_a_bundle_is_the_same_when_made_again(bundled: Workspace) -> None:
    path = bundled.result("bundle.zip")
    first = path.read_bytes()
    path.unlink()
    bundled.run("bundle")
    assert path.read_bytes() == first


def test_the_reference_tells_every_file_array_and_field(bundled: Workspace) -> None:
    folder = bundled.result("")
    files = [p.relative_to(folder) for p in folder.rglob("[!.]*") if p.is_file()]
    assert [str(f) for f in files if not any(f.match(form) for form in FILES)] == []
    for name, arrays in ARRAYS.items():
        with np.load(folder / name.format(prompt="q1")) as stored:
            assert {key: stored[key].ndim for key in stored} == {
                key: len(shape.split(" × ")) if shape else 0 for key, (shape, _) in arrays.items()
            }
    for name, fields in OBJECTS.items():
        content = json.loads((folder / name.format(prompt="q1")).read_text())
        if "layer_0" in content:
            assert {f"layer_N.{key}" for key in content["layer_0"]} == set(fields)
        else:
            assert set(content) == set(fields)
    run = json.loads((folder / "run.json").read_text())
    assert set(run) == {name.split(".")[0] for name in RUN}
    assert set(run["gpu_work"]) == {n.split(".")[1] for n in RUN if n.startswith("gpu_work.")}
