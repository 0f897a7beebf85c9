# Where the numbers come from.


localrules:
    write_run_record,


# It waits for what measures and computes, not for what says and draws: the page is written beside the
# figures.
rule write_run_record:
    input:
        written=input_files(),
        receipts=study_receipts(),
        prompts=published("prompts", "npz") if STUDY.needs_model else [],
        results=[
            *study_rdms().values(),
            *other_geometries().get("also", []),
            *top_tokens(),
            results("alignment.json"),
            *probe_numbers(),
        ],
    output:
        record=results("run.json"),
    log:
        log_path("write_run_record"),
    conda:
        "../envs/cpu.yaml"
    params:
        study=STUDY.name,
        repository=workflow.basedir,
        config={
            "files": CONFIG_FILES,
            "overrides": dict(workflow.config_settings.config),
            "effective": config,
        },
        model=(
            asdict(STUDY.model) | {"fingerprint": FINGERPRINT}
            if STUDY.needs_model
            else None
        ),
        store=store_root,
        model_key=MODEL_KEY if STUDY.needs_model else None,
        benchmarks=study_benchmarks(),
        inputs=contents(*input_files()),
        method=REPORT_METHOD,
        rdms=study_rdms(),
        also=STUDY.geometry.also,
        top_tokens=bool(top_tokens()),
        probe=[
            *(["probe", "directions", "report_probe"] if STUDY.probe.personas else []),
            *(["intervention"] if STUDY.intervention.directions else []),
        ],
        layers=STUDY.layers,
        prompts=STUDY.prompt_names if STUDY.needs_model else [],
    message:
        "Record commit, packages, config, model, device, seconds and hashes"
    script:
        "../workflow_scripts/write_run_record.py"
