# Finished studies compared with one another. A comparison reads their results and nothing else: no
# rule of a study is in its DAG, so no work of one can be asked for.


localrules:
    compare,
    compare_studies,
    write_comparison,
    plot_comparison,
    write_comparison_record,
    write_comparison_report,


onsuccess:
    if made_whole("compare"):
        print(
            closing_comparison(
                read_json(compared("comparison.json")), compared("report.html")
            )
        )


rule compare:
    default_target: True
    input:
        compared("comparison.json"),
        compared("comparison.md"),
        compared("comparison.html"),
        compared("results.csv"),
        compared("run.json"),
        compared("report.html"),
        expand(compared("figures/{figure}.png"), figure=COMPARISON_FIGURES),
    message:
        "The comparison of the studies"


rule compare_studies:
    input:
        COMPARED_FILES,
    output:
        comparison=compared("comparison.json"),
        results=report(
            compared("results.csv"),
            caption="../report/captions/comparison.rst",
            category="Tables",
            labels={"table": "results", "shows": "every statistic of every study"},
        ),
    log:
        compared("logs/compare_studies.log"),
    benchmark:
        compared("benchmarks/compare_studies.tsv")
    conda:
        "../envs/cpu.yaml"
    threads: 1  # its matrix products are small: more threads wait for each other
    params:
        settings=asdict(COMPARISON),
        table=TABLE,
        # By content: a study that was run again with the same result changes nothing.
        inputs={path: sha256(path) for path in COMPARED_FILES},
        method=COMPARISON_METHOD,
    message:
        "Compare the studies {COMPARISON.studies}"
    script:
        "../workflow_scripts/compare_studies.py"


rule write_comparison:
    input:
        comparison=compared("comparison.json"),
    output:
        text=compared("comparison.md"),
        page=report(
            compared("comparison.html"),
            caption="../report/captions/comparison.rst",
            category="Result",
            labels={"page": "comparison", "shows": "the comparison in sentences"},
        ),
    log:
        compared("logs/write_comparison.log"),
    benchmark:
        compared("benchmarks/write_comparison.tsv")
    conda:
        "../envs/cpu.yaml"
    params:
        method=REPORT_METHOD,
    message:
        "Write the comparison in sentences"
    script:
        "../workflow_scripts/write_comparison.py"


rule plot_comparison:
    input:
        comparison=compared("comparison.json"),
    output:
        png=[
            report_figure(compared(f"figures/{name}"), **labels)
            for name, labels in COMPARISON_FIGURES.items()
        ],
        tsv=[
            report_table(compared(f"figures/{name}"), **labels)
            for name, labels in COMPARISON_FIGURES.items()
        ],
        others=expand(
            compared("figures/{figure}.{ending}"),
            figure=COMPARISON_FIGURES,
            ending=[ending for ending in ENDINGS if ending not in ("png", "tsv")],
        ),
    log:
        compared("logs/plot_comparison.log"),
    benchmark:
        compared("benchmarks/plot_comparison.tsv")
    conda:
        "../envs/cpu.yaml"
    params:
        width=FIGURE_WIDTH,
        method=REPORT_METHOD,
    message:
        "Draw the comparison"
    script:
        "../workflow_scripts/plot_comparison.py"


rule write_comparison_record:
    input:
        studies=COMPARED_FILES,
        results=[
            compared("comparison.json"),
            compared("results.csv"),
        ],
    output:
        record=compared("run.json"),
    log:
        compared("logs/write_comparison_record.log"),
    conda:
        "../envs/cpu.yaml"
    params:
        comparison=COMPARISON.name,
        repository=workflow.basedir,
        config={
            "files": files,
            "overrides": dict(workflow.config_settings.config),
            "effective": config,
        },
        method=REPORT_METHOD,
    message:
        "Record commit, packages, config and hashes"
    script:
        "../workflow_scripts/write_comparison_record.py"


rule write_comparison_report:
    input:
        studies=COMPARED_FILES,
        comparison=compared("comparison.json"),
        run=compared("run.json"),
    output:
        report=report(
            compared("report.html"),
            caption="../report/captions/comparison_report.rst",
            category="Result",
            labels={"page": "report", "shows": "the comparison, to explore"},
        ),
    log:
        compared("logs/write_comparison_report.log"),
    benchmark:
        compared("benchmarks/write_comparison_report.tsv")
    conda:
        "../envs/cpu.yaml"
    threads: 1
    params:
        table=TABLE,
        method=REPORT_METHOD,
    message:
        "Write the comparison as a page"
    script:
        "../workflow_scripts/write_comparison_report.py"
