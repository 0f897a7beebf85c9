"""What a page may not say: a numeral without a source, or a verb that its result does not bear.

Whatever a page takes from a file stands in an element that names the file and field
(`data-source="alignment.json#/layers/3/spearman"`). Outside of such elements a page may hold
neither a numeral nor a verb of `claims.VERBS`, but in a question; inside, the text must be what the
field says: the number to the digits written, the same words, or the claim that the field bears.
"""

import math
import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from typing import Any

from persona_geometry.report.claims import CLAIMS, VERBS
from persona_geometry.report.counts import COUNTS
from persona_geometry.report.sourced import resolve, steps
from persona_geometry.report.text import SUPERSCRIPT
from persona_geometry.rsa.power import statement

SILENT = {"script", "style"}
VOID = {"meta", "br", "hr", "img", "input", "link", "col", "wbr"}
BLOCKS = {
    *("p", "li", "td", "th", "caption", "figcaption", "h1", "h2", "h3", "h4", "dt", "dd", "div"),
    *("summary", "label", "button", "title", "option", "section", "table", "tr", "ul", "nav"),
    *("main", "header", "footer", "figure", "details", "blockquote", "pre", "noscript", "a"),
}
SPOKEN = ("alt", "title", "aria-label", "aria-description", "placeholder", "summary")
"""Attributes that are read to someone."""

_LABEL = re.compile(r"\b(Result|Figure|Table) \d+\b")
_STATEMENT = re.compile(r"^(?P<layer>.*)/stratified_power/statement$")


class UnfoundedReport(ValueError):
    """A report says what its sources do not."""


def check(html: str, sources: Mapping[str, Any]) -> None:
    """Refuse a page that says what its sources do not.

    Args:
        html: the page.
        sources: the content of each file that the page names as a source.

    Raises:
        UnfoundedReport: with a line for everything found.
    """
    if found := complaints(html, sources):
        raise UnfoundedReport("The report is not written:\n" + "\n".join(found))


def complaints(html: str, sources: Mapping[str, Any]) -> list[str]:
    """What is wrong with a page, a sentence each."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    reader.flush()
    found = []
    for text in reader.loose:
        if numeral := re.search(r"\S*\d\S*", _LABEL.sub("", text)):
            found.append(f"The numeral '{numeral[0]}' has no source: {_short(text)}")
        for sentence in re.split(r"(?<=[.?!:;])\s+", text):
            verb = VERBS.search(sentence)
            if verb and not sentence.rstrip().endswith("?"):
                found.append(f"'{verb[0]}' claims something of no result: {_short(sentence)}")
    for attributes, text in reader.marked:
        found += _unfit(attributes, " ".join(text.split()), sources)
    return found


def _unfit(
    attributes: Mapping[str, str | None], text: str, sources: Mapping[str, Any]
) -> Iterator[str]:
    """What is wrong with a marked text."""
    source = attributes["data-source"] or ""
    try:
        value = resolve(sources, source)
    except (LookupError, ValueError, TypeError):
        yield f"'{_short(text)}' names the source {source}, where nothing is."
        return
    if kind := attributes.get("data-claim"):
        said = CLAIMS[kind](value) if kind in CLAIMS else "nothing of the kind"
        if text != said:
            yield f"'{_short(text)}' is claimed of {source}, which says: {said}"
    elif kind := attributes.get("data-count"):
        counted = COUNTS[kind](value) if kind in COUNTS else None
        if text.replace(",", "") != str(counted):
            yield f"'{text}' is not the count of {source}, which is {counted}."
    elif "data-name" in attributes:
        if text.replace(",", "") not in _written(steps(source)[-1]):
            yield f"'{text}' is not the name of {source}."
    elif isinstance(value, bool | None) or not isinstance(value, int | float):
        yield from _unfit_text(text, value, source, sources)
    elif not _rounds_to(text, float(value)):
        yield f"'{text}' is not {value!r}, which stands at {source}."


def _unfit_text(text: str, value: Any, source: str, sources: Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(value, str) or text not in _written(" ".join(value.split())):
        yield f"'{_short(text)}' is not what stands at {source}."
    if found := _STATEMENT.match(source):
        layer = resolve(sources, found["layer"])
        if value != statement(layer["stratified_power"], layer["stratified_mantel_p"]):
            yield f"The statement at {source} is not that of its result and power."


def _written(text: str) -> tuple[str, str]:
    return text, text.replace("_", " ")


def _rounds_to(text: str, value: float) -> bool:
    """Whether a written number is a value to the digits that are written."""
    shown = _number(text)
    if shown is None:
        return False
    number, unit = shown
    return math.isclose(number, value, rel_tol=1e-9, abs_tol=unit / 2 * (1 + 1e-6))


def _number(text: str) -> tuple[float, float] | None:
    """A written number, and the unit of its last digit."""
    form = r"(-?[\d,]+(?:\.(\d+))?)(?:e([+-]?\d+)| × 10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+))?( ?%?)"
    found = re.fullmatch(form, text.replace("−", "-"))
    if not found:
        return None
    raised = found[4].translate(_PLAIN_POWERS) if found[4] else found[3] or "0"
    scale = 10.0 ** int(raised) / (100 if found[5] else 1)
    return float(found[1].replace(",", "")) * scale, scale * 10.0 ** -len(found[2] or "")


_PLAIN_POWERS = {after: before for before, after in SUPERSCRIPT.items()}


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 160 else f"{text[:150]}…"


class _Reader(HTMLParser):
    """The texts of a page: of each block what stands outside of marks, and every marked text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.loose: list[str] = []
        self.marked: list[tuple[dict[str, str | None], str]] = []
        self._block: list[str] = []
        self._silent = 0
        self._open: list[str] = []  # the tags inside of the open mark, itself first

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.loose += [text for name in SPOKEN if (text := attributes.get(name))]
        if tag == "meta" and attributes.get("name") == "description":
            self.loose.append(attributes.get("content") or "")
        if tag in SILENT:
            self._silent += 1
        if tag in BLOCKS and not self._open:
            self.flush()
        if self._open and tag not in VOID:
            self._open.append(tag)
        elif "data-source" in attributes:
            self._open = [tag]
            self.marked.append((attributes, ""))

    def handle_endtag(self, tag: str) -> None:
        if tag in SILENT:
            self._silent -= 1
        elif self._open and tag == self._open[-1]:
            self._open.pop()
            if not self._open:
                self._block.append("∎")
        elif tag in BLOCKS and not self._open:
            self.flush()

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        if self._open:
            attributes, text = self.marked[-1]
            self.marked[-1] = attributes, text + data
        else:
            self._block.append(data)

    def flush(self) -> None:
        """End a block of text."""
        text = "".join(self._block).strip()
        if text:
            self.loose.append(text)
        self._block = []
