"""Rule generate_responses: one job for all responses that the store lacks, with vLLM."""

from dataclasses import asdict

from persona_geometry.gpu.devices import claim_device
from persona_geometry.jobs.responses import generate_responses
from persona_geometry.jobs.task import Settings, Task
from persona_geometry.logs import job_log
from persona_geometry.store.store import Receipt, Store
from persona_geometry.study.recipes import Item

# With more than one GPU, vLLM's worker processes may import this file again.
if __name__ == "__main__":
    params = snakemake.params
    with job_log(snakemake.log[0]) as report:
        tasks = [Task.of(Item.of_plain(item), {}) for item in params.recipes]
        settings, store = Settings.of_plain(params.settings), Store(params.store)
        with claim_device(settings.model.gpus, report):
            done = generate_responses(tasks, settings, store, report)
        responses = frozenset(task.response for task in tasks)
        shard = snakemake.wildcards.shard
        if done.idle and store.certifies(shard, responses, "responses"):
            report("everything is certified already; the receipt stays as it is")
        else:
            receipt = Receipt(responses, params.model_key, asdict(done))
            store.write_receipt(shard, receipt, "responses")
