# The result in sentences.


localrules:
    write_summary,


rule write_summary:
    input:
        alignment=results("alignment.json"),
    output:
        summary=results("summary.md"),
        page=report(
            results("summary.html"),
            caption="../report/captions/summary.rst",
            category="Result",
            labels={"page": "summary", "shows": "gates and statistics in sentences"},
        ),
    log:
        log_path("write_summary"),
    benchmark:
        bench_path("write_summary")
    conda:
        "../envs/cpu.yaml"
    params:
        method=REPORT_METHOD,
        model=STUDY.measured,
    message:
        "Write the summary"
    script:
        "../workflow_scripts/write_summary.py"
