"""Rule plot_layers: the statistics of the configured layers, and ρ at every layer."""

from persona_geometry.logs import job_log
from persona_geometry.report.figures.layers import layer_bars, layer_curve
from persona_geometry.report.figures.style import save
from persona_geometry.rsa.results import read_alignment

output = snakemake.output
with job_log(snakemake.log[0]):
    alignment = read_alignment(snakemake.input.alignment)
    save(*layer_bars(alignment), output.png, output.pdf, output.tsv)
    save(*layer_curve(alignment), output.curve_png, output.curve_pdf, output.curve_tsv)
