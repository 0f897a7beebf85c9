"""Jobs and their pods, as the machine that runs Snakemake sees them.

A request has the fields `asked`, `run` (a folder that Snakemake keeps while it runs), `gpus`,
`minutes` (the pod's, for its job), and, once they are known: `waiting_since` (no pod could be had),
`created` (when the last pod was asked for), `deadline`, `unanswered` (the times of requests for a
pod without a clear answer: each may still make one), `pod`, `missing_since` (RunPod no longer knows
the pod), `disappeared` (it was given up for that), `deleted` (pods that RunPod said it deleted),
`gone` (the job is over, RunPod knows of no pod of it, and none can come to light), and `said` and
`said_by_guard` (the last message). Times are seconds since the epoch, by the clock of the machine
that submitted.
"""

import contextlib
import hashlib
import json
import os
import re
import secrets
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from .api import Client, NotNow, NotPlaced, Pod, Refused, RunPodError, Unclear
from .pace import Pace
from .records import Record, locked
from .settings import Settings, SettingsError, read_key

PROFILE = Path(__file__).resolve().parents[1]
RECORDS = Path(".snakemake", "runpod")
# The pod ends itself at its deadline; only after this much more is it ended from outside.
DEADLINE_MARGIN = 60.0
# A guard that RunPod refuses for so long after the deadline ends all the same.
GUARD_SECONDS = 86400.0


def job_properties(script: str) -> dict[str, Any]:
    """What Snakemake wrote about the job into its job script."""
    found = re.search(r"^# properties = (.*)$", script, re.MULTILINE)
    if found is None:
        raise SettingsError(
            "The job script has no properties line: it was not written by Snakemake."
        )
    properties: dict[str, Any] = json.loads(found[1])
    return properties


def start_guard(record: Record) -> None:
    """See that a process watches a job's pod, apart from Snakemake and from this one."""
    with locked(record.guarding, patience=0) as unguarded:
        pass
    if unguarded:
        with (record.folder / "guard.log").open("a") as log:
            subprocess.Popen(
                [sys.executable, str(PROFILE / "guard"), record.name],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


def check_volume(settings: Settings, workdir: Path) -> None:
    """Raise SettingsError for what a pod needs and would not find on the network volume."""
    for what, path in {
        "The working directory": workdir,
        "This checkout": PROFILE,
        "The Python interpreter": Path(sys.executable),
        "The Python that the environment was made with": Path(sys.base_prefix),
    }.items():
        # Pods are given the path as it is here, and follow its links: both have to be there.
        for place, volume in (
            (path, settings.mount_path),
            (path.resolve(), settings.mount_path.resolve()),
        ):
            if not place.is_relative_to(volume):
                raise SettingsError(
                    f"{what} ({place}) is not on the network volume: pods mount it at "
                    f"{settings.mount_path}, and this machine must have it at the same place."
                )


class Jobs:
    """The jobs of one working directory. `folder` keeps their records."""

    def __init__(self, settings: Settings, workdir: Path):
        check_volume(settings, workdir)
        self.settings = settings
        self.folder = workdir / RECORDS
        self.folder.mkdir(parents=True, exist_ok=True)
        self.pace = Pace(self.folder / "pace.json")
        self.client = Client(settings.api, read_key(settings), settings.retry_seconds, self.pace)
        self._said = "said"

    def submit(self, path: Path) -> str:
        """Ask for a pod for a job script; return the job's name.

        A pod that an earlier, killed run left at work on the same outputs is taken over. Where
        no pod can be had at once, later looks try again. Raises RunPodError where none ever can.
        """
        script, run = path.read_text(), str(path.resolve().parent)
        job = job_properties(script)
        work = json.dumps([str(self.folder), job["rule"], job["output"]])
        identity = hashlib.sha256(work.encode()).hexdigest()[:12]
        for earlier in map(Record, self.folder.glob(f"{self.settings.name}-{identity}-*")):
            over = earlier.result() is not None or earlier.cancelled()
            if not over and self.look(earlier.name, may_create=False) == "running":
                earlier.note(run=run)
                return earlier.name
        resources = job.get("resources", {})
        limits = [self.settings.deadline_minutes]
        if isinstance(resources.get("runtime"), int | float):
            limits.append(self.settings.start_minutes + resources["runtime"])
        record = Record.new(
            self.folder / f"{self.settings.name}-{identity}-{secrets.token_hex(4)}",
            script,
            asked=time.time(),
            run=run,
            gpus=max(1, int(resources.get("gpu", 1))),
            minutes=min(limits),
        )
        self.look(record.name)
        result = record.result()
        if result is not None and result["failed"] is not None:
            raise RunPodError(f"{record.name}: {result['failed']}")
        return record.name

    def look(self, name: str, may_create: bool = True) -> str:
        """Look at a job once and do what is due: create its pod, or delete it.

        Returns what Snakemake expects: "running", "success" or "failed".
        """
        record = Record(self.folder / name)
        try:
            if record.result() is None:
                self._advance(record, may_create)
            if record.result() is not None:
                self._delete(record)
        except NotNow as error:
            self._say(record, f"{error}; asking again.")
        except RunPodError as error:
            if isinstance(error, Refused):
                # A guard outlives a key; a valid one may have been put in its place.
                with contextlib.suppress(SettingsError):
                    self.client.key = read_key(self.settings)
            if "created" in record.request():
                self._say(record, f"{error} A pod that runs already ends itself after its job.")
                self._give_up_late(record)
            else:
                record.finish(str(error))
        result = record.result()
        if result is None:
            return "running"
        if result["failed"] is not None:
            self._say(record, f"failed: {result['failed']} (log: {record.log})")
        return "failed" if result["failed"] is not None else "success"

    def guard(self, name: str) -> None:
        """Watch a job until it is over and its pod gone, whether or not Snakemake lives."""
        self._said = "said_by_guard"
        record = Record(self.folder / name)
        with locked(record.guarding, patience=1) as alone:
            while alone:
                # A volume that is away for a while must not leave a pod without a guard.
                with contextlib.suppress(OSError, RunPodError):
                    if self._removed(record):
                        return self._delete_named(name)
                    self.look(name, may_create=False)
                    request = record.request()
                    if request.get("gone") or not self._in_time(request, GUARD_SECONDS):
                        return
                time.sleep(self.settings.poll_seconds)

    def _removed(self, record: Record) -> bool:
        """Whether someone removed the record, its working directory being there."""
        return not record.folder.exists() and self.folder.parents[1].exists()

    def _delete_named(self, name: str) -> None:
        for pod in self.client.pods():
            if pod["name"] == name:
                self.client.delete(pod["id"])

    def living(self, fresh: bool = True) -> list[Pod]:
        """The pods of this project that have not been deleted."""
        pods = self._listed(fresh)
        listed = {pod["id"] for pod in pods}
        for request in self._unsettled():
            pod = request.get("pod")
            if pod and pod not in listed and (found := self._unlisted(pod)):
                pods.append(found)
        return pods

    def _unsettled(self) -> list[dict[str, Any]]:
        """The requests of jobs that may have a pod, those long past their deadline left out."""
        files = self.folder.glob(f"{self.settings.name}-*-*/request.json")
        requests = [Record(file.parent).request() for file in files]
        return [r for r in requests if not r.get("gone") and self._in_time(r)]

    def _listed(self, fresh: bool = False) -> list[Pod]:
        """This project's pods in the account's list, which is asked for once a poll for all jobs.

        `fresh` asks anew. A list that could not be had is not asked for again at once either.
        """
        file = self.folder / "pods.json"
        with locked(self.folder / "pods.lock"):
            with contextlib.suppress(FileNotFoundError):
                known = json.loads(file.read_text())
                if not fresh and 0 <= time.time() - known["time"] < self.settings.poll_seconds:
                    if known["failed"] is not None:
                        raise NotNow(known["failed"])
                    return self._ours(known["pods"])
            pods, failed = list[Pod](), None
            try:
                pods = self.client.pods()
            except NotNow as error:
                failed = error
            why = None if failed is None else str(failed)
            self._share({"time": time.time(), "pods": pods, "failed": why, "unlisted": {}})
            if failed is not None:
                raise failed
        return self._ours(pods)

    def _unlisted(self, pod: str, found: Pod | None = None) -> Pod | None:
        """A known pod that the list lacks, asked for by its id once a list: lists forget.

        `found` is what is known of it without asking.
        """
        with locked(self.folder / "pods.lock"):
            try:
                known = json.loads((self.folder / "pods.json").read_text())
            except FileNotFoundError:
                return found or self.client.pod(pod)
            if pod not in known["unlisted"]:
                known["unlisted"][pod] = found or self.client.pod(pod)
                self._share(known)
            told: Pod | None = known["unlisted"][pod]
            return told

    def _share(self, known: dict[str, Any]) -> None:
        """Tell all jobs what is known of the account's pods."""
        draft = self.folder / f".pods.json.{os.getpid()}"
        draft.write_text(json.dumps(known))
        draft.replace(self.folder / "pods.json")

    def _ours(self, pods: list[Pod]) -> list[Pod]:
        ours = re.compile(re.escape(self.settings.name) + "-[0-9a-f]{12}-[0-9a-f]{8}")
        return [pod for pod in pods if ours.fullmatch(pod["name"])]

    def _pods(self, record: Record) -> list[Pod]:
        """A job's pods."""
        pods = [pod for pod in self._listed() if pod["name"] == record.name]
        known = record.request().get("pod")
        if known and all(pod["id"] != known for pod in pods):
            pods += [found] if (found := self._unlisted(known)) else []
        return pods

    def _in_time(self, request: dict[str, Any], margin: float = DEADLINE_MARGIN) -> bool:
        return "deadline" not in request or time.time() <= request["deadline"] + margin

    def _may_come(self, request: dict[str, Any], seconds: float) -> bool:
        """Whether a request for a pod without a clear answer is so young that one may come."""
        return any(time.time() < asked + seconds for asked in request.get("unanswered", []))

    def _advance(self, record: Record, may_create: bool) -> None:
        """One step of an unfinished job."""
        now, request = time.time(), record.request()
        # Snakemake removes this folder when it ends, but not when it is killed: then the pod may
        # finish its job. It does not cancel every job when it is interrupted.
        if not Path(request["run"]).exists():
            record.cancel()
        if record.cancelled():
            return record.finish("it was cancelled")
        try:
            pods = self._pods(record)
        except NotNow as error:
            if "pod" in request:
                raise
            return self._wait(record, error, now)
        if pods:
            self._watch(record, pods, now)
        elif "pod" in request:
            # The pod writes its result before it goes; the volume may be a little behind.
            since = request.get("missing_since")
            if since is None:
                record.note(missing_since=now)
            elif now > since + 2 * self.settings.poll_seconds:
                record.note(disappeared=True)
                record.finish("its pod disappeared without a result")
        elif may_create and not self._may_come(request, self.settings.retry_seconds):
            self._create(record, now)

    def _watch(self, record: Record, pods: list[Pod], now: float) -> None:
        """Keep the one pod that does the job, and end it where it cannot do it any more."""
        request = record.request()
        known = (record.claimed_by(), request.get("pod"))
        pod = min(pods, key=lambda p: (p["id"] != known[0], p["id"] != known[1], p["createdAt"]))
        for other in pods:
            if other is not pod:
                self._end(record, other["id"])
        if "pod" not in request:
            record.note(unanswered=request.get("unanswered", [])[len(pods) :])
        if request.get("pod") != pod["id"] or request.get("missing_since"):
            record.note(pod=pod["id"], missing_since=None)
        start_guard(record)
        late = now - request["created"] - 60 * self.settings.start_minutes
        if pod["status"] in ("EXITED", "ERROR"):
            record.finish(f"its pod ended without a result (status {pod['status']})")
        elif record.claimed_by() is None and late > 0:
            record.finish(
                f"its pod did not start the job within {self.settings.start_minutes:g} minutes "
                f"(status {pod['status']}): check the image and that {sys.executable} is on the "
                "network volume"
            )
        elif not self._in_time(request):
            record.finish("its deadline passed")
        else:
            self._check_price(record, pod)

    def _create(self, record: Record, now: float) -> None:
        """Try to create the job's pod, within the limits on number, price and waiting time."""
        settings, request = self.settings, record.request()
        unanswered = request.get("unanswered", [])
        with locked(self.folder / "lock"):
            wait, why = self.pace.held("POST")
            if wait > 0:
                return self._wait(record, NotNow(why), now)
            try:
                # The shared list is enough to see that there is no room.
                for fresh in (False, True):
                    pods = self.living(fresh)
                    if any(pod["name"] == record.name for pod in pods):
                        return None
                    living = len(pods) + self._coming()
                    if living >= settings.max_pods:
                        most = settings.max_pods
                        return self._say(record, f"waiting: {living} of at most {most} pods live.")
                price = self.client.price(settings.gpu_type, settings.cloud)
                if (above := self._above(request["gpus"] * price)) is not None:
                    return record.finish(above)
                asked = time.time()
                deadline = asked + 60 * request["minutes"]
                record.note(created=asked, deadline=deadline, unanswered=[*unanswered, asked])
                start_guard(record)
                pod = self.client.create(self._body(record, request["gpus"]))
            except Unclear as error:
                return self._wait(record, error, now)
            except (NotNow, NotPlaced) as error:
                record.note(unanswered=unanswered)
                if isinstance(error, NotPlaced):
                    # The next job would hear the same.
                    self.pace.hold("POST", settings.poll_seconds, str(error))
                return self._wait(record, error, now)
            except RunPodError as error:
                record.note(unanswered=unanswered)
                return record.finish(str(error))
            record.note(pod=pod["id"], unanswered=unanswered)
            self._unlisted(pod["id"], pod)
        self._check_price(record, pod)
        cost = "price unknown" if pod["cost"] is None else f"{pod['cost']:.2f} USD an hour"
        self._say(record, f"pod {pod['id']}, {cost}.")

    def _coming(self) -> int:
        """How many pods may have been made by requests that were not answered yet."""
        return sum(
            "pod" not in request and self._may_come(request, self.settings.retry_seconds)
            for request in self._unsettled()
        )

    def _wait(self, record: Record, error: NotNow | NotPlaced, now: float) -> None:
        """No pod for now: try again at a later look, within the limit on waiting."""
        since = record.request().get("waiting_since", now)
        record.note(waiting_since=since)
        if now > since + 60 * self.settings.capacity_minutes:
            record.finish(f"{error}, for {self.settings.capacity_minutes:g} minutes")
        else:
            self._say(record, f"waiting: {error}.")

    def _above(self, usd_per_hour: float) -> str | None:
        """Why a pod of this price is too dear, or None."""
        if usd_per_hour <= self.settings.max_usd_per_hour:
            return None
        return (
            f"A pod costs {usd_per_hour:.2f} USD an hour, above the ceiling of "
            f"{self.settings.max_usd_per_hour:.2f}: raise max_usd_per_hour or ask for less."
        )

    def _check_price(self, record: Record, pod: Pod) -> None:
        if pod["cost"] is not None and (above := self._above(pod["cost"])) is not None:
            record.finish(above)

    def _body(self, record: Record, gpus: int) -> dict[str, Any]:
        settings = self.settings
        environment = {
            name: os.environ[name] for name in settings.environment if name in os.environ
        } | {
            "PERSONA_GEOMETRY_RUNPOD_API": settings.api,
            "PERSONA_GEOMETRY_POLL_SECONDS": str(settings.poll_seconds),
        }
        if settings.pod_secret:
            reference = f"{{{{ RUNPOD_SECRET_{settings.pod_secret} }}}}"
            environment["PERSONA_GEOMETRY_API_KEY"] = reference
        command = [sys.executable, str(PROFILE / "run-in-pod"), str(record.folder)]
        body = {
            "name": record.name,
            "image": settings.image,
            "args": shlex.join(command),
            "cloud": settings.cloud,
            "disk": settings.disk_gb,
            "env": environment,
            "gpu": {"id": settings.gpu_type, "count": gpus},
            "mounts": {
                "network": [{"volumeId": settings.network_volume, "path": str(settings.mount_path)}]
            },
        }
        if settings.data_center:
            body["dataCenterIds"] = [settings.data_center]
        return body

    def _delete(self, record: Record) -> None:
        """Delete the pods of a job that is over; `gone` once there is none, and none can come."""
        request = record.request()
        if request.get("gone"):
            return
        due = self._lost(record)
        if "created" in request:
            try:
                due |= {pod["id"] for pod in self._pods(record)}
            except NotNow:
                # The last requests of a quota are not for looking, but for this.
                if "pod" in request:
                    self._end(record, request["pod"])
                raise
        for pod in due:
            self._end(record, pod)
        if not due and not self._may_come(request, 60 * self.settings.start_minutes):
            record.note(gone=True)

    def _lost(self, record: Record) -> set[str]:
        """A pod that may live although RunPod shows none, for as long as it may yet start.

        It is no such pod once RunPod said that it deleted it, nor where it took up the job and did
        not disappear: then it ends itself. That RunPod knows of no such pod is no proof.
        """
        request = record.request()
        pod = request.get("pod")
        if pod is None or pod in request.get("deleted", []):
            return set()
        if record.claimed_by() == pod and not request.get("disappeared"):
            return set()
        late = time.time() > request["created"] + 60 * self.settings.start_minutes
        return set() if late else {pod}

    def _end(self, record: Record, pod: str) -> None:
        """Delete a pod, and with it the list that has it."""
        if self.client.delete(pod):
            record.note(deleted=[*record.request().get("deleted", []), pod])
        (self.folder / "pods.json").unlink(missing_ok=True)

    def _give_up_late(self, record: Record) -> None:
        """Without a valid key only the volume can be asked, and not for ever."""
        if not self._in_time(record.request()):
            record.finish("its deadline passed, and RunPod could not be asked about its pod")

    def _say(self, record: Record, message: str) -> None:
        """Say something once; the standard error of Snakemake's commands is what users see."""
        if record.request().get(self._said) != message:
            print(f"{record.name}: {message}", file=sys.stderr, flush=True)
            record.note(**{self._said: message})
