"""Rule plot_scatter: every pair on the plane of the two distances, at one layer."""

from persona_geometry.logs import job_log
from persona_geometry.rdms.files import read_cosine_rdms, read_divergence_rdms
from persona_geometry.report.figures.scatter import scatter
from persona_geometry.report.figures.style import save
from persona_geometry.rsa.results import read_alignment

inputs, params, output = snakemake.input, snakemake.params, snakemake.output
with job_log(snakemake.log[0]):
    layer = snakemake.wildcards.layer
    alignment = read_alignment(inputs.alignment)
    personas = alignment["personas"]
    figure, table = scatter(
        params.clusters,
        read_cosine_rdms(inputs.cosine)[int(layer)].select(personas, inputs.cosine),
        read_divergence_rdms(inputs.js).rdms["full"].select(personas, inputs.js),
        int(layer),
        alignment["layers"][layer],
        params.measure,
    )
    save(figure, table, output.png, output.pdf, output.tsv)
