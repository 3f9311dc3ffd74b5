# Everything runs in .venv, which is made when it is missing or older than pyproject.toml.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
# Processes that the tests are run in: one of them mostly waits for the Airflow that it has started.
JOBS ?= $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) + 1)')
# Airflow reads its own files in the encoding of the locale; and a path may have any letters in it.
export PYTHONUTF8 := 1

# The versions of Airflow that are tested, the oldest first, with what they need to be installed without constraints.
MATRIX := 3.1.8 3.2.2 3.3.2
PINS_3.1.8 := 'pydantic<2.13'
PINS_3.2.2 := 'pydantic<2.13' fastapi==0.136.3 cadwyn==7.0.0

.PHONY: help install demo docs test test-oldest test-matrix test-next test-lineage bench bench-eta bench-start bench-upload dist test-dist docs-pictures test-survival lint clean

help: ## Show what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

install: $(VENV)/.installed ## Install the provider and all it is developed with into .venv

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.[dev,docs]'
	@touch $@

demo: install ## Run the example DAGs on a real Airflow against the simulator (UI=1: keep it running)
	$(RUN) -m demo $(if $(UI),--ui)

test: install ## Run all tests, in JOBS processes (one more than cores); print branch coverage
	$(RUN) -m coverage erase
	$(RUN) -m coverage run -m pytest -n $(JOBS)
	$(RUN) -m coverage combine --quiet
	$(RUN) -m coverage report

test-matrix: $(MATRIX:%=test-%) ## Run the tests on every version of Airflow, the demo on the newest
	$(lastword $(MATRIX:%=.venv-%))/bin/python -m demo

test-oldest: test-$(firstword $(MATRIX)) ## Run the tests on the oldest of them

test-lineage: .venv-lineage/.installed ## Run the tests of the lineage, with the OpenLineage provider
	.venv-lineage/bin/python -m pytest -n 0 -m lineage tests/lineage/test_lineage.py

.venv-lineage/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-lineage
	.venv-lineage/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,lineage]'
	@touch $@

# The version to come, beta or not.
NEXT := 3.4

test-next: .venv-next/.installed ## Run the tests of operators, sensors, triggers and assets on the Airflow to come
	.venv-next/bin/python -m pytest -n $(JOBS) -m 'not (e2e or newest or browser or dist)' \
		tests/operators tests/sensors tests/triggers tests/waiting tests/test_assets.py tests/test_outlets.py \
		tests/test_compat.py tests/test_task_groups.py

.venv-next/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-next
	.venv-next/bin/python -m pip install --quiet --disable-pip-version-check --pre 'apache-airflow==$(NEXT).*'
	.venv-next/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

test-3.%: .venv-3.%/.installed
	.venv-3.$*/bin/python -m pytest -n $(JOBS) -m 'not (e2e or newest or browser or dist)'

.PRECIOUS: .venv-3.%/.installed
.venv-3.%/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-3.$*
	.venv-3.$*/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]' \
		apache-airflow==3.$* $(PINS_3.$*)
	@touch $@

test-survival: $(VENV)/.survival ## Let 200 waits survive kills, outages and restarts on a real Airflow with PostgreSQL
	$(RUN) -m survival

$(VENV)/.survival: $(VENV)/.installed
	$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.[survival]'
	@touch $@

bench: .venv-bench/.installed ## Measure what a wait costs the triggerer, beside triggers of other providers
	.venv-bench/bin/python -m benchmarks.triggers

bench-upload: install ## Measure how much memory the upload of a large file takes
	$(RUN) -m benchmarks.upload

bench-start: .venv-bench/.installed ## Measure what the imports of a DAG file cost, beside those of other providers
	.venv-bench/bin/python -m benchmarks.start

bench-eta: install ## Count the polls and the delay of waits that believe the estimates of a service
	$(RUN) -m benchmarks.eta

.venv-bench/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $@

dist: install ## Build sdist and wheel into dist/
	rm -rf dist
	$(RUN) -m build

test-dist: install ## Install the wheel into an environment of its own and use it there
	$(RUN) -m pytest -m dist

docs-pictures: install ## Try the connection form in a browser (Chromium), and take the pictures for the docs
	DOCS_PICTURES=docs/images $(RUN) -m pytest -m browser

docs: install ## Build the documentation into docs/_build/html; warnings are errors
	$(RUN) -m sphinx --fail-on-warning --keep-going --fresh-env --quiet docs docs/_build/html

lint: install ## Check style, layers, types and spelling
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -c 'from importlinter.cli import lint_imports_command; lint_imports_command()'
	$(RUN) -m mypy
	$(RUN) -m codespell_lib
	$(RUN) -m validate_pyproject pyproject.toml

clean: ## Remove all that was made here
	rm -rf $(VENV)* .demo .survival .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache build dist docs/_build *.egg-info
