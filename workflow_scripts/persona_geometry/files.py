"""Writing files so that one that exists is whole, and reading what was written.

Every file that the workflow makes is written beside its place and renamed into it.
"""

import hashlib
import json
import math
import os
import struct
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from persona_geometry.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

_CHUNK = 2**20
_NAME_LENGTHS = 26  # of a zip member's name and extra field, in its local header
TEMPORARY = ".*.tmp"
"""What a file is called while it is written; one that stays was left by a killed process."""


def write_atomically(path: str | Path, content: bytes) -> None:
    """Write a file so that it exists whole or not at all, also when the disk is full."""
    with _whole_or_not(path) as stream:
        stream.write(content)


@contextmanager
def _whole_or_not(path: str | Path) -> Iterator[BinaryIO]:
    """A stream to a file beside its place, which it takes when all is written."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text."""
    write_atomically(path, text.encode())


def write_json(path: str | Path, content: Any, indent: int | None = None) -> None:
    """Write JSON that every reader understands.

    Raises:
        ValueError: a number that is not finite, for which JSON has no word.
    """
    text = json.dumps(content, indent=indent, ensure_ascii=False, allow_nan=False)
    write_text(path, text)


def read_json(path: str | Path) -> Any:
    """Read a JSON file that the workflow wrote.

    Raises:
        InputError: the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; run the workflow to make it.") from None
    except ValueError:
        raise InputError(f"{path} is damaged; remove it and run the workflow again.") from None


def write_arrays(path: str | Path, **arrays: Any) -> None:
    """Write named arrays as an npz file."""
    with _whole_or_not(path) as stream:
        np.savez(stream, **arrays)


def read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """Read the arrays of an npz file that the workflow wrote.

    Raises:
        InputError: the file is missing or is not an npz file.
    """
    with _explained(path), np.load(path) as stored:
        return dict(stored)


def read_array(path: str | Path, name: str) -> np.ndarray:
    """Read one of the arrays of an npz file that the workflow wrote.

    Raises:
        InputError: the file is missing or is not an npz file, or does not hold the array.
    """
    with _explained(path), np.load(path) as stored:
        array: np.ndarray = stored[name]
        return array


@contextmanager
def _explained(path: str | Path) -> Iterator[None]:
    """Name an npz file that is missing or damaged."""
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; run the workflow to make it.") from None
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile):
        raise InputError(f"{path} is damaged; remove it and run the workflow again.") from None


@dataclass(frozen=True)
class StoredArray:
    """An array that stays in its npz file: what stands at a place of its first axis is read on
    its own, when it is asked for."""

    path: Path
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, place: int) -> np.ndarray:
        size = math.prod(self.shape[1:]) * self.dtype.itemsize
        start = self.offset + range(len(self))[place] * size
        return np.memmap(self.path, self.dtype, "r", start, self.shape[1:]).view(np.ndarray)


def stored_array(path: str | Path, name: str) -> StoredArray:
    """An array of an npz file that `write_arrays` wrote, whose checksum is right.

    Raises:
        InputError: the file is missing or damaged, or does not hold the array.
    """
    with _explained(path):
        with zipfile.ZipFile(path) as archive:
            member = archive.getinfo(f"{name}.npy")
            with archive.open(member) as stream:
                form: Any = np.lib.format
                if member.compress_type or form.read_magic(stream) != (1, 0):
                    raise ValueError
                shape, by_column, dtype = form.read_array_header_1_0(stream)
                inner = stream.tell()
                while stream.read(_CHUNK):  # to the end, where the checksum is compared
                    pass
        if by_column:
            raise ValueError
        with Path(path).open("rb") as plain:
            plain.seek(member.header_offset + _NAME_LENGTHS)
            lengths = struct.unpack("<HH", plain.read(4))
            return StoredArray(Path(path), plain.tell() + sum(lengths) + inner, shape, dtype)


def write_table(path: str | Path, table: "pd.DataFrame", index: bool = False) -> None:
    """Write a table as tab-separated text; what is not there is NA."""
    write_text(path, table.to_csv(sep="\t", index=index, na_rep="NA"))


def sha256(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
