# persona-geometry: do the hidden states and the behavior of a language model's personas have the
# same geometry? One study is one config file; its results go to results/{study}/.

from snakemake.utils import min_version

min_version("9.0")


# Snakemake merges config files key by key, so the default study is loaded only when no other, and no
# comparison of finished studies, was asked for.
if not workflow.overwrite_configfiles and "studies" not in config:

    configfile: "config/config.yaml"


report: "report/workflow.rst"


include: "rules/reporting.smk"


# A config is that of a comparison of finished studies, or that of a study.
if "comparison" in config or "studies" in config:

    include: "rules/comparison_common.smk"
    include: "rules/comparison.smk"

else:

    include: "rules/common.smk"
    include: "rules/model.smk"
    include: "rules/responses.smk"
    include: "rules/teacher_forcing.smk"
    include: "rules/geometry.smk"
    include: "rules/alignment.smk"
    include: "rules/figures.smk"
    include: "rules/summary.smk"
    include: "rules/probe.smk"
    include: "rules/provenance.smk"
    include: "rules/report.smk"

    rule all:
        default_target: True
        input:
            results("alignment.json"),
            results("summary.md"),
            results("summary.html"),
            results("run.json"),
            results("report.html"),
            figures(),
            probe_files(),
        message:
            "The results of the study"

    include: "rules/bundle.smk"

    rule compare:
        input:
            no_comparison,
