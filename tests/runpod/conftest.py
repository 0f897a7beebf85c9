"""A network volume with a study on it, and a RunPod that serves it."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from pods_on_runpod.jobs import PROFILE, Jobs
from pods_on_runpod.records import Record
from pods_on_runpod.settings import read_settings

from .server import RunPod

HERE = Path(__file__).parent
HURRY = ("--seconds-between-status-checks", "1", "--latency-wait", "10")


def wait_for(what: Callable[[], object], seconds: float = 40.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "what the test waits for did not happen"
        time.sleep(0.1)


class Study:
    """A checkout on the volume, with the settings and the key of a user."""

    def __init__(self, service: RunPod, volume: Path):
        self.service, self.volume, self.workdir = service, volume, volume / "study"
        shutil.copytree(HERE / "study", self.workdir)
        (self.workdir / "profiles").symlink_to(PROFILE.parent)
        self.key_file = volume.parent / "home" / "api_key"
        self.key_file.parent.mkdir()
        self.key_file.touch(0o600)
        self.key_file.write_text(service.key + "\n")
        self.settings_file = volume.parent / "home" / "settings.yaml"
        self.settings = yaml.safe_load((PROFILE / "settings.yaml").read_text())
        self.change(
            api=service.address,
            network_volume="volume1",
            # The tests' environment is on the volume too, as a real one has to be.
            mount_path="/",
            key_file=str(self.key_file),
            retry_seconds=4,
            poll_seconds=0.3,
            deadline_minutes=2,
            start_minutes=0.5,
            capacity_minutes=1,
        )
        self.output = ""

    def change(self, **settings: object) -> None:
        self.settings |= settings
        self.settings_file.write_text(yaml.safe_dump(self.settings))

    def environment(self) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if "RUNPOD" not in k and "PROXY" not in k}
        return inherited | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PERSONA_GEOMETRY_RUNPOD_SETTINGS": str(self.settings_file),
            "no_proxy": "127.0.0.1",
        }

    def jobs(self) -> Jobs:
        return Jobs(read_settings(self.settings_file), self.workdir)

    def records(self) -> list[Record]:
        folder = self.workdir / ".snakemake" / "runpod"
        return [Record(f) for f in sorted(folder.glob("*")) if f.is_dir()]

    def start(self, *arguments: str, shards: str = "a b", seconds: float = 0) -> subprocess.Popen:
        """Start Snakemake with the profile, hurried; nothing else about the profile changes."""
        config = self.workdir / "config.yaml"
        config.write_text(yaml.safe_dump({"shards": shards, "seconds": seconds}))
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "snakemake", "--profile", "profiles/runpod"),
                *("--configfile", "config.yaml", *HURRY, *arguments),
            ],
            cwd=self.workdir,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def finish(self, snakemake: subprocess.Popen) -> int:
        self.output, _ = snakemake.communicate(timeout=240)
        return snakemake.returncode

    def run(self, *arguments: str, **how: object) -> int:
        return self.finish(self.start(*arguments, **how))

    def report(self) -> list[list[str]]:
        lines = (self.workdir / "results/report.txt").read_text().splitlines()
        return [line.split() for line in lines]

    def guards(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or []
            if str(PROFILE / "guard") in words and words[-1] in {r.name for r in self.records()}:
                found.append(process)
        return found

    def nothing_is_left(self) -> None:
        """No pod lives, no process of one, no guard; and the key got nowhere."""
        wait_for(lambda: not self.service.pods)
        wait_for(lambda: not any(pod.processes() for pod in self.service.ever))
        wait_for(lambda: not self.guards())
        assert not self.service.seen_on_command_lines
        assert self.service.key not in self.output
        keys = [self.service.key, *(pod.key for pod in self.service.ever)]
        for path in self.volume.rglob("*"):
            if path.is_file():
                text = path.read_bytes()
                assert not any(key.encode() in text for key in keys), path


@pytest.fixture
def service(tmp_path: Path) -> Iterator[RunPod]:
    (tmp_path / "volume").mkdir()
    with RunPod(tmp_path / "volume") as service:
        yield service


@pytest.fixture
def study(service: RunPod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Study]:
    """A study of which nothing may be left after the test, whatever the test is about."""
    study = Study(service, tmp_path / "volume")
    for name in list(os.environ):
        if "RUNPOD" in name or "proxy" in name.lower():
            monkeypatch.delenv(name)
    monkeypatch.setenv("PERSONA_GEOMETRY_RUNPOD_SETTINGS", str(study.settings_file))
    monkeypatch.chdir(study.workdir)
    yield study
    try:
        study.nothing_is_left()
    finally:
        for guard in study.guards():
            with contextlib.suppress(psutil.Error):
                guard.send_signal(signal.SIGKILL)


@pytest.fixture
def script(study: Study):
    """Write a job script of Snakemake's form."""

    def script(command: str = "true", output: str = "out.txt", **resources: int) -> Path:
        properties = {"rule": "gpu_shard", "output": [output], "resources": resources}
        path = study.volume / "jobscript.sh"
        path.write_text(f"#!/bin/sh\n# properties = {json.dumps(properties)}\n{command}\n")
        return path

    return script


def settle(jobs: Jobs, name: str, seconds: float = 15.0) -> str:
    """Look at a job until it has ended."""
    end = time.monotonic() + seconds
    while (state := jobs.look(name)) == "running":
        assert time.monotonic() < end, "the job did not end"
        time.sleep(0.2)
    return state


def failure(jobs: Jobs, name: str) -> str:
    assert settle(jobs, name) == "failed"
    return Record(jobs.folder / name).result()["failed"]
