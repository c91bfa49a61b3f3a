# Two commands do it all: make demo (the main job, against the emulator) and make test.
# Needed: Python 3.11 or newer, make, and the package index that pip uses. Everything goes into this folder.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
BIN2 := .venv-airflow2/bin
LOWEST_BIN := .venv-lowest/bin
CONSTRAINTS := constraints/airflow-3.3.txt
CONSTRAINTS2 := constraints/airflow-2.11.txt
LOWEST := constraints/lowest.txt
DOCS_BIN := .venv-docs/bin
DOCS_CONSTRAINTS := constraints/docs.txt
SOURCES := airflow_provider_audiences benchmarks dags_examples demo tests
BELOW_AIRFLOW := */http/*,*/platforms/*,*/members/*,*/sync/*,*/emulator/*
# The packages below Airflow. Coverage is measured by their own tests alone, in a target of its own: it makes them take half
# as long again.
TESTS_BELOW_AIRFLOW := tests/sync tests/members tests/http tests/platforms tests/waiting tests/emulator
OTHER_TESTS := $(filter-out $(TESTS_BELOW_AIRFLOW) tests/support tests/matrix.py tests/conftest.py,$(patsubst %/,%,$(wildcard tests/*/ tests/test_*.py)))
# What meets Airflow. The libraries are the same releases as with Airflow 3, so what reads members, talks HTTP, syncs and
# emulates would be proven twice; of the sources, what reads tables and web addresses by itself.
AIRFLOW2_TESTS := tests/dags tests/integration tests/docs/test_code_blocks.py tests/task_groups tests/assets tests/cli tests/lineage \
	tests/notifications tests/hooks tests/operators tests/decorators tests/sensors tests/triggers tests/common \
	tests/packaging/test_parse_cost.py tests/packaging/test_public_names.py \
	tests/test_get_provider_info.py tests/ui/test_plugin.py \
	$(filter-out %/test_delta.py %/test_iceberg.py %/test_writers.py,$(wildcard tests/sources/test_*.py))
# What reads members and sends requests, where another DuckDB, NumPy, nanoarrow or urllib3 could answer otherwise.
LOWEST_TESTS := tests/http tests/members tests/sources tests/operators/test_sources.py tests/operators/test_direct_deliveries.py
# Tests that wait for whole Airflows. They are spread among the others, and begin early: a run that ends with some of them
# leaves processors idle.
WAITING_TESTS := tests/demo tests/cluster tests/ui tests/docs tests/dags
SPREAD_TESTS := tests/demo tests/members tests/cluster tests/http tests/ui tests/platforms tests/docs tests/waiting tests/dags \
	$(filter-out tests/members tests/http tests/platforms tests/waiting,$(TESTS_BELOW_AIRFLOW)) $(filter-out $(WAITING_TESTS),$(OTHER_TESTS))
# A file's tests share servers and databases, so they stay together, in the order of the command line.
PARALLEL := -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# uv makes the environments; where there is none, pip brings it. It takes the index that pip is set to.
UV := $(or $(shell command -v uv),.tools/bin/uv)
PIP_INDEX := $(or $(PIP_INDEX_URL),$(shell $(PYTHON) -m pip config get global.index-url 2>/dev/null))
ifneq ($(PIP_INDEX),)
export UV_DEFAULT_INDEX ?= $(PIP_INDEX)
endif
unexport VIRTUAL_ENV
# Constraints are lines of name==version, made for the lowest Python, whatever index they come from.
# Extras that only name a provider of Airflow's are left out: their versions are those of Airflow's own constraints.
EXTRAS := alibaba amazon delta emulator iceberg postgres
COMPILE = $(UV) pip compile pyproject.toml $(EXTRAS:%=--extra %) --python-version 3.11 --upgrade --quiet \
	--no-header --no-annotate --no-emit-index-url
# The dates are those of DuckDB 1.5.2, and of universal-pathlib before 0.3, which Airflow 2.11.0 allows and can't take.
COMPILE_LOWEST = $(COMPILE) --exclude-newer 2026-04-15 --exclude-newer-package universal-pathlib=2025-06-15 \
	--exclude-newer-package apache-airflow-providers-common-compat=false --exclude-newer-package deltalake=false

.PHONY: help setup demo airflow check test test-quick test-airflow3 test-airflow2 test-lowest test-coverage test-rounds test-cluster test-browser pictures test-matrix bench lint format docs dist constraints clean

help: ## Show this list.
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

setup: .venv/.test ## Make the environment for development: Airflow 3.3, the package as it stands here, and all tools.

demo: .venv/.demo ## Sync an audience of a million device IDs over days, and refresh PAI groups, by real Airflow against the emulator.
	$(BIN)/python -m demo.run

airflow: .venv/.demo ## Start a full Airflow on loopback with the examples and the emulator (Ctrl-C stops it).
	$(BIN)/python -m demo.standalone

test: .venv/.test .venv-airflow2/.test .venv-lowest/.test ## Run all tests, checks and linters, on Airflow 3, Airflow 2 and the lowest versions.
	$(MAKE) lint
	$(MAKE) docs
	$(MAKE) test-airflow3
	$(MAKE) test-airflow2
	$(MAKE) test-lowest

check: .venv/.test ## Check style, types and architecture, and run the tests of the files that have changed since the last commit (BASE=COMMIT: since that one).
	$(MAKE) lint
	tests=$$($(BIN)/python tests/changed.py $(BASE)); test -z "$$tests" || $(BIN)/python -m pytest $(PARALLEL) $$tests $(PYTEST_ARGS)

test-quick: .venv/.test ## Run the tests of the packages below Airflow (sync, members, http, platforms, waiting), in some minutes.
	$(BIN)/python -m pytest $(PARALLEL) $(TESTS_BELOW_AIRFLOW) $(PYTEST_ARGS)

test-airflow3: .venv/.test .tools/chromium/.found ## Run all tests on Airflow 3.
	$(BIN)/python -m pytest $(PARALLEL) $(SPREAD_TESTS) $(PYTEST_ARGS)

test-airflow2: .venv-airflow2/.test ## Run the tests of the Airflow layer on Airflow 2.11.
	$(BIN2)/python -m pytest $(PARALLEL) $(AIRFLOW2_TESTS) -p no:cacheprovider $(PYTEST_ARGS)

test-lowest: .venv-lowest/.test ## Run the tests of what reads members, with the lowest versions that pyproject.toml allows.
	$(LOWEST_BIN)/python -m pytest $(PARALLEL) $(LOWEST_TESTS) -p no:cacheprovider $(PYTEST_ARGS)

test-coverage: .venv/.test ## Run the tests of the packages below Airflow once more, and measure their coverage: 95 % at least.
	$(BIN)/python -m pytest $(PARALLEL) --cov --cov-report= $(TESTS_BELOW_AIRFLOW) $(PYTEST_ARGS)
	$(BIN)/coverage report --include='$(BELOW_AIRFLOW)' --skip-covered --fail-under=95

test-rounds: .venv/.test ## Run long random rounds: syncs and PAI tasks in pairs, killed, suspended, held up at each call.
	AUDIENCES_LONG_TESTS=1 HYPOTHESIS_PROFILE=random $(BIN)/python -m pytest $(PARALLEL) tests/sync \
		tests/operators/test_pai_pairs.py $(PYTEST_ARGS)

test-cluster: .venv/.test ## Run all stories of a little Airflow cluster: workers that are lost or stopped, days of partitions, a platform that is down. About half an hour.
	AUDIENCES_CLUSTER_TESTS=1 $(BIN)/python -m pytest tests/cluster $(PYTEST_ARGS)

test-browser: .venv/.test .tools/chromium/.found ## Take the long tour of the page Audiences: 500 audiences, all states, themes and widths; BROWSER_SHOTS=folder keeps pictures.
	AUDIENCES_BROWSER_TESTS=1 $(BIN)/python -m pytest tests/ui $(PYTEST_ARGS)

pictures: .venv/.test .tools/chromium/.found ## Take the pictures of the documentation anew, into docs/images.
	PYTHONPATH=tests $(BIN)/python -m support.browser.pictures docs/images

test-matrix: $(filter .tools/bin/uv,$(UV)) ## Run the tests of Airflow's face on Airflow 2.11 to 3.3 and Python 3.11 to 3.13; MATRIX_ARGS="--airflow 3.0.6 --python 3.12" runs one.
	$(PYTHON) tests/matrix.py --uv $(UV) $(MATRIX_ARGS)

bench: .venv/.test ## Measure against sort|split|curl and a Python script; prints the table.
	$(BIN)/python -m benchmarks.run $(BENCH_ARGS)

lint: .venv/.test ## Check style, types and architecture.
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.test ## Format the code.
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

docs: .venv-docs/.docs ## Build the documentation site into site/; a dead link, a missing page or an unknown anchor fails.
	NO_MKDOCS_2_WARNING=1 $(DOCS_BIN)/mkdocs build --strict

dist: .venv/.test ## Build the source distribution and the wheel into dist/, and check both.
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist
	$(BIN)/python -m twine check --strict dist/*
	$(BIN)/python -m check_wheel_contents dist/*.whl

constraints: $(filter .tools/bin/uv,$(UV)) ## Make the constraints anew: today's releases, and the lowest versions that pyproject.toml allows.
	echo 'apache-airflow==3.3.*' | $(COMPILE) - --group demo --group test --group cluster --group browser --output-file $(CONSTRAINTS)
	echo 'apache-airflow==2.11.*' | $(COMPILE) - --group test --output-file $(CONSTRAINTS2)
	$(UV) pip compile --group docs --python-version 3.11 --upgrade --quiet --no-header --no-annotate --no-emit-index-url \
		--output-file $(DOCS_CONSTRAINTS)
	$(COMPILE_LOWEST) --resolution lowest-direct --output-file $(LOWEST)
	$(COMPILE_LOWEST) --constraint $(LOWEST) --group test --output-file $(LOWEST)

clean: ## Remove environments, demo data and caches.
	rm -rf .venv .venv-airflow2 .venv-lowest .venv-docs site .cache .matrix .tools .demo .bench dist build .coverage* htmlcov .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.tools/bin/uv:
	$(PYTHON) -m venv .tools
	.tools/bin/python -m pip install --quiet --disable-pip-version-check uv

# The browser of the page's tests: the machine's, or else one of Debian's or of npm. Where none can be had, those tests fail.
.tools/chromium/.found:
	mkdir -p $(@D)
	$(PYTHON) tests/support/browser/chromium.py .tools
	@touch $@

.venv/.demo: pyproject.toml $(CONSTRAINTS) | $(filter .tools/bin/uv,$(UV))
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3" >&2; exit 1; }
	test -x $(BIN)/python || $(UV) venv --quiet --python $(PYTHON) .venv
	$(UV) pip install --quiet --python $(BIN)/python --constraint $(CONSTRAINTS) --group demo --editable '.[emulator]'
	@touch $@

.venv/.test: .venv/.demo
	$(UV) pip install --quiet --python $(BIN)/python --constraint $(CONSTRAINTS) --group test --group cluster --group browser --editable '.[emulator]'
	@touch $@

# Airflow 2.11 runs on Python up to 3.12; uv finds or brings one.
.venv-airflow2/.test: pyproject.toml $(CONSTRAINTS2) | $(filter .tools/bin/uv,$(UV))
	test -x $(BIN2)/python || $(UV) venv --quiet --python '>=3.11,<3.13' .venv-airflow2
	$(UV) pip install --quiet --python $(BIN2)/python --constraint $(CONSTRAINTS2) --group test --editable '.[emulator]'
	@touch $@

.venv-lowest/.test: pyproject.toml $(LOWEST) | $(filter .tools/bin/uv,$(UV))
	test -x $(LOWEST_BIN)/python || $(UV) venv --quiet --python '>=3.11,<3.13' .venv-lowest
	$(UV) pip install --quiet --python $(LOWEST_BIN)/python --constraint $(LOWEST) --group test --editable '.[emulator]'
	@touch $@

.venv-docs/.docs: pyproject.toml $(DOCS_CONSTRAINTS) | $(filter .tools/bin/uv,$(UV))
	test -x $(DOCS_BIN)/python || $(UV) venv --quiet --python $(PYTHON) .venv-docs
	$(UV) pip install --quiet --python $(DOCS_BIN)/python --constraint $(DOCS_CONSTRAINTS) --group docs
	@touch $@
