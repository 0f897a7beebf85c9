# Responses by vLLM: one GPU job for all that the store lacks. With the transformers backend the
# scoring job generates them, with the model that it has loaded anyway.

if STUDY.needs_model and STUDY.generation.backend == "vllm":

    rule generate_responses:
        input:
            model=rules.resolve_model.output.model,
            prompts=rules.check_prompts.output.prompts,
        output:
            receipt=receipt_output(str(STORE.receipt_path("{shard}", "responses"))),
        log:
            log_path("generate_responses/{shard}"),
        benchmark:
            bench_path("generate_responses/{shard}")
        wildcard_constraints:
            shard=one_of(open_shards(RESPONSE_SHARDS)),
        conda:
            "../envs/gpu.yaml"
        threads: gpu_job_threads()
        resources:
            gpu=STUDY.model.gpus,
            mem_mb=job_memory,
            runtime=generation_minutes,
        params:
            store=str(STORE.root),
            model_key=MODEL_KEY,
            prompts=lambda w: first_names(RESPONSE_SHARDS.shards[w.shard]),
            recipes=lambda w: [
                asdict(replace(item, cells={}, top_tokens={}))
                for item in RESPONSE_SHARDS.shards[w.shard]
            ],
            settings=settings,
        message:
            "GPU job: start vLLM once, generate what the store lacks of: {params.prompts}"
        script:
            "../workflow_scripts/generate_responses.py"
