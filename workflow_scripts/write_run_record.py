"""Rule write_run_record: provenance of a study's numbers."""

from persona_geometry.files import write_json
from persona_geometry.logs import job_log
from persona_geometry.report.run_record import git_commit, run_record

inputs, params = snakemake.input, snakemake.params
with job_log(snakemake.log[0]):
    record = run_record(
        params.study,
        git_commit(params.repository),
        params.config,
        params.model,
        inputs.written,
        inputs.results,
        inputs.receipts,
        params.benchmarks,
    )
    write_json(snakemake.output.record, record, indent=1)
