"""Rule align: every statistic of the comparison, and the gates."""

import json
from pathlib import Path

import numpy as np

from persona_geometry.logs import job_log
from persona_geometry.rdm import check_distances, read_tsv, select
from persona_geometry.rsa.alignment import Geometries, align
from persona_geometry.rsa.outcomes import read_outcomes
from persona_geometry.store import write_atomically

inputs, params = snakemake.input, snakemake.params
with job_log(snakemake.log[0]) as report:
    cosine = {
        int(name.removeprefix("layer_")): 1.0 - np.array(layer["matrix"])
        for name, layer in json.loads(Path(inputs.cosine).read_text()).items()
    }
    js = json.loads(Path(inputs.js).read_text())
    by_prompt = np.load(inputs.by_prompt) if "by_prompt" in inputs.keys() else None
    vectors = np.load(inputs.vectors) if "vectors" in inputs.keys() else None
    geometries = Geometries(
        personas=js["persona_names"],
        anchor=params.anchor,
        clusters=params.clusters,
        cosine=cosine,
        js={cutoff: np.array(matrix) for cutoff, matrix in js["cutoffs"].items()},
        prompts=by_prompt["prompts"].tolist() if by_prompt else None,
        js_by_prompt=dict(zip(by_prompt["cutoffs"].tolist(), by_prompt["js"], strict=True))
        if by_prompt
        else None,
        vectors=dict(zip(vectors["layers"].tolist(), vectors["vectors"], strict=True))
        if vectors
        else None,
        covariates={
            Path(path).stem: check_distances(
                select(*read_tsv(path), js["persona_names"], path), js["persona_names"], path
            )
            for path in params.settings["covariates"]
        },
        outcomes=read_outcomes(params.settings["outcomes"])
        if params.settings["outcomes"]
        else None,
    )
    alignment = align(
        geometries,
        params.settings,
        params.layers,
        params.headline_layer,
        params.study,
        js["estimator"],
        progress=report,
    )
    text = json.dumps(alignment, indent=1, allow_nan=False)
    write_atomically(Path(snakemake.output.alignment), text.encode())
