"""docs/statistics.md defines every statistic, says when to use it, and names its source."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from whole_study import aligned

PAGE, SOURCES = (Path(__file__).parents[2] / "docs/statistics.md").read_text().split("## Sources")
NO_STATISTICS = {
    *("study", "estimator", "headline_layer", "permutations", "seed", "personas", "anchor"),
    *("n_personas", "n_pairs", "n_prompts", "layers", "gates", "all_gates_pass", "warnings"),
    *("reasons", "geometries", "comparators"),
}


def rows() -> Iterator[list[str]]:
    """Cells of every table whose columns are a name, a definition, a use and a source."""
    for table in re.findall(r"(?:^ *\|.*\n)+", PAGE, re.MULTILINE):
        header, _, *lines = (re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines())
        if [cell.strip() for cell in header[1:]] == ["definition", "use it", "source"]:
            yield from ([cell.strip() for cell in line] for line in lines)


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return aligned()


def test_every_statistic_has_a_definition_a_use_and_a_source(found: dict[str, Any]) -> None:
    layer, across = found["layers"]["2"], found["across_layers"]
    statistics = {*found, *layer, *layer["comparators"], *across, *found["geometries"]}
    named = {
        part
        for row in rows()
        for name in re.findall(r"`(.+?)`", row[0])
        for part in name.split(".")
    }
    assert statistics - named - NO_STATISTICS == set()
    assert all(len(row) == 4 and all(row) for row in rows())


def test_every_citation_is_among_the_sources_and_every_source_is_cited() -> None:
    last = r"[A-Z][a-zü]+"
    citation = (
        rf"({last})(?:, {last})*(?:\s+and\s+(?:ter )?{last}| et al\.)?\s+\(?((?:19|20)\d\d)\b"
    )
    cited = set(re.findall(citation, PAGE))
    listed = set(re.findall(rf"^({last}) .*?\((\d{{4}})\)", SOURCES, re.MULTILINE))
    assert cited == listed


@pytest.mark.parametrize("name", ["stratified_power", "noise_ceiling", "split_prompts"])
def test_every_field_of_a_statistic_is_defined(found: dict[str, Any], name: str) -> None:
    statistic = found["layers"]["2"].get(name) or found[name]
    fields = {*statistic, *(statistic.get("power_curve") or [{}])[0]}
    assert {field for field in fields if not re.search(rf"[`.]{field}`", PAGE)} == set()
