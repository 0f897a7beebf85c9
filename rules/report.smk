# The written result, as one page. It tells where the numbers come from, so it follows run.json.


onsuccess:
    if made_whole("all"):
        print(
            closing(
                read_alignment(results("alignment.json")), results("report.html")
            )
        )


localrules:
    write_report,


rule write_report:
    input:
        alignment=results("alignment.json"),
        run=results("run.json"),
        cosine=results("cosine_matrix.json"),
        js=results("js_matrix.json"),
        prompts=published("prompts", "npz") if "js" not in STUDY.rdm else [],
        responses=published("responses", "json") if "js" not in STUDY.rdm else [],
        top_tokens=top_tokens(),
    output:
        report=report(
            results("report.html"),
            caption="../report/captions/report.rst",
            category="Result",
            labels={"page": "report", "shows": "the written result, to explore"},
        ),
    log:
        log_path("write_report"),
    conda:
        "../envs/cpu.yaml"
    params:
        store=store_root,
        study=describe(STUDY),
        method=REPORT_METHOD,
    message:
        "Write the result as a page"
    script:
        "../workflow_scripts/write_report.py"
