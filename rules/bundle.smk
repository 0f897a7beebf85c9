# The results as one file to cite, made when it is asked for: snakemake bundle --cores 1


localrules:
    bundle,
    write_bundle,


rule bundle:
    input:
        results("bundle.zip"),
    message:
        "The bundle of the study"


rule write_bundle:
    input:
        rules.all.input,
        written=input_files(),
    output:
        bundle=results("bundle.zip"),
    log:
        log_path("write_bundle"),
    conda:
        "../envs/cpu.yaml"
    params:
        study=STUDY.name,
        repository=workflow.basedir,
        config=config,
        bundle=asdict(STUDY.bundle),
        model=STUDY.measured,
        tables=[path for path in input_files() if path not in CONFIG_FILES],
        inputs=contents(*input_files()),
        method=REPORT_METHOD,
    message:
        "Bundle the results as an RO-Crate"
    script:
        "../workflow_scripts/write_bundle.py"
