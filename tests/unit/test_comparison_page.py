"""The page of a comparison says what its files say, and can be refused."""

import copy
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from small_studies import PERSONAS, write_study

from persona_geometry.comparison.compare import compare
from persona_geometry.comparison.config import read_comparison
from persona_geometry.comparison.studies import Measured, open_studies
from persona_geometry.report.claims import CLAIMS
from persona_geometry.report.closing import closing_comparison
from persona_geometry.report.described import meanings
from persona_geometry.report.page.comparison_charts import comparison_charts
from persona_geometry.report.page.lint import complaints
from persona_geometry.report.page.prose import LIBRARY
from persona_geometry.report.page.render import render_comparison

PUBLISHED = Path(__file__).parents[2] / "resources" / "published.json"
RECORD = {
    "repository": {"commit": "c0ffee", "changed": False},
    **{"python": "3.11.7", "machine": "Linux-6", "packages": {"numpy": "2.3.5", "vllm": None}},
    **{"config": {"files": []}, "inputs_sha256": {"a": "0b"}, "results_sha256": {"c": "1d"}},
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("results")
    write_study(results, "one")
    write_study(results, "prompts-2", prompts=("four", "five", "six", "seven"), seed=1)
    write_study(results, "model", model="others", layers=6, seed=2, estimator="half_jeffreys")
    write_study(results, "imported", imported=("cosine", "js"), model=None, seed=4)
    write_study(results, "few", personas=[*PERSONAS[:5], "s1", "s2", "s3"], seed=5)
    return results


def sources_of(results: Path, *names: str, **given: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The sources and the charts of a page."""
    section = {"name": "c", "studies": list(names), "permutations": 99, **given}
    settings = read_comparison({"comparison": section})
    studies = open_studies(settings.studies, results, PUBLISHED)
    found = compare(settings, studies, lambda _line: None)
    runs = {name: s.results.run for name, s in studies.items() if isinstance(s, Measured)}
    sources = {"comparison.json": found, "run.json": RECORD, "runs": runs}
    return sources, comparison_charts(found, studies)


@pytest.fixture(scope="module")
def whole(results: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    names = ["agreement", "rise", "difference", "behavior", "hidden_states", "decoupling", "gates"]
    rule = [{"criterion": name, "threshold": 0.4} for name in names]
    return sources_of(results, "one", "prompts-2", "model", "published", rule=rule)


@pytest.fixture(scope="module")
def html(whole: tuple[dict[str, Any], dict[str, Any]]) -> str:
    return render_comparison(*whole)


def without_scripts(html: str) -> str:
    return re.sub(r"<(script|style)\b.*?</\1>", "", html, flags=re.DOTALL)


def text_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", "", without_scripts(html)).split())


def found(html: str, sources: dict[str, Any]) -> list[str]:
    meant = {section: meanings(section) for section in ("comparison", "criterion")}
    known = {**sources, "meanings": meant, "library": LIBRARY}
    return complaints(without_scripts(html), known)


def test_a_comparison_has_question_answer_and_criteria(html: str, whole: Any) -> None:
    text, comparison = text_of(html), whole[0]["comparison.json"]
    assert "Does what study one found repeat in prompts-2 and model and published" in text
    for verdict in comparison["verdicts"]:
        said = CLAIMS["replicates"](verdict)
        assert f"{verdict['replication']} {said}" in text
    assert "Published numbers beside measured ones" in text
    assert "Settings of the comparison" in text and "c0ffee" in text
    assert "2 jobs on cpu: 24 cells and 84 divergences" in text
    layers = re.findall(r'data-source="comparison.json#/studies/model/curve/\d+/spearman"', html)
    assert len(set(layers)) == 6


def test_a_planted_numeral_or_verb_is_refused(html: str, whole: Any) -> None:
    assert found(html, whole[0]) == []
    for planted, complaint in (
        ("<p>It rose by 12 points.</p>", "The numeral '12' has no source"),
        ("<p>It replicates.</p>", "'replicates' claims something of no result"),
        ("<p>Their distances correlate.</p>", "'correlate' claims something"),
        ("<p>Every criterion held.</p>", "'held' claims something"),
    ):
        said = found(html.replace("</main>", f"{planted}</main>"), whole[0])
        assert len(said) == 1 and complaint in said[0]


def test_a_claim_that_its_comparison_does_not_bear_is_refused(html: str, whole: Any) -> None:
    kinds = set(re.findall(r'data-claim="(\w+)"', html))
    assert kinds == {"replicates", "criterion", "correlates", "change"}
    for kind in kinds:
        wrong = re.sub(rf'(data-claim="{kind}"[^>]*>)[^<]*', r"\1repeats it all", html, count=1)
        said = found(wrong, whole[0])
        assert len(said) == 1 and "'repeats it all' is claimed of" in said[0]


def test_a_page_that_is_older_than_its_comparison_is_refused(html: str, whole: Any) -> None:
    newer = copy.deepcopy(whole[0])
    criterion = newer["comparison.json"]["verdicts"][0]["criteria"][0]
    criterion |= {"low": 0.45, "high": 0.9, "value": 0.7, "outcome": "held"}
    assert any("is claimed of" in line for line in found(html, newer))


def test_every_kind_of_comparison_has_a_page(results: Path) -> None:
    sources, charts = sources_of(results, "one", "imported")
    text = text_of(render_comparison(sources, charts))
    assert "from a file" in text and "no model" in text and "over personas" in text
    assert charts["studies"]["imported"]["divergence"] == "imported divergence"
    sources, charts = sources_of(results, "one", "few")
    assert len(charts["shared"][0]["places"]) == 5
    text = text_of(render_comparison(sources, charts))
    assert "All studies have the same model" in text
    sources, charts = sources_of(results, "published", "one")
    text = text_of(render_comparison(sources, charts))
    assert "one could not be set beside it" not in text
    assert charts["shared"] == [] and list(charts["studies"]) == ["one"]


def test_charts_hold_every_studys_distances_and_what_two_share(whole: Any) -> None:
    comparison, charts = whole[0]["comparison.json"], whole[1]
    assert list(charts["studies"]) == ["one", "prompts-2", "model"]
    assert list(charts["curves"]) == ["one", "prompts-2", "model", "published"]
    one = charts["studies"]["one"]
    assert set(one["layers"]) == {"0", "1", "2", "3"} and len(one["layers"]["0"]) == 28
    assert charts["shared"][0]["places"] == [[k, k] for k in range(8)]
    assert charts["between"][0]["spearman"] == comparison["pairs"][0]["cosine"]["spearman"]


def test_the_end_of_a_comparison_says_its_verdicts(whole: Any) -> None:
    comparison = whole[0]["comparison.json"]
    said = closing_comparison(comparison, "results/comparisons/c/report.html")
    first, *judged, last = said.splitlines()
    assert first == "Comparison c" and last == "Read results/comparisons/c/report.html"
    assert [line.split(":")[0] for line in judged] == ["prompts-2 beside one", "model beside one"]


def test_one_study_twice_replicates_nothing(results: Path) -> None:
    shutil.copytree(results / "one", results / "copy")
    sources, charts = sources_of(results, "one", "copy")
    text = text_of(render_comparison(sources, charts))
    assert (
        "copy holds the very measurements of the original" in text and "replicates it" not in text
    )
