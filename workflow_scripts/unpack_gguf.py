"""Rule unpack_gguf: an ordinary checkpoint of a GGUF file, once."""

from pathlib import Path

from persona_geometry.logs import job_log
from persona_geometry.model.gguf import unpack

with job_log(snakemake.log[0]) as report:
    kinds = unpack(Path(snakemake.params.file), Path(snakemake.output.checkpoint))
    counted = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    report(f"{snakemake.params.file}: {counted} tensors unpacked to float32")
