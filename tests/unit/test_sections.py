"""One schema gives a config's keys, their defaults and their documentation; names stay."""

import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from persona_geometry.study.config import read_study
from persona_geometry.study.recipes import fingerprint, items
from persona_geometry.study.reference import README, with_tables
from persona_geometry.study.schedule import shard_name
from persona_geometry.study.sections import Section, keys, schema

ROOT = Path(__file__).parents[2]
SECTIONS = {section.NAME: section for section in Section.__subclasses__()}


def test_every_section_of_the_schema_has_its_class() -> None:
    named = {key for key, one in schema()["properties"].items() if one["type"] == "object"}
    assert set(SECTIONS) == named - {"rdm"} | set(schema()["$defs"])


@pytest.mark.parametrize("name", SECTIONS)
def test_sections_have_the_schemas_keys_and_valid_defaults(name: str) -> None:
    filled = vars(SECTIONS[name].of())
    for key, described in keys(name).items():
        if "default" in described:
            assert filled[key] == described["default"]
            jsonschema.validate(filled[key], described)
        else:
            assert filled[key] is None
    assert filled.keys() == keys(name).keys()


def test_readme_says_what_the_schema_says() -> None:
    text = README.read_text(encoding="utf-8")
    shown = {name or None for name in re.findall(r"<!-- keys(?:: (\w+))? -->", text)}
    assert shown == {None, *SECTIONS}
    assert with_tables(text) == text, "run: python -m persona_geometry.study.reference"


def test_a_changed_description_changes_the_readme(monkeypatch: pytest.MonkeyPatch) -> None:
    text = README.read_text(encoding="utf-8")
    monkeypatch.setitem(keys("model")["gpus"], "description", "something else")
    assert "| `gpus` | 1 | something else |" in with_tables(text)


def test_the_embedded_study_keeps_the_keys_of_its_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    study = read_study(yaml.safe_load(Path("config/config.yaml").read_text()), "config.yaml")
    recipes = items(study, fingerprint(study))
    assert shard_name(c for i in recipes for c in i.cells.values()) == "64188366622fb4af1f39"
