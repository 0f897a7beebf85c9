# A few chosen personas looked at closely: what they share in every layer, where they diverge, and what
# comes of taking away the direction that they share.

if STUDY.probe.personas:

    localrules:
        probe,
        report_probe,

    rule probe:
        input:
            prompts=published("prompts", "npz"),
            responses=published("responses", "json"),
            model=rules.resolve_model.output.model,
            checkpoint=ancient(STUDY.model.path) if STUDY.model.gguf else [],
        output:
            probe=results("probe.json"),
            directions=results("directions.npz"),
        log:
            log_path("probe"),
        benchmark:
            bench_path("probe")
        conda:
            "../envs/cpu.yaml"
        params:
            store=str(STORE.root),
            model=asdict(STUDY.model),
            prompts=STUDY.prompt_names,
            anchor=STUDY.anchor,
            token=STUDY.geometry.token,
            probe=asdict(STUDY.probe),
            method=PROBE_METHOD,
        message:
            "Look closely at {params.probe[personas]}"
        script:
            "../workflow_scripts/probe.py"

    rule report_probe:
        input:
            probe=results("probe.json"),
        output:
            summary=results("probe.md"),
            page=report(
                results("probe.html"),
                caption=os.path.abspath(results("figures/probe.rst")),
                category="Result",
                labels={"page": "probe", "shows": "chosen personas, looked at"},
            ),
            png=report_figure(
                results("figures/probe"), shows="chosen personas", layer="all"
            ),
            others=figure_files(["probe"]),
        log:
            log_path("report_probe"),
        benchmark:
            bench_path("report_probe")
        conda:
            "../envs/cpu.yaml"
        params:
            layers=STUDY.layers,
            width=WIDTHS[STUDY.figures.width],
            method=REPORT_METHOD,
        message:
            "Say and draw what the probe found"
        script:
            "../workflow_scripts/report_probe.py"


if STUDY.intervention.directions:

    localrules:
        intervention,

    rule intervention:
        input:
            prompts=published("prompts", "npz"),
        output:
            effect=results("intervention.json"),
            summary=results("intervention.md"),
            page=report(
                results("intervention.html"),
                caption=os.path.abspath(results("figures/intervention.rst")),
                category="Result",
                labels={"page": "intervention", "shows": "a direction taken out"},
            ),
            png=report_figure(
                results("figures/intervention"),
                shows="divergences before and after",
                layer=str(STUDY.intervention.layer),
            ),
            others=figure_files(["intervention"]),
        log:
            log_path("intervention"),
        benchmark:
            bench_path("intervention")
        conda:
            "../envs/cpu.yaml"
        params:
            store=str(STORE.root),
            before={i.prompt.name: (i.key, i.response, i.cells) for i in BEFORE},
            anchor=STUDY.anchor,
            chosen=chosen_personas(STUDY),
            intervention=asdict(STUDY.intervention),
            width=WIDTHS[STUDY.figures.width],
            method=(PROBE_METHOD, REPORT_METHOD),
        message:
            "Compare the divergences with those before the intervention"
        script:
            "../workflow_scripts/intervention.py"
