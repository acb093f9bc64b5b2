# `make prove` and `make test` are all a newcomer needs; the rest is parts of them.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OPENCODE := .tools/opencode
VALIDATORS := .tools/validators
KILLS ?= 500
RUNS ?= 1000
FLOOD ?= 10000
PLAIN ?= 5
# The budget of the tests of `make test`, in seconds of processor time; see CONTRIBUTING.md.
PROCESSOR_S ?= 1850
BUSY ?= 3
# Of pytest-xdist. Many tests wait for a condition: three workers keep two processors at work.
WORKERS ?= 3
TESTS ?= tests scenarios
# pip reads the lock and nothing else: no cache to trust, no resolver, no build isolation.
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --no-input

# Compiled tests are kept, also where images for containers forbid it: a worker that finds them
# collects in 4 s of processor time, and else in 11 s.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: chromium help install prove test format lint types layers tested unit scenarios flakes soak up lock bench clean npm opencode validators

help: ## this list
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/.installed ## .venv from the hash-pinned lock, and the project into it

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "spec11 needs Python 3.11 or newer; try: make PYTHON=python3.12 install")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) …"
	@$(PIP) install --require-hashes --requirement requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

prove: install ## the main job: a split runtime starts and scenario S02 is proven on it
	$(BIN)/pytest -m S02

# Not `npm ci`: it wants entries for every platform, and the lock has those of the one that made it.
NPM := npm install --ignore-scripts --no-audit --no-fund --silent --prefix

# Only tests need it. What nobody can install from here is said in one line, with what to type.
npm: ## Node.js and npm for the tests that ask tools of other makers; root on Debian gets them
	@command -v npm >/dev/null \
	  || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -qq \
	    && apt-get install -qq --no-install-recommends nodejs npm >/dev/null; } \
	  || { echo "the tests need Node.js and npm; as root: apt-get install nodejs npm" >&2; exit 1; }

# Only tests of pages need it; the library that drives it brings none.
chromium: ## Chromium for the tests of the boards; root on Debian gets it
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
	  || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -qq \
	    && apt-get install -qq --no-install-recommends chromium >/dev/null; } \
	  || { echo "the tests of the boards need Chromium; as root: apt-get install chromium" >&2; exit 1; }

# Without npm, or without its registry, S14 runs a stand-in and says so in its evidence.
opencode: $(OPENCODE)/.installed ## the OpenCode server that S14 runs, as the lock pins it

$(OPENCODE)/.installed: scenarios/doubles/opencode/package-lock.json
	@mkdir -p $(OPENCODE) && cp $(<D)/package.json $(<D)/package-lock.json $(OPENCODE)
	@if $(NPM) $(OPENCODE); then touch $@; else echo "no OpenCode package to be had: S14 runs a stand-in"; fi

validators: $(VALIDATORS)/.installed ## the tools of other makers that tests of the reports read these with

$(VALIDATORS)/.installed: tests/reports/validators/package-lock.json | npm
	@mkdir -p $(VALIDATORS) && cp $(<D)/package.json $(<D)/package-lock.json $(VALIDATORS)
	@$(NPM) $(VALIDATORS) && touch $@

test: npm chromium lint layers opencode validators ## everything the gate runs; closes with the slowest tests and the time used
	@$(MAKE) --no-print-directory --jobs 2 types tested

# mypy fills the time in which tests wait. A worker of xdist takes neighbours, so that stacks of a file start once.
tested: install chromium opencode validators
	$(BIN)/python -m tests.processor_time $(PROCESSOR_S) $(BIN)/pytest -n $(WORKERS) --dist worksteal --durations 10 tests scenarios

format: install ## rewrite the sources in the one format
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

lint: install ## format and lint rules
	$(BIN)/ruff format --check . && $(BIN)/ruff check .

types: install ## mypy, strict
	$(BIN)/mypy

layers: install ## who may import whom
	$(BIN)/lint-imports

unit: install chromium validators ## tests of the prover and of the engine, without the scenarios
	$(BIN)/pytest -n $(WORKERS) --dist worksteal tests

scenarios: install chromium opencode ## the suite, in parallel
	$(BIN)/pytest -n $(WORKERS) --dist worksteal scenarios

flakes: install chromium opencode validators ## tests that are red now and then: the suite in random order, five times alone, three beside others; parts add up: `make flakes PLAIN=1 BUSY=0 TESTS="scenarios/test_s05_races.py"`
	$(BIN)/python -m benchmarks.flakes --plain $(PLAIN) --busy $(BUSY) --workers $(WORKERS) $(TESTS)

soak: install ## 500 random kills, 1,000 waiting runs, a flood of 10,000, 10,000 edits: `make soak KILLS=50 RUNS=100 FLOOD=1000`
	$(BIN)/pytest --soak-kills $(KILLS) scenarios/soaks/random_kills.py
	$(BIN)/pytest --soak-runs $(RUNS) scenarios/soaks/waiting.py
	$(BIN)/pytest --soak-flood $(FLOOD) scenarios/soaks/starvation.py
	$(BIN)/python -m benchmarks.edits

up: install ## the reference engine on http://127.0.0.1:3001, until Ctrl-C
	$(BIN)/spec11-engine up

lock: install ## resolve pyproject.toml anew into requirements.lock (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	  --no-header --extra engine --extra report --extra browser --group dev --group build pyproject.toml --output-file requirements.lock

bench: install ## everything measured against its goal, one table, ten minutes of a quiet machine: `make bench BENCH="--only latency"`
	$(BIN)/python -m benchmarks $(BENCH)

clean: ## remove what install and runs made here
	rm -rf $(VENV) .tools .spec11 .mypy_cache .ruff_cache .pytest_cache
