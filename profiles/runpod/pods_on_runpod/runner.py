"""What a pod executes: one Snakemake job script from the shared volume, and then its own end.

The pod ends itself when the job has ended, when its deadline has passed, and when its job was
cancelled, without help from the machine that asked for it. It needs Python and no packages, and
no other clock than its own: the deadline is so many minutes after the start.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from .api import Client, NotNow, RunPodError
from .records import Record

# A pod has a key of its own; a secret of the account may take its place.
KEYS = ("PERSONA_GEOMETRY_API_KEY", "RUNPOD_API_KEY")
GRACE_SECONDS = 3.0
# How long to keep asking for one's own deletion before giving up and exiting. Whether that stops
# the GPU's meter is not published; it leaves the pod in the account's list.
DELETE_SECONDS = 1800.0


class Stopped(Exception):
    """RunPod is stopping the container."""


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped


def run(record: Record, poll_seconds: float) -> str | None:
    """Run the record's job script; return why it failed, or None.

    The job's output goes to the record's log, and its environment has no key.
    """
    environment = {name: value for name, value in os.environ.items() if name not in KEYS}
    end = time.monotonic() + 60 * record.request()["minutes"]
    with record.log.open("ab") as log:
        job = subprocess.Popen(
            ["/bin/sh", str(record.script)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            process_group=0,
        )
        try:
            while job.poll() is None:
                if record.cancelled():
                    return "it was cancelled"
                if time.monotonic() > end:
                    return "its deadline passed"
                with contextlib.suppress(subprocess.TimeoutExpired):
                    job.wait(poll_seconds)
        except Stopped:
            return "RunPod stopped the pod"
        finally:
            _end(job)
    return None if job.returncode == 0 else f"the job script ended with {job.returncode}"


def _end(job: subprocess.Popen[bytes]) -> None:
    for number, patience in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, None)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(job.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            job.wait(patience)


def delete_self(pod: str, clients: list[Client]) -> None:
    """Delete this pod, trying every way in turn until one succeeds or time is up."""
    end, pause = time.monotonic() + DELETE_SECONDS, 1.0
    while True:
        wait = pause
        for client in clients:
            try:
                client.delete(pod)
                return
            except RunPodError as error:
                print(error, file=sys.stderr, flush=True)
                if isinstance(error, NotNow):
                    wait = max(wait, error.wait)
        _runpodctl(pod)
        # A pod that waits is paid for: one that may not ask any more before the end ends now.
        if time.monotonic() + wait > end:
            return
        time.sleep(wait)
        pause = min(2 * pause, 60.0)


def _runpodctl(pod: str) -> None:
    """Let RunPod's own tool delete the pod: it has another key and other limits than the API."""
    # Verb and noun changed places between its versions.
    for words in (("remove", "pod"), ("pod", "delete")):
        if tool := shutil.which("runpodctl"):
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run([tool, *words, pod], stdin=subprocess.DEVNULL, timeout=60)


def main(folder: str) -> None:
    """Entry point in a pod: `folder` is the job's record on the shared volume."""
    signal.signal(signal.SIGTERM, _stop)
    pod, api = os.environ["RUNPOD_POD_ID"], os.environ["PERSONA_GEOMETRY_RUNPOD_API"]
    keys = [os.environ[name] for name in KEYS if os.environ.get(name)]
    clients = [Client(api, key, retry_seconds=0.0) for key in keys]
    record = Record(Path(folder))
    try:
        if record.result() is None and record.claim(pod):
            record.finish(run(record, float(os.environ["PERSONA_GEOMETRY_POLL_SECONDS"])))
        elif record.claimed_by() == pod:
            # The first start left no result, or it has one, which stays.
            record.finish("the pod's container was started twice")
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        delete_self(pod, clients)
