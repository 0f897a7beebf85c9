# Hidden states and divergences: GPU jobs over shards of prompts, then one small local
# job a prompt.

if STUDY.needs_model:

    localrules:
        publish_prompt,

    rule teacher_force:
        input:
            model=rules.resolve_model.output.model,
            prompts=rules.check_prompts.output.prompts,
            responses=lambda w: response_receipts(SHARDS.shards[w.shard]),
        output:
            receipt=receipt_output(str(STORE.receipt_path("{shard}"))),
        log:
            log_path("teacher_force/{shard}"),
        benchmark:
            bench_path("teacher_force/{shard}")
        wildcard_constraints:
            shard=one_of(open_shards(SHARDS)),
        conda:
            "../envs/gpu.yaml"
        threads: gpu_job_threads()
        resources:
            gpu=STUDY.model.gpus,
            mem_mb=job_memory,
            runtime=scoring_minutes,
            batch_tokens=scoring_batch,
        params:
            store=store_root,
            model_key=MODEL_KEY,
            prompts=lambda w: first_names(SHARDS.shards[w.shard]),
            recipes=lambda w: [asdict(item) for item in SHARDS.shards[w.shard]],
            personas={p.name: p.system_prompt for p in STUDY.personas},
            settings=settings,
        message:
            "GPU job: load the model once, score under every persona: {params.prompts}"
        script:
            "../workflow_scripts/teacher_force.py"

    rule publish_prompt:
        input:
            receipt=receipt_of,
        output:
            divergences=results("prompts/{prompt}.npz"),
            response=results("responses/{prompt}.json"),
        log:
            log_path("publish_prompt/{prompt}"),
        benchmark:
            bench_path("publish_prompt/{prompt}")
        conda:
            "../envs/cpu.yaml"
        params:
            store=str(STORE.root),
            item=lambda w: ITEMS[w.prompt].key,
            response=lambda w: ITEMS[w.prompt].response,
            user=lambda w: ITEMS[w.prompt].prompt.text,
            cells=lambda w: ITEMS[w.prompt].cells,
            cutoffs=STUDY.divergence.cutoffs,
            method=RDMS_METHOD,
        message:
            "Publish the divergences of prompt {wildcards.prompt}"
        script:
            "../workflow_scripts/publish_prompt.py"

    if top_tokens():

        localrules:
            publish_top_tokens,

        rule publish_top_tokens:
            input:
                receipts=cell_receipts(),
            output:
                top_tokens=results("top_tokens.npz"),
            log:
                log_path("publish_top_tokens"),
            benchmark:
                bench_path("publish_top_tokens")
            conda:
                "../envs/cpu.yaml"
            params:
                store=store_root,
                prompts={
                    name: (item.key, item.response, item.top_tokens)
                    for name, item in ITEMS.items()
                },
                method=RDMS_METHOD,
            message:
                "Publish the likeliest next tokens of every persona"
            script:
                "../workflow_scripts/publish_top_tokens.py"
