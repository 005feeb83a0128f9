# Each word sets up what it needs in .venv; Python 3.11 or newer and make are enough to begin.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
INSTALL := $(PIP) install --require-hashes --no-deps --requirement
ITSELF := $(PIP) install --no-deps --no-build-isolation --editable .
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock"

TESTS = TRIVET_MOTO_SERVER=$(CURDIR)/$(VENV)-objects/bin/moto_server $(BIN)/python -m pytest
TORCH := 2.13.0
TORCH_TESTS := tests/unit/pipelines/materialising/test_values_of_torch.py \
	tests/unit/tracking/autolog/test_callbacks.py

# Unmodified MLflow clients: two generations in two sizes. In the first is MLflow's own server, too.
CLIENTS := mlflow3 mlflow3-skinny mlflow2 mlflow2-skinny
CLIENTS_READY := $(CLIENTS:%=$(VENV)-%/.ready)

ONLY ?=
ARGS ?=

.PHONY: help setup demo test check fix bench docs ui system lock clean clients conformance-oracle
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
	@echo "make clients  the unmodified MLflow clients that judge the server"
	@echo "make conformance-oracle   their tests against MLflow's own server: what is right is what it answers"
	@echo "make lock     the lock files, anew"
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
	$(COMPILE) pyproject.toml --extra demo --group build --output-file requirements.lock
	$(COMPILE) pyproject.toml --extra demo --extra moving --extra objects --extra oidc --extra search --group dev \
		--constraint requirements.lock --output-file requirements-dev.lock
	$(COMPILE) pyproject.toml --extra demo --group build --group docs --constraint requirements-dev.lock \
		--output-file requirements-docs.lock
	$(COMPILE) --group objects --output-file requirements-objects.lock
	$(COMPILE) --group oidc --output-file requirements-oidc.lock
	for client in $(CLIENTS); do \
		$(COMPILE) --group $$client --no-emit-package nvidia-nccl-cu12 \
			--output-file requirements-$$client.lock || exit 1; done

# ------------------------------------------------------------ daily work

demo: $(VENV)/.run
	$(BIN)/trivet demo $(ARGS)

# A server that speaks S3, and PyTorch: in environments of their own, because they bring much.
$(VENV)-objects/.ready: requirements-objects.lock
	@tools/bootstrap.sh $(VENV)-objects
	@echo "Installing a server that speaks S3, as pinned in requirements-objects.lock"
	@$(VENV)-objects/bin/python -m pip --disable-pip-version-check -qq install \
		--require-hashes --no-deps --requirement requirements-objects.lock
	@touch $@

# A provider to sign in at, in an environment of its own, too: it is a web application.
$(VENV)-oidc/.ready: requirements-oidc.lock
	@tools/bootstrap.sh $(VENV)-oidc
	@echo "Installing a provider of OpenID Connect, as pinned in requirements-oidc.lock"
	@$(VENV)-oidc/bin/python -m pip --disable-pip-version-check -qq install \
		--require-hashes --no-deps --requirement requirements-oidc.lock
	@touch $@

# It borrows all else from the environment of the tests.
$(VENV)-torch/.ready: $(VENV)/.dev
	@tools/bootstrap.sh $(VENV)-torch
	@echo "Installing PyTorch $(TORCH)"
	@$(VENV)-torch/bin/python -m pip --disable-pip-version-check -qq install torch==$(TORCH)
	@$(BIN)/python -c 'import sysconfig; \
		print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))' > \
		"$$($(VENV)-torch/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/borrowed.pth"
	@touch $@

# Each client as its makers ship it; the big ones without what XGBoost needs for several graphics cards.
$(CLIENTS_READY): $(VENV)-%/.ready: requirements-%.lock
	@tools/bootstrap.sh $(VENV)-$*
	@echo "Installing an unmodified client, as pinned in requirements-$*.lock"
	@$(VENV)-$*/bin/python -m pip --disable-pip-version-check -qq install \
		--require-hashes --no-deps --requirement requirements-$*.lock
	@$(if $(filter mlflow3,$*),$(VENV)-$*/bin/python -m pip --disable-pip-version-check -qq install torch==$(TORCH))
	@touch $@

clients: $(CLIENTS_READY)

conformance-oracle: $(VENV)/.dev $(CLIENTS_READY)
	TRIVET_CONFORMANCE=oracle $(BIN)/python -m pytest tests/clients $(ARGS)

# What runs in environments of its own, MLflow's clients and PyTorch, runs beside all else.
test: $(VENV)/.dev $(VENV)-objects/.ready $(VENV)-oidc/.ready $(if $(ARGS),,$(VENV)-torch/.ready $(CLIENTS_READY)) system
	$(if $(ARGS),$(TESTS) $(ARGS),@mkdir -p build; \
		( $(BIN)/python -m pytest tests/clients && $(VENV)-torch/bin/python -m pytest -q $(TORCH_TESTS) ) \
			>build/beside.log 2>&1 & beside=$$!; \
		$(TESTS) --ignore=tests/clients; code=$$?; \
		wait $$beside || code=1; \
		cat build/beside.log; exit $$code)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/pyright --pythonpath $(BIN)/python --project benchmarks
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
	rm -rf $(VENV) $(VENV)-objects $(VENV)-oidc $(VENV)-torch $(CLIENTS:%=$(VENV)-%) build dist .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
