"""Rules js_matrix and cosine_rdms, for RDMs that come from files."""

from persona_geometry.logs import job_log
from persona_geometry.rdms.files import (
    DivergenceRdms,
    check_sha256,
    write_cosine_rdms,
    write_divergence_rdms,
    write_rdm_tables,
)
from persona_geometry.rdms.imported import imported_cosine_rdms, imported_divergence_rdm

params, path, output = snakemake.params, snakemake.input.file, snakemake.output

with job_log(snakemake.log[0]):
    check_sha256(path, params.sha256)
    if params.kind == "cosine":
        layers = imported_cosine_rdms(path, params.layers, params.personas, params.anchor)
        write_cosine_rdms(output.matrix, layers)
        write_rdm_tables(output.tables, {f"layer_{layer}": rdm for layer, rdm in layers.items()})
    else:
        rdm = imported_divergence_rdm(path, params.estimator, params.personas, params.anchor)
        write_divergence_rdms(
            output.matrix, DivergenceRdms(params.estimator, params.unit, None, {"full": rdm})
        )
        write_rdm_tables(output.tables, {"full": rdm})
