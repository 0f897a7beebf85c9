"""Rule js_matrix: the divergence RDM at every cutoff, averaged over prompts."""

from persona_geometry.logs import job_log
from persona_geometry.rdms.divergences import mean_kl, mean_rdms, stacks_of_prompts
from persona_geometry.rdms.files import (
    DivergenceRdms,
    read_prompt_divergences,
    write_directed_divergences,
    write_divergence_rdms,
    write_rdm_tables,
    write_stacks,
)

params, output = snakemake.params, snakemake.output
with job_log(snakemake.log[0]):
    read = map(read_prompt_divergences, snakemake.input)
    prompts = dict(zip(params.prompts, read, strict=True))
    stacks = stacks_of_prompts(prompts, params.estimator)
    rdms = mean_rdms(stacks)
    write_stacks(output.by_prompt, stacks)
    write_divergence_rdms(
        output.matrix, DivergenceRdms(params.estimator, "nats", list(params.prompts), rdms)
    )
    write_directed_divergences(output.kl, rdms["full"].names, mean_kl(prompts))
    write_rdm_tables(output.tables, rdms)
