"""Rules js_matrix and cosine_rdms, for RDMs that come from files."""

import json
from pathlib import Path

from persona_geometry.errors import InputError
from persona_geometry.files import write_atomically
from persona_geometry.logs import job_log
from persona_geometry.rdms.rdm import (
    check_distances,
    check_js,
    check_sha256,
    read_similarities,
    read_tsv,
    select,
    write_tsv,
)

params, path, output = snakemake.params, snakemake.input.file, snakemake.output


def chosen(names, distances):
    """The study's personas by name; the anchor may be missing."""
    wanted = [p for p in params.personas if p != params.anchor or p in names]
    return wanted, check_distances(select(names, distances, wanted, path), wanted, path)


def cosine_rdms():
    """Layer to names and distances."""
    if not path.endswith(".json"):
        if len(params.layers) > 1:
            raise InputError(
                f"{path} holds one cosine RDM, but geometry.layers names {len(params.layers)} "
                f"layers; name the one it belongs to, or give a JSON of layers."
            )
        return {params.layers[0]: chosen(*read_tsv(path))}
    similarities = read_similarities(path)
    for layer in params.layers:
        if layer not in similarities:
            raise InputError(f"{path} has no layer {layer}; correct geometry.layers.")
    return {layer: chosen(names, 1.0 - matrix) for layer, (names, matrix) in similarities.items()}


def write_cosine_rdms():
    rdms = cosine_rdms()
    for layer, (names, distances) in rdms.items():
        write_tsv(Path(output.tables) / f"layer_{layer}.tsv", names, distances)
    return {
        f"layer_{layer}": {"persona_names": names, "matrix": (1.0 - distances).tolist()}
        for layer, (names, distances) in rdms.items()
    }


def write_js_rdm():
    names, distances = chosen(*read_tsv(path))
    if params.estimator == "js":
        check_js(distances, path)
    write_tsv(Path(output.tables) / "full.tsv", names, distances)
    return {
        "persona_names": names,
        "estimator": params.estimator,
        "units": "nats",
        "prompts": None,
        "cutoffs": {"full": distances.tolist()},
    }


with job_log(snakemake.log[0]):
    check_sha256(path, params.sha256)
    Path(output.tables).mkdir(exist_ok=True)
    content = write_cosine_rdms() if params.kind == "cosine" else write_js_rdm()
    write_atomically(Path(output.matrix), json.dumps(content).encode())
