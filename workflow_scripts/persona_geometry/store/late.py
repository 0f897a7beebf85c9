"""What a node has written to a shared store, and another machine does not see yet."""

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from persona_geometry.errors import InputError

SECONDS = "PERSONA_GEOMETRY_LATE_SECONDS"
"""The variable that says how late files may show that jobs on other machines wrote."""
PAUSE = 1.0

T = TypeVar("T")


def patiently(read: Callable[[], T], receipts: Iterable[str | Path]) -> T:
    """What is read of a store, waiting for files that receipts certify and that may be under way.

    Storage that machines share may show a receipt before what it certifies. Where `SECONDS` is not
    set, and of receipts that are older than that, nothing is waited for.

    Args:
        read: raises an InputError where something is missing.
        receipts: those that certify what is read.

    Raises:
        InputError: that of the last attempt.
    """
    written = max(Path(receipt).stat().st_mtime for receipt in receipts)
    until = written + float(os.environ.get(SECONDS, 0))
    while True:
        try:
            return read()
        except InputError:
            if time.time() >= until:
                raise
        time.sleep(PAUSE)
