"""Rule plot_scatter: every pair on the plane of the two distances, at one layer."""

import json
from pathlib import Path

import numpy as np

from persona_geometry.figures.scatter import scatter
from persona_geometry.figures.style import save
from persona_geometry.logs import job_log

inputs, params, output = snakemake.input, snakemake.params, snakemake.output
with job_log(snakemake.log[0]):
    layer = snakemake.wildcards.layer
    alignment = json.loads(Path(inputs.alignment).read_text())
    js = json.loads(Path(inputs.js).read_text())
    cosine = json.loads(Path(inputs.cosine).read_text())[f"layer_{layer}"]
    grid = np.ix_(*[[js["persona_names"].index(p) for p in alignment["personas"]]] * 2)
    figure, table = scatter(
        alignment["personas"],
        params.clusters,
        1.0 - np.array(cosine["matrix"])[grid],
        np.array(js["cutoffs"]["full"])[grid],
        int(layer),
        alignment["layers"][layer],
        params.measure,
    )
    save(figure, table, output.png, output.pdf, output.tsv)
