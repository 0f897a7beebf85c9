"""Rule plot_comparison: the figures of a comparison of studies."""

from persona_geometry.files import read_json
from persona_geometry.logs import job_log
from persona_geometry.report.figures.comparison import FIGURES
from persona_geometry.report.figures.style import save

output = snakemake.output
with job_log(snakemake.log[0]):
    comparison = read_json(snakemake.input.comparison)
    for name, *paths in zip(
        snakemake.params.figures, output.png, output.pdf, output.tsv, strict=True
    ):
        save(*FIGURES[name](comparison), *paths)
