# make demo   run the embedded study
# make real   fetch SmolLM2-135M-Instruct (93 MB) and run the full-size study with it
# make test   run the tests of the library, and of what a changed persona list costs
# make test-workflow   run the other tests that go through the whole workflow
# make test-clusters   run the tests that need a real Slurm or a real vLLM
# make test-gpu   run what needs a CUDA device, and the kernels' tests on it
# make docs   build the site of docs/ in site/; a dead link ends it
# make lint   check style, spelling, types and the workflow
# PYTHON names the interpreter of the environment; without it one is made in .venv.

PYTHON ?= .venv/bin/python
SNAKEMAKE = $(PYTHON) -m snakemake
PYTEST = OMP_NUM_THREADS=1 $(PYTHON) -m pytest -q -n 2 --dist loadscope
COSTS = tests/workflow/test_costs.py

SMOLLM2 = resources/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf

.PHONY: demo real test test-workflow test-clusters test-gpu docs lint

demo: $(PYTHON)
	$(SNAKEMAKE) --profile profiles/local

real: $(PYTHON) $(SMOLLM2)
	$(SNAKEMAKE) --profile profiles/local --configfile config/smollm2-135m.yaml

$(SMOLLM2): | $(PYTHON)
	$(PYTHON) resources/fetch_smollm2.py

test: $(PYTHON) .venv/dev
	$(PYTEST) tests/unit $(COSTS)

test-workflow: $(PYTHON) .venv/dev
	$(PYTEST) tests/workflow tests/runpod --ignore=$(COSTS)

test-clusters: $(PYTHON) .venv/dev
	$(PYTHON) -m pytest -q tests/slurm tests/vllm

test-gpu: $(PYTHON) .venv/dev
	$(PYTHON) -m pytest -q -m gpu tests

docs: $(PYTHON) .venv/dev
	NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --strict

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
	$(PYTHON) -c "import codespell_lib, hypothesis, material, persona_geometry, pytest, snakemake_executor_plugin_slurm_patient, xdist" 2>/dev/null || \
		$(PYTHON) -m pip install -q -r envs/dev.txt -c envs/constraints.txt
	@touch .venv/dev
