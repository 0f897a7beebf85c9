# make demo   run the embedded study
# make test   run the tests
# make test-clusters   run the tests that need a real Slurm or a real vLLM
# make test-gpu   run what needs a CUDA device, and the kernels' tests on it
# make lint   check style, spelling, types and the workflow
# PYTHON names the interpreter of the environment; without it one is made in .venv.

PYTHON ?= .venv/bin/python
SNAKEMAKE = $(PYTHON) -m snakemake

.PHONY: demo test test-clusters test-gpu lint

demo: $(PYTHON)
	$(SNAKEMAKE) --profile profiles/local

test: $(PYTHON) .venv/dev
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest -q -n 2 --dist loadscope tests/unit tests/workflow tests/runpod

test-clusters: $(PYTHON) .venv/dev
	$(PYTHON) -m pytest -q tests/slurm tests/vllm

test-gpu: $(PYTHON) .venv/dev
	$(PYTHON) -m pytest -q -m gpu tests

lint: $(PYTHON) .venv/dev
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m codespell_lib
	$(PYTHON) -m snakefmt --check Snakefile rules
	$(SNAKEMAKE) --lint
	$(PYTHON) -m mypy

.venv/bin/python:
	python3 -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or later is needed')"
	python3 -m venv .venv
	.venv/bin/pip install -q -r envs/cpu.txt -c envs/constraints.txt

.venv/dev: envs/dev.txt envs/constraints.txt
	@mkdir -p .venv
	$(PYTHON) -c "import codespell_lib, hypothesis, persona_geometry, pytest, xdist" 2>/dev/null || \
		$(PYTHON) -m pip install -q -r envs/dev.txt -c envs/constraints.txt
	@touch .venv/dev
