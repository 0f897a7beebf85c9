"""report.html of a study that has run, in a browser where there is one."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from persona_geometry.errors import InputError
from persona_geometry.rdms.divergences import token_stack
from persona_geometry.rdms.files import read_prompt_divergences
from persona_geometry.report.figures import study_figures
from persona_geometry.results import open_study

from .conftest import BROWSER, Workspace, browser

EMBEDDED = re.compile(r"^\s*var (results|categories|rules) = (\{.*\});$", re.MULTILINE)

KINDS = {"js": ["js"], "half_jeffreys": ["kl_first_second", "kl_second_first"]}

USE = """<script>
addEventListener("load", () => setTimeout(() => {
  const byId = (id) => document.getElementById(id), said = [];
  const key = (id, name) => byId(id).dispatchEvent(new KeyboardEvent("keydown", { key: name }));
  const select = (id, value) => {
    byId(id).value = value; byId(id).dispatchEvent(new Event("change"));
  };
  select("layer", "0"); said.push(byId("rho").textContent);
  select("cutoff", "8"); said.push(byId("rho").textContent);
  key("heatmap-right", "ArrowDown"); said.push(byId("pointed").textContent);
  key("heatmap-right", "Enter"); said.push(byId("chosen").textContent);
  key("scatter", "ArrowRight"); said.push(byId("pointed").textContent);
  key("tokens", "ArrowRight"); said.push(byId("chosen").textContent);
  document.querySelector("#agreement thead button").click();
  said.push(document.querySelector("#agreement th[aria-sort]").getAttribute("aria-sort"));
  document.querySelectorAll(".token")[2].dispatchEvent(new Event("mouseover", { bubbles: true }));
  said.push(byId("words").textContent);
  document.title = said.join("|");
}, 500));
</script>"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, random_model: Path) -> Workspace:
    study = Workspace(tmp_path_factory.mktemp("study"), random_model)
    study.config["scoring"] = {"top_tokens": 2}
    study.output = study.run()
    return study


def page(study: Workspace) -> str:
    return study.result("report.html").read_text()


def test_a_study_ends_with_a_page_and_says_its_result(finished: Workspace) -> None:
    closing = r"^Study test: .*\nLayer 1: ρ = .*\nRead results/test/report\.html$"
    assert re.search(closing, finished.output, re.MULTILINE)
    assert "Study test: do hidden states and behavior agree?" in re.sub(
        r"<[^>]+>", "", page(finished)
    )
    assert finished.result("report.html").stat().st_size < 5_000_000


def test_top_tokens_are_published_and_the_likeliest_words_of_the_model(
    finished: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished.folder)
    study = open_study("results/test")
    top = study.top_tokens("q2", "poet")
    length = len(study.token_divergences("q2", "poet", "nurse"))
    assert list(top.columns) == ["token", "rank", "token_id", "probability"]
    assert len(top) == 2 * length and top["rank"].tolist() == [1, 2] * length
    assert top["probability"].between(0, 1).all()
    assert (top.groupby("token")["probability"].diff().dropna() <= 0).all()
    with pytest.raises(InputError, match="has no persona 'nobody'"):
        study.top_tokens("q2", "nobody")


def test_what_was_not_kept_is_scored_later_at_its_own_cost_and_removed_again(
    study: Workspace,
) -> None:
    stored = study.stored()
    study.config["scoring"] = {"top_tokens": 0}
    jobs = study.jobs()
    assert "teacher_force" not in jobs and "publish_top_tokens" not in jobs
    study.run()
    assert not study.result("top_tokens.npz").exists()
    assert "was not kept" in page(study)
    study.config["scoring"] = {"top_tokens": 3}
    jobs = study.jobs()
    assert (jobs["teacher_force"], jobs["publish_top_tokens"]) == (1, 1)
    study.run()
    assert study.stored() == stored
    assert study.jobs() == {}


def test_token_divergences_of_all_pairs_are_those_of_each(
    finished: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished.folder)
    study = open_study("results/test")
    prompt = read_prompt_divergences(finished.result("prompts/q2.npz"))
    for estimator, names in (
        ("js", ["js"]),
        ("half_jeffreys", ["kl_first_second", "kl_second_first"]),
    ):
        stack = token_stack(study.store, prompt, estimator)
        assert stack.shape == (5, 5, prompt.n_tokens)
        assert np.array_equal(stack, stack.transpose(1, 0, 2)) and not stack[2, 2].any()
        i, j = prompt.personas.index("poet"), prompt.personas.index("nurse")
        one = study.token_divergences("q2", "poet", "nurse")[names].mean(axis=1)
        assert np.allclose(stack[i, j], one, atol=1e-7)


def test_snakemake_reports_figures_with_their_numbers_tables_and_gpu_jobs(
    finished: Workspace,
) -> None:
    finished.run("--report", "report.html")
    shown = (finished.folder / "report.html").read_text()
    written = {name: json.loads(value) for name, value in EMBEDDED.findall(shown)}
    names = set(study_figures([0, 1], 1))
    assert written["categories"].keys() == {"Figures", "Tables", "Result"}
    of = {Path(path).name: entry for path, entry in written["results"].items()}
    assert {f"{name}.{ending}" for name in names for ending in ("png", "tsv")} < of.keys()
    assert {"report.html", "summary.html"} < of.keys()
    statistics = open_study(finished.result("")).statistics
    for layer, rho in statistics["spearman"].items():
        entry = of[f"scatter_layer_{layer}.png"]
        assert f"layer {layer}: ρ = {rho:.3f}" in " ".join(entry["caption"].split())
        assert entry["labels"]["layer"] == str(layer)
    assert {"teacher_force", "align", "plot_figures"} < written["rules"].keys()
    assert finished.jobs() == {}


@pytest.mark.skipif(BROWSER is None, reason="needs chromium, and none is installed here")
def test_a_browser_shows_and_prints_it_without_a_complaint(
    study: Workspace, tmp_path: Path
) -> None:
    used = tmp_path / "used.html"
    used.write_text(page(study).replace("</body>", f"{USE}</body>"))
    shown = browser(used, "--dump-dom")
    assert "CONSOLE" not in shown.stderr, shown.stderr
    title = re.search(r"<title[^>]*>(.*?)</title>", shown.stdout)
    assert title, shown.stdout[-500:]
    layer, cutoff, pointed, chosen, scattered, token, order, likely = title[1].split("|")
    assert layer.startswith("Layer 0, whole responses: ρ = ")
    assert cutoff.startswith("Layer 0, first 8 tokens: ρ = ")
    assert pointed == chosen and "cosine distance" in pointed and "nats (rank" in pointed
    assert "(rank 1 of 6)" in scattered
    assert re.match(r"Token 1 of \d+, “.*”: about .* Likeliest here, \w+: “.*” [\d.]+ %", token)
    assert order == "ascending" and len(re.findall(r"[\d.]+ %", likely)) == 4
    assert shown.stdout.count('class="main-svg"') >= 5
    printed = browser(used, f"--print-to-pdf={tmp_path / 'page.pdf'}")
    assert (tmp_path / "page.pdf").stat().st_size > 50_000, printed.stderr
