# Everything runs in .venv, which is made when it is missing or older than pyproject.toml.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

.PHONY: help install demo test lint clean

help: ## Show what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

install: $(VENV)/.installed ## Install the provider and all it is developed with into .venv

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: install ## Run the example DAGs on a real Airflow against the simulator (UI=1: keep it running)
	$(RUN) -m demo $(if $(UI),--ui)

test: install ## Run all tests; print branch coverage
	$(RUN) -m coverage erase
	$(RUN) -m coverage run -m pytest
	$(RUN) -m coverage combine --quiet
	$(RUN) -m coverage report

lint: install ## Check style and types
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

clean: ## Remove all that was made here
	rm -rf $(VENV) .demo .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist *.egg-info
