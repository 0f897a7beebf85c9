"""run.json: where the numbers of a study, or of a comparison, come from."""

import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from persona_geometry.files import sha256
from persona_geometry.versions import package_versions


def git_commit(folder: str | Path) -> dict[str, Any]:
    """The commit of a checkout, and whether tracked files differ from it; nulls outside git."""

    def git(*words: str) -> str | None:
        try:
            ran = subprocess.run(
                ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True
            )
        except (OSError, subprocess.CalledProcessError):
            return None
        return ran.stdout.strip()

    status = git("status", "--porcelain", "--untracked-files=no")
    return {"commit": git("rev-parse", "HEAD"), "changed": None if status is None else bool(status)}


def benchmark_seconds(paths: Iterable[str | Path]) -> dict[str, float]:
    """Wall-clock seconds a rule, summed over its jobs, from Snakemake's benchmark tables.

    A file that is not there is passed over: its job was run by another study, or not at all.
    """
    seconds: dict[str, float] = {}
    for path in sorted(Path(path) for path in paths if Path(path).exists()):
        header, row = (line.split("\t") for line in path.read_text().splitlines()[:2])
        rule = path.parent.name if path.parent.name != "benchmarks" else path.stem
        taken = float(dict(zip(header, row, strict=True))["s"])
        seconds[rule] = round(seconds.get(rule, 0.0) + taken, 3)
    return seconds


def gpu_work(accounts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Sums over the GPU jobs whose results a study uses, by whichever study they were run.

    Counts and seconds are of the whole job, also where this study uses a part of its cells.
    """
    stages = sorted({stage for account in accounts for stage in account["seconds"]})
    peaks = [a["peak_gpu_bytes"] for a in accounts if a["peak_gpu_bytes"] is not None]
    return {
        "jobs": len(accounts),
        **{name: sum(a[name] for a in accounts) for name in ("responses", "cells", "pairs")},
        "seconds": {stage: sum(a["seconds"].get(stage, 0.0) for a in accounts) for stage in stages},
        "devices": sorted({a["device"] for a in accounts if a["device"]}),
        "peak_gpu_bytes": max(peaks, default=None),
        "packages": [p for p in _distinct(a["packages"] for a in accounts) if p],
    }


def run_record(
    study: str,
    commit: Mapping[str, Any],
    config: Mapping[str, Any],
    model: Mapping[str, Any] | None,
    inputs: Iterable[str],
    results: Iterable[str],
    accounts: Iterable[Mapping[str, Any]],
    benchmarks: Iterable[str],
) -> dict[str, Any]:
    """The content of run.json.

    Args:
        study: its name.
        commit: of the workflow (`git_commit`).
        config: `files` in the order they were read, `overrides` from the command line, and
            `effective`, what they come to.
        model: the config's section, with the fingerprint; None where both RDMs are from files.
        inputs: files that people wrote.
        results: files of numbers that this run made of them. By their hashes anyone can tell
            whether the record is that of the files beside it.
        accounts: of the GPU jobs whose cells and responses the study uses.
        benchmarks: where Snakemake times the jobs that make the numbers.
    """
    return {
        "study": study,
        **_made(commit, config, inputs, results),
        "model": dict(model) if model else None,
        "gpu_work": gpu_work(list(accounts)),
        "seconds_by_rule": benchmark_seconds(benchmarks),
    }


def comparison_record(
    comparison: str,
    commit: Mapping[str, Any],
    config: Mapping[str, Any],
    inputs: Iterable[str],
    results: Iterable[str],
) -> dict[str, Any]:
    """The content of a comparison's run.json.

    Args:
        comparison: its name.
        commit, config: as for `run_record`.
        inputs: files of the studies, and what people wrote.
        results: files of numbers that were made of them.
    """
    return {"comparison": comparison, **_made(commit, config, inputs, results)}


def _made(
    commit: Mapping[str, Any],
    config: Mapping[str, Any],
    inputs: Iterable[str],
    results: Iterable[str],
) -> dict[str, Any]:
    """By what, of what and into what results were made."""
    return {
        "repository": dict(commit),
        "python": platform.python_version(),
        "machine": platform.platform(),
        "packages": package_versions(),
        "config": dict(config),
        "inputs_sha256": {path: sha256(path) for path in inputs},
        "results_sha256": {path: sha256(path) for path in results},
    }


def _distinct(values: Iterable[Any]) -> list[Any]:
    seen: list[Any] = []
    for value in values:
        if value not in seen:
            seen.append(value)
    return seen
