# Figures, each in three formats with its data and its caption. The captions hold the study's numbers,
# so the report takes them from where they were written.


localrules:
    plot_figures,


rule plot_figures:
    input:
        alignment=results("alignment.json"),
        cosine=results("cosine_matrix.json"),
        js=results("js_matrix.json"),
        prompts=published("prompts", "npz") if "js" not in STUDY.rdm else [],
    output:
        png=[
            report_figure(results(f"figures/{name}"), **labels)
            for name, labels in study_figures(
                STUDY.layers, STUDY.headline_layer
            ).items()
        ],
        tsv=[
            report_table(results(f"figures/{name}"), **labels)
            for name, labels in study_figures(
                STUDY.layers, STUDY.headline_layer
            ).items()
        ],
        others=figure_files(
            study_figures(STUDY.layers, STUDY.headline_layer), "png", "tsv"
        ),
    log:
        log_path("plot_figures"),
    benchmark:
        bench_path("plot_figures")
    conda:
        "../envs/cpu.yaml"
    threads: 8
    params:
        store=store_root,
        anchor=STUDY.anchor,
        clusters=STUDY.clusters,
        macro_clusters=STUDY.macro_clusters,
        measure=STUDY.divergence_label,
        width=WIDTHS[STUDY.figures.width],
        method=REPORT_METHOD,
    message:
        "Draw the figures"
    script:
        "../workflow_scripts/plot_figures.py"
