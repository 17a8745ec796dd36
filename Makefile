# make lab    set everything up and open the first notebook
# make test   set everything up and pass all tests
# Both work on a fresh machine with Python 3.11.1 or newer and make.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
JOBS   ?= 2

# Small networks on few cores are faster, and repeatable, with one thread a process.
export OMP_NUM_THREADS ?= 1
export MKL_NUM_THREADS ?= 1
export PLOTLY_RENDERER ?= plotly_mimetype+notebook

.PHONY: lab test quick screens notebooks picture check bench bench-reliability gpu system clean help

help:
	@sed -n '1,3s/^# //p' Makefile
	@echo "make quick  the fast tests, for every change"
	@echo "make check  formatting, lint, types, import contracts; of Python and of the page's scripts"
	@echo "make bench  speed, as ratios against a named baseline"
	@echo "make gpu    the tests and ten minutes of checks that need a GPU; without one it says so and ends"
	@echo "make bench-reliability  kills and hostile input in long sizes, about an hour"

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11, 1))' || { echo "naslab needs Python 3.11.1 or newer; this is $$($(PYTHON) --version). Say which one: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --progress-bar off -e '.[lab,dev]'
	touch $@

lab: $(READY)
	$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) $(LAB_OPTIONS) notebooks/01_darts.ipynb

# What the tests need of the system: Chromium for the browser tests, dot for the graphviz ones.
system:
	@command -v chromium >/dev/null && command -v dot >/dev/null && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium graphviz fonts-dejavu-core >/dev/null; \
	else \
	  echo "The browser tests need chromium, and two others need graphviz (dot); install them, for instance: sudo apt-get install chromium graphviz"; \
	fi

test: system $(READY) check
	$(BIN)/python -m pytest -n $(JOBS) -m "not browser and not reliability"
	$(MAKE) screens

# Browser tests and notebooks, side by side: each worker has a server, a browser and kernels of its own, and keeps a file to
# itself. They wait more than they compute, so there is one worker more.
SCREENS := NASLAB_SMOKE=1 $(BIN)/python -m pytest --dist loadfile --nbval-lax --nbval-current-env --nbval-cell-timeout 120

screens: system $(READY)
	$(SCREENS) -n $$(($(JOBS) + 1)) tests/browser notebooks

notebooks: $(READY)
	$(SCREENS) -n $(JOBS) notebooks

quick: $(READY)
	$(BIN)/python -m pytest -n $(JOBS) -m "not slow and not browser and not reliability"

# What the tests do in a small size, killed and fuzzed for as long as it takes to be sure; about an hour.
bench-reliability: $(READY)
	$(BIN)/python -m pytest -n $(JOBS) -m reliability

# On one GPU, one process: a test that measures must not share it. The checks are done though a test has failed, for one
# file of them says more about a machine that nobody else has.
gpu: $(READY)
	@$(BIN)/python -m benchmarks.gpu --there || exit 0; \
	$(BIN)/python -m pytest -n 0 -m gpu; tests=$$?; \
	$(BIN)/python -m benchmarks.gpu --minutes 10; checks=$$?; \
	exit $$((tests + checks))

picture: system $(READY)
	$(BIN)/python -m pytest tests/browser -k readme
	cp artifacts/readme.png docs/lab.png

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/pyright
	$(BIN)/python widgets/check_scripts.py

bench: $(READY)
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) widgets/node_modules .ruff_cache .pytest_cache .hypothesis artifacts
