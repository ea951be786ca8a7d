# Every target installs its requirements into .venv, so any target can run first on a new machine with Python 3.10 to 3.13 and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# The folders and files that lint and format checks read.
SOURCES := pipeline models optimizers foundation tests benchmarks setup.py __init__.py

.PHONY: demo test stress check bench docs clean

demo: $(VENV)/.run
	$(BIN)/python -m steadyrank.pipeline.train --config=demo --model_dir=runs/demo-$$(date +%Y%m%d-%H%M%S)

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist worksteal

# Trains many small programs in the manner of public tutorials, with the monitor and the optimizers. Takes about an hour.
stress: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist worksteal -m stress tests/stress

check: $(VENV)/.docs
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	cd $(VENV)/named && MYPYPATH=. ../bin/mypy --config-file steadyrank/pyproject.toml -p steadyrank.pipeline -p steadyrank.models -p steadyrank.optimizers -p steadyrank.foundation
	$(MAKE) --no-print-directory docs

# Runs all benchmarks, which takes a long time. Downloads MovieLens unless TFDS_DIR names a prepared folder: make bench TFDS_DIR=DIR
bench: $(VENV)/.dev
	$(BIN)/python benchmarks/clipping_under_shift.py
	$(BIN)/python benchmarks/rollback.py
	$(BIN)/python benchmarks/movielens_baseline.py --data_dir=$(TFDS_DIR)
	$(BIN)/python benchmarks/divergence_detection.py --tfds_dir=$(TFDS_DIR)
	$(BIN)/python benchmarks/optimizer_step.py
	$(BIN)/python benchmarks/training_step.py --config=small
	$(BIN)/python benchmarks/input_pipeline.py

docs: $(VENV)/.docs
	$(BIN)/python -m steadyrank.optimizers.rules_table docs/optimizers.md
	NO_MKDOCS_2_WARNING=1 PATH=$(abspath $(BIN)):$$PATH $(BIN)/mkdocs build --quiet
	@echo "site: site/index.html"

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' \
		|| { echo "error: Python must be 3.10 to 3.13, got $$($(PYTHON) --version); choose another interpreter: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(VENV)/bin/python setup.py pyproject.toml
	@echo "installing steadyrank and TensorFlow into $(VENV); this takes a few minutes the first time"
	$(PIP) install -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	@echo "installing the requirements of the tests and checks"
	$(PIP) install -e '.[dev]'
	@# mypy finds a package by the name of its folder, and a clone can have any name.
	@mkdir -p $(VENV)/named && ln -sfn ../.. $(VENV)/named/steadyrank
	@touch $@

$(VENV)/.docs: $(VENV)/.dev
	@echo "installing the requirements of the documentation site"
	$(PIP) install -e '.[docs]'
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info runs site
