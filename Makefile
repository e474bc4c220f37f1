# Every command of the repository. `make` alone lists them.

PYTHON ?= python3.11
export PYTHON
PYTEST := .venv/bin/python -m pytest
PACKAGES := proto libs/platform services/dataset services/trainer services/evaluator services/exporter cli
SETUP_INPUTS := constraints.txt pyproject.toml scripts/setup.sh $(PACKAGES:%=%/pyproject.toml)

.DEFAULT_GOAL := help
.PHONY: help setup servers demo test test-unit test-contract test-integration test-e2e chaos test-compose \
	fuzz lint format proto proto-check bench clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.ready ## Build .venv with everything pinned in constraints.txt; nothing to do when nothing changed

.venv/.ready: $(SETUP_INPUTS)
	@scripts/setup.sh
	@touch $@

servers: .venv/.ready ## Fetch the NATS and PostgreSQL servers and the browser that the tests start, where missing
	@PYTHON=.venv/bin/python scripts/fetch_servers.sh
	@scripts/fetch_browser.sh

demo: setup ## Forge a small model from the bundled data, end to end, and answer from it
	.venv/bin/fragua demo

# Whole programs wait for each other for much of their time, so two files of such tests go side by side, the long ones
# first; more would run into time limits. 5: no test has the name. `make chaos` is not part of this.
test: setup servers ## Run all tests, with real servers; ARGS="-k name" goes to pytest
	$(PYTEST) tests/unit tests/contract -n auto --maxprocesses 4 $(ARGS) || test $$? = 5
	$(PYTEST) tests/fuzz tests/e2e tests/integration --ignore tests/e2e/test_chaos.py \
		-n 2 --dist loadfile --no-loadscope-reorder $(ARGS) || test $$? = 5

test-unit: setup ## Run the tests that need nothing but the code
	$(PYTEST) tests/unit $(ARGS)

test-contract: setup servers ## Run the suites that every adapter of a port has to pass
	$(PYTEST) tests/contract $(ARGS)

test-integration: setup servers ## Run the tests of our code against real servers
	$(PYTEST) tests/integration $(ARGS)

test-e2e: setup servers ## Run whole chains: import, train, evaluate, export
	$(PYTEST) tests/e2e $(ARGS)

chaos: setup servers ## Run whole chains while random processes get kill -9; ARGS=20 is how many, about a minute each
	FRAGUA_CHAOS_RUNS=$(or $(ARGS),10) $(PYTEST) tests/e2e/test_chaos.py -s

test-compose: setup ## Build the images, run the demo on docker compose, kill a worker midway; needs a Docker engine
	scripts/test_compose.sh

fuzz: setup ## Damage good files at random and import them; FRAGUA_FUZZ_EXAMPLES=1000000 goes on for hours
	FRAGUA_FUZZ_EXAMPLES=$${FRAGUA_FUZZ_EXAMPLES:-20000} $(PYTEST) tests/fuzz --timeout 0 $(ARGS)

lint: setup ## Check style, format, types and import rules
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports

format: setup ## Format the code and mend what can be mended
	.venv/bin/ruff check --fix-only
	.venv/bin/ruff format

proto: setup ## Generate proto/python anew
	scripts/generate_protos.sh

proto-check: setup node_modules ## Check the generated code, buf's rules, and compatibility with the last commit
	scripts/check_protos.sh

# buf comes as an npm package. Without npm proto-check says what it leaves out, and fails in CI. Not `npm ci`: that
# wants the lock file to hold buf's binaries of every platform.
node_modules: package.json package-lock.json
	@if command -v npm >/dev/null; then npm install --no-save --no-audit --no-fund --loglevel=error && touch $@; \
	else echo "npm is missing: buf cannot be installed"; fi

bench: setup ## Measure against named peers and print the ratios; ARGS="--quick --json FILE --stage NAME"
	.venv/bin/python bench $(ARGS)

clean: ## Remove what was built here; downloads and compiled wheels stay in the user's cache
	rm -rf .venv node_modules .fragua .cache .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
