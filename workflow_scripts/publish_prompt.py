"""Rule publish_prompt: one prompt's matrices and response, from the store."""

from persona_geometry.logs import job_log
from persona_geometry.published import PublishedResponse, write_published_response
from persona_geometry.rdms.files import PromptDivergences, write_prompt_divergences
from persona_geometry.rdms.publish import prompt_divergences
from persona_geometry.store.late import patiently
from persona_geometry.store.store import Response, Store

params, output = snakemake.params, snakemake.output


def read() -> tuple[Response, PromptDivergences]:
    """The prompt's response and divergences."""
    store = Store(params.store)
    response = store.need_response(params.response)
    return response, prompt_divergences(store, params.item, response, params.cells, params.cutoffs)


with job_log(snakemake.log[0]):
    response, divergences = patiently(read, [snakemake.input.receipt])
    write_prompt_divergences(output.divergences, divergences)
    published = PublishedResponse(snakemake.wildcards.prompt, params.user, **vars(response))
    write_published_response(output.response, published)
