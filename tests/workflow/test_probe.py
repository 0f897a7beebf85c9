"""A probe through the real Snakemake: made on request, and gone with its section."""

import json

import numpy as np
import pytest

from persona_geometry import open_study

from .conftest import Workspace


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, random_model) -> Workspace:
    """A finished study of seven personas."""
    workspace = Workspace(tmp_path_factory.mktemp("study"), random_model)
    workspace.personas[3:3] = [("clown", "", "You joke."), ("pilot", "", "You fly.")]
    workspace.run()
    return workspace


def test_a_probe_costs_no_gpu_work_and_goes_with_its_section(study: Workspace) -> None:
    study.config["probe"] = {"personas": ["poet", "clown"], "components": 1}
    jobs = {"probe": 1, "report_probe": 1, "write_run_record": 1}
    assert study.jobs() == jobs
    study.run()
    found = json.loads(study.result("probe.json").read_text())
    opened = open_study(study.folder / "results" / "test")
    values = [
        opened.token_divergences(prompt, "poet", "clown")["js"] for prompt in opened.responses.index
    ]
    (pair,) = found["tokens"]["pairs"]
    assert pair["mean"] == pytest.approx(np.concatenate(values).astype(float).mean())
    row = opened.cosine[1].without("anchor").to_frame()
    assert found["layers"]["distances"]["raw"]["chosen"][1] == pytest.approx(row["poet"]["clown"])
    assert opened.run["results_sha256"].keys() >= {
        f"results/test/{name}" for name in ("probe.json", "directions.npz", "probe.md")
    }
    assert study.jobs() == {}
    del study.config["probe"]
    study.run()
    left = [path.name for path in study.result("").rglob("*probe*")]
    assert left == [] and not study.result("directions.npz").exists()
