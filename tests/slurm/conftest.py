"""A SLURM cluster of one node with two pretended H100s, and studies that run on it."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ..workflow.conftest import ROOT, Workspace

HERE = Path(__file__).parent
PATIENCE = float(os.environ.get("SLURM_TESTS_PATIENCE", 600))
PROMPTS = [(f"q{number}", f"What is the number {number}?") for number in range(6)]


def wait_for(condition: Callable[[], Any], what: str, every: float = 0.2) -> Any:
    """The first true value of a condition, asked for again after `every` seconds."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(every)
    raise AssertionError(f"{what} did not happen within {PATIENCE:.0f} s")


class Cluster:
    """The running cluster."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs: list[subprocess.Popen] = []

    def do(self, *command: str) -> str:
        ran = subprocess.run(command, capture_output=True, text=True)
        assert ran.returncode == 0, f"{command}: {ran.stderr}"
        return ran.stdout

    def job(self, number: int) -> dict[str, str]:
        """What SLURM knows of a job, finished or not."""
        shown = self.do("scontrol", "show", "job", str(number), "--oneliner")
        return dict(re.findall(r"(?<!\S)([\w/:]+)=(\S*)", shown))

    def states(self, study: "SlurmStudy") -> set[str]:
        """States of the jobs that a study's last run submitted."""
        return {self.job(number)["JobState"] for number in study.submitted()}

    def set_node(self, state: str) -> None:
        name = self.do("sinfo", "--noheader", "--partition", "h100", "--format", "%n").strip()
        self.do("scontrol", "update", f"NodeName={name}", f"State={state}", "Reason=test")

    def stop_controller(self) -> None:
        """Let the controller answer no more."""
        pid = int((self.folder / "slurmctld.pid").read_text())
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda: not Path(f"/proc/{pid}").exists(), "the end of the controller")

    def start_controller(self) -> None:
        self.do("slurmctld")

    def empty(self) -> None:
        """End every run and every job, also after a failed test, before the daemons go."""
        for process in self.runs:
            if process.poll() is None:
                process.kill()
                process.wait()
        subprocess.run(["scancel", "--user", "root"], check=True)
        wait_for(lambda: not self.do("squeue", "--noheader"), "the end of all jobs")


class SlurmStudy(Workspace):
    """A study run with profiles/h100 as it is, but for the partition and the pace of questions."""

    def __init__(
        self, cluster: Cluster, folder: Path, model: Path, prompts_per_gpu_job: int
    ) -> None:
        super().__init__(folder, model)
        self.cluster = cluster
        self.prompts = list(PROMPTS)
        self.config["generation"] = {"max_new_tokens": 200}
        self.config["execution"] = {"prompts_per_gpu_job": prompts_per_gpu_job}
        self.process: subprocess.Popen | None = None
        self.requests = ["slurm_partition=h100"]
        # Commands here stand before SLURM's own.
        self.bin = folder / "bin"

    def replace(self, command: str, script: str) -> None:
        """Let a shell script take the place of one of SLURM's commands, named $real in it."""
        self.bin.mkdir(exist_ok=True)
        path = self.bin / command
        path.write_text(f"#!/bin/bash\nreal={shutil.which(command)}\n{script}\n")
        path.chmod(0o755)

    def command(self, *arguments: str) -> list[str]:
        self.write()
        return [
            *(sys.executable, str(HERE / "impatient_snakemake.py")),
            *("--snakefile", str(self.snakefile)),
            *("--directory", str(self.folder), "--workflow-profile", "none"),
            *("--profile", str(ROOT / "profiles" / "h100"), "--configfile", "study.yaml"),
            *(["--default-resources", *self.requests] if self.requests else []),
            *("--latency-wait", "10"),
            *arguments,
        ]

    @property
    def output(self) -> str:
        return (self.folder / "output.txt").read_text()

    @property
    def snakefile(self) -> Path:
        return ROOT / "Snakefile"

    @property
    def environment(self) -> dict[str, str]:
        paths = [str(ROOT / "profiles" / "h100"), os.environ.get("PYTHONPATH", "")]
        return {
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}",
        }

    def begin(self, *targets: str) -> None:
        """Start a run; what it prints goes to a file."""
        with (self.folder / "output.txt").open("w") as stream:
            self.process = subprocess.Popen(
                self.command("--", *targets),
                cwd=self.folder,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=os.environ | self.environment,
            )
        self.cluster.runs.append(self.process)

    def end(self) -> None:
        """Wait for a run that must succeed."""
        assert self.process is not None
        assert self.process.wait(PATIENCE) == 0, self.output

    def fail(self) -> None:
        """Wait for a run that must fail."""
        assert self.process is not None
        assert self.process.wait(PATIENCE) != 0, self.output

    def says(self, text: str) -> None:
        """Wait until a run has said something."""
        wait_for(lambda: text in self.output, f"'{text}'")

    def finish(self, *targets: str) -> None:
        self.begin(*targets)
        self.end()

    def submitted(self) -> list[int]:
        """Numbers of the jobs that the last run submitted, as the plugin reports them."""
        return [int(n) for n in re.findall(r"submitted with SLURM jobid (\d+)", self.output)]

    def nth_job(self, n: int) -> int:
        """Number of the n-th job that a run submits, once it has done so."""
        return wait_for(lambda: self.submitted()[n - 1 :], f"submission {n}")[0]

    def freeze(self) -> int:
        """Stop the GPU job in hand as soon as it has stored its next result; its process."""
        process = wait_for(self._scoring_process, "the start of the GPU job")
        before = self.divergences()
        wait_for(lambda: self.divergences() > before, "the next stored result", every=0.002)
        os.kill(process, signal.SIGSTOP)
        return process

    def divergences(self) -> set[Path]:
        """Files of divergences that are stored, one a prompt."""
        return set((self.folder / "results/store").glob("items/*/pairs/*.safetensors"))

    def kept(self) -> dict[Path, int]:
        """Every stored result, and when it was written."""
        store = self.folder / "results/store"
        files = [*store.glob("items/*/*/*.safetensors"), *store.glob("responses/*.json")]
        return {file: file.stat().st_mtime_ns for file in files}

    def _scoring_process(self) -> int | None:
        """The process of this study's GPU job that is at work, not stopped."""
        for entry in Path("/proc").iterdir():
            try:
                if (
                    entry.name.isdigit()
                    and Path(os.readlink(entry / "cwd")) == self.folder
                    and b"teacher_force.py" in (entry / "cmdline").read_bytes()
                    and (entry / "stat").read_text().rsplit(")", 1)[1].split()[0] in "RSD"
                ):
                    return int(entry.name)
            except OSError:
                continue
        return None


def _end(pid_file: Path, seconds: float = 20.0) -> None:
    """End a daemon: those that use another one before it."""
    if not pid_file.exists():
        return
    pid = int(pid_file.read_text())
    deadline = time.monotonic() + seconds
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        while time.monotonic() < deadline:
            os.kill(pid, 0)
            time.sleep(0.2)
        os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    missing = [tool for tool in ("slurmctld", "slurmd", "munged") if not shutil.which(tool)]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed; tests/slurm/install.sh installs SLURM")
    if os.geteuid() != 0:
        pytest.skip("a SLURM cluster can be started by root only")
    folder = tmp_path_factory.mktemp("cluster")
    try:
        subprocess.run([HERE / "start_cluster.sh", folder], check=True)
        cluster = Cluster(folder)
        yield cluster
        cluster.empty()
    finally:
        for daemon in ("slurmd", "slurmctld", "slurmdbd", "mariadbd"):
            _end(folder / f"{daemon}.pid")
        for link in Path("/etc/slurm").iterdir():
            if link.is_symlink() and link.readlink().parent == folder:
                link.unlink()


@pytest.fixture(scope="session")
def new_study(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory, random_model: Path
) -> Callable[[str, int], SlurmStudy]:
    """Make a study in a folder of its own: its name, and its prompts per GPU job."""

    def make(name: str, prompts_per_gpu_job: int) -> SlurmStudy:
        folder = tmp_path_factory.mktemp(name)
        return SlurmStudy(cluster, folder, random_model, prompts_per_gpu_job)

    return make
