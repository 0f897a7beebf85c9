"""Rule plan: print what the study would still compute, and what it takes; writes no result."""

from persona_geometry.jobs.plan import count, describe, make_plan
from persona_geometry.logs import job_log
from persona_geometry.model.hub import outline_model
from persona_geometry.store.store import Store
from persona_geometry.study.recipes import Item
from persona_geometry.study.sections import Generation, Model, Scoring

params = snakemake.params
with job_log(snakemake.log[0]):
    model, store = Model(**params.model), Store(params.store)
    items = [Item.of_plain(item) for item in params.recipes]
    past = [store.read_receipt(shard) for shard in store.receipts()]
    scoring = Scoring(**params.scoring)
    plan = make_plan(
        count(store, items, scoring.keep_states),
        items,
        params.personas,
        params.gpu_jobs,
        params.largest_job,
        model,
        Generation(**params.generation),
        scoring,
        outline_model(model),
        [receipt for receipt in past if receipt.model == params.model_key],
    )
    print(describe(plan, params.title, params.price), flush=True)
