"""A finished study opened as objects, and the notebook that shows it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from persona_geometry import Rdm, align, open_study
from persona_geometry.errors import InputError
from persona_geometry.results import StudyResults
from persona_geometry.study.config import read_study

from .conftest import ROOT, Workspace


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The embedded study with three prompts and fewer permutations, run."""
    workspace = Workspace.embedded(tmp_path_factory.mktemp("embedded"))
    table = Path(workspace.config["prompts"]).read_text().splitlines()[:4]
    workspace.prompts = [tuple(line.split("\t")) for line in table[1:]]
    workspace.config["prompts"] = "prompts.tsv"
    workspace.config["alignment"] |= {"permutations": 9_999, "bootstrap": 20}
    workspace.run()
    return workspace


@pytest.fixture
def study(finished: Workspace, monkeypatch: pytest.MonkeyPatch) -> StudyResults:
    monkeypatch.chdir(finished.folder)
    return open_study("results/demo")


def test_rdms_responses_and_statistics_are_objects(study: StudyResults) -> None:
    headline = study.cosine[study.headline_layer]
    assert isinstance(headline, Rdm) and len(headline) == 20
    assert study.divergence["full"].names == headline.names
    assert set(headline.names) == {*study.personas, study.anchor}
    assert list(study.responses.index) == list(study.divergence_by_prompt["full"].labels)
    assert len(study.responses) == 3 and study.responses["text"].str.len().gt(10).all()
    rho = study.alignment["layers"]["3"]["per_prompt"]["median"]
    assert study.statistics.loc[3, "per_prompt.median"] == rho
    assert len(study.gates) == 6 and study.run["study"] == "demo"


def test_divergences_of_a_pair_by_token_average_to_the_matrix(study: StudyResults) -> None:
    prompt = study.responses.index[1]
    tokens = study.token_divergences(prompt, "poet", "surgeon")
    back = study.token_divergences(prompt, "surgeon", "poet")
    assert tokens["token_id"].tolist() == study.responses.loc[prompt, "token_ids"]
    assert np.array_equal(tokens["kl_first_second"], back["kl_second_first"])
    assert not np.array_equal(tokens["kl_first_second"], back["kl_first_second"])
    matrix = list(study.divergence_by_prompt["full"])[1].to_frame()
    mean = tokens["js"].astype(float).mean()
    assert mean == pytest.approx(matrix.loc["poet", "surgeon"], abs=1e-12)


def test_statistics_can_be_computed_again(study: StudyResults, finished: Workspace) -> None:
    settings = read_study(finished.config).alignment
    again = align(study.geometries(), settings, [1, 3, 5, 7], 3, "demo", "js", lambda _line: None)
    assert again == study.alignment


def test_what_is_not_there_is_named(study: StudyResults, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no alignment.json, so no finished study"):
        open_study(tmp_path)
    with pytest.raises(InputError, match="has no prompt 'weather'"):
        study.token_divergences("weather", "poet", "surgeon")
    with pytest.raises(InputError, match="has no persona 'pirate'"):
        study.token_divergences(study.responses.index[0], "poet", "pirate")
    elsewhere = open_study("results/demo", store=tmp_path)
    with pytest.raises(InputError, match="no longer has these divergences"):
        elsewhere.token_divergences(study.responses.index[0], "poet", "surgeon")


def test_notebook_runs(finished: Workspace) -> None:
    ran = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "notebook.py")],
        cwd=finished.folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert "Mantel p = " in ran.stdout and "nats a token" in ran.stdout
    assert (finished.folder / "results" / "demo" / "notebook.png").stat().st_size > 5_000


def test_library_is_imported_without_torch_and_names_what_it_lacks() -> None:
    code = (
        "import sys, persona_geometry as p; p.open_study, p.Rdm, p.align, p.mantel, p.Store; "
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules; p.load_model; "
        "assert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    import persona_geometry

    with pytest.raises(AttributeError, match="no attribute 'alignment_of'"):
        persona_geometry.alignment_of  # noqa: B018
