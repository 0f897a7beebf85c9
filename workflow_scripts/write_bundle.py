"""Rule write_bundle: the results of a study as one file to cite."""

from pathlib import Path

from persona_geometry.bundle.archive import write_archive
from persona_geometry.bundle.write import bundle_files
from persona_geometry.logs import job_log
from persona_geometry.study.sections import Bundle

params = snakemake.params
with job_log(snakemake.log[0]) as report:
    target = Path(snakemake.output.bundle)
    files = bundle_files(
        target.parent,
        Path(params.repository),
        params.config,
        params.tables,
        Bundle(**params.bundle),
        params.model,
    )
    write_archive(target, files)
    report(f"{len(files)} files, {target.stat().st_size / 1e6:.1f} MB: {target}")
