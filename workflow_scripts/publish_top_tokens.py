"""Rule publish_top_tokens: every persona's likeliest next tokens, from the store."""

from persona_geometry.logs import job_log
from persona_geometry.published import write_top_tokens
from persona_geometry.rdms.publish import study_top_tokens
from persona_geometry.store.late import patiently
from persona_geometry.store.store import Store

params = snakemake.params
with job_log(snakemake.log[0]):
    top = patiently(
        lambda: study_top_tokens(Store(params.store), params.prompts), snakemake.input.receipts
    )
    write_top_tokens(snakemake.output.top_tokens, top)
