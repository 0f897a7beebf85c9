"""A page put together: template, style, charts and numbers in one file, and then linted."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from persona_geometry.report.claims import claim
from persona_geometry.report.counts import counted
from persona_geometry.report.described import meanings
from persona_geometry.report.page import between, lint, sections
from persona_geometry.report.page.prose import LIBRARY, html
from persona_geometry.report.sourced import listed, plain, sourced
from persona_geometry.report.summary import over_all
from persona_geometry.report.text import count, divergence_name, interval, number, p_value, words

CHARTS = "vendor/plotly-cartesian.min.js"
"""The plotting library, as its publisher built it; vendor/README.md says which and why."""


def render_study(sources: Mapping[str, Any], charts: Mapping[str, Any]) -> str:
    """The page of a study.

    Args:
        sources: content of alignment.json, run.json, "study" (the study with every default, its
            tables and what its config's keys mean) and "responses" by prompt.
        charts: what the charts show (`explore`), as JSON.

    Raises:
        UnfoundedReport: the page would say what its sources do not.
    """
    known = {**sources, "library": LIBRARY}
    named = {name: sourced(content, name) for name, content in known.items()}
    alignment, run, study = (named[name] for name in ("alignment.json", "run.json", "study"))
    responses = named["responses"]
    divergence = study["divergence"]["name"] or divergence_name(alignment)
    page = (
        _environment(known)
        .get_template("study.html.j2")
        .render(
            alignment=alignment,
            run=run,
            study=study,
            responses=responses,
            layer=sections.headline(alignment),
            answer=list(sections.answer(alignment, study["model_title"], divergence)),
            reasons=sections.reasons(alignment),
            agreement=list(sections.agreement(alignment)),
            confounds=list(sections.confounds(alignment)),
            decoupling=list(sections.decoupling(alignment)),
            caveats=list(sections.caveats(alignment, study, run, responses)),
            statistics=sections.STATISTICS,
            over=sections.OVER,
            layers_over=over_all(of["intervals"] for of in alignment["layers"].values()),
            contrasts_over=over_all(alignment["across_layers"]["contrasts"]),
            divergence=divergence,
            charts=script(charts),
            **_assets("study"),
        )
    )
    lint.check(page, plain(named))
    return page


def render_comparison(sources: Mapping[str, Any], charts: Mapping[str, Any]) -> str:
    """The page of a comparison of studies.

    Args:
        sources: content of comparison.json, of the comparison's run.json, and "runs", the run.json
            of every measured study.
        charts: what the charts show (`comparison_charts`), as JSON.

    Raises:
        UnfoundedReport: the page would say what its sources do not.
    """
    meant = {section: meanings(section) for section in ("comparison", "criterion")}
    known = {**sources, "meanings": meant, "library": LIBRARY}
    named = {name: sourced(content, name) for name, content in known.items()}
    comparison, run, runs = (named[name] for name in ("comparison.json", "run.json", "runs"))
    page = (
        _environment(known)
        .get_template("comparison.html.j2")
        .render(
            comparison=comparison,
            run=run,
            runs=runs,
            meanings=named["meanings"],
            answer=list(between.answer(comparison)),
            bounds=between.BOUNDS,
            depths=between.by_depth(comparison),
            second_orders=list(between.second_orders(comparison)),
            decoupling=list(between.decoupling(comparison)),
            common_pairs=between.common_pairs(comparison),
            caveats=list(between.caveats(comparison, runs)),
            settings=between.settings(comparison),
            charts=script(charts),
            **_assets("comparison"),
        )
    )
    lint.check(page, plain(named))
    return page


def script(content: Any) -> Markup:
    """JSON that can stand in a script element."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


def shown(value: Any) -> Any:
    """A setting as a person would write it."""
    if isinstance(value, Mapping):
        return listed(f"{name}: {shown(inner)}" for name, inner in value.items()) or "none"
    if isinstance(value, list):
        separator = "; " if any(isinstance(inner, list) for inner in value) else ", "
        return listed(map(shown, value), separator) or "none"
    if value is None or value == "":
        return "none"
    return ("yes" if value else "no") if isinstance(value, bool) else value


def _environment(sources: Mapping[str, Any]) -> Environment:
    environment = Environment(
        loader=PackageLoader("persona_geometry.report.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: html(value, sources),
    )
    environment.filters |= {
        "number": number,
        "interval": interval,
        "p": p_value,
        "words": words,
        "listed": listed,
        "shown": shown,
        "claim": lambda on, kind: claim(kind, on),
        "counted": lambda of, kind: counted(kind, of),
        "count": count,
        "plain": lambda value: Markup(escape(plain(value))),
        "joined": "; ".join,
        "g": lambda value: f"{value:g}",
        "key": lambda value: str(int(value)),
        "signed": lambda value: number(None) if value is None else f"{value:z.2f}",
    }
    return environment


@cache
def _assets(kind: str) -> dict[str, Markup]:
    """Style, script and plotting library, as a page of a kind holds them."""
    room = files("persona_geometry.report.page")

    def read(path: str) -> Markup:
        return Markup(room.joinpath(path).read_text(encoding="utf-8"))

    return {
        "style": read("templates/page.css"),
        "code": read("templates/page.js") + read(f"templates/{kind}.js"),
        "plotly": read(CHARTS),
    }
