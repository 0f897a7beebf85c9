# Where the numbers come from.


localrules:
    write_run_record,


rule write_run_record:
    input:
        results("alignment.json"),
    output:
        record=results("run.json"),
    log:
        log_path("write_run_record"),
    conda:
        "../envs/cpu.yaml"
    params:
        study=STUDY.name,
        repository=workflow.basedir,
        inputs=input_files(),
        model=(
            asdict(STUDY.model) | {"fingerprint": FINGERPRINT}
            if STUDY.needs_model
            else None
        ),
        receipts=study_receipts(),
        benchmarks=results("benchmarks"),
    message:
        "Record commit, packages, model, device, seconds and input hashes"
    script:
        "../workflow_scripts/write_run_record.py"
