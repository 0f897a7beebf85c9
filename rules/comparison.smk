# Finished studies compared with one another. A comparison reads their results and nothing else: no
# rule of a study is in its DAG, so no work of one can be asked for.

import os
from dataclasses import asdict

from snakemake.exceptions import WorkflowError

try:
    from persona_geometry.comparison import METHOD as COMPARISON_METHOD
    from persona_geometry.comparison.config import read_comparison
    from persona_geometry.comparison.studies import PUBLISHED, study_files
    from persona_geometry.errors import InputError
    from persona_geometry.files import sha256
    from persona_geometry.published import COMPARISONS
    from persona_geometry.report import METHOD as REPORT_METHOD
    from persona_geometry.study.config_files import check_config_files
except ImportError as error:
    raise WorkflowError(
        f"The workflow's library cannot be imported ({error}): run 'pip install -e .' in "
        f"{workflow.basedir}, in the environment of this snakemake."
    ) from None

TABLE = os.path.join(workflow.basedir, "resources/published.json")

try:
    files = [os.path.relpath(path) for path in workflow.configfiles]
    if files:
        check_config_files(files)
    COMPARISON = read_comparison(config, " and ".join(files) or "--config")
    STUDY_FILES = {
        study: [TABLE] if study == PUBLISHED else study_files("results", study)
        for study in COMPARISON.studies
    }
except InputError as error:
    raise WorkflowError(str(error)) from None


localrules:
    compare,
    compare_studies,
    write_comparison,
    plot_comparison,


def compared(path):
    """A file of this comparison."""
    return f"results/{COMPARISONS}/{COMPARISON.name}/{path}"


COMPARISON_FIGURES = ["depth", "second_order", "differences", "replication"]


rule compare:
    default_target: True
    input:
        compared("comparison.json"),
        compared("comparison.md"),
        compared("results.csv"),
        expand(compared("figures/{figure}.png"), figure=COMPARISON_FIGURES),


rule compare_studies:
    input:
        [path for paths in STUDY_FILES.values() for path in paths],
    output:
        comparison=compared("comparison.json"),
        results=compared("results.csv"),
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
        inputs={path: sha256(path) for paths in STUDY_FILES.values() for path in paths},
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
        png=expand(compared("figures/{figure}.png"), figure=COMPARISON_FIGURES),
        pdf=expand(compared("figures/{figure}.pdf"), figure=COMPARISON_FIGURES),
        tsv=expand(compared("figures/{figure}.tsv"), figure=COMPARISON_FIGURES),
    log:
        compared("logs/plot_comparison.log"),
    benchmark:
        compared("benchmarks/plot_comparison.tsv")
    conda:
        "../envs/cpu.yaml"
    params:
        figures=COMPARISON_FIGURES,
        method=REPORT_METHOD,
    message:
        "Draw the comparison"
    script:
        "../workflow_scripts/plot_comparison.py"
