"""Jobs and their pods, as the machine that runs Snakemake sees them.

A request has the fields `asked`, `run` (a folder that Snakemake keeps while it runs), `gpus`,
`minutes` (from creation to deadline), and, once they are known: `attempted` (a pod may exist),
`waiting_since` (no pod could be had), `not_before` (RunPod asked to wait), `pod`, `created`,
`deadline`, `missing_since` (the pod is no longer listed), and `said` and `said_by_guard` (the last
message). Times are seconds since the epoch.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import secrets
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .api import Client, NotNow, NotPlaced, Pod, RunPodError
from .records import Record
from .settings import Settings, SettingsError

PROFILE = Path(__file__).resolve().parents[1]
RECORDS = Path(".snakemake", "runpod")
# The pod ends itself at its deadline; only after this much more is it ended from outside.
DEADLINE_MARGIN = 60.0


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
    """Start the process that watches a job's pod, apart from Snakemake and from this one."""
    with (record.folder / "guard.log").open("a") as log:
        subprocess.Popen(
            [sys.executable, str(PROFILE / "guard"), record.name],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


class Jobs:
    """The jobs of one working directory. `folder` keeps their records."""

    def __init__(self, settings: Settings, client: Client, workdir: Path):
        if not workdir.is_relative_to(settings.mount_path):
            raise SettingsError(
                f"{workdir} is not on the network volume: pods mount it at "
                f"{settings.mount_path}, and this machine must have it at the same place."
            )
        self.settings = settings
        self.client = client
        self.folder = workdir / RECORDS
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
            if record.result() is not None and "attempted" in record.request():
                self._delete(record)
        except NotNow as error:
            self._say(record, f"{error}; asking again.")
        except RunPodError as error:
            if "attempted" in record.request():
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
        """Watch a job until its pod is gone, whether or not Snakemake lives."""
        self._said = "said_by_guard"
        while True:
            ended = self.look(name, may_create=False) != "running"
            with contextlib.suppress(NotNow):
                if ended and not self._pods(name):
                    return
            time.sleep(self.settings.poll_seconds)

    def living(self) -> list[Pod]:
        """The pods of this project that have not been deleted."""
        ours = re.compile(re.escape(self.settings.name) + "-[0-9a-f]{12}-[0-9a-f]{8}")
        return [pod for pod in self.client.pods() if ours.fullmatch(pod["name"])]

    def _pods(self, name: str) -> list[Pod]:
        return [pod for pod in self.living() if pod["name"] == name]

    def _advance(self, record: Record, may_create: bool) -> None:
        """One step of an unfinished job."""
        now, request = time.time(), record.request()
        # Snakemake removes this folder when it ends, but not when it is killed: then the pod may
        # finish its job. It does not cancel every job when it is interrupted.
        if not Path(request["run"]).exists():
            record.cancel()
        if now < request.get("not_before", 0):
            return
        try:
            pods = self._pods(record.name)
        except NotNow as error:
            if "pod" in request:
                raise
            return self._wait(record, error, now)
        if record.cancelled():
            record.finish("it was cancelled")
        elif pods:
            self._watch(record, pods, now)
        elif "pod" in request:
            # The pod writes its result before it goes; the volume may be a little behind.
            since = request.get("missing_since")
            if since is None:
                record.note(missing_since=now)
            elif now > since + 2 * self.settings.poll_seconds:
                record.finish("its pod disappeared without a result")
        elif may_create:
            self._create(record, now)

    def _watch(self, record: Record, pods: list[Pod], now: float) -> None:
        """Keep the one pod that does the job, and end it where it cannot do it any more."""
        request = record.request()
        known = (record.claimed_by(), request.get("pod"))
        pod = min(pods, key=lambda p: (p["id"] != known[0], p["id"] != known[1], p["createdAt"]))
        for other in pods:
            if other is not pod:
                self.client.delete(other["id"])
        if request.get("pod") != pod["id"] or request.get("missing_since"):
            record.note(pod=pod["id"], missing_since=None)
        if "pod" not in request:
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
        elif now > request["deadline"] + DEADLINE_MARGIN:
            record.finish("its deadline passed")

    def _create(self, record: Record, now: float) -> None:
        """Try to create the job's pod, within the limits on number, price and waiting time."""
        settings, request = self.settings, record.request()
        with self._lock():
            living = len(self.living())
            if living >= settings.max_pods:
                self._say(record, f"waiting: {living} of at most {settings.max_pods} pods live.")
                return
            try:
                self._check_price(
                    request["gpus"] * self.client.price(settings.gpu_type, settings.cloud)
                )
                created = time.time()
                record.note(
                    attempted=True,
                    created=created,
                    deadline=created + 60 * request["minutes"],
                )
                pod = self.client.create(self._body(record, request["gpus"]))
            except (NotNow, NotPlaced) as error:
                return self._wait(record, error, now)
            except RunPodError as error:
                return record.finish(str(error))
            record.note(pod=pod["id"])
        try:
            self._check_price(pod["cost"])
        except RunPodError as error:
            record.finish(str(error))
        self._say(record, f"pod {pod['id']}, {pod['cost']:.2f} USD an hour.")
        start_guard(record)

    def _wait(self, record: Record, error: NotNow | NotPlaced, now: float) -> None:
        """No pod for now: try again at a later look, within the limit on waiting."""
        since = record.request().get("waiting_since", now)
        pause = error.wait if isinstance(error, NotNow) else 0.0
        record.note(waiting_since=since, not_before=time.time() + pause)
        if now > since + 60 * self.settings.capacity_minutes:
            record.finish(f"{error}, for {self.settings.capacity_minutes:g} minutes")
        else:
            self._say(record, f"waiting: {error}.")

    def _check_price(self, usd_per_hour: float) -> None:
        if usd_per_hour > self.settings.max_usd_per_hour:
            raise RunPodError(
                f"A pod costs {usd_per_hour:.2f} USD an hour, above the ceiling of "
                f"{self.settings.max_usd_per_hour:.2f}: raise max_usd_per_hour or ask for less."
            )

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
        for pod in self._pods(record.name):
            self.client.delete(pod["id"])

    def _give_up_late(self, record: Record) -> None:
        """Without a valid key only the volume can be asked, and not for ever."""
        request = record.request()
        if time.time() > request.get("deadline", request["asked"]) + DEADLINE_MARGIN:
            record.finish("its deadline passed, and RunPod could not be asked about its pod")

    def _say(self, record: Record, message: str) -> None:
        """Say something once; the standard error of Snakemake's commands is what users see."""
        if record.request().get(self._said) != message:
            print(f"{record.name}: {message}", file=sys.stderr, flush=True)
            record.note(**{self._said: message})

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """Count pods and create one without another command doing so in between."""
        with (self.folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
