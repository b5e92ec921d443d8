# Everything here works in a fresh clone: what is needed is made first. `make` alone lists the targets.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv demo test test-cluster test-kind test-browser test-soak check record bench lock

BIN := .venv/bin
PYTHONS := $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11)
WORKERS ?= 2
PIP := $(BIN)/python -m pip --quiet --no-input --disable-pip-version-check
REPLAY := env -u DATABASE_URL -u AGENT_MODE -u OPENAI_API_KEY -u OPENAI_BASE_URL -u CLUSTER_NAME $(BIN)/sre-agent replay examples/*/

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

venv: .venv/installed ## Make .venv with the pinned packages and .venv/bin/sre-agent

demo: .venv/installed ## Replay every incident in examples/, first in recommend mode, then in auto
	@$(REPLAY) --mode recommend
	@$(REPLAY) --mode auto

test: .venv/installed ## Run all tests, with the coverage that each part must have
	@mkdir -p build
	@$(BIN)/python -m pytest -q -n $(WORKERS) --cov=sre_agent --cov-branch --cov-report=json:build/coverage.json
	@$(BIN)/python tests/coverage_floor.py build/coverage.json

test-cluster: .venv/installed ## Run the cluster tests on a real control plane, built if missing
	@$(BIN)/python -m tests.control_plane.build
	@$(BIN)/python -m pytest -q -m 'cluster and not soak'

test-kind: .venv/installed ## Run the cluster tests on a kind cluster (needs Docker)
	@$(BIN)/python -m tests.control_plane.kind $(MAKE) --no-print-directory test-cluster

test-browser: .venv/installed ## Run the tests of the pages in a real headless Chromium
	@$(BIN)/python -m pytest -q -m browser

test-soak: .venv/installed ## Run the long forms of the tests in which processes die (about two hours)
	@$(BIN)/python -m tests.control_plane.build
	@$(BIN)/python -m pytest -q -m soak

check: .venv/installed ## Check style, types, imports and the shipped runbooks
	@echo "ruff" && $(BIN)/ruff check --quiet . && $(BIN)/ruff format --quiet --check .
	@echo "mypy" && $(BIN)/mypy --no-error-summary
	@echo "imports" && $(BIN)/lint-imports --no-logo
	@echo "runbooks" && $(BIN)/sre-agent lint runbooks

record: .venv/installed ## Record the exchanges with a real model anew, at OPENAI_BASE_URL (see docs/language-model.md)
	@rm -rf tests/recorded/cassettes
	@$(BIN)/python -m pytest -q tests/recorded --record-mode=once

bench: .venv/installed ## Print the table of measured times
	@$(BIN)/python benchmarks/bench.py

lock: ## Pin the packages that pyproject.toml asks for in requirements.txt, with hashes (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv: install it (pipx install uv) and call again." >&2; exit 1; }
	uv pip compile --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-header \
		--group dev pyproject.toml -o requirements.txt

.venv/installed: requirements.txt pyproject.toml
	@for python in $(PYTHONS); do \
		$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; python=; \
	done; \
	if [ -z "$$python" ]; then \
		echo "sre-agent needs Python 3.11 or newer; tried: $(PYTHONS)." >&2; \
		echo "Install one, or name it: make venv PYTHON=/path/to/python3.11" >&2; exit 1; \
	fi; \
	if ! $$python -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "$$python cannot make a virtual environment: its modules venv and ensurepip are missing." >&2; \
		echo "On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; \
	fi; \
	if ! $(BIN)/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		echo "Making .venv with $$($$python --version)"; \
		$$python -m venv --clear .venv; \
	fi
	@echo "Installing the pinned packages"
	@$(PIP) install --require-hashes --no-deps -r requirements.txt
	@echo "Installing sre-agent"
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@
