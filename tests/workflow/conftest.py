"""A study in a folder of its own, run by the real Snakemake."""

import copy
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")

PERSONAS = [
    ("surgeon", "medical", "You are a surgeon. Be exact."),
    ("nurse", "medical", "You are a nurse. Be kind."),
    ("poet", "", "You are a poet and love the sea."),
    ("villain", "", "You are a villain!"),
    ("anchor", "", ""),
]
N, Q = len(PERSONAS), 2
PAIRS = N * (N - 1) // 2
TARGET = "results/test/alignment.json"
PROMPTS = [("q1", "How are you?"), ("q2", "What is the sea?"), ("q3", "Why?"), ("q4", "Speak")]


def embedded_config() -> dict[str, Any]:
    """The default config, with paths that hold from any folder."""
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    config["model"]["path"] = str(ROOT / config["model"]["path"])
    return config | {table: str(ROOT / config[table]) for table in ("personas", "prompts")}


class Workspace:
    """A study's tables and config, and the means to run it and to count its store."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder = folder
        self.personas = list(PERSONAS)
        self.prompts = list(PROMPTS)
        self.config_files = ("study.yaml",)
        self.config: dict[str, Any] = {
            "study": "test",
            "personas": "personas.tsv",
            "prompts": "prompts.tsv",
            "anchor": "anchor",
            "model": {"path": str(model), "dtype": "float32"},
            "generation": {"max_new_tokens": 24},
            "divergence": {"cutoffs": [8]},
            "geometry": {"layers": [0, 1], "headline_layer": 1},
            "alignment": {
                "permutations": 999,
                "seed": 1,
                "bootstrap": 20,
                "noise_ceiling_splits": 10,
                "gates": [{"statistic": "spearman", "comparison": ">", "threshold": 0.5}],
            },
            "execution": {"prompts_per_gpu_job": 4},
        }

    @classmethod
    def embedded(cls, folder: Path) -> "Workspace":
        """The repository's own study of the embedded model, in a folder of its own."""
        folder.mkdir(exist_ok=True)
        study = cls(folder, ROOT)
        study.config = embedded_config()
        return study

    def copy(self) -> "Workspace":
        other = copy.copy(self)
        other.personas, other.prompts = list(self.personas), list(self.prompts)
        other.config = copy.deepcopy(self.config)
        return other

    def write(self) -> None:
        rows = ["persona\tcluster\tsystem_prompt"] + ["\t".join(row) for row in self.personas]
        (self.folder / "personas.tsv").write_text("\n".join(rows) + "\n")
        rows = ["prompt\ttext"] + ["\t".join(row) for row in self.prompts]
        (self.folder / "prompts.tsv").write_text("\n".join(rows) + "\n")
        (self.folder / "study.yaml").write_text(yaml.safe_dump(self.config))

    def command(self, *arguments: str) -> list[str]:
        self.write()
        return [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")),
            *("--directory", str(self.folder), "--workflow-profile", "none"),
            *("--cores", "2", "--rerun-incomplete", *arguments),
            *("--configfile", *self.config_files),
        ]

    def run(self, *arguments: str, fails: bool = False) -> str:
        """Run Snakemake; return what it printed."""
        ran = subprocess.run(
            self.command(*arguments), cwd=self.folder, capture_output=True, text=True
        )
        output = ran.stdout + ran.stderr
        assert (ran.returncode != 0) == fails, output
        return output

    def jobs(self, *arguments: str) -> dict[str, int]:
        """Rule to number of jobs, from a dry run."""
        output = self.run("--dry-run", *arguments)
        found = re.findall(r"^(\w+) +(\d+)$", output.split("Job stats:")[-1], re.MULTILINE)
        return {rule: int(count) for rule, count in found if rule not in ("total", "all")}

    def start(self, *arguments: str) -> subprocess.Popen:
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def stored(self) -> tuple[int, int, int]:
        """Responses, cells and pairs in the store."""
        from persona_geometry.store.store import Store

        store = Store(self.folder / "results" / "store")
        items = list(store.root.glob("items/*"))
        return (
            len(list(store.root.glob("responses/*.json"))),
            sum(len(store.cells_of(item.name)) for item in items),
            sum(
                len(store.read_pairs(path).pairs)
                for item in items
                for path in store.pair_blocks(item.name)
            ),
        )

    def result(self, path: str) -> Path:
        return self.folder / "results" / "test" / path

    def js(self) -> dict[str, Any]:
        return json.loads(self.result("js_matrix.json").read_text())


def browser(path: Path, *arguments: str) -> subprocess.CompletedProcess:
    """What a page in a file comes to in a browser, and what it says on the console."""
    assert BROWSER is not None
    return subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--enable-logging=stderr", "--log-level=0",
         f"--user-data-dir={path.parent / 'profile'}", "--virtual-time-budget=15000",
         *arguments, path.as_uri()],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def agree(ours: Any, theirs: Any) -> bool:
    """Whether results are equal but for the rounding of forward passes in other batches.

    A job that dies between two cells of a prompt leaves fewer of them to the next one.
    """
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(agree(ours[k], theirs[k]) for k in ours)
    if isinstance(ours, list):
        return len(ours) == len(theirs) and all(map(agree, ours, theirs))
    return abs(ours - theirs) < 1e-7 if isinstance(ours, float) else ours == theirs


def kill_when(process: subprocess.Popen, reached: Any, seconds: float = 60.0) -> None:
    """SIGKILL a process group as soon as a condition holds."""
    import os

    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        if reached():
            break
        time.sleep(0.005)
    assert process.poll() is None, "the run ended before it could be killed"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture
def workspace(tmp_path: Path, random_model: Path) -> Workspace:
    return Workspace(tmp_path, random_model)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, random_model: Path) -> Workspace:
    """A study of two prompts, run to its alignment once a module."""
    workspace = Workspace(tmp_path_factory.mktemp("study"), random_model)
    del workspace.prompts[Q:]
    workspace.run(TARGET)
    assert workspace.stored() == (Q, Q * N, Q * PAIRS)
    return workspace


@pytest.fixture
def study(finished: Workspace, tmp_path: Path) -> Workspace:
    """A copy of the study that a module's `finished` ran, files with their modification times."""
    other = finished.copy()
    other.folder = shutil.copytree(finished.folder, tmp_path / "study")
    return other
