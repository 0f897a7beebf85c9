"""Rule generate_responses: one job for all responses that the store lacks, with vLLM."""

import json
from pathlib import Path

from persona_geometry.files import write_atomically
from persona_geometry.gpu.devices import claim_device
from persona_geometry.jobs.responses import generate_responses
from persona_geometry.jobs.task import Settings, Task
from persona_geometry.logs import job_log
from persona_geometry.store.store import Store

# With more than one GPU, vLLM's worker processes may import this file again.
if __name__ == "__main__":
    params = snakemake.params
    with job_log(snakemake.log[0]) as report:
        tasks = [Task(**entry, cells={}) for entry in params.tasks]
        settings = Settings.of_plain(params.settings)
        with claim_device(settings.model.gpus, report):
            receipt = generate_responses(tasks, settings, Store(params.store), report)
        content = {"model": params.model_key, **receipt}
        write_atomically(Path(snakemake.output.receipt), json.dumps(content).encode())
