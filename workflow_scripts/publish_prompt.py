"""Rule publish_prompt: one prompt's matrices and response, from the store."""

import json
from pathlib import Path

import numpy as np

from persona_geometry.files import write_atomically
from persona_geometry.logs import job_log
from persona_geometry.rdms.publish import prompt_divergences
from persona_geometry.store.store import Store

params = snakemake.params
with job_log(snakemake.log[0]):
    store = Store(params.store)
    response = store.need_response(params.response)
    cells = list(params.cells.values())
    matrices = prompt_divergences(store, params.item, response, cells, params.cutoffs)
    np.savez(
        snakemake.output.divergences,
        personas=list(params.cells),
        cells=cells,
        item=params.item,
        **matrices,
    )
    published = {"prompt": snakemake.wildcards.prompt, "user": params.user, **vars(response)}
    write_atomically(
        Path(snakemake.output.response),
        json.dumps(published, ensure_ascii=False, indent=1).encode(),
    )
