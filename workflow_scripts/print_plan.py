"""Rule plan: print what the study would still compute; writes nothing."""

from persona_geometry.jobs.plan import describe, make_plan
from persona_geometry.logs import job_log
from persona_geometry.model.hub import known_config
from persona_geometry.store.store import Store
from persona_geometry.study.sections import Model

params = snakemake.params
with job_log(snakemake.log[0]) as report:
    model, store = Model(**params.model), Store(params.store)
    past = [store.read_receipt(shard) for shard in store.receipts()]
    plan = make_plan(
        store,
        params.recipes,
        params.gpu_jobs,
        params.max_new_tokens,
        params.keep_states,
        4 if model.dtype == "float32" else 2,
        known_config(model),
        [receipt for receipt in past if receipt.model == params.model_key],
    )
    report(describe(plan, params.title))
