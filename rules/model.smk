# The model: found, and its size known, before a GPU is asked for.

if STUDY.needs_model:

    if STUDY.model.gguf:

        localrules:
            unpack_gguf,

        # Named by the file's content, so that nothing but a missing checkpoint brings it back.
        rule unpack_gguf:
            output:
                checkpoint=directory(STUDY.model.path),
            log:
                log_path("unpack_gguf"),
            benchmark:
                bench_path("unpack_gguf")
            conda:
                "../envs/cpu.yaml"
            params:
                file=STUDY.model.gguf,
            message:
                "Unpack {params.file} into a checkpoint in float32, once"
            script:
                "../workflow_scripts/unpack_gguf.py"

    localrules:
        resolve_model,

    # It knows nothing of the study, so that every study of the model shares it.
    rule resolve_model:
        input:
            checkpoint=ancient(STUDY.model.path) if STUDY.model.gguf else [],
        output:
            model=str(STORE.model_path(MODEL_KEY)),
        log:
            log_path("resolve_model"),
        benchmark:
            bench_path("resolve_model")
        conda:
            "../envs/cpu.yaml"
        params:
            store=store_root,
            model=asdict(STUDY.model),
            model_key=MODEL_KEY,
            fingerprint=FINGERPRINT,
        message:
            finding_message(STUDY.model)
        script:
            "../workflow_scripts/resolve_model.py"

    localrules:
        check_prompts,

    rule check_prompts:
        input:
            model=rules.resolve_model.output.model,
        output:
            prompts=str(STORE.model_path(PROMPTS_KEY)),
        log:
            log_path("check_prompts"),
        benchmark:
            bench_path("check_prompts")
        conda:
            "../envs/cpu.yaml"
        params:
            store=store_root,
            prompts_key=PROMPTS_KEY,
            layers=STUDY.layers,
            source=STUDY.source,
            settings=asdict(Settings.of_study(STUDY)),
            texts=asdict(study_texts(STUDY, config["personas"], config["prompts"])),
        message:
            "Check that every persona and prompt reaches the model as its table has it"
        script:
            "../workflow_scripts/check_prompts.py"

    localrules:
        plan,

    # The plan goes to stdout, alone: of Snakemake only warnings and errors are wanted beside it.
    if workflow.is_main_process and "plan" in sys.argv[1:]:
        logger.setLevel("WARNING")

    rule plan:
        log:
            log_path("plan"),
        conda:
            "../envs/cpu.yaml"
        params:
            store=str(STORE.root),
            recipes=[asdict(item) for item in ITEMS.values()],
            personas={p.name: p.system_prompt for p in STUDY.personas},
            gpu_jobs=SCHEDULE.gpu_jobs,
            largest_job=max(map(len, SHARDS.planned.values()), default=0),
            generation=asdict(STUDY.generation),
            scoring=asdict(STUDY.scoring),
            model=asdict(STUDY.model),
            model_key=MODEL_KEY,
            title=STUDY.title,
            price=config.get("price_per_gpu_hour"),
        message:
            "Count what is still to compute"
        script:
            "../workflow_scripts/print_plan.py"
