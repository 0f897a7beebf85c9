"""Rule write_comparison_record: provenance of a comparison's numbers."""

from persona_geometry.logs import job_log
from persona_geometry.published import write_run
from persona_geometry.report.run_record import comparison_record, git_commit

inputs, params = snakemake.input, snakemake.params
with job_log(snakemake.log[0]):
    record = comparison_record(
        params.comparison,
        git_commit(params.repository),
        params.config,
        inputs.studies,
        inputs.results,
    )
    write_run(snakemake.output.record, record)
