"""A probe and an intervention through the real Snakemake, made on request."""

import json

import numpy as np
import pytest

from persona_geometry import open_study
from persona_geometry.probe.files import write_directions
from persona_geometry.rdms.files import read_divergence_rdms

from .conftest import Workspace


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, random_model) -> Workspace:
    """A finished study of seven personas."""
    workspace = Workspace(tmp_path_factory.mktemp("study"), random_model)
    workspace.personas[3:3] = [("clown", "", "You joke."), ("pilot", "", "You fly.")]
    workspace.config["alignment"] |= {"permutations": 99, "bootstrap": 0}
    workspace.run()
    return workspace


def test_a_probe_costs_no_gpu_work_and_goes_with_its_section(study: Workspace) -> None:
    study.config["probe"] = {"personas": ["poet", "clown"], "components": 1}
    jobs = {"probe": 1, "report_probe": 1, "write_run_record": 1, "write_report": 1}
    assert study.jobs() == jobs
    study.run()
    found = json.loads(study.result("probe.json").read_text())
    opened = open_study(study.folder / "results" / "test")
    assert opened.probe == found
    values = [
        opened.token_divergences(prompt, "poet", "clown")["js"] for prompt in opened.responses.index
    ]
    (pair,) = found["tokens"]["pairs"]
    assert pair["mean"] == pytest.approx(np.concatenate(values).astype(float).mean())
    row = opened.cosine[1].without("anchor").to_frame()
    assert found["layers"]["distances"]["raw"]["chosen"][1] == pytest.approx(row["poet"]["clown"])
    assert opened.run["results_sha256"].keys() >= {
        f"results/test/{name}" for name in ("probe.json", "directions.npz")
    }
    del study.config["probe"]
    study.run()
    left = [path.name for path in study.result("").rglob("*probe*")]
    assert left == [] and not study.result("directions.npz").exists()


def test_an_intervention_forces_the_same_responses_again_and_is_compared(study: Workspace) -> None:
    study.config["probe"] = {"personas": ["poet", "clown"], "components": 1}
    study.run("results/test/directions.npz")
    stored = study.stored()
    del study.config["probe"]
    study.config |= {
        "study": "ablated",
        "intervention": {"directions": "results/test/directions.npz", "layer": 0},
    }
    study.run("results/ablated/intervention.json", "results/ablated/js_matrix.json")
    n_cells, n_pairs = 4 * 7, 4 * 21
    assert study.stored() == (stored[0], stored[1] + n_cells, stored[2] + n_pairs)
    folder = study.folder / "results" / "ablated"
    found = json.loads((folder / "intervention.json").read_text())
    for name, key in (("test", "before"), ("ablated", "after")):
        divergences = read_divergence_rdms(study.folder / "results" / name / "js_matrix.json")
        rdm = divergences.rdms["full"].to_frame()
        for pair in found["pairs"]:
            assert pair[key] == pytest.approx(rdm.loc[*pair["personas"]])
    assert found["groups"]["across"]["before"] != found["groups"]["across"]["after"]
    write_directions(study.folder / "wide.npz", {"shared": np.eye(2, 64)}, ["poet", "clown"])
    study.config["intervention"]["directions"] = "wide.npz"
    said = study.run("--dry-run", fails=True)
    assert "wide.npz holds directions of 64 numbers, but the model's 2 layers have 32; use" in said
