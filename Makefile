# make demo        train a network on handwritten digits
# make test        run every test
#
# Both set up a virtual environment in .venv first. PYTHON= chooses the Python, EXTRA= the build of
# MLX (cpu, cuda12, cuda13; nothing on macOS), and PIP_ARGS= is passed to pip, for example to say
# where PyTorch for the tests comes from: make test PIP_ARGS="--extra-index-url ..."

SHELL := /bin/bash
.DELETE_ON_ERROR:
.PHONY: demo test lint types parity bench docs fix clean

# The first that runs, is new enough, and can make virtual environments.
PYTHON ?= $(shell for python in python3.11 python3 python3.12 python3.13 python3.14; do \
	$$python -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)
ifeq ($(shell uname -s),Darwin)
EXTRA ?=
else
EXTRA ?= cpu
endif
PIP_ARGS ?=
# Slow networks: wait longer and try more often than pip does by itself.
export PIP_DEFAULT_TIMEOUT ?= 120
export PIP_RETRIES ?= 8
TEST_ARGS ?= -n 2 -q

VENV := .venv
BIN := $(VENV)/bin
comma := ,
extras = $(subst $() ,$(comma),$(strip $(EXTRA) $(1)))
pip_install = $(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS)
# One stamp for each set of extras that is installed.
stamp = $(VENV)/$(subst $(comma),-,$(call extras,$(1))).stamp
DEMO := $(call stamp,examples)
TEST := $(call stamp,examples test)
DEV := $(call stamp,examples test dev)

demo: $(DEMO)
	$(BIN)/python -m flashlight examples/digits_cnn.py

test: $(TEST)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(TEST_ARGS)

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/python tools/write_docs.py --check

types: $(DEV)
	$(BIN)/python tools/write_stubs.py
	$(BIN)/pyright --pythonpath $(BIN)/python

parity: $(TEST)
	OMP_NUM_THREADS=1 $(BIN)/python -m tools.parity $(PARITY_ARGS)

bench: $(TEST)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/dispatch.py

docs: $(DEMO)
	$(BIN)/python tools/write_docs.py
	$(BIN)/python tools/write_stubs.py

fix: $(DEV) docs
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV)

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "no Python >= 3.11 with venv found; install it (on Debian and" \
		"Ubuntu with python3-venv) or say make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(DEMO): pyproject.toml | $(BIN)/python
	$(pip_install) -e ".[$(call extras,examples)]"
	@touch $@

$(TEST): pyproject.toml | $(BIN)/python
	$(pip_install) -e ".[$(call extras,examples test)]"
	@touch $@ $(DEMO)

$(DEV): pyproject.toml | $(BIN)/python
	$(pip_install) -e ".[$(call extras,examples test dev)]"
	@touch $@ $(TEST) $(DEMO)
