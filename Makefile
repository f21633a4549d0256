# Each target does its own set-up: Python 3.11 or newer and make are all it takes.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo test check bench mutants soak rotation-drill clean

help:
	@echo "make demo            sessions through two real servers, step by step (SERVE=1 keeps them up)"
	@echo "make test            the tests"
	@echo "make check           format, lint, types, coverage, README, wheel, each Python version"
	@echo "make mutants         break the code on purpose: each break must fail a test"
	@echo "make soak            many clients on real servers that are killed and locked out (MINUTES=5)"
	@echo "make rotation-drill  new keys and leaked ones beside 200 clients on real servers"
	@echo "make bench           what a session costs, beside Starlette's signed cookie"

demo: $(VENV)/ready
	@$(BIN)/python examples/demo.py $(if $(SERVE),--serve)

test: $(VENV)/ready
	$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/ready
	$(BIN)/python tools/check.py

mutants: $(VENV)/ready
	$(BIN)/python -m tools.mutants $(ARGS)

soak: $(VENV)/ready
	$(BIN)/python -m tools.soak --minutes $(or $(MINUTES),5)

rotation-drill: $(VENV)/ready
	@$(BIN)/python -m tools.rotation_drill $(ARGS)

bench: $(VENV)/ready
	$(BIN)/python benchmarks/overhead.py $(ARGS)

$(VENV)/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "fluidauth needs Python 3.11 or newer, but $(PYTHON) is " + sys.version.split()[0] + "; try: make PYTHON=python3.13 $(MAKECMDGOALS)")'
	@echo "setting up $(VENV) (once)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,bench]'
	@touch $@

clean:
	rm -rf $(VENV) .venv-* dist build .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache
