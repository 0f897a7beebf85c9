# Representational similarity analysis: do the RDMs agree, layer by layer, and do the gates hold?


localrules:
    align,


rule align:
    input:
        **alignment_inputs(),
    output:
        alignment=results("alignment.json"),
    log:
        log_path("align"),
    benchmark:
        bench_path("align")
    conda:
        "../envs/cpu.yaml"
    threads: layers_at_a_time()
    params:
        study=STUDY.name,
        anchor=STUDY.anchor,
        clusters=STUDY.clusters,
        macro_clusters=STUDY.macro_clusters,
        system_prompts={p.name: p.system_prompt for p in STUDY.personas},
        layers=STUDY.layers,
        headline_layer=STUDY.headline_layer,
        settings=asdict(STUDY.alignment),
        inputs=contents(*comparison_files()),
        method=RSA_METHOD,
    message:
        "Compare the geometries layer by layer and evaluate the gates"
    script:
        "../workflow_scripts/align.py"
