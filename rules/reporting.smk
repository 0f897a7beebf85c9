# What snakemake --report shows beside a file: its category, and a caption that was written with it.

import os
import sys

# Snakemake tells no Snakefile that it is read for a report.
REPORTS_ONLY = "--report-after-run" not in sys.argv and any(
    argument == "--report" or argument.startswith("--report=") for argument in sys.argv
)


def made_whole(target):
    """Whether a run that succeeded made all of a target, not some files, nor up to some rule."""
    asked = workflow.dag_settings
    partly = asked.until or asked.omit_from or asked.batch
    return workflow.is_main_process and set(asked.targets) <= {target} and not partly


def report_figure(stem, category="Figures", **labels):
    """A figure's PNG, captioned by the text beside it."""
    return report(
        f"{stem}.png",
        caption=os.path.abspath(f"{stem}.rst"),
        category=category,
        labels={"figure": os.path.basename(stem), **labels},
    )


def report_table(stem, **labels):
    """The data of a figure, to take away."""
    return report(
        f"{stem}.tsv",
        caption=os.path.abspath(f"{stem}.rst"),
        category="Tables",
        labels={"table": os.path.basename(stem), **labels},
    )
