"""Rule teacher_force: one GPU job over a shard of prompts."""

import json
from pathlib import Path

from persona_geometry.devices import claim_device
from persona_geometry.logs import job_log
from persona_geometry.shard import Settings, ShardJob, Task
from persona_geometry.store import Store, write_atomically

params = snakemake.params
with job_log(snakemake.log[0]) as report:
    tasks = [
        Task(
            name=entry["name"],
            user=entry["user"],
            item=entry["item"],
            response=entry["response"],
            cells={cell: params.personas[name] for name, cell in entry["cells"].items()},
        )
        for entry in params.tasks
    ]
    settings = Settings(**params.settings)
    job = ShardJob(settings, Store(params.store), report)
    with claim_device(settings.model["gpus"], report):
        receipt = {"model": params.model_key, **job.run(tasks)}
    write_atomically(Path(snakemake.output.receipt), json.dumps(receipt).encode())
