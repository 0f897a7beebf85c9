"""No result stands beside inputs, settings or code that did not make it."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from persona_geometry.rdms.files import write_rdm_table
from persona_geometry.rdms.rdm import Rdm

from .conftest import PERSONAS, ROOT, Workspace

OTHERS = [("judge", "", "You are a judge."), ("pilot", "", "You fly.")]
NAMES = [name for name, *_ in [*PERSONAS[:-1], *OTHERS, PERSONAS[-1]]]
PEOPLE = NAMES[:-1]
DRAWN = {"plot_figures": 1, "write_summary": 1}
TOLD = {"write_run_record": 1, "write_report": 1}
COMPARED = {"align": 1, **TOLD, **DRAWN}


def distances(path: Path, seed: int) -> None:
    values = np.random.default_rng(seed).uniform(0.1, 0.6, len(NAMES) * (len(NAMES) - 1) // 2)
    write_rdm_table(path, Rdm(tuple(NAMES), values))


def outcomes(path: Path, power: int) -> None:
    pairs = [(a, b) for a in PEOPLE for b in PEOPLE if a != b]
    rows = [f"{a}\t{b}\t{k**power % 7}" for k, (a, b) in enumerate(pairs)]
    path.write_text("\n".join(["source\ttarget\tvalue", *rows]) + "\n")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, random_model: Path) -> Workspace:
    """A study with a covariate and outcomes, run once."""
    study = Workspace(tmp_path_factory.mktemp("study"), random_model)
    study.config["alignment"] |= {"covariates": ["pay.tsv"], "outcomes": "habits.tsv"}
    study.config["alignment"]["bootstrap"] = 0
    study.personas[-1:-1] = OTHERS
    distances(study.folder / "pay.tsv", 0)
    outcomes(study.folder / "habits.tsv", 1)
    study.run()
    assert study.jobs() == {}
    return study


def aged(path: Path) -> None:
    """Date a file before everything else, as `cp -p` and rsync do."""
    os.utime(path, (1_000_000_000, 1_000_000_000))


@pytest.mark.parametrize("name", ["pay.tsv", "habits.tsv"])
def test_a_new_content_with_an_old_time_is_compared(study: Workspace, name: str) -> None:
    (distances if name == "pay.tsv" else outcomes)(study.folder / name, 2)
    aged(study.folder / name)
    assert study.jobs() == COMPARED
    before = study.result("alignment.json").read_bytes()
    study.run()
    assert study.result("alignment.json").read_bytes() != before
    assert study.jobs() == {}


def test_a_new_rdm_with_an_old_time_is_imported(study: Workspace) -> None:
    distances(study.folder / "js.tsv", 0)
    study.config["rdm"] = {"js": {"file": "js.tsv"}}
    study.run()
    distances(study.folder / "js.tsv", 1)
    aged(study.folder / "js.tsv")
    assert study.jobs() == {**COMPARED, "js_matrix": 1}


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("covariates", ["pai.tsv"], "pai.tsv does not exist; correct the path in the config."),
        ("outcomes", "habit.tsv", "habit.tsv does not exist; correct the path in the config."),
    ],
)
def test_a_mistyped_file_of_a_finished_study_is_refused(
    study: Workspace, key: str, value: object, sentence: str
) -> None:
    study.config["alignment"][key] = value
    assert sentence in study.run(fails=True)


@pytest.mark.parametrize(
    ("package", "jobs"),
    [
        ("rsa", COMPARED),
        ("report", {**DRAWN, **TOLD}),
        (
            "rdms",
            {**{"publish_prompt": 4, "js_matrix": 1, "cosine_rdms": 1}, **COMPARED},
        ),
    ],
)
def test_a_newer_method_costs_what_follows_it_and_no_gpu(
    study: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    package: str,
    jobs: dict[str, int],
) -> None:
    library = tmp_path / "library"
    shutil.copytree(ROOT / "workflow_scripts" / "persona_geometry", library / "persona_geometry")
    (tmp_path / "config").symlink_to(ROOT / "config")
    monkeypatch.setenv("PYTHONPATH", str(library))
    code = library / "persona_geometry" / package / "__init__.py"
    raised = re.sub(
        r"^METHOD = (\d+)$", lambda m: f"METHOD = {int(m[1]) + 1}", code.read_text(), flags=re.M
    )
    assert raised != code.read_text()
    code.write_text(raised)
    assert study.jobs() == jobs


def test_nothing_of_removed_layers_prompts_and_cutoffs_is_left(study: Workspace) -> None:
    mine = [study.result(f"figures/{name}") for name in ("mine.png", "scatter_layer_x.png")]
    mine += [study.result("notes.md"), study.result("prompts/notes.txt")]
    for path in mine:
        path.write_text("mine")
    study.config["geometry"] = {"layers": [1], "headline_layer": 1}
    study.config["divergence"]["cutoffs"] = [4]
    gone = study.prompts.pop()[0]
    output = study.run()
    assert "Removed what earlier runs left in results/test: " in output
    assert "figures/scatter_layer_0.png" in output and f"prompts/{gone}.npz" in output
    files = [p.relative_to(study.result("")).as_posix() for p in study.result("").rglob("*.*")]
    left = [f for f in files if re.search(rf"(scatter\w*[/_]0\.|/{gone}\.|js_matrix/8\.)", f)]
    assert left == []
    assert all(path.read_text() == "mine" for path in mine)
    assert {"js_matrix/4.tsv", "figures/scatter_layer_1.pdf", "cosine_distance/layer_0.tsv"} <= {
        *files
    }
    assert study.jobs() == {}


def test_vectors_of_a_model_do_not_stay_beside_rdms_from_files(study: Workspace) -> None:
    study.config["geometry"] = {"layers": [1], "headline_layer": 1}
    for kind, seed in (("cosine", 3), ("js", 4)):
        distances(study.folder / f"{kind}.tsv", seed)
        study.config.setdefault("rdm", {})[kind] = {"file": f"{kind}.tsv"}
    study.run()
    for gone in (
        "vectors.npz",
        "js_by_prompt.npz",
        "kl_matrix.json",
        "prompts/q1.npz",
        "responses/q1.json",
    ):
        assert not study.result(gone).exists()
    assert study.stored()[0] == len(study.prompts)  # the store keeps what was measured
