"""Rule cosine_rdms: centroids and their cosines at every layer of the model."""

import json
from pathlib import Path

import numpy as np

from persona_geometry.files import write_atomically
from persona_geometry.logs import job_log
from persona_geometry.rdms.centroids import cosine_similarities, persona_vectors
from persona_geometry.rdms.rdm import write_tsv
from persona_geometry.store.store import Store

params = snakemake.params
with job_log(snakemake.log[0]):
    prompts = [np.load(path) for path in snakemake.input]
    personas = prompts[0]["personas"].tolist()
    items = [(str(prompt["item"]), prompt["cells"].tolist()) for prompt in prompts]
    total, kept = 0.0, []
    for vectors in persona_vectors(Store(params.store), items, params.token):
        total = total + vectors.astype(np.float64)
        kept.append(vectors[:, params.layers].transpose(1, 0, 2))
    similarities = cosine_similarities((total / len(prompts)).transpose(1, 0, 2))
    np.savez(
        snakemake.output.vectors,
        personas=personas,
        prompts=params.prompts,
        layers=params.layers,
        vectors=np.stack(kept, axis=1),
    )
    content = {
        f"layer_{layer}": {"persona_names": personas, "matrix": matrix.tolist()}
        for layer, matrix in enumerate(similarities)
    }
    write_atomically(Path(snakemake.output.matrix), json.dumps(content).encode())
    folder = Path(snakemake.output.tables)
    folder.mkdir(exist_ok=True)
    for layer, matrix in enumerate(similarities):
        write_tsv(folder / f"layer_{layer}.tsv", personas, 1.0 - matrix)
