"""Rule publish_prompt: one prompt's matrices and response, from the store."""

from persona_geometry.files import write_json
from persona_geometry.logs import job_log
from persona_geometry.rdms.files import write_prompt_divergences
from persona_geometry.rdms.publish import prompt_divergences
from persona_geometry.store.store import Store

params, output = snakemake.params, snakemake.output
with job_log(snakemake.log[0]):
    store = Store(params.store)
    response = store.need_response(params.response)
    divergences = prompt_divergences(store, params.item, response, params.cells, params.cutoffs)
    write_prompt_divergences(output.divergences, divergences)
    published = {"prompt": snakemake.wildcards.prompt, "user": params.user, **vars(response)}
    write_json(output.response, published, indent=1)
