"""Rule plot_heatmaps: both RDMs, in two orders."""

import json
from pathlib import Path

import numpy as np

from persona_geometry.logs import job_log
from persona_geometry.rdms.rdm import select
from persona_geometry.report.figures.heatmap import heatmaps
from persona_geometry.report.figures.style import save

inputs, params, output = snakemake.input, snakemake.params, snakemake.output
with job_log(snakemake.log[0]):
    cosine = json.loads(Path(inputs.cosine).read_text())[f"layer_{params.layer}"]
    js = json.loads(Path(inputs.js).read_text())
    personas = [name for name in js["persona_names"] if name != params.anchor]
    figure, table = heatmaps(
        personas,
        params.clusters,
        1.0 - select(cosine["persona_names"], np.array(cosine["matrix"]), personas, inputs.cosine),
        select(js["persona_names"], np.array(js["cutoffs"]["full"]), personas, inputs.js),
        params.layer,
        params.measure,
    )
    save(figure, table, output.png, output.pdf, output.tsv)
