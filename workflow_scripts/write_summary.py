"""Rule write_summary: the result in sentences."""

import json
from pathlib import Path

from persona_geometry.files import write_atomically
from persona_geometry.logs import job_log
from persona_geometry.report.summary import summarize

with job_log(snakemake.log[0]):
    alignment = json.loads(Path(snakemake.input.alignment).read_text())
    write_atomically(Path(snakemake.output.summary), summarize(alignment).encode())
