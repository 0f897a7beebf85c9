"""One schema gives a config's keys, their defaults and their documentation; names stay."""

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from persona_geometry.comparison.config import Comparison, Criterion
from persona_geometry.errors import InputError
from persona_geometry.study.config import read_study
from persona_geometry.study.recipes import fingerprint, items
from persona_geometry.study.reference import README, with_tables
from persona_geometry.study.schedule import shard_name
from persona_geometry.study.sections import Section, keys, schema

ROOT = Path(__file__).parents[2]
SECTIONS = {section.NAME: section for section in Section.__subclasses__()}
assert {Comparison, Criterion} <= set(SECTIONS.values())


def test_every_section_of_the_schema_has_its_class() -> None:
    named = {key for key, one in schema()["properties"].items() if one["type"] == "object"}
    assert set(SECTIONS) == named - {"rdm"} | set(schema()["$defs"])


@pytest.mark.parametrize("name", SECTIONS)
def test_sections_have_the_schemas_keys_and_valid_defaults(name: str) -> None:
    filled = vars(SECTIONS[name].of())
    for key, described in keys(name).items():
        if "default" in described:
            assert filled[key] == described["default"]
            jsonschema.validate(filled[key], described | {"$defs": schema()["$defs"]})
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


def test_template_arguments_are_part_of_every_key_where_there_are_any(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    config = yaml.safe_load(Path("config/config.yaml").read_text())

    def cell_keys(**model: Any) -> list[str]:
        study = read_study({**config, "model": {**config["model"], **model}}, "config.yaml")
        recipes = items(study, "a fingerprint")
        return [key for item in recipes for key in (item.response, *item.cells.values())]

    plain = cell_keys()
    assert cell_keys(template_arguments={}) == plain
    off = cell_keys(template_arguments={"enable_thinking": False})
    day = cell_keys(template_arguments={"strftime_now": "2024-07-26"})
    assert not (set(plain) & set(off) or set(plain) & set(day) or set(off) & set(day))


def test_template_arguments_are_plain_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    config = yaml.safe_load(Path("config/config.yaml").read_text())
    config["model"]["template_arguments"] = yaml.safe_load("strftime_now: 2024-07-26")
    with pytest.raises(InputError, match=r"model\.template_arguments\.strftime_now is not valid"):
        read_study(config, "config.yaml")
