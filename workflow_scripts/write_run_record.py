"""Rule write_run_record: provenance of a study's numbers."""

import json
from pathlib import Path

from persona_geometry.files import write_atomically
from persona_geometry.logs import job_log
from persona_geometry.report.run_record import git_commit, run_record

params = snakemake.params
with job_log(snakemake.log[0]):
    record = run_record(
        params.study,
        git_commit(params.repository),
        params.inputs,
        params.model,
        [Path(path) for path in params.receipts],
        sorted(Path(params.benchmarks).rglob("*.tsv")),
    )
    write_atomically(Path(snakemake.output.record), json.dumps(record, indent=1).encode())
