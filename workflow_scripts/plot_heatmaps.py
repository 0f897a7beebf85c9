"""Rule plot_heatmaps: both RDMs, in two orders."""

import json
from pathlib import Path

import numpy as np

from persona_geometry.figures.heatmap import heatmaps
from persona_geometry.figures.style import save
from persona_geometry.logs import job_log

inputs, params, output = snakemake.input, snakemake.params, snakemake.output
with job_log(snakemake.log[0]):
    cosine = json.loads(Path(inputs.cosine).read_text())[f"layer_{params.layer}"]
    js = json.loads(Path(inputs.js).read_text())
    personas = [name for name in js["persona_names"] if name != params.anchor]
    grid = np.ix_(*[[js["persona_names"].index(name) for name in personas]] * 2)
    figure, table = heatmaps(
        personas,
        params.clusters,
        1.0 - np.array(cosine["matrix"])[grid],
        np.array(js["cutoffs"]["full"])[grid],
        params.layer,
        params.measure,
    )
    save(figure, table, output.png, output.pdf, output.tsv)
