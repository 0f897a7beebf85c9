"""A mistake ends the real Snakemake before any job, with one sentence and no traceback.

The kinds of mistakes are in tests/unit/test_malformed.py; here is one of each.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from persona_geometry.rdms.files import write_rdm_table
from persona_geometry.rdms.rdm import Rdm

from .conftest import PERSONAS, Workspace

GATE = {"statistic": "spearman", "comparison": ">", "threshold": 0.5}


def config(key: str, **values: object) -> Callable[[Workspace], object]:
    return lambda study: study.config[key].update(values)


def gate(**values: object) -> Callable[[Workspace], object]:
    return config("alignment", gates=[{**GATE, **values}])


def appended(text: str) -> Callable[[Workspace], object]:
    def edit(study: Workspace) -> None:
        study.write()
        path = study.folder / "twice.yaml"
        path.write_text((study.folder / "study.yaml").read_text() + text)
        study.config_files = ("twice.yaml",)

    return edit


CASES = {
    "unknown key": (config("geometry", layer=1), "unknown key 'layer' at geometry"),
    "key twice": (appended("study: other\n"), "key 'study' is already on line"),
    "whole float": (config("geometry", layers=[0, 1.0]), "geometry.layers.1 is not valid"),
    "infinite threshold": (gate(threshold=float("inf")), "not a finite number"),
    "inner name": (gate(statistic="per_prompt.medium"), "the nearest is per_prompt.median"),
    "impossible p": (gate(statistic="mantel_p", comparison="<", threshold=1e-6), "can never hold"),
    "covariate": (config("alignment", covariates=["pai.tsv"]), "pai.tsv does not exist"),
    "outcomes": (config("alignment", outcomes="prompts.tsv"), "prompts.tsv, line 1: there is no"),
    "folder": (lambda study: study.config.update(prompts="."), "'.' is a folder where a file"),
    "RDM": (lambda study: study.config.update(rdm={"js": {"file": "js"}}), "js does not exist"),
    "case": (lambda study: study.prompts.append(("Q1", "Who?")), "prompt 'Q1' is already on line"),
    "separator": (lambda study: study.prompts.append(("q5", "A\u2028B")), "line 6: character 5"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_mistake_ends_the_dry_run_with_its_sentence(workspace: Workspace, name: str) -> None:
    edit, sentence = CASES[name]
    edit(workspace)
    output = workspace.run("--dry-run", fails=True)
    assert sentence in output and "Traceback" not in output and "Job stats" not in output


def test_what_may_be_meant_is_said_before_the_jobs(workspace: Workspace, tmp_path: Path) -> None:
    workspace.config["alignment"]["top_k"] = 6
    workspace.config["alignment"]["predictions"] = [["surgeon", "nurse"]]
    (tmp_path / "more.yaml").write_text("alignment: {seed: 2}\n")
    workspace.config_files = ("study.yaml", "more.yaml")
    output = workspace.run("--dry-run")
    merged = (
        "more.yaml is merged key by key into study.yaml: it changes alignment.seed, adds nothing"
    )
    remark = "so no prediction will be evaluated"
    assert output.index(merged) < output.index(remark) < output.index("Job stats")


def test_gates_on_statistics_across_layers_are_evaluated(workspace: Workspace) -> None:
    names = ["across_layers.family_wise_p", "layer_curve.mantel_p", "noise_ceiling.rho_ceiling"]
    workspace.config["alignment"]["gates"] = [{**GATE, "statistic": name} for name in names]
    for kind in ("cosine", "js"):
        people = tuple(name for name, *_ in PERSONAS)
        values = [0.1 + 0.01 * k for k in range(10)]
        write_rdm_table(workspace.folder / f"{kind}.tsv", Rdm(people, values))
        workspace.config.setdefault("rdm", {})[kind] = {"file": f"{kind}.tsv"}
    workspace.config["geometry"] = {"layers": [1], "headline_layer": 1}
    output = workspace.run()
    assert "noise_ceiling.rho_ceiling will not be evaluated" in output
    summary = workspace.result("summary.md").read_text()
    assert all(name in summary for name in names)


@pytest.mark.parametrize("kind", ["missing", "a folder"])
def test_a_config_file_that_snakemake_cannot_open_is_named_in_its_last_line(
    workspace: Workspace, kind: str
) -> None:
    """Snakemake opens it before it reads the workflow, which cannot say it better."""
    workspace.config_files = ("other.yaml",)
    if kind == "a folder":
        (workspace.folder / "other.yaml").mkdir()
    output = workspace.run("--dry-run", fails=True)
    assert "'other.yaml'" in output.strip().splitlines()[-1] and "Job stats" not in output
