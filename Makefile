# make quickstart   from a fresh clone to a trained detector, its report and its pictures
# make test         all checks and tests, from a fresh clone too

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
USE := $(VENV)/.installed
DEVELOP := $(VENV)/.installed-dev

.DEFAULT_GOAL := help
.PHONY: help quickstart install develop lint format test test-fast

help:
	@echo "make quickstart   install into .venv, train on the built-in pictures, evaluate, draw, write a report"
	@echo "make test         install into .venv, then formatting, lint, types, layers and all tests"
	@echo "make test-fast    the tests without the slow ones"
	@echo "make lint         formatting, lint, types and layers"
	@echo "make format       mend formatting and what ruff can mend"
	@echo "make install      .venv with dettoolkit;  make develop: with the tools for working on it"

quickstart: $(USE)
	$(BIN)/python tools/train_net.py --config-file configs/quick_start.yaml
	$(BIN)/python tools/draw_predictions.py --config-file configs/quick_start.yaml

install: $(USE)

develop: $(DEVELOP)

test: lint
	$(BIN)/python -m pytest

test-fast: $(DEVELOP)
	$(BIN)/python -m pytest -m "not slow"

lint: $(DEVELOP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEVELOP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "dettoolkit needs Python 3.10 or later: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)

# a stamp says that what these two files ask for is installed
$(USE): setup.py pyproject.toml | $(BIN)/python
	@echo "installing into $(VENV): some minutes and gigabytes, most of it torch"
	$(PIP) --editable .
	@touch $(USE)

$(DEVELOP): setup.py pyproject.toml | $(BIN)/python
	@echo "installing into $(VENV), with the tools for development: some minutes and gigabytes, most of it torch"
	$(PIP) --editable '.[dev]'
	@touch $(USE) $(DEVELOP)
