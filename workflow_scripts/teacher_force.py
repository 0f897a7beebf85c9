"""Rule teacher_force: one GPU job over a shard of prompts."""

import json
from pathlib import Path

from persona_geometry.files import write_atomically
from persona_geometry.gpu.devices import claim_device
from persona_geometry.jobs.scoring import ShardJob
from persona_geometry.jobs.task import Settings, Task
from persona_geometry.logs import job_log
from persona_geometry.store.store import Store

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
    settings = Settings.of_plain(params.settings)
    job = ShardJob(settings, Store(params.store), report)
    with claim_device(settings.model.gpus, report):
        receipt = {"model": params.model_key, **job.run(tasks)}
    write_atomically(Path(snakemake.output.receipt), json.dumps(receipt).encode())
