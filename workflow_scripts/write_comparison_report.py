"""Rule write_comparison_report: the written result of a comparison, as one page."""

from persona_geometry.comparison.studies import Measured, open_studies
from persona_geometry.files import read_json, write_text
from persona_geometry.logs import job_log
from persona_geometry.published import read_run
from persona_geometry.report.page.comparison_charts import comparison_charts
from persona_geometry.report.page.render import render_comparison

inputs, params = snakemake.input, snakemake.params
with job_log(snakemake.log[0]):
    comparison = read_json(inputs.comparison)
    studies = open_studies(comparison["studies"], "results", params.table)
    runs = {name: s.results.run for name, s in studies.items() if isinstance(s, Measured)}
    sources = {"comparison.json": comparison, "run.json": read_run(inputs.run), "runs": runs}
    page = render_comparison(sources, comparison_charts(comparison, studies))
    write_text(snakemake.output.report, page)
