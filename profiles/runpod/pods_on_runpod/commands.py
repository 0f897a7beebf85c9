"""The commands of `profiles/runpod`, which Snakemake and people call."""

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from .api import RunPodError
from .jobs import PROFILE, RECORDS, Jobs, start_guard
from .records import Record
from .settings import SettingsError, read_settings


def _jobs() -> Jobs:
    return Jobs(read_settings(PROFILE / "settings.yaml"), Path.cwd())


def _plainly(command: Callable[[], object]) -> None:
    """Run a command; an expected failure is one sentence and exit status 1."""
    try:
        command()
    except (SettingsError, RunPodError) as error:
        sys.exit(str(error))


def submit(script: str) -> None:
    """Print the name of the job that was made of a job script."""
    # An interrupt of Snakemake arrives here too, and must not come between a pod and its record.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _plainly(lambda: print(_jobs().submit(Path(script))))


def status(name: str) -> None:
    """Print running, success or failed."""
    _plainly(lambda: print(_jobs().look(name)))


def cancel(names: list[str]) -> None:
    """Cancel jobs: their pods see the mark on the volume, and new guards delete them.

    Snakemake allows this two seconds, so that nothing here waits for RunPod.
    """
    records = [Record(Path.cwd() / RECORDS / name) for name in names]
    for record in records:
        record.cancel()
    for record in records:
        start_guard(record)


def guard(name: str) -> None:
    """Watch one job until its pod is gone."""
    _plainly(lambda: _jobs().guard(name))


def pods(arguments: list[str]) -> None:
    """List this project's living pods, or delete them all."""
    parser = argparse.ArgumentParser(prog="pods", description=pods.__doc__)
    parser.add_argument("--delete", action="store_true", help="delete every one of them")
    delete = parser.parse_args(arguments).delete

    def command() -> None:
        jobs = _jobs()
        for pod in jobs.living():
            if delete:
                jobs.client.delete(pod["id"])
            state = "deleted" if delete else pod["status"]
            cost = "price unknown" if pod["cost"] is None else f"{pod['cost']:.2f} USD/h"
            print(f"{pod['id']}\t{state}\t{cost}\t{pod['createdAt']}\t{pod['name']}")

    _plainly(command)
