# fgscore: `make help` lists what there is. Every target sets up .venv by itself; PYTHON= picks the interpreter.
PYTHON ?= python3
VENV   ?= .venv
DATASET ?= demo
ARGS   ?=
ROOT   ?=
SEED   ?= 0
OUT    ?=

ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow test-lowest lint faults bench bench-extract bench-gpu extract score probe report reproduce study study-one-pass clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'
	@echo '  DATASET=cars picks the data set, ARGS="..." is passed through: make extract DATASET=cars ARGS="--limit 5"'

setup: $(READY) ## Make .venv with everything fgscore needs

$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "fgscore needs Python 3.11 or later: make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[extract,open-clip,timm,report,slurm,dev]'
	@touch $@

# Runs what it is given and the words of ARGS. No shell reads DATASET, ROOT or ARGS: parentheses and $$ in them are just
# that, and quotes count as after a command.
define WITH_ARGS
import os, shlex, sys
def words(text):
    try:
        return shlex.split(text)
    except ValueError as error:
        sys.exit("ARGS: " + str(error) + " in " + text)
call = sys.argv[1:] + words(os.environ["MAKE_ARGS"])
print(shlex.join(call), file=sys.stderr, flush=True)
os.execv(call[0], call)
endef
export WITH_ARGS
export MAKE_ARGS = $(value ARGS)
export MAKE_DATASET = $(value DATASET)
export MAKE_ROOT = $(value ROOT)
export MAKE_SEED = $(value SEED)
export MAKE_OUT = $(value OUT)
AT_ROOT = $${MAKE_ROOT:+--root "$$MAKE_ROOT"}
FGSCORE = @$(BIN)/python -c "$$WITH_ARGS" $(BIN)/fgscore

demo: $(READY) ## Run the main job on the drawn data set: offline, a few minutes
	$(FGSCORE) demo

# as many workers as processors, one thread each; 5: of this half nothing was asked for
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadgroup
test: lint ## Lint, then the quick half of the tests
	$(PYTEST) -m "not slow" $(ARGS) || test $$? -eq 5

test-slow: $(READY) ## The slow half of the tests
	$(PYTEST) -m slow $(ARGS) || test $$? -eq 5

test-lowest: $(READY) ## What needs no torch at the lowest versions allowed, in .venv-lowest
	$(BIN)/python tests/lowest $(ARGS)

lint: $(READY) ## ruff, mypy, the arrows between modules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

faults: $(READY) ## Kill, fill, flip, cut, swap and race, many times over; print what was lost
	$(BIN)/python tests/faults $(ARGS)

bench: $(READY) ## Score, probe and read against what the machine can do: ratios; a few minutes
	$(BIN)/python tests/bench/laptop.py $(ARGS)

bench-extract: $(READY) ## Masks and crops against upstream's code: equality, then ratios; a few minutes
	$(BIN)/python tests/bench $(ARGS)

bench-gpu: $(READY) ## The same on this machine's GPU, and the embed stage; kept in tests/bench/results/
	$(BIN)/python tests/bench/gpu.py $(ARGS)

extract: $(READY) ## Regions and embeddings of DATASET into the store
	$(FGSCORE) extract "$$MAKE_DATASET" $(AT_ROOT)

score: $(READY) ## Score DATASET from the store
	$(FGSCORE) score "$$MAKE_DATASET"

probe: $(READY) ## Probe DATASET from the store
	$(FGSCORE) probe "$$MAKE_DATASET"

report: $(READY) ## Tables, plots and the page of what the store and the results hold
	$(FGSCORE) report

# three draws of crops and three seeds of a head: what a verdict needs; ARGS=--dry-run says what that costs, and stops
reproduce: $(READY) ## From photos to the paper's tables, claims and a page: DATASET, ROOT, ARGS for extract
	-$(BIN)/fgscore check "$$MAKE_DATASET" $(AT_ROOT)
	$(FGSCORE) extract "$$MAKE_DATASET" $(AT_ROOT) --prompt plain --draws 3
ifeq ($(findstring --dry-run,$(value ARGS)),)
	$(BIN)/fgscore sweep "$$MAKE_DATASET" --table all --head logreg --head adamw --draws 3 --head-seeds 3
	$(BIN)/fgscore claims "$$MAKE_DATASET"
	$(BIN)/fgscore locate "$$MAKE_DATASET" $(AT_ROOT)
	$(BIN)/fgscore report "$$MAKE_DATASET"
endif

study: $(READY) ## The controlled study on a drawn set, and its page docs/study.md: SEED, OUT for its folder
	@$(BIN)/python -c "$$WITH_ARGS" $(BIN)/python docs/make_study --seed "$$MAKE_SEED" $${MAKE_OUT:+--out "$$MAKE_OUT"}

study-one-pass: $(READY) ## Crops beside all regions in one pass, and the page docs/one_pass.md: SEED, OUT
	@$(BIN)/python -c "$$WITH_ARGS" $(BIN)/python docs/make_study --one-pass --seed "$$MAKE_SEED" $${MAKE_OUT:+--out "$$MAKE_OUT"}

clean: ## Remove .venv, .venv-lowest and caches of tools; data/ is left alone
	rm -rf $(VENV) .venv-lowest build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
