# Each target does its own set-up: Python 3.11 or newer and make are all it takes.

PYTHON ?= python3
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
DEMO := .venv-demo
BENCH := .venv-bench
NEWEST := .venv-newest
EVENTLET := .venv-eventlet
RELEASE := .venv-release
# The package as the tests have it, with all its extras: this source, or the wheel that WHEEL=file names.
EXTRAS := [cli,django,fastapi,flask,litestar,postgres,quart,redis,starlette]
PACKAGE := $(if $(WHEEL),'$(WHEEL)$(EXTRAS)',--editable '.$(EXTRAS)')

# The versions of all that is installed here, and of what builds our wheel (newer pips ask for that apart).
export PIP_CONSTRAINT := constraints.txt
export PIP_BUILD_CONSTRAINT := constraints.txt

.PHONY: help demo test docs dist lint check matrix newest constraints mutants soak rotation-drill bench bench-quick bench-compare clean

help:
	@echo "make demo            sessions through two real servers, step by step (SERVE=1: a page to try them on)"
	@echo "make test            the tests that one runs while one works (WORKERS=2 processes)"
	@echo "make docs            the documentation, into build/docs (SERVE=1 shows it at http://localhost:8000)"
	@echo "make lint            format, lint, spelling and types alone"
	@echo "make check           all that a change must pass: types, frameworks' own tests, faults, each Python"
	@echo "make matrix          every server with every store, on each Python, in random order"
	@echo "make newest          the tests with the newest release of everything"
	@echo "make constraints     look for newer releases, and write them into constraints.txt"
	@echo "make mutants         break the code on purpose: each break must fail a test"
	@echo "make soak            many clients on real servers that are killed and locked out (MINUTES=5)"
	@echo "make rotation-drill  new keys and leaked ones beside 200 clients on real servers"
	@echo "make dist            wheel and source of a release, with an SBOM, into dist"
	@echo "make bench           what sessions cost, beside everything one would use instead (ten minutes)"
	@echo "make bench-quick     the same in short"
	@echo "make bench-compare   this working copy beside an earlier one (BASE=revision)"

demo: $(DEMO)/ready
	@$(DEMO)/bin/python examples/demo.py $(if $(SERVE),--serve)

test: $(VENV)/ready
	@$(BIN)/python -m pytest --quiet --numprocesses=$(WORKERS) -m "not check and not matrix" $(ARGS)

docs: $(VENV)/docs-ready
	@$(BIN)/python -m tools.site $(if $(SERVE),--serve)

lint: $(VENV)/check-ready
	@$(BIN)/python tools/check.py --lint

check: $(VENV)/check-ready
	@$(BIN)/python tools/check.py

matrix: $(VENV)/ready
	@$(BIN)/python tools/check.py --matrix

newest: $(NEWEST)/ready
	@$(NEWEST)/bin/python -m pytest --quiet --numprocesses=$(WORKERS) -m "not matrix" $(ARGS)

constraints: .venv-constraints/ready
	@printf 'hatchling\nhatch-fancy-pypi-readme\npip\nuv\n' | .venv-constraints/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
		--all-extras --group test --group lint --group docs --group release --no-annotate --no-emit-index-url --custom-compile-command "make constraints" \
		--output-file constraints.txt pyproject.toml benchmarks/requirements.txt -
	@git diff --stat -- constraints.txt

mutants: $(VENV)/ready
	@$(BIN)/python -m tools.mutants $(ARGS)

soak: $(VENV)/ready
	@$(BIN)/python -m tools.soak $(if $(ARGS),$(ARGS),--minutes $(or $(MINUTES),5))

rotation-drill: $(VENV)/ready
	@$(BIN)/python -m tools.rotation_drill $(ARGS)

dist: $(RELEASE)/ready
	@$(RELEASE)/bin/python -m tools.dist

bench: $(BENCH)/ready
	@$(BENCH)/bin/python -m benchmarks.suite run $(ARGS)

bench-quick: $(BENCH)/ready
	@$(BENCH)/bin/python -m benchmarks.suite run --quick --out benchmarks/results/quick $(ARGS)

bench-compare: $(BENCH)/ready
	@$(BENCH)/bin/python -m benchmarks.suite compare $(or $(BASE),$(error say what to compare with: make bench-compare BASE=HEAD~1)) $(ARGS)

$(DEMO)/ready: pyproject.toml constraints.txt
	$(call environment,$(DEMO),--editable . httpx uvicorn waitress)

$(VENV)/ready: pyproject.toml constraints.txt
	$(call environment,$(VENV),$(PACKAGE) --group test)

$(VENV)/check-ready: $(VENV)/ready
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --group lint --group docs --group release
	@touch $@ $(VENV)/docs-ready

$(VENV)/docs-ready: $(VENV)/ready
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --group docs
	@touch $@

# Nothing else is there where a release is built.
$(RELEASE)/ready: pyproject.toml constraints.txt
	$(call environment,$(RELEASE),--group release)

$(BENCH)/ready: pyproject.toml constraints.txt benchmarks/requirements.txt
	$(call environment,$(BENCH),$(PACKAGE) --group test --requirement benchmarks/requirements.txt)

.venv-constraints/ready: Makefile
	$(call environment,.venv-constraints,uv)

# A gunicorn that has workers of eventlet, which 26 and later have not.
$(EVENTLET)/ready: pyproject.toml
	$(call environment,$(EVENTLET),$(PACKAGE) 'gunicorn==23.*' 'eventlet>=0.41')

# These want what is newest, the last each time it is made.
.venv-constraints/ready $(EVENTLET)/ready $(NEWEST)/ready: export PIP_CONSTRAINT =
.venv-constraints/ready $(EVENTLET)/ready $(NEWEST)/ready: export PIP_BUILD_CONSTRAINT =
.PHONY: $(NEWEST)/ready
$(NEWEST)/ready:
	$(call environment,$(NEWEST),$(PACKAGE) --group test)

# $(1): its folder; $(2): what pip installs there. Python's own pip may be too old for groups (25.1) and comes first.
define environment
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "fluidauth needs Python 3.11 or newer, but $(PYTHON) is " + sys.version.split()[0] + "; try: make PYTHON=python3.13 $(MAKECMDGOALS)")'
	@echo "setting up $(1) (once)"
	@$(PYTHON) -m venv --clear $(1)
	@$(1)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --upgrade pip
	@$(1)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile $(2)
	@touch $@
endef

clean:
	rm -rf $(VENV) .venv-* .sources dist build .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache
