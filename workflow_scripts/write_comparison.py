"""Rule write_comparison: the comparison of studies in sentences."""

from persona_geometry.files import read_json
from persona_geometry.logs import job_log
from persona_geometry.report.comparison import describe_comparison
from persona_geometry.report.markdown import write_markdown

with job_log(snakemake.log[0]):
    comparison = read_json(snakemake.input.comparison)
    write_markdown(snakemake.output.text, describe_comparison(comparison))
