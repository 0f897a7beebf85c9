"""The page of a study says what its files say, to every reader, and can be refused."""

import base64
import copy
import hashlib
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from named import named, stacked
from whole_study import CLUSTERS, NAMES, PROMPTS, aligned

from persona_geometry.model.token_texts import token_texts, word_texts
from persona_geometry.probe.files import write_directions
from persona_geometry.rdms.files import write_rdm_table
from persona_geometry.rdms.rdm import Rdm
from persona_geometry.report import page as room
from persona_geometry.report.closing import closing
from persona_geometry.report.described import describe
from persona_geometry.report.page.explore import TokenDivergences, charts, distances, tokens, words
from persona_geometry.report.page.lint import UnfoundedReport, complaints
from persona_geometry.report.page.prose import LIBRARY
from persona_geometry.report.page.prose import html as prose
from persona_geometry.report.page.render import CHARTS, render_study
from persona_geometry.report.sourced import mark, plain, sourced
from persona_geometry.report.text import count, number
from persona_geometry.rsa.noise_ceiling import noise_ceiling
from persona_geometry.rsa.reliability import split_prompts
from persona_geometry.study.config import read_study

ROOT = Path(__file__).parents[2]
RUN = {
    "repository": {"commit": "c0ffee", "changed": False},
    "python": "3.11.7",
    "machine": "Linux-6",
    "packages": {"numpy": "2.3.5", "vllm": None},
    "config": {"files": ["study.yaml"]},
    "model": {"fingerprint": "abc1"},
    "inputs_sha256": {"study.yaml": "0a1b"},
    "results_sha256": {"alignment.json": "2c3d"},
    "gpu_work": {
        **{"jobs": 1, "responses": 1, "cells": 7, "pairs": 1234, "seconds": {"load": 1.25}},
        **{"devices": ["NVIDIA H100 80GB"], "peak_gpu_bytes": 12345678},
    },
    "seconds_by_rule": {"align": 5.96},
}
RESPONSE = {"prompt": "q0", "user": "Why 2?", "token_ids": [1, 2], "finish_reason": "length"}
GATES = [
    {"statistic": "spearman", "comparison": ">", "threshold": 0.1, "layer": 2},
    {"statistic": "mantel_p", "comparison": "<", "threshold": 0.006, "layer": 2},
    {"statistic": "cutoffs.ratio.32", "comparison": ">", "threshold": 0.3, "layer": 2},
]


def told(**changed: Any) -> dict[str, Any]:
    """The embedded study, as its page tells it."""
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    config["model"]["path"] = str(ROOT / config["model"]["path"])
    tables = {table: str(ROOT / config[table]) for table in ("personas", "prompts")}
    return describe(read_study(config | tables | changed))


@pytest.fixture(scope="module")
def study() -> dict[str, Any]:
    people = {
        name: {
            **{"cluster": CLUSTERS.get(name), "macro_cluster": None},
            "system_prompt": f"Be {name}, or 2.",
        }
        for name in NAMES[:-1]
    }
    return told() | {"personas": people, "prompts": {name: f"Why {name}?" for name in PROMPTS}}


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    return aligned(gates=GATES)


def drawn(alignment: dict[str, Any]) -> dict[str, Any]:
    """What the charts of a small study show."""
    rng = np.random.default_rng(0)
    rdm = [named(rng.uniform(0.1, 0.6, (7, 7)), alignment["personas"]) for _ in range(4)]
    prompts = [TokenDivergences("q0", ["So ", "</script>"], rng.uniform(0, 0.6, (21, 2)))]
    return charts(
        alignment, CLUSTERS, {"a": "#000000"}, "JS divergence", "nats",
        dict(enumerate(rdm[:3], start=1)), {"full": rdm[3]}, prompts,
    )  # fmt: skip


def sources(alignment: dict[str, Any], study: dict[str, Any]) -> dict[str, Any]:
    responses = {"q0": {**RESPONSE, "text": "Two & <b>3</b>"}}
    return {"alignment.json": alignment, "run.json": RUN, "study": study, "responses": responses}


@pytest.fixture(scope="module")
def html(whole: dict[str, Any], study: dict[str, Any]) -> str:
    return render_study(sources(whole, study), drawn(whole))


def without_scripts(html: str) -> str:
    return re.sub(r"<(script|style)\b.*?</\1>", "", html, flags=re.DOTALL)


def text_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", "", without_scripts(html)).split())


def found(html: str, alignment: dict[str, Any], study: dict[str, Any]) -> list[str]:
    return complaints(without_scripts(html), {**sources(alignment, study), "library": LIBRARY})


# What is refused


@pytest.mark.parametrize(
    ("planted", "complaint"),
    [
        ("<p>It rose by 12 points.</p>", "The numeral '12' has no source"),
        ('<img alt="A curve up to 0.9">', "The numeral '0.9' has no source"),
        ('<p>At <data value="3" data-source="alignment.json#/nowhere">3</data>.</p>', "nothing is"),
        ("<p>The two geometries agree.</p>", "'agree' claims something of no result"),
        ("<p>So the effect was found.</p>", "'was found' claims something"),
        ("<p>This proves it.</p>", "'proves' claims something"),
        ("<p>Hidden states explain behavior.</p>", "'explain' claims something"),
    ],
)
def test_what_has_no_source_is_refused(
    html: str, whole: dict[str, Any], study: dict[str, Any], planted: str, complaint: str
) -> None:
    assert found(html, whole, study) == []
    said = found(html.replace("</main>", f"{planted}</main>"), whole, study)
    assert len(said) == 1 and complaint in said[0]


def test_a_question_claims_nothing(whole: dict[str, Any], study: dict[str, Any]) -> None:
    assert found("<p>Do they agree?</p>", whole, study) == []
    assert found("<p>Do they agree? They agree.</p>", whole, study) != []


def claims_of(html: str) -> set[str]:
    return set(re.findall(r'data-claim="(\w+)"', html))


def test_a_claim_that_its_result_does_not_bear_is_refused(
    html: str, whole: dict[str, Any], study: dict[str, Any]
) -> None:
    kinds = claims_of(html)
    assert kinds >= {"agreement", "within_clusters", "beyond_radial", "contrast", "gate", "gates"}
    assert kinds >= {"prediction", "direction", "confidence", "outcomes", "equivalence"}
    for kind in kinds:
        wrong = re.sub(rf'(data-claim="{kind}"[^>]*>)[^<]*', r"\1agrees strongly", html, count=1)
        said = found(wrong, whole, study)
        assert len(said) == 1 and "'agrees strongly' is claimed of" in said[0]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"mantel_p": 0.9, "spearman": 0.4}, "agreement"),
        ({"mantel_p": 0.001, "spearman": 0.4}, "agreement"),
        ({"stratified_mantel_p": 0.001}, "stratified"),
        ({"residual_mean_marginal": 0.9, "residual_mean_marginal_p": 0.001}, "beyond_radial"),
    ],
)
def test_a_page_that_is_older_than_its_result_is_refused(
    html: str, whole: dict[str, Any], study: dict[str, Any], change: dict[str, float], kind: str
) -> None:
    newer = copy.deepcopy(whole)
    newer["layers"]["2"].update(change)
    said = found(html, newer, study)
    assert any(kind in line or "is not" in line for line in said)


def test_every_number_must_be_the_one_at_its_source(
    html: str, whole: dict[str, Any], study: dict[str, Any]
) -> None:
    marks = list(re.finditer(r'<data value="[^"]*" [^>]*>([^<]*)</data>', html))
    assert len(marks) > 200
    for place in (*range(0, len(marks), 40), len(marks) - 1):
        shown = marks[place]
        start = shown.start(1)
        wrong = html[:start] + "77.7" + html[shown.end(1) :]
        said = found(wrong, whole, study)
        assert len(said) == 1 and said[0].startswith("'77.7' is not"), said


def test_a_count_must_be_that_of_its_source(
    html: str, whole: dict[str, Any], study: dict[str, Any]
) -> None:
    wrong, changed = re.subn(r'(data-count="[^>]*>)\d+', r"\g<1>99", html, count=1)
    assert changed
    assert "is not the count of" in found(wrong, whole, study)[0]


def test_an_unfounded_report_is_not_written(study: dict[str, Any], whole: dict[str, Any]) -> None:
    altered = copy.deepcopy(whole)
    power = altered["layers"]["2"]["stratified_power"]
    power["statement"] = "The stratified test found everything."
    with pytest.raises(UnfoundedReport, match="not that of its result and power"):
        render_study(sources(altered, study), drawn(altered))


# Studies of every kind


def bare(alignment: dict[str, Any]) -> None:
    """As where both matrices are from files, without clusters, anchor or prompts."""
    alignment |= {"n_prompts": None, "anchor": None, "geometries": {}}
    alignment["noise_ceiling"] = noise_ceiling(None, 5, 0)
    for layer in alignment["layers"].values():
        layer |= dict.fromkeys(("stratified_mantel_p", "stratified_mantel_null", "with_anchor"))
        layer |= dict.fromkeys(("stratified_power", "per_prompt", "predictions"))
        layer["split_prompts"] = split_prompts(None, None, 5, 0)
        layer |= dict.fromkeys(("partial_fine", "partial_joint", "residual_anchor", "cka"))
        layer["intervals"]["dual"] |= {"low": None, "high": None, "reason": "No single prompts."}
    for row in alignment["across_layers"]["contrasts"]:
        row["dual"] |= {"low": None, "high": None, "reason": "No single prompts."}


def failing(alignment: dict[str, Any]) -> None:
    for layer in alignment["layers"].values():
        layer |= {"spearman": -0.2, "mantel_p": 0.8, "mantel_p_two_sided": 0.4}
    alignment["gates"][0] |= {"value": -0.2, "passed": False, "status": "fail"}


def single(alignment: dict[str, Any]) -> None:
    alignment["n_prompts"] = 1


def unsplit(alignment: dict[str, Any]) -> None:
    js = stacked(np.random.default_rng(0).random((2, 4, 4)))
    alignment["noise_ceiling"] = noise_ceiling(js, 0, 0)
    for layer in alignment["layers"].values():
        layer["split_prompts"] = split_prompts(np.ones((2, 4, 3)), js, 0, 0)


def named_by_numbers(alignment: dict[str, Any]) -> None:
    alignment["study"] = "7B-2nd_run"
    alignment["warnings"] = ["At layer 2 every cosine is 0.97 or more & so on <i>."]


def equal(alignment: dict[str, Any], verdict: str = "equivalent") -> None:
    for one in [*alignment["layers"].values(), *alignment["across_layers"]["contrasts"]]:
        one["equivalence"] |= {"verdict": verdict}


def apart(alignment: dict[str, Any]) -> None:
    equal(alignment, "beyond")


def unexplained(alignment: dict[str, Any]) -> None:
    for layer in alignment["layers"].values():
        layer["commonality"] |= {"r2": None, "reason": "The covariates explain all that varies."}


def test_the_methods_of_a_study_are_those_that_it_used(
    html: str, whole: dict[str, Any], study: dict[str, Any], tmp_path: Path
) -> None:
    names = list(told()["personas"])
    for name in ("cosine", "js"):
        write_rdm_table(tmp_path / f"{name}.tsv", Rdm(names, np.linspace(0.1, 0.6, 190)))
    files = {name: {"file": str(tmp_path / f"{name}.tsv")} for name in ("cosine", "js")}
    files["js"] |= {"name": "surprise", "unit": "bits"}
    geometry = {"layers": [2], "headline_layer": 2}
    settings = {"permutations": 99, "seed": 0, "gates": []}
    alignment = copy.deepcopy(whole)
    bare(alignment)
    tables = {name: study[name] for name in ("personas", "prompts")}
    of = sources(alignment, told(rdm=files, geometry=geometry, alignment=settings) | tables) | {
        "responses": {}
    }
    text, measured = text_of(render_study(of, drawn(alignment))), text_of(html)
    for said in ("teacher forcing", "next-token dist", "mean hidden states", "Settings: scoring"):
        assert said in measured and said not in text
    for said in ("Divergences were read from a file.", "Settings: rdm.js", "the unit they are in"):
        assert said in text and said not in measured
    assert "surprise" in text and "No model was run" in text


def test_an_intervention_is_told_as_a_method_and_as_a_caveat(
    html: str, whole: dict[str, Any], study: dict[str, Any], tmp_path: Path
) -> None:
    write_directions(tmp_path / "directions.npz", {"shared": np.eye(8, 192)}, ["poet", "villain"])
    asked = {"directions": str(tmp_path / "directions.npz"), "layer": 3}
    tables = {name: study[name] for name in ("personas", "prompts")}
    page = render_study(sources(whole, told(intervention=asked) | tables), drawn(whole))
    text = text_of(page)
    assert "An intervention takes the direction shared of " in text and "after block 3," in text
    assert "nothing here is of the model as it is" in text and "Settings: intervention" in text
    assert "ntervention" not in text_of(html)


@pytest.mark.parametrize(
    "kind", [bare, failing, single, unsplit, named_by_numbers, equal, apart, unexplained]
)
def test_every_kind_of_study_has_a_page(
    whole: dict[str, Any], study: dict[str, Any], kind: Any
) -> None:
    alignment = copy.deepcopy(whole)
    kind(alignment)
    if kind is bare:
        study = study | {"divergence": {"name": "surprise", "unit": "bits"}}
    html = render_study(sources(alignment, study), drawn(alignment))
    text = re.sub(r"<[^>]+>", "", without_scripts(html))
    if kind is bare:
        assert "was not tested, as no cluster has two members" in text
        assert "read from a file" in text
        assert "over personas; one-sided" in text and "Intervals are over personas" in text
        assert "with their intervals over personas." in text
        assert "cosine distances and the surprise" in text and "JS divergence" not in text
    if kind is failing:
        assert "were not found to agree" in text and "Confidence is low" in text
        assert not re.search(r"geometries agree", text)
    for asked, phrase in (
        (equal, "Layers whose ρ are equal, within 0.2"),
        (apart, "Layers whose ρ lie more than 0.2"),
        (unexplained, "No predictors of the divergences were compared. The covariates"),
    ):
        assert (phrase in text) == (kind is asked)
    if kind is single:
        assert "There is a single prompt" in text
    if kind is named_by_numbers:
        assert "0.97 or more &amp; so on &lt;i&gt;." in html


# Every reader


class Outline(HTMLParser):
    """Elements with their attributes, in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


def test_a_page_tells_every_known_layer_and_what_was_predicted(
    html: str, whole: dict[str, Any]
) -> None:
    told = re.findall(r'data-source="alignment.json#/layer_curve/(\d+)/spearman"', html)
    assert told == list(whole["layer_curve"]) and len(told) > len(whole["layers"])
    text = text_of(html)
    assert "the prediction of named pairs" in text and "the prediction is about these" in text
    assert "every named pair is among the 5 pairs that the radial covariate fits worst" in text


def test_a_p_beside_the_level_is_written_on_its_side_of_it(
    whole: dict[str, Any], study: dict[str, Any]
) -> None:
    alignment = copy.deepcopy(whole)
    alignment["layers"]["2"] |= {"spearman": 0.3, "mantel_p": 29 / 576}
    text = text_of(render_study(sources(alignment, study), drawn(alignment)))
    assert "were not found to agree: ρ = 0.300" in text and "Mantel p = 0.0503)" in text
    assert "Mantel p = 0.0503); the two geometries were not" in closing(alignment, "report.html")


def test_macro_clusters_stand_beside_personas_where_the_table_has_them(
    html: str, whole: dict[str, Any], study: dict[str, Any]
) -> None:
    assert "Macro cluster</th>" not in html
    people = copy.deepcopy(study["personas"])
    people["p0"]["macro_cluster"] = "healing_trades"
    page = render_study(sources(whole, study | {"personas": people}), drawn(whole))
    assert "Macro cluster</th>" in page and ">healing trades</span>" in page


def test_a_page_asks_the_network_for_nothing(html: str) -> None:
    outline = Outline(html)
    assert not outline.all("link", "iframe", "object", "img", "source")
    assert all("src" not in script for script in outline.all("script"))
    assert all((a["href"] or "").startswith("#") for a in outline.all("a"))
    policy = next(m for m in outline.all("meta") if m.get("http-equiv"))
    assert (policy["content"] or "").startswith("default-src 'none'")
    assert "@import" not in html.split("</style>")[0] and "url(" not in html.split("</style>")[0]


def test_a_page_can_be_read_by_ear_and_by_keyboard(html: str) -> None:
    outline = Outline(without_scripts(html))
    ids = [a["id"] for _, a in outline.elements if a.get("id")]
    assert len(ids) == len(set(ids))
    assert [len(outline.all(tag)) for tag in ("header", "nav", "main", "footer", "h1")] == [1] * 5
    for attributes in outline.all("a"):
        assert (attributes["href"] or "")[1:] in ids
    first = next(tag for tag, a in outline.elements if tag in ("a", "button", "select"))
    assert first == "a" and outline.all("a")[0]["class"] == "skip"
    headings = [int(tag[1]) for tag, _ in outline.elements if re.fullmatch(r"h\d", tag)]
    assert all(later <= before + 1 for before, later in pairwise(headings))
    assert all(section["aria-labelledby"] in ids for section in outline.all("section"))
    assert len(outline.all("table")) == len(outline.all("caption"))
    assert all(th["scope"] in ("row", "col") for th in outline.all("th"))
    for _, attributes in outline.elements:
        if "chart" in (attributes.get("class") or "").split():
            assert attributes["aria-label"] and attributes["role"] in ("group", "img")
        if attributes.get("role") == "region":
            assert attributes["tabindex"] == "0" and attributes["aria-label"]
    labels = html.count("<label")
    assert labels == len(outline.all("select"))


def test_content_cannot_end_a_script_or_forge_a_mark(html: str) -> None:
    assert html.count("</script>") == 3 and "\\u003c/script>" in html
    forged = sourced({"name": mark("9", sourced(1, "f"))}, "f")["name"]
    assert "\ue000" not in str(forged)


# The parts


@given(st.floats(-9e4, 9e4).map(lambda x: round(x, 200)), st.sampled_from([None, 0.05, 0.5, 0.0]))
@settings(max_examples=30, deadline=None)
def test_a_number_as_it_is_written_is_known_again(value: float, beside: float | None) -> None:
    of = {"n": sourced(value, "f#/n"), "whole": sourced(int(value), "f#/whole")}
    texts = [number(of["n"], beside=beside), f"{of['n']:g}", f"{of['n']:z.2f}"]
    texts += [count(of["whole"], "thing"), number(of["whole"])]
    assert texts[-1].endswith(mark(f"{int(value):,}", of["whole"]))
    page = "".join(f"<p>{prose(text, {'f': plain(of)})}</p>" for text in texts)
    assert complaints(page, {"f": plain(of)}) == []
    other = {"n": value + 2 + abs(value) / 50, "whole": int(value) + 1}
    assert len(complaints(page, {"f": other})) == 5


def test_text_of_users_may_hold_anything(whole: dict[str, Any], study: dict[str, Any]) -> None:
    odd = "A\u00a0b\r\n  \ue000c\ue003 &lt; <script> 7 “agree” \u2028 ∎"
    of = sources(whole, study)
    of["responses"] = {"q0": {**RESPONSE, "text": odd, "user": odd}}
    of["study"] = {**study, "prompts": {**study["prompts"], "q0": odd}}
    assert "&amp;lt; &lt;script&gt; 7" in render_study(of, drawn(whole))


def test_sourced_content_is_equal_and_plain_again() -> None:
    content = {"a": [1, 2.5, "x", None, True], "b/c": {"~": 0}}
    wrapped = sourced(content, "f.json")
    assert wrapped == content and plain(wrapped) == content
    assert wrapped["b/c"]["~"].source == "f.json#/b~1c/~0"
    assert f"{wrapped['a'][1]:.2f}" == mark("2.50", wrapped["a"][1]) != "2.50"
    assert type(plain(wrapped)["a"][0]) is int and type(next(iter(plain(wrapped)))) is str


def test_tokens_come_back_and_those_named_first_have_room(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).uniform(0, 0.69, (6, 50)).astype(np.float32)
    one = TokenDivergences("q", None, values)
    whole = tokens([one, one], range(6))
    assert whole and whole["pairs"] == list(range(6))
    steps = np.frombuffer(base64.b64decode(whole["prompts"][1]["bytes"]), np.uint8)
    back = whole["largest"] * (steps.reshape(6, 50) / 255) ** 2
    assert np.abs(back - values).max() < 0.69 / 255
    monkeypatch.setattr("persona_geometry.report.page.explore.TOKENS", 250)
    less = tokens([one, one], [4, 1, 0, 2, 3, 5])
    assert less and less["pairs"] == [1, 4]
    assert tokens([], range(6)) is None


def test_likely_words_come_back_with_their_probabilities(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    ids = [rng.integers(0, 90, (4, length, 3), dtype=np.int32) for length in (5, 7)]
    shares = [rng.uniform(0, 1, of.shape) for of in ids]
    prompts = [
        TokenDivergences("q", None, np.zeros((6, top[0].shape[1])), top)
        for top in zip(ids, shares, strict=True)
    ]
    texts = {token: f"word {token}" for token in range(80)}
    found = words(prompts, range(6), 4, texts)
    assert found and found["personas"] == [0, 1, 2, 3] and found["k"] == 3
    places, likely = (base64.b64decode(part) for part in found["prompts"][1])
    told = [found["texts"][place] for place in np.frombuffer(places, "<u2")]
    expected = [texts.get(token, f"token {token}") for token in ids[1].ravel().tolist()]
    assert told == expected
    back = (np.frombuffer(likely, np.uint8) / 255) ** 2
    assert np.abs(back - shares[1].ravel()).max() < 1 / 255
    monkeypatch.setattr("persona_geometry.report.page.explore.WORDS", 2 * 12 * 3)
    less = words(prompts, [5, 0, 1, 2, 3, 4], 4, texts)
    assert less and less["personas"] == [2, 3]
    monkeypatch.setattr("persona_geometry.report.page.explore.MOST_TEXTS", 10)
    few = words(prompts, range(6), 4, texts)
    assert few and len(few["texts"]) == 10 and few["texts"][-1] == "another token"
    assert words([TokenDivergences("q", None, np.zeros((6, 5)))], range(6), 4, texts) is None


def test_the_page_says_whether_words_were_kept_and_how_to_have_them(
    html: str, whole: dict[str, Any], study: dict[str, Any]
) -> None:
    assert "was not kept" not in html and '<dl id="words"' in html
    without = copy.deepcopy(study)
    without["settings"]["scoring"]["top_tokens"] = 0
    page = render_study(sources(whole, without), drawn(whole))
    assert "was not kept. Set <code>scoring.top_tokens</code>" in page
    assert '<dl id="words"' not in page


def test_a_token_alone_is_told_with_its_blank() -> None:
    from tokenizers import Tokenizer

    folder = ROOT / "resources" / "persona-lm"
    ids = Tokenizer.from_file(str(folder / "tokenizer.json")).encode("So long").ids
    assert word_texts(folder, ids) and "".join(word_texts(folder, ids) or []) == "So long"
    assert word_texts(ROOT / "config", ids) is None


def test_the_configured_layers_always_have_room(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"p{k}" for k in range(7)]
    rdm = named(np.random.default_rng(0).random((7, 7)), names)
    monkeypatch.setattr("persona_geometry.report.page.explore.DISTANCES", 4 * 21)
    held = distances(dict.fromkeys(range(9), rdm), {"full": rdm}, names, [3, 8])
    assert list(held["layers"]) == ["0", "3", "8"] and list(held["cutoffs"]) == ["full"]
    monkeypatch.setattr("persona_geometry.report.page.explore.DISTANCES", 0)
    held = distances(dict.fromkeys(range(9), rdm), {"full": rdm}, names, [3, 8])
    assert list(held["layers"]) == ["3", "8"]


def test_tokens_of_a_response_are_its_text() -> None:
    from tokenizers import Tokenizer

    folder = ROOT / "resources" / "persona-lm"
    text = "Bread is a café — 日本, and so on."
    ids = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text).ids
    texts = token_texts(folder, ids)
    assert texts and len(texts) == len(ids) and "".join(texts) == text
    assert token_texts(ROOT / "config", ids) is None


def test_the_plotting_library_is_the_one_that_is_named() -> None:
    vendor = Path(room.__file__).parent / "vendor"
    bundle = Path(room.__file__).parent / CHARTS
    assert hashlib.sha256(bundle.read_bytes()).hexdigest() in (vendor / "README.md").read_text()


def test_sentences_at_the_edges_of_a_result_have_their_sources(
    whole: dict[str, Any], study: dict[str, Any]
) -> None:
    alignment = copy.deepcopy(whole)
    layer, peak = alignment["layers"]["2"], alignment["across_layers"]["peak"]
    layer["per_prompt"]["values"]["q0"] = layer["per_prompt"]["step_down_p"]["q0"] = None
    alignment["layer_curve"]["1"] |= dict.fromkeys(("step_down_p", "fdr_q"))
    layer["split_prompts"] |= {"ceiling": 0.7, "disattenuated": 1.284, "reason": None}
    layer["spearman"], peak["spearman"] = 0.99, 0.99
    alignment["noise_ceiling"] |= {"rho_ceiling": 0.6, "reliability": 0.36, "reason": None}
    layer["outcomes"]["stronger"] = "js"
    layer["outcomes"]["difference"]["equivalence"] |= {"verdict": "equivalent", "p": 0.001}
    layer["intervals"]["clusters"] |= {"low": None, "high": None, "reason": "Too few clusters."}
    layer["partial_mantel"]["p"] = 29 / 576
    page = render_study(sources(alignment, study), drawn(whole))
    text = re.sub(r"<[^>]+>", "", without_scripts(page))
    for phrase in (
        *("1 known layer of 3 has no correlation", "1 prompt of 4 has no correlation"),
        *("1 other prompt has no correlation", "lies above it at layer 2 (0.990)"),
        *("would be 1.284, which no correlation can be", "Yet the difference lies within ±0.200"),
        *("over new clusters: Too few clusters.", "p = 0.0503"),
    ):
        assert phrase in text
    # Nothing of clusters or of tests, where there are none.
    layer["partial_mantel"] = None
    layer["mantel_null"]["smallest_p"] = 1 / 6
    alone = layer["commonality"]["alone"]
    alone |= dict.fromkeys(set(alone) - {"cosine"})
    bare = render_study(sources(alignment, study), drawn(whole))
    text = re.sub(r"<[^>]+>", "", without_scripts(bare))
    assert "nothing can be told" in text and "There is no other predictor." in text
    assert "The study has no clusters to test within" in text
