"""Writing files so that one that exists is whole, and reading what was written.

Every file that the workflow makes is written beside its place and renamed into it.
"""

import hashlib
import io
import json
import os
import uuid
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persona_geometry.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

TEMPORARY = ".*.tmp"
"""What a file is called while it is written; one that stays was left by a killed process."""


def write_atomically(path: str | Path, content: bytes) -> None:
    """Write a file so that it exists whole or not at all, also when the disk is full."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
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
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    write_atomically(path, stream.getvalue())


def read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """Read the arrays of an npz file that the workflow wrote.

    Raises:
        InputError: the file is missing or is not an npz file.
    """
    try:
        with np.load(path) as stored:
            return dict(stored)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; run the workflow to make it.") from None
    except (ValueError, OSError, EOFError, zipfile.BadZipFile):
        raise InputError(f"{path} is damaged; remove it and run the workflow again.") from None


def write_table(path: str | Path, table: "pd.DataFrame", index: bool = False) -> None:
    """Write a table as tab-separated text; what is not there is NA."""
    write_text(path, table.to_csv(sep="\t", index=index, na_rep="NA"))


def sha256(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
