"""Rule js_matrix: the divergence RDM at every cutoff, averaged over prompts."""

import json
from pathlib import Path

import numpy as np

from persona_geometry.files import write_atomically
from persona_geometry.logs import job_log
from persona_geometry.rdms.centroids import mean_rdm
from persona_geometry.rdms.rdm import write_tsv

estimator = snakemake.params.estimator
with job_log(snakemake.log[0]):
    prompts = [np.load(path) for path in snakemake.input]
    personas, cutoffs = prompts[0]["personas"].tolist(), prompts[0]["cutoffs"].tolist()
    by_prompt = np.stack([prompt[estimator] for prompt in prompts], axis=1)
    means = {
        cutoff: mean_rdm(values, bounded=estimator == "js")
        for cutoff, values in zip(cutoffs, by_prompt, strict=True)
    }
    np.savez(
        snakemake.output.by_prompt,
        personas=personas,
        prompts=snakemake.params.prompts,
        cutoffs=cutoffs,
        js=by_prompt,
    )
    content = {
        "persona_names": personas,
        "estimator": estimator,
        "units": "nats",
        "prompts": snakemake.params.prompts,
        "cutoffs": {cutoff: matrix.tolist() for cutoff, matrix in means.items()},
    }
    write_atomically(Path(snakemake.output.matrix), json.dumps(content).encode())
    folder = Path(snakemake.output.tables)
    folder.mkdir(exist_ok=True)
    for cutoff, matrix in means.items():
        write_tsv(folder / f"{cutoff}.tsv", personas, matrix)
