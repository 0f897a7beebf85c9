"""Reading the text files that people write: configs, tables and RDMs."""

import re
import unicodedata
from pathlib import Path

from persona_geometry.errors import InputError

# Control characters but tab and line feed, Unicode's own line ends, and marks without width or of
# direction; those that join letters (U+200C, U+200D) are part of some scripts.
_UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?(nan|inf(inity)?)", re.ASCII | re.I)


def unseen(text: str, lines: bool = False) -> str | None:
    """The first character of a text that cannot be seen, or is no character; None without one.

    Args:
        text: the text.
        lines: whether it may have several lines.
    """
    found = _UNSEEN.search(text) or re.search("[\ud800-\udfff]", text)
    if not found and not lines:
        found = re.search(r"[\t\n]", text)
    return found[0] if found else None


def alike(name: str) -> str:
    """What names share that a file system or a reader may take for one: case, composed accents."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def parse_number(text: str) -> float:
    """A number as tables write one.

    Raises:
        ValueError: anything else, also what Python alone would take for one, as 1_000.
    """
    if not _NUMBER.fullmatch(text.strip()):
        raise ValueError(text)
    return float(text)


def read_bytes(path: str | Path) -> bytes:
    """The content of a file that a config names.

    Raises:
        InputError: nothing is there, or a folder, or something that cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; correct the path in the config.") from None
    except IsADirectoryError:
        raise InputError(
            f"'{path}' is a folder where a file belongs; name a file in the config."
        ) from None
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); correct its path or its permissions."
        ) from None
    except ValueError:
        raise InputError(f"{str(path)!r} cannot be a path; correct it in the config.") from None


def read_text(path: str | Path) -> str:
    """Read UTF-8 text, with or without a byte order mark.

    Raises:
        InputError: as `read_bytes`, or another encoding.
    """
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text; save it as UTF-8.") from None


def read_lines(path: str | Path) -> list[str]:
    """The lines of a table. Only a line feed, or CR and LF, ends a line.

    Raises:
        InputError: as `read_text`, or a control character other than a tab.
    """
    lines = [line.removesuffix("\r") for line in read_text(path).split("\n")]
    for number, line in enumerate(lines, start=1):
        if found := _UNSEEN.search(line):
            name = unicodedata.name(found[0], "control character").lower()
            raise InputError(
                f"{path}, line {number}: character {found.start() + 1} is U+{ord(found[0]):04X} "
                f"({name}), which cannot be seen; remove it."
            )
    return lines
