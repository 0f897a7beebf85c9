"""Every mistake in a config or a table gives one sentence with its place and its remedy."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from persona_geometry.errors import InputError
from persona_geometry.rdms.files import write_rdm_table
from persona_geometry.rdms.rdm import Rdm
from persona_geometry.report.described import describe
from persona_geometry.study.config import read_study
from persona_geometry.study.sections import Divergence

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config(tmp_path: Path, random_model: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    (tmp_path / "personas.tsv").write_text(
        "persona\tcluster\tsystem_prompt\na\tx\tYou are a.\nb\tx\tYou are b.\n"
        "c\t\tYou are c.\nd\t\tLine one\\nline two\nnone\t\t\n"
    )
    (tmp_path / "prompts.tsv").write_text("prompt\ttext\nq1\tWhy?\nq2\tHow?\n")
    monkeypatch.chdir(tmp_path)
    return {
        "study": "s",
        "personas": "personas.tsv",
        "prompts": "prompts.tsv",
        "anchor": "none",
        "model": {"path": str(random_model)},
        "geometry": {"layers": [0, 1], "headline_layer": 1},
        "alignment": {"permutations": 99, "seed": 0, "gates": []},
    }


def test_good_study_is_read_with_defaults(config: dict[str, Any]) -> None:
    study = read_study(config)
    assert study.clusters == {"a": "x", "b": "x"}
    assert study.personas[3].system_prompt == "Line one\nline two"
    assert study.response_system_prompt == ""
    assert study.divergence == Divergence(estimator="js", cutoffs=[8, 32])
    assert study.model.revision is None and study.generation.max_new_tokens == 256


@pytest.mark.parametrize(
    ("own", "label"),
    [
        ({}, "Imported divergence"),
        ({"name": "Surprise"}, "Surprise"),
        ({"name": "Surprise", "unit": "bits"}, "Surprise (bits)"),
    ],
)
def test_an_imported_divergence_has_a_name_and_a_unit_of_its_own(
    config: dict[str, Any], own: dict[str, str], label: str
) -> None:
    assert read_study(config).divergence_label == "JS divergence (nats)"
    rdm = Rdm(tuple("abcd"), np.arange(1.0, 7.0) / 10)
    write_rdm_table("js.tsv", rdm)
    study = read_study(config | {"rdm": {"js": {"file": "js.tsv", **own}}})
    assert study.divergence_label == label
    assert describe(study)["divergence"] == {"name": own.get("name"), "unit": own.get("unit")}


CHANGES = [
    ({"typo": 1}, "unknown key 'typo' at the top level"),
    ({"geometry": {"layers": [0, 2], "headline_layer": 0}}, "layer 2.*layers 0 to 1"),
    ({"geometry": {"layers": [0], "headline_layer": 1}}, "headline layer 1 is not among"),
    ({"anchor": "zed"}, "anchor 'zed' is not in personas.tsv"),
    ({"divergence": {"cutoffs": [500]}}, "cutoffs has 500.*256 tokens"),
    ({"model": {"name": "x/y", "path": "z"}}, "needs 'path'"),
    ({"model": {"name": "x/y"}}, "needs 'path'"),
    ({"model": {"path": "nowhere"}}, "'nowhere' holds no config.json"),
    ({"study": "../up"}, "study is not valid"),
    ({"personas": "other.tsv"}, "other.tsv does not exist"),
    ({"alignment": {"permutations": 99, "seed": 0}}, "'gates' is missing at alignment"),
    (
        {"alignment": {"permutations": 99, "seed": 0, "gates": [], "leave_out": ["zed"]}},
        "leave_out names 'zed'",
    ),
    (
        {
            "alignment": {
                "permutations": 99,
                "seed": 0,
                "gates": [{"statistic": "spearman", "comparison": ">", "threshold": 0, "layer": 9}],
            }
        },
        "names layer 9",
    ),
    (
        {
            "alignment": {
                "permutations": 99,
                "seed": 0,
                "gates": [{"statistic": "spearmen", "comparison": ">", "threshold": 0}],
            }
        },
        "statistic 'spearmen', which does not exist",
    ),
    (
        {
            "alignment": {
                "permutations": 99,
                "seed": 0,
                "gates": [{"statistic": "partial_mantel.p", "comparison": "<", "threshold": 0}],
            }
        },
        "A gate on 'partial_mantel.p' is refused",
    ),
]


@pytest.mark.parametrize(("change", "message"), CHANGES)
def test_wrong_config(config: dict[str, Any], change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_study(config | copy.deepcopy(change), "study.yaml")
    assert "\n" not in str(caught.value)


TABLES = [
    ("personas.tsv", "persona\tcluster\tsystem_prompt\na\tx\tA\na\tx\tB\n", "line 3.*'a' is alr"),
    ("personas.tsv", "persona\tcluster\tsystem_prompt\na\tx\tA\nb\tx\tA\n", "line 3.*same system"),
    ("personas.tsv", "persona\tsystem_prompt\na\tA\n", "line 1: there is no column 'cluster'"),
    ("personas.tsv", "persona\tcluster\tsystem_prompt\tx\n", "column 'x' is not known"),
    ("personas.tsv", "persona\tcluster\tsystem_prompt\na b\tx\tA\n", "'a b' cannot name"),
    ("personas.tsv", "persona\tcluster\tsystem_prompt\na\tA\n", "line 2: 2 tab-separated cells"),
    ("personas.tsv", "persona\tcluster\tsystem_prompt\n", "has a header but no rows"),
    ("prompts.tsv", "prompt\ttext\nq1\t \n", "line 2: prompt 'q1' has no text"),
    ("prompts.tsv", "prompt\ttext\nq1\tWhy?\nq1\tHow?\n", "line 3.*'q1' is already on line 2"),
    ("prompts.tsv", "prompt\ttext\nq1\tWhy?\nq2\tWhy?\n", "line 3.*repeats the text of line 2"),
    ("prompts.tsv", "", "line 1: there is no column 'prompt'"),
]


@pytest.mark.parametrize(("name", "content", "message"), TABLES)
def test_wrong_table(config: dict[str, Any], name: str, content: str, message: str) -> None:
    Path(name).write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        read_study(config)
    assert name in str(caught.value)


def test_unclustered_persona_named_like_a_cluster_is_refused(config: dict[str, Any]) -> None:
    table = Path("personas.tsv")
    table.write_text(table.read_text() + "x\t\tYou are x.\n")
    with pytest.raises(InputError, match="cluster 'x' has the name of a persona"):
        read_study(config)


STUDIES = [path for path in (ROOT / "config").glob("*.yaml") if "compare-" not in path.name]


@pytest.mark.parametrize("path", sorted(STUDIES), ids=lambda p: p.stem)
def test_shipped_configs_are_valid(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = yaml.safe_load(path.read_text())
    for folder in ("config", "resources"):
        (tmp_path / folder).mkdir()
        for file in (ROOT / folder).iterdir():
            (tmp_path / folder / file.name).symlink_to(file)
    monkeypatch.chdir(tmp_path)
    if file := config["model"].get("gguf"):  # fetched by 'make real'
        Path(file).parent.mkdir(exist_ok=True)
        Path(file).touch()
    study = read_study(config, path.name)
    assert len(study.personas) >= 5 and len(study.prompts) >= 20
