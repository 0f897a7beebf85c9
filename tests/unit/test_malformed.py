"""Whatever is wrong with a study gives one sentence, before anything is run.

A case changes one thing of a good study. What it gives must name the file or the key, and the
remedy, in one sentence.
"""

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from persona_geometry.errors import InputError
from persona_geometry.study.config import Study, read_study
from persona_geometry.study.config_files import check_config_files

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "resources" / "persona-lm"  # 8 layers
NAMES = ["poet", "nurse", "pilot", "judge", "miner", "anchor"]
CONFIG: dict[str, Any] = {
    "study": "s",
    "personas": "personas.tsv",
    "prompts": "prompts.tsv",
    "anchor": "anchor",
    "model": {"path": str(MODEL)},
    "generation": {"max_new_tokens": 64},
    "divergence": {"cutoffs": [8]},
    "geometry": {"layers": [1, 3], "headline_layer": 3},
    "alignment": {
        "permutations": 99,
        "seed": 0,
        "top_k": 3,
        "leave_out": ["poet"],
        "predictions": [["poet", "nurse"]],
        "covariates": ["pay.tsv"],
        "outcomes": "habits.tsv",
        "gates": [{"statistic": "spearman", "comparison": ">", "threshold": 0.5}],
    },
}
IMPORTED = {"cosine": {"file": "cosine.json"}, "js": {"file": "js.tsv"}}


def table(scale: float, names: list[str] = NAMES) -> str:
    rows = [["", *names]]
    for i, name in enumerate(names):
        rows.append([name, *(f"{scale * abs(i - j):g}" for j in range(len(names)))])
    return "\n".join("\t".join(row) for row in rows) + "\n"


def similarities() -> str:
    at = np.array([[abs(i - j) for j in range(len(NAMES))] for i in range(len(NAMES))])
    layer = {"persona_names": NAMES, "matrix": (1 - 0.1 * at).tolist()}
    return json.dumps({f"layer_{number}": layer for number in (1, 3)})


GOOD = {
    "personas.tsv": "persona\tcluster\tsystem_prompt\n"
    + "".join(f"{name}\t{'arts' if name[0] == 'p' else ''}\tI am {name}.\n" for name in NAMES),
    "prompts.tsv": "prompt\ttext\nq1\tWhy?\nq2\tHow?\n",
    "pay.tsv": table(1.0),
    "habits.tsv": "source\ttarget\tvalue\npoet\tnurse\t1\nnurse\tpoet\t2\npilot\tjudge\t3\n",
    "cosine.json": similarities(),
    "js.tsv": table(0.1),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in GOOD.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(config: Any, text: str | None = None) -> Study:
    """Read a study as the Snakefile does."""
    Path("study.yaml").write_text(yaml.safe_dump(config) if text is None else text)
    check_config_files(["study.yaml"])
    return read_study(yaml.safe_load(Path("study.yaml").read_text()), "study.yaml")


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        call()
    sentence = str(caught.value)
    assert re.match(r"(study\.yaml|'?[\w.-]+\.(tsv|json)|'?folder|'x)", sentence), sentence
    assert ";" in sentence and sentence.endswith((".", ").")), sentence
    assert "\n" not in sentence and not re.search(r"\. [A-Z]", sentence), sentence
    return sentence


def changed(key: str, value: Any) -> dict[str, Any]:
    """The good config with another value, or with nothing, at a dotted key."""
    config: Any = copy.deepcopy(CONFIG)
    *path, last = key.split(".")
    inner = config
    for part in path:
        inner = inner.setdefault(part, {})
    if value is None:
        inner.pop(last)
    else:
        inner[last] = value
    return config


def case(name: str, *what: Any) -> Any:
    return pytest.param(*what, id=name.replace(" ", "_"))


LONG = "a" * 201
KEYS = [
    case("unknown key", "personae", "x.tsv", "unknown key 'personae' at the top level"),
    case("unknown key in a section", "geometry.layer", 3, "unknown key 'layer' at geometry"),
    case("no study", "study", None, "'study' is missing"),
    case("no personas", "personas", None, "'personas' is missing"),
    case("no geometry", "geometry", None, "'geometry' is missing"),
    case("no gates", "alignment.gates", None, "'gates' is missing at alignment"),
    case("no model", "model", None, "'model' is missing"),
    case("no seed", "alignment.seed", None, "'seed' is missing at alignment"),
    case("study is the store", "study", "store", "where the store of all studies is"),
    case("study is the store in capitals", "study", "STORE", "where the store of all studies is"),
    case("study leaves its folder", "study", "../up", "study is not valid"),
    case("study begins with a dot", "study", ".hidden", "study is not valid"),
    case("study is a number", "study", 7, "a whole number.*give a text, in quotes"),
    case("study is empty", "study", "", "study is not valid"),
    case("study ends in a line break", "study", "s\n", r"study holds U\+000A"),
    case("a seed of 400 digits", "alignment.seed", 10**400, "alignment.seed is beyond"),
    case("almost the default", "generation.system_prompt", "@Template ", "would be said to the"),
    case("half a character", "generation.system_prompt", "a\ud800", r"holds U\+D800"),
    case("study has a long name", "study", LONG, "201 characters"),
    case("personas is empty", "personas", "", "personas is not valid.*is empty"),
    case("personas is a list", "personas", ["a.tsv"], r"\[\"a.tsv\"\] is a list"),
    case("personas is not there", "personas", "no.tsv", "no.tsv does not exist"),
    case("personas is a folder", "personas", "folder", "'folder' is a folder where a file"),
    case("personas below a file", "personas", "pay.tsv/x.tsv", "pay.tsv/x.tsv cannot be read"),
    case("personas has a null byte", "personas", "x\0.tsv", r"holds U\+0000, which cannot be seen"),
    case("prompts is not there", "prompts", "no.tsv", "no.tsv does not exist"),
    case("prompts is the persona table", "prompts", "personas.tsv", "no column 'prompt'"),
    case("anchor is unknown", "anchor", "ancor", "anchor 'ancor' is not in personas.tsv"),
    case("anchor is YAML's no", "anchor", False, "true or false.*give a text, in quotes"),
    case("no anchor to respond", "anchor", None, "no anchor to generate"),
    case("model is not there", "model.path", "nowhere", "'nowhere' holds no config.json"),
    case("model is a file", "model.path", "pay.tsv", "'pay.tsv' holds no config.json"),
    case("model is named twice", "model.name", "x/y", "needs .path."),
    case("model without revision", "model", {"name": "x/y"}, "needs .path."),
    case(
        "model with a short revision",
        "model",
        {"name": "x/y", "revision": "a09a354"},
        "model.revision is not valid",
    ),
    case("model of another precision", "model.dtype", "fp16", "none of float32, bfloat16"),
    case("model on no GPU", "model.gpus", 0, "model.gpus is not valid.*below 1.*at least 1"),
    case("model on half a GPU", "model.gpus", 0.5, "model.gpus is not valid"),
    case("another backend", "generation.backend", "tgi", "none of transformers, vllm"),
    case("no tokens", "generation.max_new_tokens", 0, "below 1"),
    case("tokens as a text", "generation.max_new_tokens", "64", "a text.*give .* 64 "),
    case("all of the GPU and more", "generation.gpu_memory_utilization", 1.1, "above 1"),
    case("none of the GPU", "generation.gpu_memory_utilization", 0, "not above 0"),
    case(
        "a share of the GPU that is no number",
        "generation.gpu_memory_utilization",
        float("nan"),
        "not a finite number",
    ),
    case("yes as a text", "scoring.keep_states", "yes", "give true or false"),
    case("another estimator", "divergence.estimator", "kl", "none of js, half_jeffreys"),
    case("cutoff beyond the response", "divergence.cutoffs", [65], "cutoffs has 65.*64 tokens"),
    case("cutoff of nothing", "divergence.cutoffs", [0], "cutoffs.0 is not valid.*below 1"),
    case("cutoff with a point", "divergence.cutoffs", [8.0], "decimal point.*one, 8 "),
    case("cutoff twice", "divergence.cutoffs", [8, 8], "an entry twice"),
    case("cutoff that is no list", "divergence.cutoffs", 8, "give a list"),
    case("no layers", "geometry.layers", [], "0 entries.*list 1"),
    case("layer with a point", "geometry.layers", [1.0, 3], "layers.0.*decimal point.*one, 1 "),
    case(
        "geometry of its own token",
        "geometry.also",
        ["last_prompt_token"],
        "last_prompt_token.*geometry.token.*remove",
    ),
    case("unknown geometry", "geometry.also", ["centered"], "centered"),
    case(
        "too many components",
        "geometry",
        {**CONFIG["geometry"], "also": ["components_removed"], "components": 3},
        "components is 3.*5 personas have 4 components.*at most 2",
    ),
    case("effect of one", "alignment.smallest_effect", 1, "smallest_effect"),
    case("unknown comparator", "alignment.comparators", ["kappa"], "kappa"),
    case(
        "gate on a geometry that is not compared",
        "alignment.gates",
        [{"statistic": "geometries.mean_centered.spearman", "comparison": ">", "threshold": 0.5}],
        "does not exist",
    ),
    case("layer twice", "geometry.layers", [3, 3], "an entry twice"),
    case("layer below zero", "geometry.layers", [-1, 3], "below 0"),
    case("layer beyond the model", "geometry.layers", [3, 8], "layer 8.*layers 0 to 7"),
    case("layer far beyond the model", "geometry.layers", [3, 10**12], "layers 0 to 7"),
    case("layer as a text", "geometry.layers", ["3"], "a text.*one, 3 "),
    case("layer is true", "geometry.layers", [True, 3], "true or false"),
    case("layer is infinite", "geometry.layers", [float("inf")], "not a finite number"),
    case("headline layer elsewhere", "geometry.headline_layer", 2, "headline layer 2 is not"),
    case("headline layer with a point", "geometry.headline_layer", 3.0, "decimal point"),
    case("another token", "geometry.token", "mean", "none of last_prompt_token"),
    case("few permutations", "alignment.permutations", 98, "below 99"),
    case("too many permutations", "alignment.permutations", 10**9, "above 100000000"),
    case("permutations with a point", "alignment.permutations", 1e5, "one, 100000 "),
    case("seed below zero", "alignment.seed", -1, "below 0"),
    case("seed with a point", "alignment.seed", 1.5, "seed is not valid"),
    case("no top pair", "alignment.top_k", 0, "below 1"),
    case("one resample", "alignment.bootstrap", 1, "one resample has no spread"),
    case("resamples below zero", "alignment.bootstrap", -5, "below 0"),
    case("left out twice", "alignment.leave_out", ["poet", "poet"], "an entry twice"),
    case("left out and unknown", "alignment.leave_out", ["poets"], "leave_out names 'poets'"),
    case("left out in capitals", "alignment.leave_out", ["Poet"], "leave_out names 'Poet'"),
    case("left out with a blank", "alignment.leave_out", ["poet "], "leave_out names 'poet '"),
    case("anchor left out", "alignment.leave_out", ["anchor"], "names the anchor 'anchor'"),
    case("left out as a text", "alignment.leave_out", "poet", "give a list"),
    case(
        "predicted and unknown", "alignment.predictions", [["poet", "x"]], "predictions names 'x'"
    ),
    case("anchor predicted", "alignment.predictions", [["poet", "anchor"]], "names the anchor"),
    case("predicted with itself", "alignment.predictions", [["poet", "poet"]], "with itself"),
    case(
        "predicted twice",
        "alignment.predictions",
        [["poet", "nurse"], ["nurse", "poet"]],
        "nurse and poet twice",
    ),
    case("predicted alone", "alignment.predictions", [["poet"]], "1 entries.*list 2"),
    case(
        "more predicted than listed",
        "alignment.predictions",
        [["poet", "nurse"], ["poet", "judge"], ["poet", "miner"], ["poet", "pilot"]],
        "cannot all be among the top 3",
    ),
    case("covariate is not there", "alignment.covariates", ["pai.tsv"], "pai.tsv does not exist"),
    case("covariate is a folder", "alignment.covariates", ["folder"], "a folder where a file"),
    case("covariate as a text", "alignment.covariates", "pay.tsv", "give a list"),
    case("covariate twice", "alignment.covariates", ["pay.tsv", "pay.tsv"], "named 'pay' as is"),
    case(
        "covariates of one stem but for case",
        "alignment.covariates",
        ["pay.tsv", "folder/Pay.tsv"],
        "'Pay' as is pay.tsv",
    ),
    case("covariates of one stem", "alignment.covariates", ["pay.tsv", "./pay.tsv"], "named 'pay'"),
    case("covariate is no table", "alignment.covariates", ["cosine.json"], "the header must have"),
    case("outcomes are not there", "alignment.outcomes", "habit.tsv", "habit.tsv does not exist"),
    case("outcomes are no outcomes", "alignment.outcomes", "pay.tsv", "no column 'source'"),
    case("gates as a section", "alignment.gates", {"statistic": "spearman"}, "give a list"),
    case("gate without threshold", "alignment.gates", [{"statistic": "cka"}], "are|is missing at"),
    case("no prompt a job", "execution.prompts_per_gpu_job", 0, "below 1"),
    case("another device", "execution.device", "cuda:0", "none of auto, cpu, cuda"),
    case("batch below zero", "execution.batch_tokens", -1, "below 0"),
    case("section without content", "divergence", [], "give a section with keys"),
    case("section as a text", "geometry", "all", "give a section with keys"),
    case("RDM as a text", "rdm", {"js": "js.tsv"}, "rdm.js is not valid"),
    case("RDM without a file", "rdm", {"js": {}}, "'file' is missing at rdm.js"),
    case("RDM of another kind", "rdm", {"cka": {"file": "js.tsv"}}, "unknown key 'cka' at rdm"),
    case("RDM is not there", "rdm", {"js": {"file": "jss.tsv"}}, "jss.tsv does not exist"),
    case("RDM is a folder", "rdm", {"js": {"file": "folder"}}, "a folder where a file belongs"),
    case(
        "RDM of another hash",
        "rdm",
        {"js": {"file": "js.tsv", "sha256": "0" * 64}},
        "js.tsv has SHA-256 .* but the config expects 0000",
    ),
    case(
        "RDM of half a hash",
        "rdm",
        {"js": {"file": "js.tsv", "sha256": "0" * 32}},
        "rdm.js.sha256 is not valid",
    ),
    case(
        "RDM that is not there with its hash",
        "rdm",
        {"js": {"file": "jss.tsv", "sha256": "0" * 64}},
        "jss.tsv does not exist",
    ),
    case(
        "one table of two layers",
        "rdm",
        {"cosine": {"file": "js.tsv"}},
        "one cosine RDM, but geometry.layers names 2",
    ),
]


def test_the_good_study_is_read(folder: Path) -> None:
    assert read(CONFIG).remarks == ()
    assert read(CONFIG | {"rdm": IMPORTED}).needs_model is False


@pytest.mark.parametrize(("key", "value", "message"), KEYS)
def test_malformed_key(folder: Path, key: str, value: Any, message: str) -> None:
    assert re.search(message, refusal(lambda: read(changed(key, value))))


YAML = [
    case("empty file", lambda _: "", "holds no keys at its top level"),
    case("list at the top", lambda _: "- study: s\n", "holds no keys at its top level"),
    case("a text at the top", lambda _: "study\n", "holds no keys at its top level"),
    case("no YAML", lambda text: text + "]: [\n", "this is no valid YAML"),
    case("a key twice", lambda text: text + "study: t\n", "key 'study' is already on line"),
    case(
        "an inner key twice",
        lambda text: text.replace("  seed: 0", "  seed: 0\n  seed: 1"),
        "key 'alignment.seed' is already on line",
    ),
    case(
        "a gate's key twice",
        lambda text: text.replace("threshold: 0.5", "threshold: 0.5\n    threshold: 0.1"),
        "key 'alignment.gates.0.threshold' is already on line",
    ),
    case(
        "permutations in scientific notation",
        lambda text: text.replace("permutations: 99", "permutations: 1e5"),
        "alignment.permutations is not valid.*one, 100000 ",
    ),
    case(
        "threshold without an end",
        lambda text: text.replace("threshold: 0.5", "threshold: .inf"),
        "alignment.gates.0.threshold is not valid .inf is not a finite",
    ),
    case(
        "threshold that is no number",
        lambda text: text.replace("threshold: 0.5", "threshold: .nan"),
        "not a finite number",
    ),
    case(
        "threshold left empty",
        lambda text: text.replace("threshold: 0.5", "threshold:"),
        "threshold is not valid .null is nothing",
    ),
    case(
        "study is a date",
        lambda text: text.replace("study: s", "study: 2024-01-01"),
        "study is not valid.*a date.*in quotes",
    ),
    case(
        "a number of minutes",
        lambda text: text.replace("permutations: 99", "permutations: 2:00"),
        "permutations is 2:00, which YAML reads as 120",
    ),
    case(
        "a number in base 16",
        lambda text: text.replace("seed: 0", "seed: 0x10"),
        "line .*: alignment.seed is 0x10, which YAML reads as 16",
    ),
    case(
        "a number in base 8",
        lambda text: text.replace("seed: 0", "seed: 012"),
        "alignment.seed is 012, which YAML reads as 10",
    ),
    case(
        "layers in base 2",
        lambda text: text.replace("  - 1\n", "  - 0b01\n"),
        "geometry.layers.0 is 0b01, which YAML reads as 1",
    ),
    case("a key that is a list", lambda t: t + "? [a, b]\n: 2\n", "this is no valid YAML"),
    case("a day that there is not", lambda t: t + "x: 2024-02-31\n", "day is out of range"),
    case("an object of Python", lambda t: t + "x: !!python/name:os.system\n", "no valid YAML"),
    case("a list that holds itself", lambda t: t + "x: &x [*x]\n", "'x.0' refers to the section"),
    case("a section that holds itself", lambda t: t + "x: &x {y: *x}\n", "'x.y' refers to"),
    case(
        "alignment left empty",
        lambda text: re.sub(r"alignment:\n(  .*\n)+", "alignment:\n", text),
        "alignment is not valid .null is nothing",
    ),
]


@pytest.mark.parametrize(("edit", "message"), YAML)
def test_malformed_yaml(folder: Path, edit: Callable[[str], str], message: str) -> None:
    text = edit(yaml.safe_dump(CONFIG))
    assert text != yaml.safe_dump(CONFIG)
    assert re.search(message, refusal(lambda: read(None, text)))


def replace(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new)


TABLES = [
    case("personas are empty", "personas.tsv", lambda _: "", "no column 'persona'"),
    case("personas without rows", "personas.tsv", lambda t: t.split("\n")[0], "but no rows"),
    case("a column twice", "prompts.tsv", replace("\ttext", "\ttext\ttext"), "2 columns 'text'"),
    case("a column in capitals", "prompts.tsv", replace("text", "Text"), "no column 'text'"),
    case("columns by commas", "prompts.tsv", replace("\t", ","), "no column 'prompt'"),
    case("an unknown column", "prompts.tsv", replace("\ttext", "\ttext\tx"), "'x' is not known"),
    case(
        "a persona twice", "personas.tsv", replace("nurse", "poet"), "'poet' is already on line 2"
    ),
    case("a quoted cell", "prompts.tsv", lambda t: t + 'q9\t"Who?"\n', "in quotation marks"),
    case("a mark without width", "prompts.tsv", lambda t: t + "q9\tWho\u200b?\n", r"U\+200B"),
    case(
        "the default in capitals",
        "personas.tsv",
        lambda t: t + "vicar\t\t@Template\n",
        "would be said to the model; write @template",
    ),
    case("names by case", "personas.tsv", replace("nurse\t", "Poet\t"), "'Poet' is already on"),
    case("prompts by case", "prompts.tsv", lambda t: t + "Q1\tWho?\n", "'Q1' is already on line 2"),
    case("a blank in a name", "prompts.tsv", replace("q1", "q 1"), "line 2: 'q 1' cannot name"),
    case("a blank after a name", "prompts.tsv", replace("q1", "q1 "), "line 2: 'q1 ' cannot name"),
    case("a path as a name", "prompts.tsv", replace("q1", "../q1"), "'../q1' cannot name"),
    case("a name of another script", "prompts.tsv", replace("q1", "первый"), "cannot name"),
    case("no name", "prompts.tsv", replace("q1", ""), "line 2: '' cannot name"),
    case("a long name", "prompts.tsv", replace("q1", LONG), "line 2: the name 'aaa.* 201 char"),
    case("the same prompt text", "prompts.tsv", replace("How?", "Why?"), "repeats the text of"),
    case("no prompt text", "prompts.tsv", replace("How?", " "), "line 3: prompt 'q2' has no text"),
    case(
        "a cluster in two macro clusters",
        "personas.tsv",
        lambda t: (
            t.replace("\n", "\tm\n")
            .replace("system_prompt\tm", "system_prompt\tmacro_cluster")
            .replace("pilot.\tm", "pilot.\tn")
        ),
        "line 4: the macro cluster of 'pilot' is 'n' and that of others of the cluster 'arts'",
    ),
    case(
        "the same system prompt",
        "personas.tsv",
        replace("I am nurse.", "I am poet."),
        "same system prompt as line 2",
    ),
    case("a cell too many", "prompts.tsv", replace("How?", "How?\t"), "line 3: 3 tab-separated"),
    case("a cell too few", "personas.tsv", replace("nurse\t\t", "nurse\t"), "line 3: 2 tab-sep"),
    case("a line separator", "prompts.tsv", replace("How?", "How\u2028?"), "line 3.*U.2028"),
    case("a paragraph separator", "prompts.tsv", replace("How?", "\u2029?"), "line 3.*U.2029"),
    case("a next line", "prompts.tsv", replace("How?", "How\u0085?"), "line 3.*U.0085"),
    case("a vertical tab", "prompts.tsv", replace("How?", "How\x0b?"), "line 3: char.*7.*U.000B"),
    case("a form feed", "prompts.tsv", replace("How?", "How\x0c?"), "line 3.*U.000C"),
    case("a null byte", "prompts.tsv", replace("How?", "How\0?"), "line 3.*U.0000"),
    case("an escape", "prompts.tsv", replace("How?", "How\x1b[0m?"), "line 3.*U.001B"),
    case("lines of an old Macintosh", "prompts.tsv", replace("\n", "\r"), "line 1.*U.000D"),
    case(
        "too few personas",
        "personas.tsv",
        lambda text: re.sub(r"(pilot|miner)\t.*\n", "", text),
        "3 personas beside the anchor are too few",
    ),
    case(
        "clusters by encoding",
        "personas.tsv",
        lambda t: t.replace("arts", "\u00e9t\u00e9", 1).replace("arts", "e\u0301te\u0301", 1),
        "differ only.*how an accent is encoded",
    ),
    case("clusters by case", "personas.tsv", replace("pilot\tarts", "pilot\tArts"), "differ only"),
    case(
        "a cluster named like a persona",
        "personas.tsv",
        replace("\tarts\t", "\tnurse\t"),
        "cluster 'nurse' has the name of a persona",
    ),
    case("covariate without a row", "pay.tsv", lambda t: t[: t.rindex("anchor")], "not both a row"),
    case("covariate of others", "pay.tsv", replace("miner", "mine"), "pay.tsv has no persona 'mi"),
    case(
        "covariate without the anchor", "pay.tsv", lambda _: table(1, NAMES[:-1]), "no persona 'a"
    ),
    case("covariate not square", "pay.tsv", replace("\t5\n", "\n"), "pay.tsv, line 2: 5 values"),
    case("covariate not symmetric", "pay.tsv", replace("nurse\t1", "nurse\t3"), "not symmetric"),
    case("covariate below zero", "pay.tsv", replace("5", "-5"), "a distance is negative"),
    case("covariate with a text", "pay.tsv", replace("5", "far"), "something that is not a num"),
    case("covariate with nan", "pay.tsv", replace("5", "nan"), "a value is not a number at row"),
    case("covariate with inf", "pay.tsv", replace("5", "inf"), "a value is not a number at row"),
    case("covariate of similarities", "pay.tsv", replace("\t0", "\t1"), "the diagonal is not zero"),
    case("covariate that is constant", "pay.tsv", lambda _: table(0), "equally far apart"),
    case("covariate row twice", "pay.tsv", lambda t: t + t.split("\n")[1], "already above"),
    case("covariate column twice", "pay.tsv", replace("\tpoet\tnurse", "\tpoet\tpoet"), "unique"),
    case("covariate with a null byte", "pay.tsv", replace("5", "5\0"), "pay.tsv, line 2.*U.0000"),
    case("outcomes are empty", "habits.tsv", lambda _: "", "no column 'source'"),
    case(
        "outcome of nobody", "habits.tsv", replace("poet\tnurse", "poem\tnurse"), "line 2: 'poem'"
    ),
    case("outcome of the anchor", "habits.tsv", replace("judge", "anchor"), "line 4: 'anchor'"),
    case(
        "outcome of oneself", "habits.tsv", replace("pilot\tjudge", "pilot\tpilot"), "both source"
    ),
    case("outcome twice", "habits.tsv", lambda t: t + "poet\tnurse\t4\n", "already on line 2"),
    case("outcome as a text", "habits.tsv", replace("\t3", "\tlow"), "line 4: 'low' is not a num"),
    case(
        "outcome without end", "habits.tsv", replace("\t3", "\tinf"), "line 4: 'inf' is not a num"
    ),
    case("outcome left empty", "habits.tsv", replace("\t3", "\t"), "line 4: '' is not a number"),
    case("two outcomes", "habits.tsv", replace("pilot\tjudge\t3\n", ""), "with 2 outcomes"),
    case("outcomes that are equal", "habits.tsv", lambda t: re.sub(r"\d\n", "1\n", t), "of 1 diff"),
]


@pytest.mark.parametrize(("name", "edit", "message"), TABLES)
def test_malformed_table(folder: Path, name: str, edit: Callable[[str], str], message: str) -> None:
    text = edit(GOOD[name])
    assert text != GOOD[name]
    Path(name).write_bytes(text.encode())
    sentence = refusal(lambda: read(CONFIG))
    assert name in sentence and re.search(message, sentence)


@pytest.mark.parametrize("name", ["personas.tsv", "prompts.tsv", "pay.tsv", "habits.tsv"])
@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_table_of_another_encoding(folder: Path, name: str, encoding: str) -> None:
    Path(name).write_bytes((GOOD[name] + "é").encode(encoding))
    assert f"{name} is not UTF-8" in refusal(lambda: read(CONFIG))


@pytest.mark.parametrize("name", list(GOOD))
def test_table_from_a_spreadsheet_reads_the_same(folder: Path, name: str) -> None:
    before = read(CONFIG), read(CONFIG | {"rdm": IMPORTED})
    Path(name).write_bytes(b"\xef\xbb\xbf" + GOOD[name].replace("\n", "\r\n").encode())
    assert (read(CONFIG), read(CONFIG | {"rdm": IMPORTED})) == before


def layers(change: Callable[[dict[str, Any]], Any]) -> Callable[[str], str]:
    def edit(text: str) -> str:
        content = json.loads(text)
        return json.dumps(change(content) or content)

    return edit


def at_layer_1(**changes: Any) -> Callable[[str], str]:
    return layers(lambda content: content["layer_1"].update(changes))


RDMS = [
    case("no JSON", "cosine.json", lambda t: t[:-1], "not a JSON of layers"),
    case("JSON of a list", "cosine.json", lambda _: "[]", "not a JSON of layers"),
    case("JSON without layers", "cosine.json", lambda _: "{}", "cosine.json has no layer 1"),
    case(
        "a layer that lacks", "cosine.json", layers(lambda c: c.pop("layer_3") and None), "layer 3"
    ),
    case("a layer twice", "cosine.json", replace("layer_3", "layer_1"), "not a JSON of layers"),
    case("a layer in two spellings", "cosine.json", replace("layer_3", "layer_01"), "not a JSON"),
    case("a layer below zero", "cosine.json", replace("layer_3", "layer_-3"), "not a JSON of lay"),
    case("a layer without a matrix", "cosine.json", replace("matrix", "data"), "not a JSON of lay"),
    case(
        "names that lack", "cosine.json", at_layer_1(persona_names=NAMES[1:]), "6 × 6 for 5 names"
    ),
    case("a name twice", "cosine.json", replace("nurse", "poet"), "'poet' is named more than once"),
    case("a persona that lacks", "cosine.json", replace("nurse", "nun"), "has no persona 'nurse'"),
    case(
        "distances as cosines", "cosine.json", at_layer_1(matrix=np.zeros((6, 6)).tolist()), "1 on"
    ),
    case(
        "a ragged matrix", "cosine.json", at_layer_1(matrix=[[1], [1, 0]]), "not a JSON of layers"
    ),
    case("a cosine below -1", "cosine.json", replace("0.5", "-1.5"), "exceeds 2, the largest cos"),
    case("a cosine above 1", "cosine.json", replace("0.5", "1.5"), "a distance is negative"),
    case("a cosine that is NaN", "cosine.json", replace("0.5", "NaN"), "a value is not a number"),
    case(
        "cosines all alike",
        "cosine.json",
        at_layer_1(matrix=(0.5 + 0.5 * np.eye(6)).tolist()),
        "layer_1: all personas of the study are equally far apart",
    ),
    case("a cosine in quotes", "cosine.json", replace("0.5", '"0.5"'), "not a JSON of layers"),
    case("a cosine that is true", "cosine.json", replace("0.5", "true"), "not a JSON of layers"),
    case("divergences all alike", "js.tsv", lambda _: table(0), "are equally far apart"),
    case(
        "divergences that the anchor alone has",
        "js.tsv",
        lambda _: re.sub("0\\.[1234]", "0.2", table(0.1)),
        "no correlation with anything",
    ),
    case("divergences are empty", "js.tsv", lambda _: "", "the header must have an empty cell"),
    case("a divergence above ln 2", "js.tsv", replace("0.5", "0.7"), "exceeds ln 2"),
    case("a divergence below zero", "js.tsv", replace("0.5", "-0.1"), "a distance is negative"),
    case("divergences one way", "js.tsv", replace("nurse\t0.1", "nurse\t0.3"), "not symmetric"),
    case("divergences of others", "js.tsv", replace("nurse", "nun"), "has no persona 'nurse'"),
    case("divergences by commas", "js.tsv", replace("\t", ","), "the header must have an empty"),
    case("divergences as JSON", "js.tsv", lambda _: GOOD["cosine.json"], "the header must have"),
    case("divergences with U+2028", "js.tsv", replace("0.5", "0.5\u2028"), "line 2.*U.2028"),
]


@pytest.mark.parametrize(("name", "edit", "message"), RDMS)
def test_malformed_rdm(folder: Path, name: str, edit: Callable[[str], str], message: str) -> None:
    text = edit(GOOD[name])
    assert text != GOOD[name]
    Path(name).write_bytes(text.encode())
    sentence = refusal(lambda: read(CONFIG | {"rdm": IMPORTED}))
    assert name in sentence and re.search(message, sentence)


@pytest.mark.parametrize("own", [{"name": "Hellinger distance"}, {"unit": "bits"}])
def test_a_divergence_of_its_own_may_be_above_ln_2(folder: Path, own: dict[str, str]) -> None:
    Path("js.tsv").write_text(GOOD["js.tsv"].replace("0.5", "0.7"))
    rdm = {"cosine": IMPORTED["cosine"], "js": IMPORTED["js"] | own}
    assert read(CONFIG | {"rdm": rdm}).divergence_kind == "imported"
    rdm["js"] = IMPORTED["js"] | {"unit": "nats"}
    assert "exceeds ln 2" in refusal(lambda: read(CONFIG | {"rdm": rdm}))


GATES = [
    ("spearmen", ">", 0.5, "does not exist.*nearest is spearman"),
    ("", ">", 0.5, "does not exist"),
    ("per_prompt", ">", 0.5, "not a single number; name one of its parts"),
    ("per_prompt.medium", ">", 0.5, "nearest is per_prompt.median"),
    ("per_prompt.values.q9", ">", 0.5, "does not exist"),
    ("per_prompt.values.q1.x", ">", 0.5, "does not exist"),
    ("cutoffs.32", ">", 0.5, "does not exist"),
    ("cutoffs.ratio.32", ">", 0.5, "does not exist"),
    ("cutoffs.ratio.full", ">", 0.5, "does not exist"),
    ("leave_out.nurse.spearman", ">", 0.5, "does not exist"),
    ("leave_out.poet.mantel_p", "<", 0.5, "does not exist"),
    ("bootstrap.dual.lower", ">", 0, "nearest is bootstrap.dual.low"),
    ("jackknife.values.anchor", ">", 0.5, "does not exist"),
    ("predictions.all_in_top_k", ">", 0.5, "does not exist"),
    ("mantel_null.enumerated", ">", 0.5, "does not exist"),
    ("across_layers.family_wise", "<", 0.05, "nearest is across_layers.family_wise_p"),
    ("across_layers.family_wise_p.3", "<", 0.05, "does not exist"),
    ("noise_ceiling", ">", 0.5, "not a single number"),
    ("partial_mantel.p", "<", 0.05, "is refused"),
    ("partial_mantel.caption", "<", 0.05, "does not exist"),
    ("spearman", ">", 1, "can never hold.*between -1 and 1"),
    ("spearman", ">=", -1, "always holds"),
    ("spearman", "<", 50, "always holds"),
    ("mantel_p", "<", 0.01, "can never hold.*0.01 and 1.*alignment.permutations"),
    ("mantel_p", "<=", 0.001, "can never hold"),
    ("mantel_p", "<", 0, "can never hold"),
    ("mantel_p", "<=", 1, "always holds"),
    ("stratified_mantel_p", "<", 0.05, "can never hold.*0.5 and 1"),  # a single cluster of two
    ("across_layers.family_wise_p", "<", 0.001, "can never hold"),
    ("per_prompt.share_above_0.5", ">", 50, "can never hold.*between 0 and 1"),
    ("noise_ceiling.rho_ceiling", ">", 1.1, "can never hold"),
    ("cka.linear", ">", 1, "can never hold"),
    ("spearman", "=>", 0.5, "none of >, >=, <, <="),
    ("spearman", ">", "0.5", "a text.*give a number"),
    ("spearman", ">", True, "true or false"),
]


@pytest.mark.parametrize(("statistic", "comparison", "threshold", "message"), GATES)
def test_malformed_gate(
    folder: Path, statistic: str, comparison: str, threshold: Any, message: str
) -> None:
    gate = {"statistic": statistic, "comparison": comparison, "threshold": threshold}
    assert re.search(message, refusal(lambda: read(changed("alignment.gates", [gate]))))


def test_gate_of_a_layer_that_is_not_compared(folder: Path) -> None:
    gate = {**CONFIG["alignment"]["gates"][0], "layer": 2}
    assert "names layer 2" in refusal(lambda: read(changed("alignment.gates", [gate])))


def test_gate_twice(folder: Path) -> None:
    gate = CONFIG["alignment"]["gates"][0]
    config = changed("alignment.gates", [gate, {**gate, "layer": 3}])
    assert "stands twice" in refusal(lambda: read(config))


@pytest.mark.parametrize(
    "gate",
    [
        ("mantel_p", "<=", 0.01),
        ("per_prompt.share_above_0.5", ">", 0.5),
        ("per_prompt.mantel_p.q1", "<", 0.05),
        ("cutoffs.ratio.8", ">=", 0.3),
        ("leave_out.poet.partial_joint", ">", 0),
        ("jackknife.values.nurse", ">", 0),
        ("mantel_null.quantiles.0.025", "<", 0),
        ("across_layers.family_wise_p", "<", 0.05),
        ("layer_curve.family_wise_p", "<", 0.05),
        ("noise_ceiling.rho_ceiling", ">", 0.9),
        ("bootstrap.dual.low", ">", 0),
        ("outcomes.difference.low", ">", 0),
    ],
)
def test_gates_that_mean_something_are_taken(folder: Path, gate: tuple[str, str, float]) -> None:
    keys = dict(zip(("statistic", "comparison", "threshold"), gate, strict=True))
    assert read(changed("alignment.gates", [keys])).remarks == ()


BOTH = CONFIG | {"rdm": IMPORTED}
MEDIAN = {"statistic": "per_prompt.median", "comparison": ">", "threshold": 0.2}
MEANT = [
    case(
        "every prediction holds", changed("alignment.top_k", 10), "no prediction will be evaluated"
    ),
    case("all are left out", changed("alignment.leave_out", NAMES[:-1]), "the jackknife does"),
    case("a cutoff of everything", changed("divergence.cutoffs", [64]), "repeat the whole resp"),
    case("keys without effect", BOTH, "so generation and model and divergence.cutoffs changes"),
    case(
        "a gate without prompts",
        BOTH | {"alignment": CONFIG["alignment"] | {"gates": [MEDIAN]}},
        "per_prompt.median will not be evaluated.*divergences of single prompts",
    ),
    case(
        "a covariate like an RDM",
        BOTH,
        "orders the pairs .* as cosine.json, layer_1, .* js.tsv does",
    ),
    case(
        "gates that exclude each other",
        changed(
            "alignment.gates",
            [
                {"statistic": "spearman", "comparison": ">", "threshold": 0.5},
                {"statistic": "spearman", "comparison": "<", "threshold": 0.3},
            ],
        ),
        "gates on spearman at layer 3 cannot both pass: one asks for > 0.5, the other for < 0.3",
    ),
    case(
        "an RDM against itself",
        CONFIG
        | {
            "rdm": {"cosine": {"file": "js.tsv"}, "js": {"file": "js.tsv"}},
            "geometry": {"layers": [3], "headline_layer": 3},
        },
        "compared with itself",
    ),
]


@pytest.mark.parametrize(("config", "remark"), MEANT)
def test_what_may_be_meant_is_remarked_on(
    folder: Path, config: dict[str, Any], remark: str
) -> None:
    assert re.search(remark, " ".join(read(config).remarks))


def test_merged_config_files_say_what_came_from_where(folder: Path) -> None:
    Path("base.yaml").write_text(yaml.safe_dump(CONFIG))
    Path("more.yaml").write_text("anchor: poet\nexecution: {device: cpu}\nstudy: s\n")
    assert check_config_files(["base.yaml"]) == []
    assert check_config_files(["base.yaml", "more.yaml"]) == [
        "more.yaml is merged key by key into base.yaml: it changes anchor, adds "
        "execution.device, and leaves every other key as it was."
    ]


def test_the_table_of_malformed_inputs_is_long() -> None:
    assert len(KEYS) + len(YAML) + len(TABLES) + len(RDMS) + len(GATES) >= 200
