"""Rules js_matrix and cosine_rdms, for RDMs that come from files."""

import json
from pathlib import Path

from persona_geometry.errors import InputError
from persona_geometry.logs import job_log
from persona_geometry.rdm import (
    check_distances,
    check_js,
    check_sha256,
    read_similarities,
    read_tsv,
    select,
    write_tsv,
)
from persona_geometry.store import write_atomically

params, path = snakemake.params, snakemake.input.file


def chosen(names, distances):
    """The study's personas by name; the anchor may be missing."""
    wanted = [p for p in params.personas if p != params.anchor or p in names]
    return wanted, check_distances(select(names, distances, wanted, path), wanted, path)


with job_log(snakemake.log[0]):
    check_sha256(path, params.sha256)
    if path.endswith(".json"):
        tables = {
            layer: chosen(names, 1.0 - similarities)
            for layer, (names, similarities) in read_similarities(path).items()
        }
    else:
        layers = params.layers if params.kind == "cosine" else ["full"]
        tables = dict.fromkeys(layers, chosen(*read_tsv(path)))
    folder = Path(snakemake.output.tables)
    folder.mkdir(exist_ok=True)
    if params.kind == "cosine":
        for layer in params.layers:
            if layer not in tables:
                raise InputError(f"{path} has no layer {layer}; correct geometry.layers.")
        content = {
            f"layer_{layer}": {"persona_names": names, "matrix": (1.0 - distances).tolist()}
            for layer, (names, distances) in tables.items()
        }
        for layer, (names, distances) in tables.items():
            write_tsv(folder / f"layer_{layer}.tsv", names, distances)
    else:
        if "full" not in tables:
            raise InputError(f"{path}: a divergence RDM is read from a labeled TSV of distances.")
        names, distances = tables["full"]
        if params.estimator == "js":
            check_js(distances, path)
        content = {
            "persona_names": names,
            "estimator": params.estimator,
            "units": "nats",
            "prompts": None,
            "cutoffs": {"full": distances.tolist()},
        }
        write_tsv(folder / "full.tsv", names, distances)
    write_atomically(Path(snakemake.output.matrix), json.dumps(content).encode())
