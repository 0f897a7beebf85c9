"""What the store's bookkeeping costs a study of a thousand prompts and hundreds of personas.

    python benchmarks/store_bookkeeping.py [FOLDER] [--prompts 1000] [--personas 200]

A store is filled with the files of a finished study, their arrays cut to one number; then the GPU
jobs' own code is run over it, which finds that nothing is missing, and `snakemake -n` is timed with
the receipts in place and without them. A GPU takes about two seconds a prompt of 200 personas.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import yaml

from persona_geometry.jobs.shard import ShardJob
from persona_geometry.jobs.task import Settings, Task
from persona_geometry.store.store import PairBlock, Receipt, Response, Store
from persona_geometry.study.config import read_study
from persona_geometry.study.recipes import fingerprint, items, model_key
from persona_geometry.study.schedule import shard_cells

ROOT = Path(__file__).parents[1]
GPU_SECONDS = 1.77  # forward passes and divergences of a prompt, 200 personas, one H200


def write_study(folder: Path, n_prompts: int, n_personas: int) -> dict:
    rows = "\n".join(f"p{i}\t\tYou are guild member {i}." for i in range(n_personas))
    (folder / "personas.tsv").write_text(f"persona\tcluster\tsystem_prompt\n{rows}\n")
    rows = "\n".join(f"q{i}\tWhat is there to know of field {i}?" for i in range(n_prompts))
    (folder / "prompts.tsv").write_text(f"prompt\ttext\n{rows}\n")
    base = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    study = {
        **base,
        "study": "many",
        "personas": "personas.tsv",
        "prompts": "prompts.tsv",
        "anchor": "p0",
        "model": {**base["model"], "path": str(ROOT / "resources" / "persona-lm")},
        "alignment": {**base["alignment"], "leave_out": [], "predictions": [], "outcomes": None},
        "execution": {"prompts_per_gpu_job": 20},
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    return study


def fill(store: Store, tasks: list[Task]) -> None:
    """Every file of a finished study, arrays cut short."""
    response = Response([5], "x", "length")
    for task in tasks:
        cells = list(task.cells)
        folder = store.cell_path(task.item, cells[0]).parent
        folder.mkdir(parents=True)
        for cell in cells:
            store.cell_path(task.item, cell).write_bytes(b"")
        pairs = np.argwhere(np.triu(np.ones((len(cells), len(cells)), dtype=bool), 1))
        short = np.zeros((len(pairs), 1), dtype=np.float32)
        store.write_pairs(task.item, PairBlock(cells, pairs, short, short, short, response.sha256))
        store.write_response(task.response, response, {})


def dry_run_seconds(folder: Path) -> float:
    command = [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "-n"),
        *("--quiet", "all", "--directory", str(folder), "--cores", "all"),
        *("--configfile", "study.yaml"),
    ]
    started = time.perf_counter()
    ran = subprocess.run(command, cwd=folder, env=os.environ, capture_output=True, text=True)
    if ran.returncode:
        sys.exit(ran.stdout + ran.stderr)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--prompts", type=int, default=1000)
    parser.add_argument("--personas", type=int, default=200)
    arguments = parser.parse_args()
    folder = (arguments.folder or Path(tempfile.mkdtemp())).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    study = write_study(folder, arguments.prompts, arguments.personas)
    os.chdir(folder)
    print(f"dry run, empty store: {dry_run_seconds(folder):.1f} s")

    read = read_study(study, source="study.yaml")
    mark = fingerprint(read)
    systems = {p.name: p.system_prompt for p in read.personas}
    store = Store(folder / "results" / "store")
    groups = shard_cells(items(read, mark), 20, {}).planned
    shards = {
        shard: [
            Task(
                item.prompt.name,
                item.prompt.text,
                item.key,
                item.response,
                {key: systems[name] for name, key in item.cells.items()},
            )
            for item in group
        ]
        for shard, group in groups.items()
    }
    started = time.perf_counter()
    fill(store, [task for tasks in shards.values() for task in tasks])
    print(f"store filled in {time.perf_counter() - started:.0f} s")

    settings = Settings.of_study(read)
    key = model_key(read, mark)
    started = time.perf_counter()
    for shard, tasks in shards.items():
        done = ShardJob(settings, store, lambda _line: None).run(tasks)
        cells = frozenset(cell for task in tasks for cell in task.cells)
        store.write_receipt(shard, Receipt(cells, key, asdict(done)))
    seconds = time.perf_counter() - started
    gpu = GPU_SECONDS * arguments.prompts * arguments.personas / 200
    print(
        f"bookkeeping of {len(shards)} GPU jobs, {arguments.prompts} prompts, "
        f"{arguments.personas} personas: {seconds:.1f} s, {seconds / arguments.prompts * 1e3:.1f} "
        f"ms a prompt, {100 * seconds / gpu:.2f} % of the GPU's {gpu:.0f} s (goal 1 %)"
    )
    print(f"dry run, every receipt there: {dry_run_seconds(folder):.1f} s (goal 15 s)")


if __name__ == "__main__":
    main()
