"""Values that know the file and field they were read from, and text that marks where each stands.

A page is rendered from sourced content, so that whatever a sentence interpolates carries its source
into the text: `f"{value:.2f}"` of a sourced number is the digits between marks. The summary is made
by the same sentences from plain content, and has no marks.
"""

from collections.abc import Iterable, Mapping
from typing import Any

OPEN, KIND, TEXT, CLOSE = "\ue000", "\ue001", "\ue002", "\ue003"
"""What surrounds a marked text: OPEN source KIND kind TEXT text CLOSE. None stands in any text."""

_NO_MARKS = str.maketrans(dict.fromkeys((OPEN, KIND, TEXT, CLOSE), "\ufffd"))


class SourcedFloat(float):
    """A number of a file; it is formatted with its source."""

    source: str
    kind: str

    def __format__(self, spec: str) -> str:
        return mark(float(self).__format__(spec), self)


class SourcedInt(int):
    """A whole number of a file; it is formatted with its source."""

    source: str
    kind: str

    def __format__(self, spec: str) -> str:
        return mark(int(self).__format__(spec), self)


class SourcedText(str):
    """A text of a file; it is formatted with its source."""

    source: str
    kind: str

    def __format__(self, spec: str) -> str:
        return mark(str(self).__format__(spec), self)


class SourcedList(list[Any]):
    """A list of a file, of sourced values."""

    source: str


class SourcedDict(dict[Any, Any]):
    """An object of a file, of sourced names and values."""

    source: str


def sourced(content: Any, source: str) -> Any:
    """Content of a JSON file in which every value knows its place.

    Args:
        content: as `json.loads` gives it.
        source: the file's name, then "#" and a JSON pointer to the content.

    Returns:
        The same content: what compares equal, counts and sorts still does.
    """
    source = source if "#" in source else f"{source}#"
    if isinstance(content, Mapping):
        entries = SourcedDict()
        for name, value in content.items():
            place = f"{source}/{_escaped(name)}"
            key = sourced(name, place)
            key.kind = "name"
            entries[key] = sourced(value, place)
        return _put(entries, source)
    if isinstance(content, list | tuple):
        values = [sourced(value, f"{source}/{place}") for place, value in enumerate(content)]
        return _put(SourcedList(values), source)
    if isinstance(content, str):
        return _put(SourcedText(content.translate(_NO_MARKS)), source)
    if isinstance(content, bool) or content is None:
        return content
    return _put(SourcedInt(content) if isinstance(content, int) else SourcedFloat(content), source)


def plain(content: Any) -> Any:
    """Sourced content without its sources."""
    if isinstance(content, Mapping):
        return {str(name): plain(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [plain(value) for value in content]
    for kind, bare in ((SourcedFloat, float), (SourcedInt, int), (SourcedText, str)):
        if isinstance(content, kind):
            return bare(content)
    return content


def mark(text: str, of: Any, kind: str = "") -> str:
    """A text between marks that name the source of a value; of a plain value the text alone."""
    source = getattr(of, "source", None)
    if source is None:
        return text
    return f"{OPEN}{source}{KIND}{kind or getattr(of, 'kind', '')}{TEXT}{text}{CLOSE}"


def listed(values: Iterable[Any], separator: str = ", ") -> str:
    """Values one after another, each with its source."""
    return separator.join(f"{value}" for value in values)


def resolve(sources: Mapping[str, Any], source: str) -> Any:
    """What stands at a source.

    Args:
        sources: the content of each file.
        source: the name of one of them, "#" and a JSON pointer.

    Raises:
        LookupError: nothing stands there.
    """
    value = sources[source.partition("#")[0]]
    for step in steps(source):
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


def steps(source: str) -> list[str]:
    """The names on the way to a source, from its file inward."""
    pointer = source.partition("#")[2]
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def _put(value: Any, source: str) -> Any:
    value.source = source
    return value


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
