# Two commands on a new machine: `make report CAPTURE=...` and `make test`. Both set up what they need in .venv.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
CAPTURE ?= fixtures/bugreports/display-flap-g2.zip
KERNELS := $(wildcard spicereplay/*/_kernels/*.pyx)
VENV := .venv
RUN := $(VENV)/bin
# What a run may add, for instance PYTEST='-k tcp'
PYTEST ?=

# How long `make fuzz` runs, and which chances it takes
SECONDS ?= 600
SEED ?= 1

.PHONY: help report test lint notebooks bench bench-codecs bench-live fuzz clean install

help:
	@echo 'make report CAPTURE=FILE   write an HTML page about a capture or bug report'
	@echo 'make test                  set everything up and run all checks and tests'
	@echo 'make lint                  formatting, lint, types, import contract'
	@echo 'make notebooks             run the notebooks and write their outputs'
	@echo 'make bench                 speed against tshark; results go to reports/'
	@echo 'make bench-codecs          speed of the image codecs; results go to reports/'
	@echo 'make bench-live            what a live session costs; results go to reports/'
	@echo 'make fuzz SECONDS=600      damaged input against kernels built with every check'

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# What running needs; rebuilt when the build or a kernel changes.
$(VENV)/.installed: $(VENV)/bin/python pyproject.toml setup.py $(KERNELS)
	$(RUN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

# The same with what tests and checks need. It stands for both, so that the kernels are built once.
$(VENV)/.installed-test: $(VENV)/bin/python pyproject.toml setup.py $(KERNELS)
	$(RUN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,lint,parquet]'
	@touch $(VENV)/.installed $@

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
	$(RUN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal $(PYTEST)

notebooks: $(VENV)/.installed-test
	$(RUN)/python -m notebooks.execute

bench: $(VENV)/.installed-test
	$(RUN)/python -m tests.benchmarks.against_tshark

bench-codecs: $(VENV)/.installed-test
	PYTHONPATH=tests $(RUN)/python -m benchmarks.codecs

bench-live: $(VENV)/.installed-test
	PYTHONPATH=tests $(RUN)/python -m benchmarks.live

# Kernels with Cython's checks and the compiler's: reads and writes outside of a buffer, undefined arithmetic. They
# lie in a copy of their own, so the ordinary ones stay as they are. What Python and NumPy take comes from malloc,
# where the sanitizer sees it.
CHECKED := build/checked
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined

$(CHECKED)/.built: $(VENV)/.installed-test setup.py pyproject.toml $(wildcard spicereplay/*/_kernels/*.p[xy][xd])
	rm -rf $(CHECKED) && mkdir -p $(CHECKED)
	cp setup.py pyproject.toml README.md LICENSE $(CHECKED)
	ln -s ../../fixtures $(CHECKED)/fixtures
	tar -cf - --exclude='*.so' spicereplay | tar -xf - -C $(CHECKED)
	cd $(CHECKED) && SPICEREPLAY_CHECKED=1 CFLAGS='$(SANITIZE)' LDFLAGS='$(SANITIZE)' \
		../../$(RUN)/python setup.py -q build_ext --inplace
	@touch $@

fuzz: $(CHECKED)/.built
	tar -cf - --exclude='*.so' spicereplay tests | tar -xf - -C $(CHECKED)
	cd $(CHECKED) && LD_PRELOAD="$$($(CC) -print-file-name=libasan.so)" ASAN_OPTIONS=detect_leaks=0 \
		PYTHONMALLOC=malloc PYTHONPATH=.:tests ../../$(RUN)/python -m fuzz --seconds $(SECONDS) --seed $(SEED)

clean:
	rm -rf build $(VENV) *.egg-info
	find spicereplay -name '*.so' -delete
