"""run.json describes the run that made what lies beside it."""

import hashlib
import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from persona_geometry.rdms.files import write_rdm_table
from persona_geometry.rdms.rdm import Rdm

from .conftest import PERSONAS, Workspace

NAMES = [name for name, *_ in PERSONAS]
OVERRIDE = ("--config", "alignment={outcomes: habits.tsv}")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, random_model: Path) -> Workspace:
    """A study with a covariate and outcomes, from two config files and an override, run once."""
    study = Workspace(tmp_path_factory.mktemp("study"), random_model)
    study.config["alignment"] |= {"covariates": ["pay.tsv"], "bootstrap": 0}
    pay = [[abs(i - j) for j in range(len(NAMES))] for i in range(len(NAMES))]
    write_rdm_table(study.folder / "pay.tsv", Rdm.from_square(NAMES, np.array(pay)))
    pairs = itertools.permutations(NAMES[:-1], 2)
    rows = [f"{source}\t{target}\t{k % 5}" for k, (source, target) in enumerate(pairs)]
    (study.folder / "habits.tsv").write_text("\n".join(["source\ttarget\tvalue", *rows]) + "\n")
    (study.folder / "more.yaml").write_text(yaml.safe_dump({"geometry": {"headline_layer": 0}}))
    study.config_files = ("study.yaml", "more.yaml")
    study.run(*OVERRIDE)
    return study


def record_of(study: Workspace) -> dict[str, Any]:
    return json.loads(study.result("run.json").read_text())


def test_config_is_recorded_as_it_was_in_force(finished: Workspace) -> None:
    config = record_of(finished)["config"]
    assert config["files"] == ["study.yaml", "more.yaml"]
    assert config["overrides"] == {"alignment": {"outcomes": "habits.tsv"}}
    assert config["effective"]["geometry"] == {"layers": [0, 1], "headline_layer": 0}
    assert config["effective"]["alignment"] == {
        **finished.config["alignment"],
        "outcomes": "habits.tsv",
    }
    alignment = json.loads(finished.result("alignment.json").read_text())
    assert alignment["headline_layer"] == 0


def test_every_file_that_people_wrote_is_hashed(finished: Workspace) -> None:
    inputs = ["study.yaml", "more.yaml", "personas.tsv", "prompts.tsv", "pay.tsv", "habits.tsv"]
    assert record_of(finished)["inputs_sha256"] == {
        name: sha256(finished.folder / name) for name in inputs
    }


def test_results_are_hashed(finished: Workspace) -> None:
    hashes = record_of(finished)["results_sha256"]
    assert {finished.folder / path: sha256(finished.folder / path) for path in hashes} == {
        finished.folder / path: value for path, value in hashes.items()
    }
    numbers = ("alignment.json", "cosine_matrix.json", "js_matrix.json", "vectors.npz")
    assert {f"results/test/{name}" for name in numbers} < set(hashes)


def test_seconds_of_every_rule_that_makes_numbers_are_there(finished: Workspace) -> None:
    tables = finished.result("benchmarks")
    rules = {
        path.relative_to(tables).parts[0].removesuffix(".tsv") for path in tables.rglob("*.tsv")
    }
    assert {"align", "publish_prompt", "teacher_force"} < rules
    assert set(record_of(finished)["seconds_by_rule"]) == rules - {"write_summary", "plot_figures"}


def test_record_waits_for_numbers_and_not_for_figures(study: Workspace) -> None:
    shutil.rmtree(study.result(""))
    jobs = study.jobs("results/test/run.json", *OVERRIDE)
    assert {"align", "js_matrix", "cosine_rdms"} < set(jobs)
    assert not {"write_summary", "plot_figures"} & set(jobs)


def test_record_is_written_anew_when_what_it_describes_is(study: Workspace) -> None:
    assert study.jobs(*OVERRIDE) == {}
    assert study.jobs()["write_run_record"] == 1
    assert study.jobs(*OVERRIDE, "--forcerun", "write_summary") == {"write_summary": 1}
    again = study.jobs(*OVERRIDE, "--forcerun", "cosine_rdms")
    assert again["write_run_record"] == 1
    content = study.folder / "more.yaml"
    content.write_text(content.read_text() + "# A remark\n")
    assert study.jobs(*OVERRIDE) == {"write_run_record": 1, "write_report": 1}


def test_seconds_of_removed_prompts_are_left_out(study: Workspace) -> None:
    study.config["geometry"]["layers"] = [0]
    del study.prompts[0]
    study.run(*OVERRIDE)
    tables = study.result("benchmarks")

    def seconds(paths: list[Path]) -> Any:
        rows = [path.read_text().splitlines()[1].split("\t") for path in paths]
        return pytest.approx(sum(float(row[0]) for row in rows), abs=1e-3)

    recorded = record_of(study)["seconds_by_rule"]
    assert recorded["align"] == seconds([tables / "align.tsv"])
    kept = [tables / "publish_prompt" / f"{name}.tsv" for name, _ in study.prompts]
    assert recorded["publish_prompt"] == seconds(kept)
