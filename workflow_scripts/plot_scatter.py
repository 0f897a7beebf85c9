"""Rule plot_scatter: every pair on the plane of the two distances, at one layer."""

import json
from pathlib import Path

import numpy as np

from persona_geometry.logs import job_log
from persona_geometry.rdms.rdm import select
from persona_geometry.report.figures.scatter import scatter
from persona_geometry.report.figures.style import save

inputs, params, output = snakemake.input, snakemake.params, snakemake.output
with job_log(snakemake.log[0]):
    layer = snakemake.wildcards.layer
    alignment = json.loads(Path(inputs.alignment).read_text())
    js = json.loads(Path(inputs.js).read_text())
    cosine = json.loads(Path(inputs.cosine).read_text())[f"layer_{layer}"]
    personas = alignment["personas"]
    figure, table = scatter(
        personas,
        params.clusters,
        1.0 - select(cosine["persona_names"], np.array(cosine["matrix"]), personas, inputs.cosine),
        select(js["persona_names"], np.array(js["cutoffs"]["full"]), personas, inputs.js),
        int(layer),
        alignment["layers"][layer],
        params.measure,
    )
    save(figure, table, output.png, output.pdf, output.tsv)
