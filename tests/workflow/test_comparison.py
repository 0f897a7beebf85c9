"""Finished studies compared by the real Snakemake, and no work of theirs asked for."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from persona_geometry.report.figures import COMPARISON_FIGURES, ENDINGS

from .conftest import PROMPTS, Workspace

RULES = {"compare", "compare_studies", "write_comparison", "plot_comparison"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, random_model: Path) -> Workspace:
    """Two small studies: one, and the same model on other prompts without one of the personas."""
    workspace = Workspace(tmp_path_factory.mktemp("compared"), random_model)
    workspace.personas += [(f"p{k}", "", f"You are number {k} of many.") for k in range(4)]
    workspace.prompts = PROMPTS[:2]
    run_as(workspace, "one")
    other = workspace.copy()
    other.personas.remove(other.personas[2])
    other.prompts = [("q5", "Is it far?"), ("q6", "Who goes there?")]
    run_as(other, "other")
    return workspace


def run_as(study: Workspace, name: str) -> None:
    """Run a study with a persona table of its own, which no later run of another one rewrites."""
    rows = ["persona\tcluster\tsystem_prompt", *map("\t".join, study.personas)]
    (study.folder / f"{name}.tsv").write_text("\n".join(rows) + "\n")
    study.config |= {"study": name, "personas": f"{name}.tsv"}
    study.run()


def comparing(study: Workspace, *studies: str) -> Workspace:
    comparison = {"name": "both", "studies": list(studies), "permutations": 199}
    path = study.folder / "compare.yaml"
    path.write_text(yaml.safe_dump({"comparison": comparison}))
    study.config_files = ("compare.yaml",)
    return study


def test_finished_studies_are_compared_without_work_of_theirs(study: Workspace) -> None:
    comparing(study, "one", "other", "published")
    shutil.rmtree(study.folder / "results" / "store")
    assert set(study.jobs("compare")) == RULES
    study.run("compare")
    folder = study.folder / "results" / "comparisons" / "both"
    found = json.loads((folder / "comparison.json").read_text())
    pair = found["pairs"][0]
    assert pair["studies"] == ["one", "other"] and pair["n_personas"] == 7
    assert pair["kind"]["held_out"] == "prompts" and pair["other_texts"] == []
    assert pair["divergence"]["personas"]["low"] is not None
    assert len(found["verdicts"]) == 1 and "# Comparison both" in (
        folder / "comparison.md"
    ).read_text(encoding="utf-8")
    table = pd.read_csv(folder / "results.csv")
    assert set(table["study"]) == {"one", "other", "published"}
    for name in COMPARISON_FIGURES:
        for ending in ENDINGS:
            assert (folder / "figures" / f"{name}.{ending}").stat().st_size > 100
    assert study.jobs("compare") == {}
    study.run("compare", "--report", "report.html")
    shown = (study.folder / "report.html").read_text()
    assert all(f"comparisons/both/{name}" in shown for name in ("figures/depth.png", "results.csv"))
    config = yaml.safe_load((study.folder / "compare.yaml").read_text())
    (study.folder / "compare.yaml").write_text(
        yaml.safe_dump(config | {"figures": {"width": "page"}})
    )
    assert study.jobs("compare") == {"plot_comparison": 1, "compare": 1}


def test_an_unfinished_study_is_one_sentence_with_what_finishes_it(study: Workspace) -> None:
    comparing(study, "one", "other")
    (study.folder / "results" / "other" / "run.json").unlink()
    output = study.run("compare", fails=True)
    assert "Study 'other' has not finished" in output and "run it first" in output
    assert "Traceback" not in output


def test_a_study_alone_has_nothing_to_compare(study: Workspace) -> None:
    output = study.run("compare", fails=True)
    assert "name two finished studies or more" in output
