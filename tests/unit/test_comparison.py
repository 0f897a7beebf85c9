"""Finished studies compared: what they share, verdicts, and what cannot be compared."""

import copy
import json
import shutil
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from small_studies import PERSONAS, write_study

from persona_geometry.comparison.compare import compare
from persona_geometry.comparison.config import Comparison, Criterion, read_comparison
from persona_geometry.comparison.matching import kind
from persona_geometry.comparison.reference import read_reference
from persona_geometry.comparison.studies import Measured, open_studies
from persona_geometry.comparison.tables import results_table
from persona_geometry.comparison.verdict import judge, verdict
from persona_geometry.errors import InputError
from persona_geometry.report.comparison import describe_comparison
from persona_geometry.report.figures.comparison import FIGURES
from persona_geometry.store.maintenance import studies_beside
from persona_geometry.store.store import Store
from persona_geometry.study.config_files import read_config

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "resources" / "published.json"


def settings(*studies: str, **given: Any) -> Comparison:
    section = {"name": "c", "studies": list(studies), "permutations": 99, **given}
    return read_comparison({"comparison": section})


def compared(results: Path, *studies: str, **given: Any) -> dict[str, Any]:
    chosen = settings(*studies, **given)
    opened = open_studies(chosen.studies, results, PUBLISHED)
    found = compare(chosen, opened, lambda _line: None)
    json.dumps(found, allow_nan=False)
    return found


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One study; its model on other prompts; another, deeper model on its prompts; and others."""
    results = tmp_path_factory.mktemp("results")
    write_study(results, "one")
    write_study(results, "prompts", prompts=("four", "five", "six", "seven"), seed=1)
    write_study(results, "model", model="others", layers=6, seed=2, estimator="half_jeffreys")
    write_study(results, "partly", prompts=("one", "two", "eight", "nine"), seed=3)
    write_study(results, "imported", imported=("cosine", "js"), model=None, seed=4)
    names = [f"renamed {name}" for name in PERSONAS]
    write_study(results, "renamed", personas=[n.replace(" ", "_") for n in names], texts=PERSONAS)
    write_study(results, "strangers", personas=["p0", *(f"s{k}" for k in range(5))])
    shutil.copytree(results / "one", results / "copy")
    return results


@pytest.fixture(scope="module")
def three(studies: Path) -> dict[str, Any]:
    """A study, its model on other prompts, and another model on its prompts, compared."""
    return compared(studies, "one", "prompts", "model")


def test_a_comparison_holds_what_its_parts_say(three: dict[str, Any]) -> None:
    found = three
    assert list(found["studies"]) == ["one", "prompts", "model"] and len(found["pairs"]) == 3
    assert found["personas"] == PERSONAS
    pair = found["pairs"][0]
    assert pair["studies"] == ["one", "prompts"] and pair["n_personas"] == 8
    assert np.shape(pair["cosine"]["spearman"]) == (4, 4) == np.shape(pair["cosine"]["p"])
    assert np.shape(found["pairs"][1]["cosine"]["low"]) == (4, 6)
    at = pair["layers"][0]
    assert at["layers"] == [1, 1]
    assert at["difference"]["value"] == pytest.approx(at["spearman"][0] - at["spearman"][1])
    assert at["difference"]["dual"]["low"] < at["difference"]["value"]
    curve = found["studies"]["one"]["curve"]
    assert curve[1]["spearman"] == pytest.approx(at["spearman"][0])
    assert curve[1]["shared"]["spearman"] == pytest.approx(at["spearman"][0])
    for draw in FIGURES.values():
        assert len(draw(found, 3.5).table)


def test_every_criterion_is_about_the_number_that_it_names(studies: Path) -> None:
    names = ["agreement", "rise", "difference", "behavior", "hidden_states", "decoupling", "gates"]
    rule = [{"criterion": name, "threshold": 0.4} for name in names]
    found = compared(studies, "one", "model", rule=rule)
    pair, told = found["pairs"][0], found["verdicts"][0]
    values = {one["criterion"]: one["value"] for one in told["criteria"]}
    at, deepest = pair["layers"]
    assert at["layers"] == [1, 1] and deepest["layers"] == [3, 4]
    assert values["agreement"] == pytest.approx(at["spearman"][1])
    assert values["rise"] == pytest.approx(deepest["spearman"][1] - at["spearman"][1])
    assert values["difference"] == pytest.approx(at["difference"]["value"])
    assert values["behavior"] == pytest.approx(pair["divergence"]["spearman"])
    assert values["hidden_states"] == pytest.approx(at["cosine"]["spearman"])
    assert values["decoupling"] == pytest.approx(at["decoupling"]["spearman"])
    lacking = "Vectors of single prompts at layer 4 are not kept by model"
    assert lacking in deepest["difference"]["prompts"]["reason"]
    assert f"- Layers 3 and 4: {lacking}" in describe_comparison(found)
    gate = found["gates"][0]["studies"]
    assert values["gates"] == (gate["one"]["status"] == gate["model"]["status"])
    assert {one["threshold"] for one in told["criteria"]} == {0.4} and told["held_out"] == "model"


def test_what_was_held_out_is_told_from_the_records(three: dict[str, Any]) -> None:
    kinds = {tuple(pair["studies"]): pair["kind"]["held_out"] for pair in three["pairs"]}
    assert kinds == {
        ("one", "prompts"): "prompts",
        ("one", "model"): "model",
        ("prompts", "model"): "both",
    }
    differing = [pair["kind"]["differing"] for pair in three["pairs"]]
    assert differing == [[], ["divergence.estimator"], ["divergence.estimator"]]
    assert three["views"]["prompts_held_out"] == [["one", "prompts"]]
    assert three["views"]["model_held_out"] == [["one", "model"]]
    text = describe_comparison(three)
    assert "Prompts held out (the same model, other prompts): one and prompts" in text
    assert "whose tokenizers and responses may differ" in text
    assert "measure other divergences (js and half_jeffreys)" in text


def test_divergences_of_files_are_told_apart_by_their_own_names_and_units() -> None:
    def measure(estimator: str, **given: str) -> str:
        study = SimpleNamespace(
            alignment={"estimator": estimator}, effective={"rdm": {"js": given}}
        )
        return Measured.measure.fget(study)

    assert measure("imported", name="Hellinger distance") == "Hellinger distance"
    assert measure("imported", unit="bits") == "imported in bits"
    assert measure("js", unit="nats") == measure("js") == "js"


@pytest.mark.parametrize("p", [0.0499, 0.05, 0.0502])
def test_pairs_of_layers_count_whose_p_is_at_most_the_level(
    three: dict[str, Any], p: float
) -> None:
    pair = copy.deepcopy(three["pairs"][0])
    pair["cosine"]["family_wise_p"] = [
        [None if k else p for k, _ in enumerate(row)] for row in pair["cosine"]["spearman"]
    ]
    text = describe_comparison({**three, "pairs": [pair]})
    found = len(pair["cosine"]["spearman"]) if p <= 0.05 else 0
    assert f"its family-wise p is at most 0.05 at {found}." in text


def test_what_is_partly_the_same_or_not_known_is_said_to_be(studies: Path) -> None:
    opened = open_studies(["one", "partly", "imported", "copy", "published"], studies, PUBLISHED)
    kinds = {name: kind(opened["one"], other) for name, other in opened.items()}
    assert (kinds["partly"]["prompts"], kinds["partly"]["held_out"]) == ("partly", None)
    assert kinds["imported"]["model"] is kinds["imported"]["prompts"] is None
    assert kinds["copy"]["held_out"] == "nothing" and kinds["copy"]["differing"] == []
    assert "published table" in kinds["published"]["words"]


def test_layers_stand_at_one_relative_depth_or_have_no_counterpart(studies: Path) -> None:
    found = compared(studies, "model", "one", "imported")
    rows = {row["layers"][0]: row for row in found["pairs"][0]["layers"]}
    # Of 6 and of 4: 1/6 is nearest to 1/4, and 5/6 to 3/4.
    assert rows[1]["layers"] == [1, 1] and rows[5]["layers"] == [5, 3]
    of_file = found["pairs"][1]["layers"][0]
    assert of_file["layers"] == [1, None] and of_file["difference"] is None
    assert "how deep its layers lie is not known" in of_file["reason"]
    against = compared(studies, "published", "one")["pairs"][0]["layers"]
    assert [row["layers"][1] for row in against] == [1, 2, 3, None]
    assert "no layer at the relative depth 0.893" in against[3]["reason"]


def test_a_study_without_measured_divergences_has_no_interval_over_prompts(studies: Path) -> None:
    found = compared(studies, "one", "imported")
    js = found["pairs"][0]["divergence"]
    assert js["spearman"] is not None and js["personas"]["low"] is not None
    assert js["prompts"]["low"] is js["dual"]["low"] is None
    assert "imported come from a file, without their prompts" in js["prompts"]["reason"]
    assert js["prompts"]["reason"] in describe_comparison(found)


def test_personas_of_other_names_are_matched_by_their_texts(studies: Path) -> None:
    found = compared(studies, "one", "renamed", match="text")
    assert found["pairs"][0]["personas"][0] == ["p0", "renamed_p0"]
    assert found["pairs"][0]["other_texts"] == [] and found["pairs"][0]["n_personas"] == 8
    with pytest.raises(InputError, match=r"By name they share 0 of their 8 and 8 personas \(none"):
        compared(studies, "one", "renamed")


def test_one_shared_persona_is_one_sentence_or_a_reason(studies: Path) -> None:
    with pytest.raises(InputError, match=r"share 1 of their 8 and 6 personas \(p0\).*4 are needed"):
        compared(studies, "one", "strangers")
    found = compared(studies, "one", "prompts", "strangers")
    assert found["personas"] is None and found["pairs"][0]["reason"] is None
    alone = found["pairs"][1]
    assert alone["divergence"] is alone["cosine"] is None and alone["layers"] == []
    assert "share 1 of" in alone["reason"] and alone["reason"] in describe_comparison(found)
    told = found["verdicts"][1]
    assert told["verdict"] == "cannot tell"
    assert told["criteria"][2]["reason"] == alone["reason"]


def test_texts_are_unknown_where_the_table_has_changed(studies: Path, tmp_path: Path) -> None:
    results = shutil.copytree(studies, tmp_path / "results")
    write_study(results, "later", seed=9)
    (results / "later.tsv").write_text("persona\tcluster\tsystem_prompt\np0\t\tother\n")
    found = compared(results, "one", "later")
    assert found["pairs"][0]["other_texts"] is None
    assert "same system prompts is not known" in describe_comparison(found)
    with pytest.raises(InputError, match=r"table of study 'later' .* has changed since it ran"):
        compared(results, "one", "later", match="text")


def test_one_study_twice_replicates_nothing(studies: Path) -> None:
    found = compared(studies, "one", "copy")
    assert found["pairs"][0]["same_measurements"]
    assert found["verdicts"][0]["verdict"] == "cannot tell"
    assert "one study twice" in found["verdicts"][0]["reason"]
    assert found["pairs"][0]["divergence"]["spearman"] == 1
    assert "exactly 1" in found["pairs"][0]["divergence"]["personas"]["reason"]


def test_unfinished_studies_are_named_with_what_finishes_them(
    studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(InputError, match=r"'ghost' has no results .*correct its name"):
        compared(studies, "one", "ghost")
    with pytest.raises(InputError, match=r"--configfile config/smollm2-135m-hub.yaml, then compar"):
        compared(studies, "one", "smollm2-135m-hub")
    with pytest.raises(InputError, match=r"the config it builds on and config/models/olmo-2-7b"):
        compared(studies, "one", "olmo-2-7b")
    results = shutil.copytree(studies, tmp_path / "results")
    (results / "prompts" / "run.json").unlink()
    with pytest.raises(InputError, match=r"'prompts' has not finished \(.*run.json does not exist"):
        compared(results, "one", "prompts")
    record = json.loads((results / "partly" / "run.json").read_text())
    del record["results_sha256"]
    (results / "partly" / "run.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"partly.run.json has no 'results_sha256', so .* earlier"):
        compared(results, "one", "partly")
    shutil.copy(results / "one" / "js_matrix.json", results / "model" / "js_matrix.json")
    with pytest.raises(InputError, match=r"'model' was begun again and has not finished"):
        compared(results, "one", "model")


def test_published_stands_against_measured_in_one_table(studies: Path) -> None:
    found = compared(studies, "published", "one", "model")
    rows = found["published"][0]["rows"]
    first = rows[0]
    assert (first["layer"], first["statistic"], first["published"]) == (10, "spearman", 0.663)
    rho = found["studies"]["one"]["curve"][1]["spearman"]
    assert first["measured"]["one"] == {"layer": 1, "value": rho, "reason": None}
    bound = next(row for row in rows if row["said"])
    assert bound["layer"] == 15 and bound["published"] is None and bound["measured"]["one"]["value"]
    missing = next(row for row in rows if row["statistic"] == "with_anchor.spearman")
    assert missing["measured"]["one"]["value"] is None
    assert "one has no with_anchor.spearman at layer 1" in missing["measured"]["one"]["reason"]
    text = describe_comparison(found)
    assert f"| 10 | spearman | 0.663 | {rho:.3f} (layer 1) |" in text
    assert "published is a published table without RDMs" in text


def test_published_numbers_are_those_of_the_report() -> None:
    table = read_reference(PUBLISHED)
    assert table.curve() == {10: 0.663, 15: 0.921, 20: 0.94, 25: 0.898}
    stratified = [values["stratified_mantel_p"] for values in table.statistics.values()]
    assert stratified == [0.1599, 0.0417, 0.0017, 0.0019]
    assert [gate["status"] for gate in table.gates] == ["pass"] * 6
    assert all(gate["value"] == table.statistics[10][gate["statistic"]] for gate in table.gates)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_prompts": 0}, "n_prompts is not valid"),
        ({"layers": {"28": {"spearman": 0.1}}}, "layer 28 is not below the model's 28 layers"),
        ({"layers": {"10": {"mantel_p": 0.1}}}, "'spearman' is missing at layers.10"),
        ({"spin": 1}, "unknown key 'spin'"),
    ],
)
def test_a_table_in_another_form_is_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = tmp_path / "published.json"
    path.write_text(json.dumps(json.loads(PUBLISHED.read_text()) | change))
    with pytest.raises(InputError, match=message):
        read_reference(path)


def test_every_number_of_every_study_is_a_row(studies: Path) -> None:
    opened = open_studies(["one", "published"], studies, PUBLISHED)
    table = results_table(opened)
    assert list(table.columns) == ["study", "layer", "depth", "statistic", "value"]
    assert not table.duplicated(["study", "layer", "statistic"]).any() and table.notna().all().all()
    rho = table[(table["study"] == "one") & (table["statistic"] == "spearman")]
    assert list(rho["layer"]) == [0, 1, 2, 3] and list(rho["depth"]) == [0, 0.25, 0.5, 0.75]
    published = table[(table["study"] == "published") & (table["layer"] == 20)]
    assert dict(zip(published["statistic"], published["value"], strict=True))["spearman"] == 0.94


BASE = {"name": "c", "studies": ["a", "b"]}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"comparison": BASE | {"studies": ["a", "a"]}}, r"has an entry twice\); keep one of them"),
        ({"comparison": BASE | {"studies": ["a", "A"]}}, "one folder to some file"),
        ({"comparison": BASE | {"studies": ["a"]}}, "comparison.studies is not valid"),
        ({"comparison": {"name": "c"}}, "'studies' is missing at comparison"),
        ({"comparison": BASE | {"original": "c"}}, "'c', which is not among the studies"),
        ({"comparison": BASE | {"match": "row"}}, "is none of name, text"),
        ({"comparison": BASE, "study": "a"}, "a comparison has no key 'study' beside"),
        ({"comparison": BASE | {"rule": []}}, "comparison.rule is not valid"),
        (
            {"comparison": BASE | {"rule": [{"criterion": "difference", "threshold": 0}]}},
            "which none is; give a threshold above 0",
        ),
        (
            {"comparison": BASE | {"rule": [{"criterion": "gates", "threshold": 1}] * 2}},
            "comparison.rule has 'gates' twice",
        ),
        ({"comparison": BASE | {"studies": ["a", "../b"]}}, "does not match"),
        ({"studies": "a,b"}, "comparison.studies is not valid"),
    ],
)
def test_a_mistake_in_the_config_is_one_sentence(config: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_comparison(config)


@pytest.mark.parametrize("path", (ROOT / "config").glob("compare-*.yaml"), ids=lambda p: p.stem)
def test_shipped_comparisons_name_studies_that_a_config_makes(path: Path) -> None:
    comparison = read_comparison(read_config(path), path.name)
    configs = [read_config(file) for file in (ROOT / "config").glob("*.yaml")]
    known = {"published", *(config.get("study") for config in configs)}
    assert set(comparison.studies) <= known and path.stem == f"compare-{comparison.name}"


def test_studies_may_be_named_on_the_command_line() -> None:
    found = read_comparison({"studies": ["a", "b"]})
    assert found.name == "a-b" and found.original == "a" and found.match == "name"
    assert [one.criterion for one in found.criteria] == [
        *("agreement", "rise", "behavior", "hidden_states")
    ]
    assert read_comparison({"comparison": BASE, "studies": ["c", "d"]}).studies == ["c", "d"]


@pytest.mark.parametrize("outcomes", list(product(("held", "failed", "cannot tell"), repeat=3)))
def test_a_verdict_is_what_no_untold_criterion_could_change(outcomes: tuple[str, ...]) -> None:
    def said(chosen: tuple[str, ...]) -> str:
        names = ("agreement", "rise", "behavior")
        rows = zip(names, chosen, strict=True)
        return verdict([{"criterion": n, "outcome": o} for n, o in rows])[0]

    told = [("held", "failed") if o == "cannot tell" else (o,) for o in outcomes]
    possible = {said(chosen) for chosen in product(*told)}
    expected = possible.pop() if len(possible) == 1 else "cannot tell"
    assert said(outcomes) == expected


@pytest.mark.parametrize(
    ("criterion", "value", "ends", "outcome"),
    [
        ("agreement", 0.6, (0.51, 0.7), "held"),
        ("agreement", 0.6, (0.49, 0.7), "cannot tell"),
        ("agreement", 0.4, (0.3, 0.49), "failed"),
        ("agreement", None, None, "cannot tell"),
        ("agreement", 0.6, (None, None), "cannot tell"),
        ("gates", 0.5, None, "held"),
        ("gates", 0.4, None, "failed"),
    ],
)
def test_a_criterion_is_judged_by_its_interval(
    criterion: str, value: float | None, ends: tuple[Any, Any] | None, outcome: str
) -> None:
    interval = ends and {"low": ends[0], "high": ends[1], "reason": "Too few."}
    found = judge(Criterion(criterion, 0.5), value, interval, "Nothing there.")
    assert found["outcome"] == outcome
    assert (found["reason"] is None) == (outcome != "cannot tell")


@pytest.mark.parametrize(
    ("value", "se", "outcome"),
    [(0.01, 0.02, "held"), (0.5, 0.02, "failed"), (0.1, 0.2, "cannot tell")],
)
def test_a_difference_is_judged_by_equivalence(value: float, se: float, outcome: str) -> None:
    interval = {"low": value - 2 * se, "high": value + 2 * se, "se": se, "df": 18.0, "reason": None}
    assert judge(Criterion("difference", 0.2), value, interval, None)["outcome"] == outcome


def test_comparisons_are_no_study_that_rests_on_the_store(studies: Path, tmp_path: Path) -> None:
    results = shutil.copytree(studies / "one", tmp_path / "one").parent
    (results / "comparisons" / "both").mkdir(parents=True)
    assert studies_beside(Store(results / "store")) == {"one"}
