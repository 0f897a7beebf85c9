"""What SLURM knows of jobs, and what follows from it."""

import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

ANSWER_SECONDS = 60.0
FAILED = ("CANCELLED", "DEADLINE", "FAILED", "OUT_OF_MEMORY", "TIMEOUT")
NODE_FAILED = ("NODE_FAIL", "BOOT_FAIL")
TAKEN_AWAY = ("PREEMPTED", "REVOKED", *NODE_FAILED)
# After so many failures of its nodes a job may be what brings them down: the next one is its own.
FORGIVEN_NODES = 3
# A job that goes back to the queue may be seen in one of those states on its way.
REQUEUE_SECONDS = 30.0
# Reasons of a queue that moves.
ORDINARY = ("", "None", "Priority", "Resources", "BeginTime", "Cleaning", "Prolog")

Verdict = Literal["done", "failed", "taken away", "waiting", "active"]


@dataclass(frozen=True)
class Seen:
    """A job's state, in SLURM's long words, and why it waits, if it does."""

    state: str
    reason: str = ""

    def verdict(self, seconds: float, nodes_failed: int = 0) -> Verdict:
        """What to do about a job that has been seen so for some seconds.

        Args:
            nodes_failed: how often its nodes have failed before.
        """
        if self.state == "COMPLETED":
            return "done"
        if self.state in FAILED:
            return "failed"
        if self.state in TAKEN_AWAY and seconds >= REQUEUE_SECONDS:
            forgiven = self.state not in NODE_FAILED or nodes_failed < FORGIVEN_NODES
            return "taken away" if forgiven else "failed"
        return "waiting" if self.state == "PENDING" else "active"


def queued(run: str) -> list[str]:
    """The question for all jobs of a run that SLURM's controller remembers."""
    return ["squeue", "--noheader", "--states=all", f"--name={run}", "--format=%i|%T|%r"]


def accounted(jobs: Iterable[str]) -> list[str]:
    """The question for jobs by number, finished long ago or not."""
    return [
        *("sacct", "--noheader", "--parsable2", "--allocations", "--format=JobIDRaw,State"),
        f"--jobs={','.join(jobs)}",
    ]


def ask(question: Sequence[str]) -> dict[str, Seen] | str:
    """Jobs by number or, where the question was refused, why."""
    rows = _rows(question)
    if isinstance(rows, str):
        return rows
    # "CANCELLED by 1000"
    return {job: Seen(state.split()[0], reason) for job, state, reason in rows}


def commented(run: str) -> dict[str, str] | str:
    """The comments of a run's jobs by number or, where SLURM does not answer, why."""
    rows = _rows(["squeue", "--noheader", "--states=all", f"--name={run}", "--format=%i|%T|%k"])
    return rows if isinstance(rows, str) else {job: comment for job, _, comment in rows}


def _rows(question: Sequence[str]) -> list[tuple[str, str, str]] | str:
    """Number, state and a third word of jobs or, where the question was refused, why."""
    try:
        ran = subprocess.run(
            question, capture_output=True, text=True, errors="replace", timeout=ANSWER_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if ran.returncode != 0:
        return f"{question[0]}: {ran.stderr.strip() or f'exit status {ran.returncode}'}"
    rows = []
    for line in ran.stdout.splitlines():
        job, state, third = (part.strip() for part in (*line.split("|"), "", "")[:3])
        if job and state:
            rows.append((job, state, third))
    return rows


def ask_both(run: str, jobs: Sequence[str], accounting: bool) -> tuple[dict[str, Seen], str]:
    """What squeue says of jobs, and sacct of those that squeue does not know (any more).

    Returns:
        Jobs by number, and why a question was refused, if one was.
    """
    seen = ask(queued(run))
    refused = seen if isinstance(seen, str) else ""
    known = {} if isinstance(seen, str) else seen
    unknown = [job for job in jobs if job not in known]
    if unknown and accounting:
        also = ask(accounted(unknown))
        if isinstance(also, str):
            return known, also
        return known | also, refused if set(unknown) - set(also) else ""
    return known, refused
