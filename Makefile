# Bare `make` prints help. Every target installs what it needs into .venv first, once.

PYTHON ?= python3
PIP_ARGS ?=
LAB_ARGS ?=
PYTEST_ARGS ?=
MINUTES ?= 5
HOURS ?= 2
BENCHMARKS ?= $(filter-out compare_versions,$(basename $(notdir $(wildcard benchmarks/*.py))))
TRAIN_ARGS ?=

# Where it is set, every kernel and every process of a test compiles all of samnb again: a third of its start.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
LOG := $(VENV)/install.log
NOTEBOOK := notebooks/01_quickstart.ipynb

.DEFAULT_GOAL := help
.PHONY: help lab demo check test others jupyter faults lint unit soak soak-work soak-models failing-calls fuzz docs dist bench train clean

help:
	@echo 'samnb: Segment Anything in JupyterLab'
	@echo
	@echo '  make lab     open JupyterLab on $(NOTEBOOK)'
	@echo '  make demo    the same job without a browser; ends by itself'
	@echo '  make check   while writing: lint, doctests and unit tests without what is slow or needs a browser (minutes)'
	@echo '  make test    everything: lint, unit tests, doctests, README, notebooks, browser tests'
	@echo
	@echo '  make docs    the documentation as a site, in build/site; warnings are errors, nothing is fetched'
	@echo '  make dist    wheel and sdist in dist/, and the wheel tried in a clean environment elsewhere (5 minutes)'
	@echo '  make soak    for HOURS=2: four processes that are killed and cut off; cache, catalog and history against models'
	@echo '  make failing-calls   each kind of system call of every operation fails, in every way (an hour; goes on where it was stopped)'
	@echo '  make fuzz    random changes to every kind of file that is read, MINUTES=10 each; what is found lies in build/fuzz'
	@echo '  make lint    only ruff, mypy and the order of the packages'
	@echo '  make bench   every figure this repository quotes (hours; BENCHMARKS="speed encode" for some)'
	@echo '  make train   train the embedded model anew for MINUTES=5 (see training/README.md for the shipped one)'
	@echo '  make clean   remove .venv, the caches of the tools and the pictures of the demo'
	@echo
	@echo '  The first of them makes .venv (1 to 3 minutes); after that they start at once.'
	@echo '  PYTHON=python3.12        which Python makes .venv (3.11 or newer)'
	@echo '  PIP_ARGS="--index-url …" where torch comes from, see "A small torch" in README.md'
	@echo '  LAB_ARGS="--port 9999"   passed on to jupyter lab'
	@echo '  PYTEST_ARGS="-k cache"   passed on to pytest'

# -- what a target runs ---------------------------------------------------------------------------------

as_root := $(if $(filter 0,$(shell id -u)),--allow-root)
has_display := $(or $(DISPLAY),$(WAYLAND_DISPLAY),$(filter Darwin,$(shell uname -s)))
no_browser := $(if $(has_display),,--no-browser)

lab: $(VENV)/.stamp-lab
	@echo 'Opening JupyterLab on $(NOTEBOOK)$(if $(no_browser),. No display here: open the address printed below).'
	@$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/$(NOTEBOOK) $(as_root) $(no_browser) $(LAB_ARGS)

demo: $(VENV)/.stamp-demo
	@$(BIN)/python -m samnb.cli demo

# Side by side: mixed work by four processes that are killed and cut off, and state machines against plain models.
soak: $(VENV)/.stamp-test
	@$(MAKE) --no-print-directory -j2 -k soak-work soak-models

soak-work: $(VENV)/.stamp-test
	$(BIN)/python -m tests.faults.soak --hours $(HOURS)

soak-models: $(VENV)/.stamp-test
	@end=$$(($$(date +%s) + $$($(BIN)/python -c 'print(round($(HOURS) * 3600))'))); while [ $$(date +%s) -lt $$end ]; do \
	  MACHINE_EXAMPLES=200 DISK_ROUNDS=64 $(BIN)/python -m pytest -q tests/integration/test_*_model.py tests/ui/test_history_model.py \
	  tests/integration/test_disks.py || exit 1; done

failing-calls: $(VENV)/.stamp-test
	$(BIN)/python -m tests.faults.campaign

fuzz: MINUTES = 10
fuzz: $(VENV)/.stamp-fuzz
	@for target in $$($(BIN)/python -m tests.fuzz); do $(BIN)/python -m tests.fuzz $$target $(MINUTES) || exit 1; done

lint: $(VENV)/.stamp-test
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Side by side: mypy takes as long as half of the tests.
check: $(VENV)/.stamp-test
	@$(MAKE) --no-print-directory -j2 -k lint unit || { echo 'Not green. What lint found may stand far above the tests: make lint shows it alone.'; exit 1; }

unit: $(VENV)/.stamp-test
	$(BIN)/python -m pytest -m 'not slow and not browser' $(PYTEST_ARGS)

# What failed is tried once more, without the others: on a crowded machine a server or a page may answer too late.
# Both reports stay to be read, and what fails twice fails. Only for "tests failed" (1), never for a run that broke off.
define tests
$(BIN)/python -m pytest -o cache_dir=.pytest_cache/$@ $(1) || { [ $$? -eq 1 ] && echo '== what failed, once more ==' && \
  $(BIN)/python -m pytest -o cache_dir=.pytest_cache/$@ --last-failed --last-failed-no-failures=none --maxfail=1 $(1); }
endef

nbval := --nbval --nbval-current-env --nbval-sanitize-with tests/nbval_sanitize.cfg
in_jupyter := notebooks tests/browser
in_faults := tests/faults tests/integration

# Beside others: its output comes when it is done.
define quiet_tests
@{ $(call tests,$(1)); } >$(VENV)/$@.log 2>&1; status=$$?; cat $(VENV)/$@.log; exit $$status
endef

# Two at a time, the longest first: what runs in Jupyter waits for kernels and pages half of its time.
# What PYTEST_ARGS chooses runs in one.
test: $(VENV)/.stamp-test
	@./scripts/ensure_chromium.sh
ifeq ($(strip $(PYTEST_ARGS)),)
	@$(MAKE) --no-print-directory -j2 -k others jupyter faults lint
else
	@$(MAKE) --no-print-directory lint
	$(BIN)/python -m pytest $(nbval) $(PYTEST_ARGS)
endif

others: $(VENV)/.stamp-test
	$(call tests,samnb tests $(in_jupyter:%=--ignore=%) $(in_faults:%=--ignore=%))

jupyter: $(VENV)/.stamp-test
	$(call quiet_tests,$(nbval) $(in_jupyter))

faults: $(VENV)/.stamp-test
	$(call quiet_tests,$(in_faults))

docs: $(VENV)/.stamp-test
	$(BIN)/python docs/site/package_picture.py
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -c docs/site . build/site
	@echo 'Open build/site/index.html'

dist: $(VENV)/.stamp-test
	$(BIN)/python scripts/dist.py --pip-args '$(PIP_ARGS)'

bench: $(VENV)/.stamp-test
	@for script in $(BENCHMARKS); do echo "== $$script"; $(BIN)/python -m benchmarks.$$script || exit 1; done

train: $(VENV)/.stamp-test
	$(BIN)/python -m training.recipe --minutes $(MINUTES) $(TRAIN_ARGS)

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis demo-output
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# -- what a target installs -----------------------------------------------------------------------------
# A stamp is younger than what it was made from, so a second `make demo` installs nothing.

define install
$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt $(1) >$(LOG) 2>&1 || { \
  tail -n 40 $(LOG); echo 'pip could not install it. All it said is in $(LOG)'; exit 1; }
endef

$(VENV)/.stamp-venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "samnb needs Python 3.11 or newer; $(PYTHON) is: $$($(PYTHON) --version 2>&1)."; \
	  echo 'Name another one: make PYTHON=python3.12 …'; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo '$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: sudo apt install python3-venv'; exit 1; }
	@echo 'Making $(VENV) with' "$$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.stamp-torch: constraints.txt | $(VENV)/.stamp-venv
	@echo 'Installing torch (about 200 MB for the CPU build, several GB for the CUDA one: README.md, "A small torch") …'
	@$(call install,$(PIP_ARGS) torch torchvision)
	@touch $@

# What holds more also stands for what holds less: `make demo` after `make test` starts at once.

$(VENV)/.stamp-demo: extras = [demo]
$(VENV)/.stamp-lab: extras = [lab,demo]
$(VENV)/.stamp-lab: also = $(VENV)/.stamp-demo
$(VENV)/.stamp-fuzz: extras = [fuzz,test]
$(VENV)/.stamp-fuzz: also = $(VENV)/.stamp-test
$(VENV)/.stamp-test: extras = [test]
$(VENV)/.stamp-test: also = $(VENV)/.stamp-demo $(VENV)/.stamp-lab
$(VENV)/.stamp-%: pyproject.toml constraints.txt $(VENV)/.stamp-torch
	@echo 'Installing samnb$(extras) (1 to 3 minutes, then never again) …'
	@$(call install,-e '.$(extras)')
	@touch $@ $(also)
