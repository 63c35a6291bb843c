# The commands of this project. `make run` and `make test` are the two that a newcomer needs;
# they need Python 3.11 or later, git and make, and put everything else into .venv from the lock.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# The first Python on the path that is new enough; `make PYTHON=/path/to/python3.12 run` chooses another.
PYTHON ?= $(firstword $(foreach each,python3 python3.14 python3.13 python3.12 python3.11,\
  $(shell command -v $(each) >/dev/null 2>&1 && $(each) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
  2>/dev/null && echo $(each))))
CODE := server runner tests bench
EXPORT := --quiet --format requirements-txt --no-emit-project --no-header --no-annotate --all-extras

.PHONY: help run test lint format types imports check bench lock wheel clean

help: ## Show this list
	@echo "Usage: make TARGET [ARGS='...']"
	@sed -nE 's/^([a-z]+):.*## (.*)$$/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

run: $(VENV)/.run ## Run the service with the example flows (ARGS='--port 9000'; PENSTOCK_* variables work, too)
	@exec $(BIN)/penstock server --examples $(ARGS)

# The profile `ci` draws the same examples every time and does not judge a machine by its speed.
test: $(VENV)/.dev ## Run every test that this machine can run, and say which it cannot (ARGS='tests/engine -k kill')
	$(BIN)/pytest -q -n auto --dist loadgroup --hypothesis-profile=ci $(ARGS)

lint: $(VENV)/.dev ## Check style and formatting
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)

format: $(VENV)/.dev ## Format the code and fix what can be fixed by itself
	$(BIN)/ruff check --fix-only --quiet $(CODE)
	$(BIN)/ruff format $(CODE)

types: $(VENV)/.dev ## Check the types
	$(BIN)/mypy

imports: $(VENV)/.dev ## Check which room imports which
	$(BIN)/lint-imports

check: lint types imports test ## Everything that CI checks

bench: $(VENV)/.dev ## Measure (see bench/)
	$(BIN)/python -m bench $(ARGS)

lock: $(VENV)/.dev ## Choose the versions of all dependencies anew (needs uv; in a fresh clone all are the newest)
	uv lock $(ARGS)
	uv export $(EXPORT) --no-dev --group build -o requirements.lock
	uv export $(EXPORT) --all-groups -o requirements-dev.lock

wheel: $(VENV)/.dev ## Build dist/*.whl
	$(BIN)/python -m hatchling build -t wheel

clean: ## Remove what these commands have made, but not .penstock, the data of `make run`
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

# What is installed, and the stamps that say so: a second `make run` starts at once.

$(VENV)/.run: requirements.lock pyproject.toml | $(BIN)/python
	$(call install,requirements.lock)

$(VENV)/.dev: requirements-dev.lock pyproject.toml | $(BIN)/python
	$(call install,requirements-dev.lock)
	@touch $(VENV)/.run

$(BIN)/python:
	@if command -v uv >/dev/null; then \
	  uv venv --quiet --allow-existing $(if $(PYTHON),--python $(PYTHON),--python '>=3.11') $(VENV); \
	elif [ -z "$(PYTHON)" ]; then \
	  echo "Penstock needs Python 3.11 or later, and none is on the path." >&2; exit 1; \
	else \
	  $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }; \
	fi

# With uv when it is there, else with pip. Hashes are required, and nothing is built in an environment of its own.
define install
	@echo "Installing what $(1) pins into $(VENV); this happens once."
	@if command -v uv >/dev/null; then \
	  uv pip install --python $(BIN)/python --require-hashes -r $(1); \
	  uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .; \
	else \
	  $(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV); \
	  $(BIN)/python -m pip install --disable-pip-version-check --progress-bar on --require-hashes -r $(1); \
	  $(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .; \
	fi
	@touch $@
endef
