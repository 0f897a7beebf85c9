"""Marked text as HTML: each mark an element that names its source."""

import re
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup, escape

from persona_geometry.report.counts import HALF
from persona_geometry.report.sourced import CLOSE, KIND, OPEN, TEXT, mark, resolve, sourced
from persona_geometry.report.text import number
from persona_geometry.rsa import intervals
from persona_geometry.rsa.significance import LEVEL

LIBRARY = {"interval": intervals.LEVEL, "level": LEVEL, "prompt": HALF}
"""Settings of the method that no study changes and that sentences name."""

_FIXED = (
    (re.compile(r"95 %(?= (?:interval|confidence))"), "interval"),
    (
        re.compile(
            r"(?<=[dt] )0\.05(?=, agreement)|(?<=discovery rate of )0\.05|(?<=is at most )0\.05"
        ),
        "level",
    ),
    (re.compile(r"(?<=(?:is|re) above )0\.5(?=\.)"), "prompt"),
)
_MARK = re.compile(f"{OPEN}([^{KIND}]*){KIND}([^{TEXT}]*){TEXT}([^{CLOSE}]*){CLOSE}")


def html(value: Any, sources: Mapping[str, Any]) -> Markup:
    """A value or a marked text, as HTML.

    Args:
        value: what a template writes: markup stays, and None is said in words.
        sources: the content of each file that marks name.
    """
    if isinstance(value, Markup):
        return value
    if value is None:
        return Markup(number(None))
    text = _with_fixed(f"{value}")
    parts, end = [], 0
    for found in _MARK.finditer(text):
        source, kind, shown = found.groups()
        parts += [escape(text[end : found.start()]), _element(source, kind, shown, sources)]
        end = found.end()
    return Markup("").join([*parts, escape(text[end:])])


def _with_fixed(text: str) -> str:
    """Text in which the settings of the method are marked too."""
    pieces = re.split(f"({OPEN}[^{CLOSE}]*{CLOSE})", text)
    of = sourced(LIBRARY, "library")
    for place in range(0, len(pieces), 2):
        for form, name in _FIXED:
            pieces[place] = form.sub(lambda m, n=name: mark(m[0], of[n]), pieces[place])
    return "".join(pieces)


def _element(source: str, kind: str, text: str, sources: Mapping[str, Any]) -> Markup:
    if kind.startswith("claim:"):
        form = '<span class="claim" data-claim="{}" data-source="{}">{}</span>'
        return Markup(form).format(kind.removeprefix("claim:"), source, text)
    if kind.startswith("count:"):
        form = '<data value="{}" data-count="{}" data-source="{}">{}</data>'
        plain = text.replace(",", "")
        return Markup(form).format(plain, kind.removeprefix("count:"), source, text)
    if kind == "name":
        return Markup('<span data-name data-source="{}">{}</span>').format(source, text)
    value = resolve(sources, source)
    if isinstance(value, int | float) and not isinstance(value, bool):
        form = '<data value="{}" data-source="{}">{}</data>'
        return Markup(form).format(repr(value), source, text)
    return Markup('<span data-source="{}">{}</span>').format(source, text)
