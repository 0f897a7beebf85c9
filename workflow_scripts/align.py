"""Rule align: every statistic of the comparison, and the gates."""

import json
from pathlib import Path

import numpy as np

from persona_geometry.logs import job_log
from persona_geometry.rdms.rdm import check_distances, read_tsv, select
from persona_geometry.rsa.alignment import Geometries, align
from persona_geometry.rsa.outcomes import read_outcomes
from persona_geometry.rsa.results import write_alignment

inputs, params = snakemake.input, snakemake.params


def measured(kind):
    """Arrays that only a measured geometry has, or None."""
    return np.load(inputs[kind]) if kind in inputs.keys() else None


with job_log(snakemake.log[0]) as report:
    layers = {
        int(name.removeprefix("layer_")): (layer["persona_names"], 1.0 - np.array(layer["matrix"]))
        for name, layer in json.loads(Path(inputs.cosine).read_text()).items()
    }
    js = json.loads(Path(inputs.js).read_text())
    # An RDM from a file may lack the anchor, which the other has.
    personas = [
        name for name in js["persona_names"] if all(name in names for names, _ in layers.values())
    ]

    def places(names):
        return [list(names).index(name) for name in personas]

    by_prompt, vectors = measured("by_prompt"), measured("vectors")
    geometries = Geometries(
        personas=personas,
        anchor=params.anchor,
        clusters=params.clusters,
        cosine={
            layer: select(names, distances, personas, inputs.cosine)
            for layer, (names, distances) in layers.items()
        },
        js={
            cutoff: select(js["persona_names"], np.array(matrix), personas, inputs.js)
            for cutoff, matrix in js["cutoffs"].items()
        },
        prompts=by_prompt["prompts"].tolist() if by_prompt else None,
        js_by_prompt={
            cutoff: values[:, *np.ix_(*[places(by_prompt["personas"])] * 2)]
            for cutoff, values in zip(by_prompt["cutoffs"].tolist(), by_prompt["js"], strict=True)
        }
        if by_prompt
        else None,
        vectors={
            layer: values[:, places(vectors["personas"])]
            for layer, values in zip(vectors["layers"].tolist(), vectors["vectors"], strict=True)
        }
        if vectors
        else None,
        covariates={
            Path(path).stem: check_distances(
                select(*read_tsv(path), personas, path), personas, path
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
    write_alignment(snakemake.output.alignment, alignment)
