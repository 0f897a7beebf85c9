"""Geometries that come from files: the whole comparison with no model."""

import hashlib
import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from persona_geometry.report.figures import ENDINGS, study_figures

from .conftest import Workspace

NAMES = ["poet", "surgeon", "nurse", "villain", "sailor", "judge", "anchor"]
LAYERS = [2, 5]


@pytest.fixture
def files(tmp_path: Path) -> Workspace:
    """A study without a model, whose two RDMs list their personas in different orders."""
    workspace = Workspace(tmp_path, tmp_path / "no model is here")
    del workspace.config["model"]
    workspace.personas = [
        (name, "medical" if name in ("surgeon", "nurse") else "", f"You are a {name}.")
        for name in sorted(NAMES)
    ]
    workspace.config["geometry"] = {"layers": LAYERS, "headline_layer": 5}
    gates = workspace.config["alignment"]["gates"]
    gates.append({"statistic": "per_prompt.median", "comparison": ">", "threshold": 0.0})
    return workspace


def write_cosines(path: Path, rng: np.random.Generator) -> None:
    """Layers that list their personas in orders of their own."""
    content = {}
    for layer in (0, *LAYERS):
        names = rng.permutation(NAMES).tolist()
        vectors = rng.standard_normal((len(names), 5))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        content[f"layer_{layer}"] = {
            "persona_names": names,
            "matrix": (vectors @ vectors.T).tolist(),
        }
    path.write_text(json.dumps(content))


def write_divergences(path: Path, names: list[str], rng: np.random.Generator) -> None:
    matrix = np.triu(rng.uniform(0, 0.6, (len(names), len(names))), 1)
    pd.DataFrame(matrix + matrix.T, names, names).to_csv(path, sep="\t")


def cosines(path: Path, layer: int) -> pd.DataFrame:
    """Distances of a layer by names, read without the library."""
    content = json.loads(path.read_text())[f"layer_{layer}"]
    names = content["persona_names"]
    return pd.DataFrame(1 - np.array(content["matrix"]), names, names)


def divergences(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", index_col=0)


def correlation_by_label(cosine: Path, js: Path, layer: int, personas: list[str]) -> float:
    """Spearman's correlation, pair by named pair."""
    x, y = cosines(cosine, layer), divergences(js)
    pairs = list(combinations(personas, 2))
    return spearmanr([x.loc[pair] for pair in pairs], [y.loc[pair] for pair in pairs]).statistic


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_whole_study_from_files_matches_names_and_needs_no_model(files: Workspace) -> None:
    rng = np.random.default_rng(0)
    cosine, js = files.folder / "cosine.json", files.folder / "js.tsv"
    write_cosines(cosine, rng)
    others = [name for name in NAMES if name != "anchor"]
    write_divergences(js, rng.permutation(others).tolist(), rng)
    files.config["rdm"] = {
        "cosine": {"file": "cosine.json", "sha256": sha256(cosine)},
        "js": {"file": "js.tsv", "sha256": sha256(js), "name": "Surprise", "unit": "bits"},
    }
    output = files.run("--show-failed-logs")
    assert "teacher_force" not in output and not (files.folder / "results" / "store").exists()

    alignment = json.loads(files.result("alignment.json").read_text())
    assert (alignment["n_personas"], alignment["n_prompts"]) == (6, None)
    assert sorted(alignment["personas"]) == sorted(others)
    for layer in LAYERS:
        expected = correlation_by_label(cosine, js, layer, others)
        assert alignment["layers"][str(layer)]["spearman"] == pytest.approx(expected, abs=1e-9)
    assert list(alignment["layer_curve"]) == ["0", "2", "5"]
    headline = alignment["layers"]["5"]
    for name in ("per_prompt", "cka", "with_anchor", "residual_anchor"):
        assert headline[name] is None
    prompts, personas = (headline["bootstrap"][kind] for kind in ("prompts", "personas"))
    assert prompts["low"] is None and "prompts" in prompts["reason"]
    assert personas["method"] and headline["intervals"]["prompts"]["low"] is None
    assert alignment["gates"][1]["status"] == "not_evaluated"
    assert alignment["all_gates_pass"] is False

    page = files.result("report.html").read_text()
    assert "Surprise" in page and '"unit":"bits"' in page and "No model was run" in page

    figures = {path.name for path in files.result("figures").iterdir()}
    names = study_figures([2, 5], 5)
    assert figures == {f"{name}.{ending}" for name in names for ending in ENDINGS}
    for name in ("heatmaps", "scatter_layer_2", "trees"):
        caption = files.result(f"figures/{name}.rst").read_text()
        assert "Surprise" in caption and "JS" not in caption
    assert "from a file" in " ".join(files.result("figures/tokens.rst").read_text().split())
    drawn = [line.split("\t") for line in files.result("figures/heatmaps.tsv").open()]
    x, y = cosines(cosine, 5), divergences(js)
    assert len(drawn) == 16
    for first, second, distance, divergence, *_ in drawn[1:]:
        assert float(distance) == pytest.approx(x.loc[first, second], abs=1e-9)
        assert float(divergence) == pytest.approx(y.loc[first, second], abs=1e-12)
    assert "not evaluated" in files.result("summary.md").read_text()
    record = json.loads(files.result("run.json").read_text())
    assert record["inputs_sha256"]["cosine.json"] == sha256(cosine) and record["model"] is None


def test_expected_cosines_are_compared_and_another_file_is_refused(files: Workspace) -> None:
    rng = np.random.default_rng(1)
    cosine, js = files.folder / "cosine.json", files.folder / "js.tsv"
    write_cosines(cosine, rng)
    write_divergences(js, sorted(NAMES), rng)
    expected = {"file": "cosine.json", "sha256": "0" * 64}
    files.config["rdm"] = {"cosine": expected, "js": {"file": "js.tsv"}}
    target = "results/test/alignment.json"
    message = f"has SHA-256 {sha256(cosine)}, but the config expects {'0' * 64}"
    assert message in files.run(target, fails=True)
    assert not files.result("cosine_matrix.json").exists()

    expected["sha256"] = sha256(cosine)
    files.run(target)
    alignment = json.loads(files.result("alignment.json").read_text())
    others = [name for name in NAMES if name != "anchor"]
    headline = alignment["layers"]["5"]
    rho = correlation_by_label(cosine, js, 5, others)
    assert headline["spearman"] == pytest.approx(rho, abs=1e-9)
    assert (alignment["n_pairs"], headline["with_anchor"]["n_pairs"]) == (15, 21)
