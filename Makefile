# Each word sets up what it needs in .venv; Python 3.11 or newer and make are enough to begin.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
INSTALL := $(PIP) install --require-hashes --no-deps --requirement
ITSELF := $(PIP) install --no-deps --no-build-isolation --editable .
COMPILE := $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock"

ONLY ?=
ARGS ?=

.PHONY: help setup demo test check fix bench docs ui system lock clean
.DELETE_ON_ERROR:

help:
	@echo "make setup    everything a contributor needs, in $(VENV)"
	@echo "make demo     the whole loop on a year of real flights, in about three minutes"
	@echo "make test     all tests            (ARGS='tests/unit/data -x' for some)"
	@echo "make check    lint, format, types, import contracts"
	@echo "make fix      what the linter and the formatter can do by themselves"
	@echo "make bench    all benchmarks       (ONLY=core for one room)"
	@echo "make docs     the documentation, built strictly into build/site"
	@echo "make ui       the browser's part (none yet)"
	@echo "make system   what the crash tests ask of the operating system"
	@echo "make lock     the three lock files, anew"
	@echo "make clean    away with everything that can be made again"

# ------------------------------------------------------------ environments

$(BIN)/python:
	@tools/bootstrap.sh $(VENV)

# Enough to run Trivet and its demonstration.
$(VENV)/.run: requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing what Trivet runs on, as pinned in requirements.lock"
	@$(INSTALL) requirements.lock
	@$(ITSELF)
	@touch $@

# Enough to change it.
$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	@echo "Installing the tools that check it, as pinned in requirements-dev.lock"
	@$(INSTALL) requirements-dev.lock
	@touch $@

$(VENV)/.docs: requirements-docs.lock $(VENV)/.run
	@echo "Installing what builds the documentation, as pinned in requirements-docs.lock"
	@$(INSTALL) requirements-docs.lock
	@touch $@

setup: $(VENV)/.dev
	@echo "Ready: $(BIN)/trivet, and make check test demo."

system:
	@tools/system.sh

lock: $(VENV)/.dev
	$(COMPILE) --extra demo --group build --output-file requirements.lock
	$(COMPILE) --extra demo --group dev --constraint requirements.lock \
		--output-file requirements-dev.lock
	$(COMPILE) --extra demo --group build --group docs --constraint requirements-dev.lock \
		--output-file requirements-docs.lock

# ------------------------------------------------------------ daily work

demo: $(VENV)/.run
	$(BIN)/trivet demo $(ARGS)

test: $(VENV)/.dev system
	$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	$(BIN)/mypy tests/typing

fix: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY))

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

ui:
	@echo "There is no browser source yet: the web face needs no build."

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
