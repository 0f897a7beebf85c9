"""Rule write_summary: the result in sentences."""

from persona_geometry.logs import job_log
from persona_geometry.report.markdown import write_markdown
from persona_geometry.report.summary import summarize
from persona_geometry.rsa.results import read_alignment

with job_log(snakemake.log[0]):
    alignment = read_alignment(snakemake.input.alignment)
    write_markdown(snakemake.output.summary, summarize(alignment, snakemake.params.model))
