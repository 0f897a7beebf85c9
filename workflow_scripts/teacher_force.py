"""Rule teacher_force: one GPU job over a shard of prompts."""

from dataclasses import asdict

from persona_geometry.gpu.devices import claim_device
from persona_geometry.jobs.shard import ShardJob
from persona_geometry.jobs.task import Settings, Task
from persona_geometry.logs import job_log
from persona_geometry.store.store import Receipt, Store
from persona_geometry.study.recipes import Item

params = snakemake.params
with job_log(snakemake.log[0]) as report:
    tasks = [Task.of(Item.of_plain(item), params.personas) for item in params.recipes]
    settings, store = Settings.of_plain(params.settings), Store(params.store)
    with claim_device(settings.model.gpus, report):
        done = ShardJob(settings, store, report).run(tasks)
    keys = frozenset(key for task in tasks for key in task.keys)
    shard = snakemake.wildcards.shard
    if done.idle and store.certifies(shard, keys):
        report("everything is certified already; the receipt stays as it is")
    else:
        store.write_receipt(shard, Receipt(keys, params.model_key, asdict(done)))
