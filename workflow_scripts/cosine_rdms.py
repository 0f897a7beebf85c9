"""Rule cosine_rdms: centroids and their cosine distances at every layer of the model."""

from persona_geometry.logs import job_log
from persona_geometry.rdms.centroids import centroids_of_prompts, cosine_rdms, other_centroids
from persona_geometry.rdms.files import (
    read_prompt_divergences,
    write_cosine_rdms,
    write_layer_vectors,
    write_rdm_tables,
)
from persona_geometry.store.store import Store

params, output = snakemake.params, snakemake.output
with job_log(snakemake.log[0]):
    read = map(read_prompt_divergences, snakemake.input)
    prompts = dict(zip(params.prompts, read, strict=True))
    store = Store(params.store)
    centroids, vectors = centroids_of_prompts(store, prompts, params.layers, params.token)
    rdms = cosine_rdms(vectors.personas, centroids)
    write_layer_vectors(output.vectors, vectors)
    write_cosine_rdms(output.matrix, rdms)
    others = other_centroids(
        store, prompts, centroids, params.also, params.components, params.anchor
    )
    for name, path in zip(params.also, output.get("also", []), strict=True):
        write_cosine_rdms(path, cosine_rdms(vectors.personas, others[name]))
    write_rdm_tables(output.tables, {f"layer_{layer}": rdm for layer, rdm in rdms.items()})
