# make demo   run the embedded study
# make test   run the tests
# make test-clusters   run the tests that need a real Slurm or a real vLLM
# make lint   check style, types and the workflow
# PYTHON names the interpreter of the environment; without it one is made in .venv.

PYTHON ?= .venv/bin/python
SNAKEMAKE = $(PYTHON) -m snakemake

.PHONY: demo test test-clusters lint

demo: $(PYTHON)
	$(SNAKEMAKE) --profile profiles/local

test: $(PYTHON) .venv/dev
	$(PYTHON) -m pytest -q tests/unit tests/workflow tests/runpod

test-clusters: $(PYTHON) .venv/dev
	$(PYTHON) -m pytest -q tests/slurm tests/vllm

lint: $(PYTHON) .venv/dev
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m snakefmt --check Snakefile rules
	$(SNAKEMAKE) --lint
	$(PYTHON) -m mypy

.venv/bin/python:
	python3 -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or later is needed')"
	python3 -m venv .venv
	.venv/bin/pip install -q -r envs/cpu.txt -c envs/constraints.txt

.venv/dev:
	@mkdir -p .venv
	$(PYTHON) -c "import pytest, hypothesis" 2>/dev/null || \
		$(PYTHON) -m pip install -q -r envs/dev.txt -c envs/constraints.txt
	@touch .venv/dev
