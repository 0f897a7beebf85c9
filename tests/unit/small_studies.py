"""Small finished studies on disk, with everything that a comparison reads."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from named import named

from persona_geometry.files import sha256, write_text
from persona_geometry.published import PublishedResponse, write_published_response, write_run
from persona_geometry.rdms.files import (
    DivergenceRdms,
    LayerVectors,
    write_cosine_rdms,
    write_divergence_rdms,
    write_layer_vectors,
    write_stacks,
)
from persona_geometry.rdms.rdm import RdmStack
from persona_geometry.rdms.triangle import complement, vectorize
from persona_geometry.rsa.alignment import align
from persona_geometry.rsa.geometries import read_geometries
from persona_geometry.rsa.results import write_alignment
from persona_geometry.study.sections import Alignment

PERSONAS = [f"p{k}" for k in range(8)]
GATES = [{"statistic": "spearman", "comparison": ">", "threshold": 0.5, "layer": 1}]
SETTINGS: dict[str, Any] = {"permutations": 99, "seed": 0, "bootstrap": 0}


def write_study(
    results: Path,
    name: str,
    *,
    personas: Sequence[str] = PERSONAS,
    texts: Sequence[str] | None = None,
    prompts: Sequence[str] = ("one", "two", "three"),
    layers: int = 4,
    seed: int = 0,
    model: str | None = "weights",
    estimator: str = "js",
    imported: Sequence[str] = (),
) -> Path:
    """Write a study of random points, the same for the same persona, and noise of its own.

    Args:
        texts: system prompts of the personas.
        prompts: their texts.
        seed: of the noise.
        imported: "cosine" or "js", where that RDM came from a file.
    """
    folder = results / name
    places = [abs(hash_of(persona)) for persona in texts or personas]
    points = np.stack([np.random.default_rng(k).standard_normal(6) for k in places])
    rng = np.random.default_rng(seed)
    shape = len(prompts), len(points), 6
    vectors = {k: 2 + points + 0.5 * rng.standard_normal(shape) for k in range(layers)}
    moved = points + 0.5 * rng.standard_normal(shape)
    js = np.linalg.norm(moved[:, :, None] - moved[:, None], axis=-1) / 30
    cosines = {k: named(distances(v.mean(axis=0)), personas) for k, v in vectors.items()}
    write_cosine_rdms(folder / "cosine_matrix.json", cosines)
    measured = "js" not in imported
    write_divergence_rdms(
        folder / "js_matrix.json",
        DivergenceRdms(
            estimator,
            "nats",
            list(prompts) if measured else None,
            {"full": named(js.mean(0), personas)},
        ),
    )
    paths: dict[str, Path] = {}
    if measured:
        paths["by_prompt"] = folder / "js_by_prompt.npz"
        stack = RdmStack(tuple(personas), tuple(prompts), vectorize(js))
        write_stacks(paths["by_prompt"], {"full": stack})
        for prompt in prompts:
            response = PublishedResponse(prompt, prompt, [1], "so", "stop")
            write_published_response(folder / "responses" / f"{prompt}.json", response)
    configured = [1, layers - 1]
    if "cosine" not in imported:
        paths["vectors"] = folder / "vectors.npz"
        kept = {k: vectors[k].astype(np.float32) for k in configured}
        write_layer_vectors(paths["vectors"], LayerVectors(list(personas), list(prompts), kept))
    geometries, _ = read_geometries(
        folder / "cosine_matrix.json", folder / "js_matrix.json", **paths
    )
    settings = Alignment.of(**SETTINGS, noise_ceiling_splits=0, gates=GATES)
    found = align(geometries, settings, configured, 1, name, estimator, lambda _line: None)
    write_alignment(folder / "alignment.json", found)
    table = results / f"{name}.tsv"
    rows = zip(personas, texts or personas, strict=True)
    lines = ["persona\tcluster\tsystem_prompt", *(f"{p}\t\tYou are {t}." for p, t in rows)]
    write_text(table, "\n".join(lines) + "\n")
    rdm = {kind: {"file": "somewhere"} for kind in imported}
    files = ["alignment.json", "cosine_matrix.json", "js_matrix.json"]
    files += [path.name for path in paths.values()]
    effective: dict[str, Any] = {"study": name, "personas": str(table), "rdm": rdm}
    if estimator != "js":  # the default
        effective["divergence"] = {"estimator": estimator}
    record = {
        "repository": {"commit": "c0ffee", "changed": False},
        "machine": "Linux-6",
        "config": {"files": [f"{name}.yaml"], "effective": effective},
        "model": {"path": model, "name": None, "fingerprint": model} if model else None,
        "gpu_work": {"jobs": 2 if model else 0, "devices": ["cpu"], "cells": 24, "pairs": 84},
        "inputs_sha256": {str(table): sha256(table)},
        "results_sha256": {f"results/{name}/{file}": sha256(folder / file) for file in files},
    }
    write_run(folder / "run.json", record)
    return folder


def hash_of(text: str) -> int:
    return int.from_bytes(text.encode()[-6:], "big")


def distances(vectors: np.ndarray) -> np.ndarray:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return complement(unit @ unit.T)
