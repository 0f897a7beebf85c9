"""What is known of a job, in a folder on the shared volume that its pod sees too."""

import contextlib
import fcntl
import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def locked(file: Path, patience: float = math.inf) -> Iterator[bool]:
    """Hold a lock file; yields whether it could be had within `patience` seconds."""
    with file.open("w") as handle:
        end = time.monotonic() + patience
        while not (had := _lock(handle.fileno())) and time.monotonic() < end:
            time.sleep(0.02)
        yield had


def _lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class Record:
    """One job: its script, the request for its pod, its log and its result.

    Every file is either written whole by a rename, or created exclusively, so that no reader on
    another machine sees half of one. No file ever has an API key.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.name = folder.name
        self.script = folder / "job.sh"
        self.log = folder / "pod.log"
        self.guarding = folder / "guard.lock"

    @classmethod
    def new(cls, folder: Path, script: str, **request: Any) -> "Record":
        """Start a record for a job script."""
        record = cls(folder)
        folder.mkdir(parents=True)
        record._write("job.sh", script)
        record._write("request.json", json.dumps(request))
        return record

    def request(self) -> dict[str, Any]:
        """What was asked for and what came of it: see `jobs` for the fields."""
        request: dict[str, Any] = json.loads((self.folder / "request.json").read_text())
        return request

    def note(self, **changes: Any) -> None:
        """Change fields of the request, between others that change some."""
        with locked(self.folder / "request.lock"):
            self._write("request.json", json.dumps(self.request() | changes))

    def claim(self, pod: str) -> bool:
        """Whether this pod is the one that runs the job: the first to ask is."""
        try:
            with (self.folder / "claim").open("x") as file:
                file.write(pod)
        except FileExistsError:
            return False
        return True

    def claimed_by(self) -> str | None:
        """The pod that runs the job, or None while none has started to."""
        try:
            return (self.folder / "claim").read_text()
        except FileNotFoundError:
            return None

    def finish(self, why: str | None) -> None:
        """Write the result: why the job failed, or None. The first result stays."""
        if self.result() is None:
            self._write("result.json", json.dumps({"failed": why, "time": time.time()}))

    def result(self) -> dict[str, Any] | None:
        """{"failed": why or null, "time": seconds} once the job has ended."""
        try:
            result: dict[str, Any] = json.loads((self.folder / "result.json").read_text())
            return result
        except FileNotFoundError:
            return None

    def cancel(self) -> None:
        """Ask the pod, and everyone who watches it, to end the job."""
        with contextlib.suppress(FileNotFoundError):
            (self.folder / "cancelled").touch()

    def cancelled(self) -> bool:
        return (self.folder / "cancelled").exists()

    def _write(self, name: str, text: str) -> None:
        draft = self.folder / f".{name}.{os.uname().nodename}.{os.getpid()}"
        draft.write_text(text)
        draft.replace(self.folder / name)
