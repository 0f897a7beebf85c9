"""Snakemake that asks SLURM for news every second, where the plugin waits ten more each time."""

from snakemake.cli import main
from snakemake_executor_plugin_slurm import Executor

Executor.next_seconds_between_status_checks = property(lambda _: 1.0, lambda *_: None)
main()
