"""Rule plot_comparison: the figures of a comparison of studies."""

from pathlib import Path

from persona_geometry.files import read_json
from persona_geometry.logs import job_log
from persona_geometry.report.figures.comparison import FIGURES
from persona_geometry.report.figures.style import save

with job_log(snakemake.log[0]):
    comparison = read_json(snakemake.input.comparison)
    folder = Path(snakemake.output.png[0]).parent
    for name, draw in FIGURES.items():
        save(draw(comparison, snakemake.params.width), folder / name)
