"""Rule align: every statistic of the comparison, and the gates."""

from persona_geometry.files import write_json
from persona_geometry.logs import job_log
from persona_geometry.rsa.alignment import align
from persona_geometry.rsa.geometries import read_geometries

inputs, params = snakemake.input, snakemake.params

with job_log(snakemake.log[0]) as report:
    geometries, estimator = read_geometries(
        inputs.cosine,
        inputs.js,
        by_prompt=inputs.get("by_prompt"),
        vectors=inputs.get("vectors"),
        covariates=params.settings["covariates"],
        outcomes=params.settings["outcomes"],
        anchor=params.anchor,
        clusters=params.clusters,
    )
    alignment = align(
        geometries,
        params.settings,
        params.layers,
        params.headline_layer,
        params.study,
        estimator,
        progress=report,
    )
    write_json(snakemake.output.alignment, alignment, indent=1)
