"""Snakemake that asks SLURM for news every second, and speaks after seconds, not minutes."""

import itertools

from snakemake.cli import main
from snakemake_executor_plugin_slurm import Executor

import snakemake_executor_plugin_slurm_patient as patient

Executor.next_seconds_between_status_checks = property(lambda _: 1.0, lambda *_: None)
patient.MENTION_SECONDS = patient.FORGOTTEN_SECONDS = 5.0
patient.states.REQUEUE_SECONDS = 5.0
patient.pauses = lambda: itertools.repeat(2)
main()
