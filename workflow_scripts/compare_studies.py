"""Rule compare_studies: every statistic of a comparison, and the studies' numbers in a table."""

from persona_geometry.comparison.compare import compare
from persona_geometry.comparison.config import Comparison
from persona_geometry.comparison.studies import open_studies
from persona_geometry.comparison.tables import results_table
from persona_geometry.files import write_json, write_text
from persona_geometry.logs import job_log

output, params = snakemake.output, snakemake.params
with job_log(snakemake.log[0]) as report:
    settings = Comparison.of(**params.settings)
    studies = open_studies(settings.studies, "results", params.table)
    found = compare(settings, studies, report)
    write_text(output.results, results_table(studies).to_csv(index=False))
    write_json(output.comparison, found, indent=1)
