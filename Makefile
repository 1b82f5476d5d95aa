# `make run` and `make test` do all their set-up themselves. Stamp files keep the second time short.

PYTHON ?= $(shell for name in python3.13 python3.12 python3.11 python3; do command -v $$name >/dev/null \
	&& $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PEERS := tests/e2e/peers
PLAYER := splice/page/data/mpegts.js
LISTEN ?= 18090
BENCH ?= splice
FUZZ_SECONDS ?= 20
SOAK_SECONDS ?= 600
SOAK_SEED ?=
TARGET ?=
MUTANTS ?=

.DEFAULT_GOAL := help
.PHONY: help run test lint format fuzz mutants audit abuse soak bench docs clip player constraints clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 22

run: $(VENV)/.run player ## the door on port 18090 with its demo (LISTEN=... for another port)
	@exec $(BIN)/python -m splice --listen $(LISTEN) --demo

test: $(VENV)/.dev $(PEERS)/node_modules/.ready lint ## every check and every test, with branch coverage
	$(BIN)/pytest --cov --cov-report=term

lint: $(VENV)/.dev ## ruff, mypy and the import contracts
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## ruff's formatter over everything
	$(BIN)/ruff format .

fuzz: $(VENV)/.fuzz ## every decoder under atheris (TARGET=chunk_reader for one, FUZZ_SECONDS=20 for each)
	@$(BIN)/python -m fuzz $(TARGET) --seconds $(FUZZ_SECONDS)

mutants: $(VENV)/.mutants ## change the code where it must not be wrong, and see what tests miss (MUTANTS='splice.http*')
	$(BIN)/mutmut run $(if $(MUTANTS),'$(MUTANTS)')
	@$(BIN)/mutmut results

audit: $(VENV)/.audit ## ask the OSV database about the versions in constraints.txt (by the internet)
	$(BIN)/pip-audit --vulnerability-service osv --requirement constraints.txt --no-deps --disable-pip

abuse: $(VENV)/.dev ## a door under abuse, over networks that lose packets too (as root)
	@$(PEERS)/system iproute2
	ABUSE_NETWORK=1 $(BIN)/pytest tests/abuse -v

soak: $(VENV)/.dev ## churn at random, then a count of what is left (SOAK_SECONDS=600, SOAK_SEED=... to repeat one)
	@$(BIN)/python -m tests.soak --seconds $(SOAK_SECONDS) $(if $(SOAK_SEED),--seed $(SOAK_SEED))

bench: $(VENV)/.dev ## the comparison with other servers (BENCH=splice)
	@$(PEERS)/system ffmpeg nginx haproxy gcc
	$(BIN)/python -m bench $(BENCH)

docs: $(VENV)/.run ## docs/configuration.md, splice.example.toml and docs/protocol.md's reference, out of the code
	$(BIN)/python -m splice.config.document
	$(BIN)/python -m tests.protocol.reference

clip: ## draw the demo's clip anew
	splice/demo/make_clip

constraints: $(VENV)/.dev ## write down the versions that are installed now
	@{ sed -n '/^#/p' constraints.txt; $(BIN)/pip freeze --exclude-editable --exclude pip --exclude setuptools; } > $(VENV)/pins
	@mv $(VENV)/pins constraints.txt

clean: ## remove everything that make has made
	rm -rf $(VENV) build dist bench/build mutants $(PEERS)/node_modules $(PLAYER) .coverage .hypothesis .mypy_cache .ruff_cache \
		.pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Debian's Python comes without venv, in a package of its own.
$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "make: please install Python 3.11 or later (on Debian: apt install python3)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		package=$$(basename $(PYTHON))-venv; \
		if [ "$$(id -u)" = 0 ]; then as_root=; elif sudo -n true 2>/dev/null; then as_root="sudo -n"; else as_root=no; fi; \
		if [ "$$as_root" = no ] || ! command -v apt-get >/dev/null; then \
			echo "make: please install Python's venv module (on Debian: apt install $$package), then call make again" >&2; \
			exit 1; \
		fi; \
		echo "make: apt installs $$package" >&2; \
		$$as_root apt-get update -qq && $$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$package >/dev/null; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) --editable .
	@touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.run

$(VENV)/.fuzz: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) --editable '.[fuzz]'
	@touch $@

$(VENV)/.mutants: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) --editable '.[dev,mutants]'
	@touch $@

$(VENV)/.audit: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) --editable '.[audit]'
	@touch $@

# The page's player is fetched, not kept here. The door does without it, and its page says so.
player: ## fetch mpegts.js for the door's own page, where npm is
	@test -e $(PLAYER) || ! command -v npm >/dev/null || $(MAKE) --no-print-directory $(PLAYER) \
		|| echo "make: npm did not bring mpegts.js; the door's page goes without its player" >&2
	@test -e $(PLAYER) || command -v npm >/dev/null || echo "make: no npm here, so the door's page goes without its player" >&2

$(PLAYER): $(PEERS)/package-lock.json
	@mkdir -p build/player
	@cp $(PEERS)/package.json $(PEERS)/package-lock.json $(PEERS)/.npmrc build/player/
	cd build/player && npm ci --omit=dev --ignore-scripts --no-progress --loglevel=error
	@cp build/player/node_modules/mpegts.js/dist/mpegts.js $@

$(PEERS)/node_modules/.ready: $(PEERS)/package-lock.json $(PEERS)/system
	@$(PEERS)/system
	@if command -v npm >/dev/null; then \
		cd $(PEERS) && npm ci --ignore-scripts --no-progress --loglevel=error && touch node_modules/.ready; fi
