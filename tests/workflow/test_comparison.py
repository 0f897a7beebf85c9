"""Finished studies compared by the real Snakemake, and no work of theirs asked for."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from persona_geometry.report.figures import COMPARISON_FIGURES, ENDINGS

from .conftest import BROWSER, PROMPTS, Workspace, browser

RULES = {
    *("compare", "compare_studies", "write_comparison", "plot_comparison"),
    *("write_comparison_record", "write_comparison_report"),
}
USE = """<script>
addEventListener("load", () => setTimeout(() => {
  const byId = (id) => document.getElementById(id), said = [];
  const key = (id, name) => byId(id).dispatchEvent(new KeyboardEvent("keydown", { key: name }));
  const select = (id, value) => {
    byId(id).value = value; byId(id).dispatchEvent(new Event("change"));
  };
  said.push(byId("rho").textContent);
  select("geometry-left", "layers/0"); said.push(byId("rho").textContent);
  select("study-left", "other"); said.push(byId("rho").textContent);
  key("heatmap-left", "ArrowDown"); key("heatmap-left", "Enter");
  said.push(byId("pointed").textContent, String(byId("chosen-pair").tBodies[0].rows.length));
  document.title = said.join("|");
}, 500));
</script>"""


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
    output = study.run("compare")
    assert re.search(r"^Comparison both\nother beside one: .*replicate", output, re.MULTILINE)
    assert "Read results/comparisons/both/report.html" in output
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
    record = json.loads((folder / "run.json").read_text())
    assert "results/one/alignment.json" in record["inputs_sha256"]
    assert study.jobs("compare") == {}
    if BROWSER:
        look(folder / "report.html")
    study.run("compare", "--report", "report.html")
    shown = (study.folder / "report.html").read_text()
    assert all(f"comparisons/both/{name}" in shown for name in ("figures/depth.png", "results.csv"))
    config = yaml.safe_load((study.folder / "compare.yaml").read_text())
    (study.folder / "compare.yaml").write_text(
        yaml.safe_dump(config | {"figures": {"width": "page"}})
    )
    written = ("plot_comparison", "write_comparison_record", "write_comparison_report", "compare")
    assert study.jobs("compare") == dict.fromkeys(written, 1)


def test_a_base_model_beside_its_adapter(random_model: Path, tmp_path: Path) -> None:
    base = Workspace(tmp_path, random_model)
    base.prompts = PROMPTS[:2]
    base.personas += [(f"p{k}", "", f"You are number {k} of many.") for k in range(4)]
    run_as(base, "base")
    results = tmp_path / "results"
    for name, changes_nothing in (("idle", True), ("tuned", False)):
        tuned = base.copy()
        adapter = adapted(random_model, tmp_path / f"{name}-adapter", changes_nothing)
        tuned.config["model"]["adapter"] = str(adapter)
        run_as(tuned, name)
    comparing(base, "base", "idle", "tuned").run("compare")
    found = json.loads((results / "comparisons/both/comparison.json").read_text())
    idle, other = found["pairs"][:2]
    assert [pair["studies"] for pair in (idle, other)] == [["base", "idle"], ["base", "tuned"]]
    assert {pair["kind"]["held_out"] for pair in (idle, other)} == {"model"}
    assert idle["divergence"]["spearman"] == pytest.approx(1)
    assert other["divergence"]["spearman"] < 0.999
    table = pd.read_csv(results / "comparisons/both/results.csv")
    spread = table[table["statistic"] == "dispersion.sd"].set_index(["study", "layer"])["value"]
    assert spread["idle", 1] == pytest.approx(spread["base", 1])
    assert abs(spread["tuned", 1] / spread["base", 1] - 1) > 0.01
    record = json.loads((results / "tuned/run.json").read_text())
    assert record["model"]["adapter"] == str(tmp_path / "tuned-adapter")


def adapted(model: Path, folder: Path, changes_nothing: bool) -> Path:
    """A LoRA of a model: random, or as training starts, where it changes nothing."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    settings = LoraConfig(
        r=4, lora_alpha=16, target_modules=["q_proj", "up_proj"], init_lora_weights=changes_nothing
    )
    get_peft_model(AutoModelForCausalLM.from_pretrained(model), settings).save_pretrained(folder)
    return folder


def look(report: Path) -> None:
    """Use the page in a browser: two geometries of two studies, and a pair in both."""
    used = report.with_name("used.html")
    used.write_text(report.read_text().replace("</body>", f"{USE}</body>"))
    shown = browser(used, "--dump-dom")
    assert "CONSOLE" not in shown.stderr, shown.stderr
    title = re.search(r"<title[^>]*>(.*?)</title>", shown.stdout)
    assert title, shown.stdout[-500:]
    behavior, layer, swapped, pointed, studies = title[1].split("|")
    assert behavior.startswith("JS divergence of one, and JS divergence of other: ρ = ")
    assert layer.startswith("Cosine distance at layer 0 of one, and JS divergence of other")
    assert (
        swapped.startswith("Cosine distance at layer 0 of other, and ") and "of one: ρ" in swapped
    )
    assert "cosine distance at layer 0 of other = " in pointed and studies == "2"
    assert shown.stdout.count('class="main-svg"') >= 5


def test_an_unfinished_study_is_one_sentence_with_what_finishes_it(study: Workspace) -> None:
    comparing(study, "one", "other")
    (study.folder / "results" / "other" / "run.json").unlink()
    output = study.run("compare", fails=True)
    assert "Study 'other' has not finished" in output and "run it first" in output
    assert "Traceback" not in output


def test_a_study_alone_has_nothing_to_compare(study: Workspace) -> None:
    output = study.run("compare", fails=True)
    assert "name two finished studies or more" in output
