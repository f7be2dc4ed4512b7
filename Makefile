# Two commands on a new machine: `make report CAPTURE=...` and `make test`. Both set up what they need in .venv.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
CAPTURE ?= fixtures/bugreports/display-flap-g2.zip
KERNELS := $(wildcard spicereplay/*/_kernels/*.pyx)
VENV := .venv
RUN := $(VENV)/bin
# What a run may add, for instance PYTEST='-k tcp'
PYTEST ?=

.PHONY: help report test lint bench fuzz clean install

help:
	@echo 'make report CAPTURE=FILE   write an HTML page about a capture or bug report'
	@echo 'make test                  set everything up and run all checks and tests'
	@echo 'make lint                  formatting, lint, types, import contract'
	@echo 'make bench                 speed against tshark; results go to reports/'

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# What running needs; rebuilt when the build or a kernel changes.
$(VENV)/.installed: $(VENV)/bin/python pyproject.toml setup.py $(KERNELS)
	$(RUN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(RUN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,lint,parquet]'
	@touch $@

install: $(VENV)/.installed

report: $(VENV)/.installed
	$(RUN)/spicereplay report '$(CAPTURE)' --force

lint: $(VENV)/.installed-test
	$(RUN)/ruff format --check .
	$(RUN)/ruff check .
	$(RUN)/mypy
	$(RUN)/lint-imports

test: $(VENV)/.installed-test lint
	sh tests/system-packages.sh
	$(RUN)/python -m pytest $(PYTEST)

bench: $(VENV)/.installed-test
	$(RUN)/python -m tests.benchmarks.against_tshark

clean:
	rm -rf build $(VENV) *.egg-info
	find spicereplay -name '*.so' -delete
