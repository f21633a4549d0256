# Each target does its own set-up: Python 3.11 or newer and make are all it takes.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH := .venv-bench

.PHONY: help demo test check bench bench-quick bench-compare mutants soak rotation-drill clean

help:
	@echo "make demo            sessions through two real servers, step by step (SERVE=1 keeps them up)"
	@echo "make test            the tests"
	@echo "make check           format, lint, types, coverage, README, wheel, each Python version"
	@echo "make mutants         break the code on purpose: each break must fail a test"
	@echo "make soak            many clients on real servers that are killed and locked out (MINUTES=5)"
	@echo "make rotation-drill  new keys and leaked ones beside 200 clients on real servers"
	@echo "make bench           what sessions cost, beside everything one would use instead (ten minutes)"
	@echo "make bench-quick     the same in short"
	@echo "make bench-compare   this working copy beside an earlier one (BASE=revision)"

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

bench: $(BENCH)/ready
	@$(BENCH)/bin/python -m benchmarks.suite run $(ARGS)

bench-quick: $(BENCH)/ready
	@$(BENCH)/bin/python -m benchmarks.suite run --quick --out benchmarks/results/quick $(ARGS)

bench-compare: $(BENCH)/ready
	@$(BENCH)/bin/python -m benchmarks.suite compare $(or $(BASE),$(error say what to compare with: make bench-compare BASE=HEAD~1)) $(ARGS)

$(VENV)/ready: pyproject.toml
	$(call environment,$(VENV),'.[test]')

$(BENCH)/ready: pyproject.toml benchmarks/requirements.txt
	$(call environment,$(BENCH),'.[test]' --requirement benchmarks/requirements.txt)

# $(1): its folder; $(2): what pip installs there.
define environment
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "fluidauth needs Python 3.11 or newer, but $(PYTHON) is " + sys.version.split()[0] + "; try: make PYTHON=python3.13 $(MAKECMDGOALS)")'
	@echo "setting up $(1) (once)"
	@$(PYTHON) -m venv --clear $(1)
	@$(1)/bin/python -m pip install --quiet --disable-pip-version-check --editable $(2)
	@touch $@
endef

clean:
	rm -rf $(VENV) .venv-* dist build .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache
