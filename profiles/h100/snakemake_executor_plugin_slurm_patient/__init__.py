"""Snakemake's SLURM executor, for clusters that do not always answer.

Submission is that of snakemake-executor-plugin-slurm. This one differs where that one, as of 2.6.1,
loses jobs or waits without a word: it drops every job after five refused questions, waits for ever
for jobs that were preempted without being requeued, or cancelled under accounting, never says why a
job waits, and counts a refused sbatch as a failed job.
"""

import contextlib
import os
import shlex
import subprocess
import threading
import time
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snakemake_executor_plugin_slurm import Executor as SlurmExecutor
from snakemake_executor_plugin_slurm import ExecutorSettings as SlurmSettings
from snakemake_executor_plugin_slurm import common_settings
from snakemake_executor_plugin_slurm.submit_string import get_submit_command
from snakemake_executor_plugin_slurm.utils import get_job_wildcards, set_gres_string
from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

from .refusals import is_for_good, pauses, said
from .states import NODE_FAILED, ORDINARY, Seen, accounted, ask, ask_both, commented

__all__ = ["Executor", "ExecutorSettings", "common_settings"]

LONGEST_INTERVAL = 60
MENTION_SECONDS = 60.0
# How long a job must be unknown to everyone before its files decide.
FORGOTTEN_SECONDS = 120.0
# How late what a node has written may appear here; Snakemake's latency-wait comes on top.
LATE_SECONDS = 600.0
UNKNOWN = Seen("UNKNOWN")
CORRECT = "correct the account, the partition or the request in the profile"


@dataclass
class ExecutorSettings(SlurmSettings):
    """Those of the plugin, under this executor's name."""


class _Resources(dict[str, Any]):
    """Resources by name, as the plugin reads them."""

    __getattr__ = dict.__getitem__


class _KnownPart:
    """Of a job, what is known before the model is: not its memory, nor its time."""

    def __init__(self, job: Any) -> None:
        known = {name: value for name, value in job.resources.items() if str(value) != "<TBD>"}
        self.resources, self.threads = _Resources(known), job.threads

    def is_group(self) -> bool:
        return False


class Executor(SlurmExecutor):
    """Submits as the plugin does, and neither loses a job nor waits without a word."""

    def __post_init__(self, test_mode: bool = False) -> None:
        self._stopping = threading.Event()
        self._refused: dict[Any, str] = {}
        self._numbers: set[str] = set()
        self._nodes_failed: Counter[Any] = Counter()
        self._since: dict[str, tuple[Seen, float]] = {}
        self._mentioned: set[tuple[str, str]] = set()
        self._unanswered: float | None = None
        self._next_mention = MENTION_SECONDS
        self._accounting = False
        self._interval = 0
        super().__post_init__(test_mode)
        waiting = [job for job in self.dag.needrun_jobs() if not job.is_local]
        if waiting:
            self._accounting = self._has_accounting()
            self._check_request(waiting[0])

    # Before the first job

    def _has_accounting(self) -> bool:
        """Whether sacct answers; squeue alone is asked where it does not."""
        if self.workflow.executor_settings.status_command == "squeue":
            return False
        answer = ask(accounted(["1"]))
        if isinstance(answer, str):
            self.logger.warning(
                f"SLURM's accounting does not answer ({answer}): jobs are followed with squeue "
                f"alone."
            )
        return not isinstance(answer, str)

    def _check_request(self, job: Any) -> None:
        """Ask whether the cluster would take a job as far as it is known; run nothing.

        Raises:
            WorkflowError: it never will.
        """
        known = _KnownPart(job)
        params = {
            "run_uuid": self.run_uuid,
            "slurm_logfile": "/dev/null",
            "comment_str": "test",
            "account": next(self.get_account_arg(job)),
            "partition": self.get_partition_arg(job),
            "workdir": None,
        }
        request = get_submit_command(known, params, settings=self.workflow.executor_settings)
        request += f"{set_gres_string(known)} --test-only --wrap=true"
        ran = subprocess.run(shlex.split(request), capture_output=True, text=True, check=False)
        refusal = " ".join(ran.stderr.split())
        if ran.returncode and is_for_good(refusal):
            raise WorkflowError(
                f"SLURM would refuse the jobs of rule {job.name} ({refusal}): {CORRECT}. "
                f"What was asked: {request}"
            )
        if ran.returncode:
            self.logger.warning(f"SLURM does not say now whether it takes the jobs: {refusal}")

    def get_account_arg(self, job: Any) -> Iterator[str]:
        """The account as given; where none is, SLURM takes the user's default account."""
        account = job.resources.get("slurm_account")
        yield f" -A {shlex.quote(str(account))}" if account else ""

    def get_partition_arg(self, job: Any) -> str:
        """The partition as given, or by --partition-config; else SLURM takes its default."""
        chosen = job.resources.get("slurm_partition") or self._partitions
        return str(super().get_partition_arg(job)) if chosen else ""

    # Submission

    def run_jobs(self, jobs: list[Any]) -> None:
        for job in jobs:
            self.run_job_pre(job)
        super().run_jobs(jobs)

    def run_job(self, job: Any) -> None:
        """Submit a job; where sbatch is refused for now, again until it is taken."""
        self.logger.info(_described(job))
        refusal = self._submit(job)
        for pause in pauses():
            if not refusal:
                return
            self.logger.warning(
                f"SLURM does not take the job of rule {job.name} now ({refusal}); asking "
                f"again in {pause} s. This counts as no attempt."
            )
            if self._stopping.wait(pause):
                return
            refusal = self._submit_again(job)

    def _submit(self, job: Any) -> str:
        """Submit a job, or give it up; why neither could be done now, if so."""
        if self._stopping.is_set():
            return ""
        self._refused.pop(job, None)
        try:
            super().run_job(job)
        except Exception as error:  # which this thread would keep to itself
            self._give_up(job, str(error) or type(error).__name__)
            return ""
        refusal = said(self._refused.pop(job, ""))
        if is_for_good(refusal):
            self._give_up(
                job,
                f"SLURM refuses the job of rule {job.name} for good ({refusal}): {CORRECT}. ",
            )
            return ""
        return refusal

    def _submit_again(self, job: Any) -> str:
        """Submit a job once more, unless SLURM took it and only its answer was lost.

        A job has its run's name and a comment of its own. While SLURM does not say which jobs it
        has, nothing is submitted.
        """
        comments = commented(self.run_uuid)
        if isinstance(comments, str):
            return comments
        taken = [
            number
            for number, comment in comments.items()
            if comment == _comment(job) and number not in self._numbers
        ]
        if not taken:
            return self._submit(job)
        log = self.slurm_logdir / f"rule_{job.name}" / get_job_wildcards(job) / f"{taken[0]}.log"
        self.logger.info(
            f"Job {job.jobid} had been submitted with SLURM jobid {taken[0]} after all, though "
            f"sbatch was not told (log: {log})."
        )
        info = SubmittedJobInfo(job, external_jobid=taken[0], aux={"slurm_logfile": log})
        self._report_job_submission_threadsafe(info)
        return ""

    def _report_job_submission_threadsafe(self, job_info: SubmittedJobInfo) -> None:
        self._numbers.add(job_info.external_jobid)
        super()._report_job_submission_threadsafe(job_info)

    def _give_up(self, job: Any, report: str) -> None:
        """Report a job that was not submitted, and would not be the next time."""
        job.attempt = job.restart_times + 1
        super()._report_job_error_threadsafe(SubmittedJobInfo(job), report)

    def _report_job_error_threadsafe(self, job_info: SubmittedJobInfo, msg: str) -> None:
        """Called by the plugin when sbatch is refused; `run_job` decides what follows."""
        self._refused[job_info.job] = msg

    # What has become of jobs

    async def check_active_jobs(
        self, active_jobs: list[SubmittedJobInfo]
    ) -> AsyncGenerator[SubmittedJobInfo, None]:
        """Report the jobs that have ended; yield all others, whether SLURM answers or not."""
        seen, refusal = self._ask(active_jobs)
        waiting: dict[str, list[str]] = defaultdict(list)
        ended = 0
        for info in active_jobs:
            number = info.external_jobid
            if number not in seen and refusal:
                yield info
                continue
            state = seen.get(number, UNKNOWN)
            seconds = self._seconds(number, state)
            if self._settle(info, state, seconds):
                ended += 1
                continue
            if state.verdict(seconds) == "waiting" and seconds >= MENTION_SECONDS:
                waiting[state.reason].append(number)
            yield info
        self._mention_waiting(waiting)
        first = self.workflow.executor_settings.init_seconds_before_status_checks
        idle = ended or not active_jobs
        self._interval = first if idle else min(self._interval + 10, LONGEST_INTERVAL)
        self.next_seconds_between_status_checks = self._interval

    def _ask(self, jobs: list[SubmittedJobInfo]) -> tuple[dict[str, Seen], str]:
        """What SLURM knows of jobs, and why it did not answer, if it did not."""
        if not jobs:
            return {}, ""
        numbers = [info.external_jobid for info in jobs]
        seen, refusal = ask_both(self.run_uuid, numbers, self._accounting)
        self._mention_refusal(refusal)
        return seen, refusal

    def _seconds(self, number: str, state: Seen) -> float:
        """For how long a job has been seen in a state."""
        now = time.monotonic()
        if self._since.get(number, (None,))[0] != state:
            self._since[number] = (state, now)
        return now - self._since[number][1]

    def _settle(self, info: SubmittedJobInfo, state: Seen, seconds: float) -> bool:
        """Report a job that has ended; whether it has."""
        number, before = info.external_jobid, self._nodes_failed[info.job]
        verdict = state.verdict(seconds, before)
        if verdict == "done" and seconds < LATE_SECONDS and not _visible(info.job.output):
            return False
        if verdict == "done":
            self.report_job_success(info)
            with contextlib.suppress(OSError):
                info.aux["slurm_logfile"].unlink()
        elif verdict == "failed":
            message = f"SLURM-job '{number}' failed, SLURM status is: '{state.state}'. "
            if state.state in NODE_FAILED:
                message += f"Nodes had failed under it {before} times before: this is an attempt. "
            self.report_job_error(info, msg=message, aux_logs=[str(info.aux["slurm_logfile"])])
        elif verdict == "taken away" and not self._stopping.is_set():
            self.logger.warning(
                f"SLURM ended job {number} ({state.state}) and has not put it back into the queue: "
                f"submitting it again. This counts as no attempt."
            )
            self._nodes_failed[info.job] += state.state in NODE_FAILED
            self._job_submission_executor.submit(self.run_job, info.job)
        elif state == UNKNOWN and seconds >= FORGOTTEN_SECONDS:
            self.logger.warning(
                f"SLURM does not know job {number} any more: its files decide how it ended."
            )
            self.report_job_success(info)
        else:
            return False
        self._since.pop(number, None)
        return True

    # What is said

    def _mention_refusal(self, refusal: str) -> None:
        """Say that questions go unanswered: after a minute, and ever more seldom."""
        now = time.monotonic()
        if not refusal:
            self._unanswered, self._next_mention = None, MENTION_SECONDS
        elif self._unanswered is None:
            self._unanswered = now
        elif now - self._unanswered >= self._next_mention:
            self.logger.warning(
                f"SLURM has not answered for {now - self._unanswered:.0f} s ({refusal}); asking on."
            )
            self._next_mention *= 2

    def _mention_waiting(self, waiting: dict[str, list[str]]) -> None:
        """Say once why jobs wait that have waited for a minute."""
        for reason, numbers in waiting.items():
            new = [number for number in numbers if (number, reason) not in self._mentioned]
            self._mentioned.update((number, reason) for number in new)
            if not new:
                continue
            text = f"Waiting in SLURM's queue ({reason}): {', '.join(new)}."
            if reason in ORDINARY:
                self.logger.info(text)
            else:
                self.logger.warning(
                    f"{text} This may not pass by itself: 'scontrol show job {new[0]}' shows the "
                    f"request, 'sinfo' the partitions, 'man squeue' what the reason means."
                )

    # The end

    def cancel(self) -> None:
        """End the run: nothing more is submitted, then everything submitted is cancelled."""
        self._stopping.set()
        self._job_submission_executor.shutdown(wait=True, cancel_futures=True)
        super().cancel()

    def cancel_jobs(self, active_jobs: list[SubmittedJobInfo]) -> None:
        """Cancel the run's jobs by its name, those of an unanswered question included."""
        ran = subprocess.run(
            ["scancel", f"--name={self.run_uuid}"], capture_output=True, text=True, check=False
        )
        if ran.returncode != 0:
            self.logger.warning(
                f"SLURM did not cancel the jobs ({ran.stderr.strip()}): "
                f"scancel --name={self.run_uuid}"
            )

    def shutdown(self) -> None:
        self._stopping.set()
        super().shutdown()


def _visible(files: Iterable[str]) -> bool:
    """Whether files written on a node have appeared here; a listing renews what is cached."""
    return all(
        path.parent.is_dir() and path.name in os.listdir(path.parent) for path in map(Path, files)
    )


def _comment(job: Any) -> str:
    """The comment that the plugin gives a job."""
    wildcards = get_job_wildcards(job)
    return f"rule_{job.name}_wildcards_{wildcards}" if wildcards else f"rule_{job.name}"


def _described(job: Any) -> str:
    """What is asked for, in one sentence."""
    resources = job.resources
    gpus, model = resources.get("gpu", 0), resources.get("gpu_model", "")
    asked = resources.get("gres") or f"{gpus} GPU{'s' if gpus != 1 else ''}"
    return (
        f"Asking SLURM for {asked}{f' ({model})' if model else ''}, {job.threads} cores, "
        f"{resources.get('mem_mb', 0):,} MB of memory and {resources.get('runtime', 0)} minutes at "
        f"most: {job.name}, attempt {job.attempt}"
    )
