"""Rule resolve_model: find the model and what it is made of, before a GPU is asked for."""

import json
from pathlib import Path

from persona_geometry.files import write_atomically
from persona_geometry.logs import job_log
from persona_geometry.model.hub import describe_model
from persona_geometry.study.config import check_model_layers
from persona_geometry.study.sections import Model

params = snakemake.params
with job_log(snakemake.log[0]) as report:
    described = describe_model(Model(**params.model), report)
    check_model_layers(params.layers, described["config"], params.source)
    content = {"fingerprint": params.fingerprint, **described}
    write_atomically(Path(snakemake.output.model), json.dumps(content, indent=1).encode())
