"""200 prompts × 20 personas on one GPU of a machine and on all of them, and one of two jobs killed.

    python benchmarks/paper_scale/two_cards.py CHECKPOINT FOLDER [--prompts 200]

The study is cut into a job for each GPU. It is run on one GPU, which does the jobs one after
another, then on all at once, then so again with one job killed (SIGKILL) amid its work, and taken
up. Prints seconds, which processes were on which GPU, and what was lost. Needs two GPUs.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from run import ROOT, prompts_of, write_study

from persona_geometry.store.store import Store

JOBS = "results/paper/logs/teacher_force"


def write(folder: Path, checkpoint: Path, n_prompts: int, gpus: int) -> None:
    write_study(folder, checkpoint, 256, [10], "bfloat16")
    rows = [f"{name}\t{text}" for name, text in prompts_of(n_prompts)]
    (folder / "prompts.tsv").write_text("prompt\ttext\n" + "\n".join(rows) + "\n")
    study = yaml.safe_load((folder / "study.yaml").read_text())
    study["execution"] = {"prompts_per_gpu_job": -(-n_prompts // gpus)}
    study["scoring"] = {"keep_states": False}
    (folder / "study.yaml").write_text(yaml.safe_dump(study))


def start(folder: Path, *arguments: str) -> subprocess.Popen:
    command = [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")),
        *("--directory", str(folder), "--cores", "all", "--keep-going", "--rerun-incomplete"),
        *("--configfile", "study.yaml", *arguments),
    ]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    log = (folder / "snakemake.log").open("a")
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)


def run(folder: Path, *arguments: str) -> float:
    began = time.perf_counter()
    code = start(folder, *arguments).wait()
    print(f"  snakemake ended with {code} after {time.perf_counter() - began:.1f} s")
    return time.perf_counter() - began


def on_gpus() -> dict[int, str]:
    """Process to the GPU it is on."""
    asked = ["nvidia-smi", "--query-compute-apps=pid,gpu_uuid", "--format=csv,noheader"]
    rows = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()
    return {int(pid): uuid.strip() for pid, uuid in (row.split(",") for row in rows)}


def stored(folder: Path) -> int:
    """Cells in the store."""
    store = Store(folder / "results/store")
    return sum(len(store.cells_of(item.name)) for item in store.root.glob("items/*"))


def accounts(folder: Path) -> list[dict[str, Any]]:
    receipts = sorted((folder / "results/store/receipts").glob("*.json"))
    return [json.loads(receipt.read_text())["account"] for receipt in receipts]


def tell(folder: Path) -> None:
    """Each job's seconds, and its steady state: prompts scored a second, from the second on."""
    for account in accounts(folder):
        print("  job:", {name: round(s, 1) for name, s in account["seconds"].items()})
    for log in sorted((folder / JOBS).glob("*.log")):
        last = re.findall(r"(\d+) of \d+ prompts scored .*, ([\d.]+) s a prompt", log.read_text())
        print(f"  {log.stem}: {last[-1][0]} prompts, {last[-1][1]} s a prompt" if last else log)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--prompts", type=int, default=200)
    arguments = parser.parse_args()
    gpus = len(subprocess.check_output(["nvidia-smi", "-L"]).splitlines())
    seconds = {}
    for name, limit in (("one", ("--resources", "gpu=1")), ("all", ())):
        folder = arguments.folder / name
        write(folder, arguments.checkpoint, arguments.prompts, gpus)
        print(f"## {name}", flush=True)
        run(folder, "--until", "check_prompts")
        seconds[name] = run(folder, "--until", "teacher_force", *limit)
        tell(folder)
    print(f"## {gpus} GPUs: {seconds['one'] / seconds['all']:.2f} times the throughput of one")

    print("## one of the jobs killed", flush=True)
    folder = arguments.folder / "killed"
    write(folder, arguments.checkpoint, arguments.prompts, gpus)
    run(folder, "--until", "check_prompts")
    running = start(folder, "--until", "teacher_force")
    while stored(folder) < arguments.prompts * 20 // 4:
        time.sleep(0.2)
    seen = on_gpus()
    print(f"  processes on GPUs: {seen}")
    os.kill(min(seen), signal.SIGKILL)
    code = running.wait()
    left = stored(folder)
    print(f"  snakemake ended with {code}; {left} of {arguments.prompts * 20} cells are stored")
    print(f"  receipts: {[account['cells'] for account in accounts(folder)]} cells")
    run(folder, "--until", "teacher_force")
    print(f"  receipts: {[account['cells'] for account in accounts(folder)]} cells")
    print(f"  {stored(folder)} cells are stored")


if __name__ == "__main__":
    main()
