# Each target sets up .venv by itself; PYTHON chooses the interpreter (3.11 to 3.13).
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help demo test lint vectors spin chaos siege fuzz bench bench-gpu bench-large clean

help:  ## print the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile

demo: .venv/.installed  ## one aggregator and six hospitals on this machine
	$(BIN)/secagg demo

test: .venv/.installed  ## every test; warnings are errors
	$(BIN)/python -m pytest -q -n 2 --dist worksteal

lint: .venv/.installed  ## format, ruff, mypy, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

SEED ?= 7
SESSIONS ?= 200
JOURNAL ?= sqlite
chaos: .venv/.installed  ## kill and cut sessions at random; SEED=7 SESSIONS=200 JOURNAL=postgresql
	$(BIN)/python -m tests.chaos --seed $(SEED) --sessions $(SESSIONS) --journal $(JOURNAL)

vectors: .venv/.installed  ## write the test vectors from the model, draw the diagrams
	$(BIN)/python -m protocol_spec.model.generate
	$(BIN)/python -m protocol_spec.model.schema
	$(BIN)/python -m protocol_spec.draw

spin: .venv/.installed  ## every state of the Promela models; needs spin and gcc
	$(BIN)/python -m tests.spec.promela

# atheris has an environment of its own: its wheel is for one Python alone.
fuzz: .venv-fuzz/.installed  ## every decoder, FUZZ_SECONDS=60 each; ONLY=envelope for one
	.venv-fuzz/bin/python -m tests.fuzz.run

# The other libraries have an environment of their own, made when they are measured.
OTHERS := $(if $(ONLY),$(filter others,$(ONLY)),others)
bench: .venv/.installed $(if $(OTHERS),.venv-peers/.installed)  ## ratios, each in one interleaved run; ONLY=engine for a group
	$(BIN)/python -m tests.benchmarks.bench --only $(ONLY)

siege: .venv/.installed  ## rounds beside 1,000 connections that stall and 100 hospitals that flood
	$(BIN)/python -m tests.siege.campaign

bench-large:  ## 10 hospitals with up to 10^8 parameters, and the memory of every process
	$(MAKE) bench ONLY=large

bench-gpu:  ## the same of the engine on a GPU, where there is one
	$(MAKE) bench ONLY=gpu

clean:  ## remove caches and build outputs; .venv stays
	rm -rf build dist demo-report .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -rf .import_linter_cache .coverage .coverage.* *.egg-info
	find . -path ./.venv -prune -o -type d -name __pycache__ -exec rm -rf {} +

.venv/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q -c constraints.txt \
		-e '.[torch,peers,dp,demo,fast,gpu,dask,postgres,dev]'
	touch $@

.venv-peers/.installed: tests/benchmarks/peers.txt
	test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install -q -r tests/benchmarks/peers.txt
	touch $@

.venv-fuzz/.installed: tests/fuzz/requirements.txt constraints.txt
	test -x .venv-fuzz/bin/python || $(PYTHON) -m venv .venv-fuzz
	.venv-fuzz/bin/python -m pip install -q -r tests/fuzz/requirements.txt -c constraints.txt \
		numpy cryptography msgpack websockets pydantic safetensors
	touch $@
