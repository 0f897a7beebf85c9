# Figures, each as PNG and PDF with its data as TSV.


localrules:
    plot_heatmaps,
    plot_layers,
    plot_scatter,


rule plot_heatmaps:
    input:
        cosine=results("cosine_matrix.json"),
        js=results("js_matrix.json"),
    output:
        png=report(
            results("figures/heatmaps.png"),
            caption="../report/captions/heatmaps.rst",
            category="Figures",
            labels={"figure": "RDMs", "layer": str(STUDY.headline_layer)},
        ),
        pdf=results("figures/heatmaps.pdf"),
        tsv=results("figures/heatmaps.tsv"),
    log:
        log_path("plot_heatmaps"),
    benchmark:
        bench_path("plot_heatmaps")
    conda:
        "../envs/cpu.yaml"
    params:
        layer=STUDY.headline_layer,
        anchor=STUDY.anchor,
        clusters=STUDY.clusters,
        measure=STUDY.divergence_label,
        method=REPORT_METHOD,
    message:
        "Draw both RDMs in two orders"
    script:
        "../workflow_scripts/plot_heatmaps.py"


rule plot_layers:
    input:
        alignment=results("alignment.json"),
    output:
        png=report(
            results("figures/layers.png"),
            caption="../report/captions/layers.rst",
            category="Figures",
            labels={"figure": "statistics by layer", "layer": "configured"},
        ),
        pdf=results("figures/layers.pdf"),
        tsv=results("figures/layers.tsv"),
        curve_png=report(
            results("figures/layer_curve.png"),
            caption="../report/captions/layer_curve.rst",
            category="Figures",
            labels={"figure": "ρ by layer", "layer": "all"},
        ),
        curve_pdf=results("figures/layer_curve.pdf"),
        curve_tsv=results("figures/layer_curve.tsv"),
    log:
        log_path("plot_layers"),
    benchmark:
        bench_path("plot_layers")
    conda:
        "../envs/cpu.yaml"
    params:
        method=REPORT_METHOD,
    message:
        "Draw the statistics by layer"
    script:
        "../workflow_scripts/plot_layers.py"


rule plot_scatter:
    input:
        alignment=results("alignment.json"),
        cosine=results("cosine_matrix.json"),
        js=results("js_matrix.json"),
    output:
        png=report(
            results("figures/scatter_layer_{layer}.png"),
            caption="../report/captions/scatter.rst",
            category="Figures",
            labels={"figure": "pairs", "layer": "{layer}"},
        ),
        pdf=results("figures/scatter_layer_{layer}.pdf"),
        tsv=results("figures/scatter_layer_{layer}.tsv"),
    log:
        log_path("plot_scatter/{layer}"),
    benchmark:
        bench_path("plot_scatter/{layer}")
    wildcard_constraints:
        layer=one_of(map(str, STUDY.layers)),
    conda:
        "../envs/cpu.yaml"
    params:
        clusters=STUDY.clusters,
        measure=STUDY.divergence_label,
        method=REPORT_METHOD,
    message:
        "Draw the pairs of personas at layer {wildcards.layer}"
    script:
        "../workflow_scripts/plot_scatter.py"
