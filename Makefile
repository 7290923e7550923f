# The README's commands. Each installs by itself what it needs, from locked versions.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
# Aider is not made for Python 3.13 and later.
AIDER_PYTHON ?= $(PYTHON)
PORT ?= 8090
DATA_DIR ?= .data
VENV := .venv
BIN := $(VENV)/bin
AGENTS := .agents
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input --quiet
SYSTEM := nginx:nginx wrk:wrk strace:strace chromium:chromium

.PHONY: help run test test-full test-agents bench bench-quick bench-streams bench-overload soak lint format system

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "make %-14s %s\n", $$1, $$2}'

run: $(VENV)/installed-base ## Start the hub on 127.0.0.1:8090 (PORT=, DATA_DIR=)
	@exec $(BIN)/aigne-hub serve --host 127.0.0.1 --port $(PORT) --data-dir $(DATA_DIR) --welcome

# Tests wait as long as they work: three of them keep two processors busy.
test: $(VENV)/installed-dev system ## Run the test suite
	@$(BIN)/python -m pytest -m "not full and not agents" -n 3 --dist loadfile --no-loadscope-reorder \
		--cov --cov-report=term:skip-covered $(ARGS)

test-full: $(VENV)/installed-dev system ## Run the test suite and the long runs
	@$(BIN)/python -m pytest -m "not agents" $(ARGS)

test-agents: $(VENV)/installed-dev $(AGENTS)/installed ## Coding agents do a task through the hub
	@$(BIN)/python -m tests.agents.alone $(BIN)/python -m pytest -m agents $(ARGS) tests/agents

bench: $(VENV)/installed-dev system ## Measure the hub beside nginx and installed peers
	@$(BIN)/python -m bench $(ARGS)

bench-quick: $(VENV)/installed-dev system ## The same in a minute
	@$(BIN)/python -m bench --quick $(ARGS)

bench-streams: $(VENV)/installed-dev system ## 1,000 streams for a minute, and each one's charge
	@$(BIN)/python -m bench.streams $(ARGS)

bench-overload: $(VENV)/installed-dev system ## More calls than the hub takes on
	@$(BIN)/python -m bench.overload $(ARGS)

soak: $(VENV)/installed-dev system ## Half load for two hours (SOAK_MINUTES=): does anything grow?
	@$(BIN)/python -m bench.soak $(ARGS)

lint: $(VENV)/installed-dev ## Formatter, linter, types, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: $(VENV)/installed-dev ## Rewrite the code as the formatter wants it
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix --show-fixes .

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "AIGNE Hub needs Python 3.11 or newer; set PYTHON=python3.x"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/installed-base: $(VENV)/pyvenv.cfg requirements/build.txt requirements/base.txt pyproject.toml
	@echo "installing locked dependencies into $(VENV) ..." >&2
	@$(PIP) install --require-hashes -r requirements/build.txt -r requirements/base.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed-base requirements/dev.txt
	@echo "installing locked test dependencies ..." >&2
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

# Some 2 GB, by npm and pip, once. Not `npm ci`: opencode names packages for other systems that not every
# registry has, and it wants all of them in the lock.
$(AGENTS)/installed: tests/agents/package.json tests/agents/package-lock.json requirements/aider.txt
	@command -v npm >/dev/null || { echo "the agents need Node.js 22 with npm"; exit 1; }
	@echo "installing locked coding agents into $(AGENTS) ..." >&2
	@mkdir -p $(AGENTS)
	@cp tests/agents/package.json tests/agents/package-lock.json tests/agents/.npmrc $(AGENTS)
	@cd $(AGENTS) && npm install --no-save --loglevel=error >/dev/null
	@$(AIDER_PYTHON) -m venv --clear $(AGENTS)/aider
	@$(AGENTS)/aider/bin/python -m pip --disable-pip-version-check --no-input --quiet \
		install --require-hashes -r requirements/aider.txt
	@touch $@

# name:command pairs of Debian packages that tests and benchmarks use.
system:
	@missing=""; for pair in $(SYSTEM); do \
		command -v $${pair#*:} >/dev/null || PATH=$$PATH:/usr/sbin command -v $${pair#*:} >/dev/null \
			|| missing="$$missing $${pair%:*}"; \
	done; \
	if [ -n "$$missing" ]; then \
		command -v apt-get >/dev/null || { echo "install$$missing, which the tests need"; exit 1; }; \
		echo "installing$$missing ..." >&2; \
		export DEBIAN_FRONTEND=noninteractive; \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi
