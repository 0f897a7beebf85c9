"""Lines that a person sees while a job runs, and finds again in its log."""

import contextlib
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from persona_geometry.errors import InputError


@contextlib.contextmanager
def job_log(path: str | None) -> Iterator[Callable[[str], None]]:
    """Give a function that reports a line to the terminal and to a log file.

    An `InputError` ends the process with its one sentence; any other error keeps its traceback,
    in the log too.
    """
    with contextlib.ExitStack() as stack:
        file = None
        if path:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(open(path, "a", encoding="utf-8", buffering=1))

        def report(line: str) -> None:
            print(line, file=sys.stderr, flush=True)
            if file:
                file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")

        try:
            yield report
        except InputError as error:
            report(f"Error: {error}")
            raise SystemExit(1) from None
        except Exception:
            if file:
                traceback.print_exc(file=file)
            raise
