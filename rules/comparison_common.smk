# The comparison, the files of its studies and the names of its own.

import os
from dataclasses import asdict

from snakemake.exceptions import WorkflowError

try:
    from persona_geometry.comparison import METHOD as COMPARISON_METHOD
    from persona_geometry.comparison.config import read_comparison
    from persona_geometry.comparison.studies import PUBLISHED, study_files
    from persona_geometry.errors import InputError
    from persona_geometry.files import read_json, sha256
    from persona_geometry.published import COMPARISONS
    from persona_geometry.report import METHOD as REPORT_METHOD
    from persona_geometry.report.closing import closing_comparison
    from persona_geometry.report.figures import COMPARISON_FIGURES, ENDINGS, WIDTHS
    from persona_geometry.study.config_files import check_config_files
    from persona_geometry.study.sections import Figures
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
    FIGURE_WIDTH = WIDTHS[Figures.of(**config.get("figures", {})).width]
    STUDY_FILES = {
        study: [TABLE] if study == PUBLISHED else study_files("results", study)
        for study in COMPARISON.studies
    }
except InputError as error:
    raise WorkflowError(str(error)) from None

COMPARED_FILES = [path for paths in STUDY_FILES.values() for path in paths]


def compared(path):
    """A file of this comparison."""
    return f"results/{COMPARISONS}/{COMPARISON.name}/{path}"
