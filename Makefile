# One word per action; `make` alone lists them. Each sets up what it needs: a Python >= 3.11, make
# and a package index are enough, and after the first run not even the index is needed.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help demo up test check bench chaos clean tools

help: ## list these actions
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

demo: $(READY) ## see orders run end to end, a killed worker included
	@$(BIN)/python -m starters demo

up: $(READY) ## start the whole local stack; Ctrl-C stops it
	@$(BIN)/python -m workers up

test: $(READY) ## run all tests
	@status=0; $(BIN)/pytest -n $(or $(JOBS),2) --dist loadgroup --no-loadscope-reorder || status=$$?; \
	  test ! -d .delta/screenshots || echo "pictures of the dashboard: .delta/screenshots"; \
	  exit $$status

check: $(READY) ## format, lint, types, import rules, house rules, container set-up
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/pytest -q tests/unit/test_tidy.py tests/unit/test_compose.py

bench: $(READY) ## measure the speed; ONLY=name takes one measure
	@$(BIN)/python -m tests.bench --only "$(ONLY)"

# The crash points go first: the last line of the output is that of the runs.
chaos: $(READY) ## kill and disturb at random, judge by the exchanges' logs: RUNS=20 SEED=1
	@case "$(CRASHES)" in *[!0-9]*) echo "error: CRASHES is a number" >&2; exit 2;; esac
	@for round in $$(seq 1 $(or $(CRASHES),0)); do \
	  CRASH_ALL=1 $(BIN)/pytest -q tests/e2e/test_*crash_points*.py tests/stateful \
	    tests/e2e/test_infrastructure_faults.py tests/contract/test_temporal_cli_contract.py \
	    >&2 || exit 1; done
	@$(BIN)/python -m tests.chaos $(if $(RUNS),--runs "$(RUNS)") $(if $(SEED),--seed "$(SEED)") \
	  $(if $(ORDERS),--orders "$(ORDERS)") $(if $(ARBITRAGES),--arbitrages "$(ARBITRAGES)")

clean: ## delete what was built and the local stack's data, but not .venv
	@for part in demo bench; do if [ -d .delta/$$part ] && [ -x $(BIN)/python ]; then \
	  DELTA_HOME=.delta/$$part $(BIN)/python -m workers clean; fi; done
	@if [ -d .delta ] && [ -x $(BIN)/python ]; then $(BIN)/python -m workers clean; fi
	@rm -rf .delta .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +

tools: ## install what only apt has, for the tests that need it (root)
	apt-get update
	apt-get install --yes --no-install-recommends chromium chromium-driver faketime prometheus

# The hashes of the lock are checked; the stamp makes a second run work without a network.
$(READY): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 ..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing the locked packages into .venv (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input \
	  --require-hashes --only-binary :all: -r requirements.lock
	@touch $@
