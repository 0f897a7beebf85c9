"""Rule align: every statistic of the comparison, and the gates."""

from persona_geometry.logs import job_log
from persona_geometry.rsa.alignment import align
from persona_geometry.rsa.geometries import read_geometries
from persona_geometry.rsa.results import write_alignment
from persona_geometry.study.sections import Alignment

inputs, params = snakemake.input, snakemake.params

with job_log(snakemake.log[0]) as report:
    settings = Alignment.of(**params.settings)
    geometries, estimator = read_geometries(
        inputs.cosine,
        inputs.js,
        by_prompt=inputs.get("by_prompt"),
        vectors=inputs.get("vectors"),
        covariates=settings.covariates,
        outcomes=settings.outcomes,
        kl=inputs.get("kl"),
        also=inputs.get("also", []),
        system_prompts=params.system_prompts,
        anchor=params.anchor,
        clusters=params.clusters,
        macro=params.macro_clusters,
    )
    alignment = align(
        geometries,
        settings,
        params.layers,
        params.headline_layer,
        params.study,
        estimator,
        progress=report,
        threads=snakemake.threads,
    )
    write_alignment(snakemake.output.alignment, alignment)
