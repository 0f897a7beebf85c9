"""The wide set of personas, wordings and prompts holds the small ones and what its README says."""

from collections import Counter
from pathlib import Path

import pytest
import yaml

from persona_geometry.errors import InputError
from persona_geometry.study.config import read_study
from persona_geometry.study.recipes import items
from persona_geometry.study.tables import read_personas, read_prompts

CONFIG = Path(__file__).parents[2] / "config"
WORDINGS = ["personas_100.tsv", "personas_100_wording_2.tsv", "personas_100_wording_3.tsv"]
TOPICS = ["ethics", "how_to", "imagination", "science", "society"]


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> dict:
    """The wide study, with the embedded model in place of one that must be fetched."""
    monkeypatch.chdir(CONFIG.parent)
    wide = yaml.safe_load((CONFIG / "smollm2-135m-100.yaml").read_text())
    wide["geometry"] = {"layers": [3], "headline_layer": 3}
    return wide | {"model": {"path": "resources/persona-lm"}}


def test_a_hundred_personas_in_twelve_clusters_hold_the_twenty() -> None:
    wide = {p.name: p for p in read_personas(CONFIG / WORDINGS[0])}
    small = read_personas(CONFIG / "personas.tsv")
    assert len(wide) == 100
    sizes = Counter(p.cluster for p in wide.values() if p.cluster)
    assert len(sizes) == 12 and set(sizes.values()) == {8, 9}
    for persona in small:
        assert wide[persona.name].system_prompt == persona.system_prompt
        assert persona.cluster in (None, wide[persona.name].cluster)


def test_wordings_differ_in_every_text_but_the_anchors_and_in_nothing_else() -> None:
    tables = [read_personas(CONFIG / name) for name in WORDINGS]
    for versions in zip(*tables, strict=True):
        assert len({(p.name, p.cluster) for p in versions}) == 1
        n_texts = 1 if versions[0].name == "no_persona" else 3
        assert len({p.system_prompt for p in versions}) == n_texts
    texts = [p.system_prompt for table in tables for p in table if p.system_prompt]
    assert len(set(texts)) == 3 * 99


def test_a_hundred_prompts_on_five_topics_hold_the_forty() -> None:
    wide = read_prompts(CONFIG / "prompts_100.tsv")
    assert Counter(p.topic for p in wide) == dict.fromkeys(TOPICS, 20)
    texts = {p.name: p.text for p in wide}
    for table in ("prompts.tsv", "prompts_heldout.tsv"):
        assert {p.name: p.text for p in read_prompts(CONFIG / table)}.items() <= texts.items()


def test_a_study_of_another_wording_shares_the_responses_and_no_cell_but_the_anchors(
    config: dict,
) -> None:
    first = items(read_study(config), "model")
    other = items(read_study(config | {"personas": f"config/{WORDINGS[1]}"}), "model")
    assert [item.response for item in first] == [item.response for item in other]
    shared = set(first[0].cells.values()) & set(other[0].cells.values())
    assert shared == {first[0].cells["no_persona"]}


def test_a_study_takes_the_prompts_on_its_topics(config: dict) -> None:
    study = read_study(config | {"topics": ["science", "ethics"]})
    assert Counter(p.topic for p in study.prompts) == {"science": 20, "ethics": 20}
    whole = {item.prompt.name: item for item in items(read_study(config), "model")}
    for item in items(study, "model"):
        assert item == whole[item.prompt.name]


def test_a_topic_that_no_prompt_is_on_is_refused(config: dict) -> None:
    with pytest.raises(InputError, match=r"topics has 'sport', .*choose among ethics, how_to,"):
        read_study(config | {"topics": ["sport"]})
    with pytest.raises(InputError, match=r"no prompt of .*is on; remove 'topics'"):
        read_study(config | {"topics": ["sport"], "prompts": "config/prompts.tsv"})
