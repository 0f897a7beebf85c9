"""Rule plot_heatmaps: both RDMs, in two orders."""

from persona_geometry.logs import job_log
from persona_geometry.rdms.files import read_cosine_rdms, read_divergence_rdms
from persona_geometry.report.figures.heatmap import heatmaps
from persona_geometry.report.figures.style import save

inputs, params, output = snakemake.input, snakemake.params, snakemake.output
with job_log(snakemake.log[0]):
    divergence = read_divergence_rdms(inputs.js).rdms["full"].without(params.anchor)
    cosine = read_cosine_rdms(inputs.cosine)[params.layer].select(divergence.names, inputs.cosine)
    figure, table = heatmaps(params.clusters, cosine, divergence, params.layer, params.measure)
    save(figure, table, output.png, output.pdf, output.tsv)
