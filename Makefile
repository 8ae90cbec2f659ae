# The commands of the house. `make help` lists them.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STATE ?= $(or $(SNOWMELT_STATE_DIR),.snowmelt)
DATA ?=
export SNOWMELT_STATE_DIR := $(STATE)

PROTOS := $(shell cd protos 2>/dev/null && find snowmelt -name '*.proto' | sort)
STUBS = $(BIN)/python -m grpc_tools.protoc -Iprotos \
  --plugin=protoc-gen-mypy=$(BIN)/protoc-gen-mypy --plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc

# The locks are whole, so that nothing is left to resolve; `pip check` holds them to that. pip compiles on one core; that some
# file of a package is for another Python is no error.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --no-compile
COMPILE := @$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true

.PHONY: help up down test test-timed test-e2e test-rest test-chaos test-calm drills lint breaking drift bench clean lock stubs views install install-dev

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/.installed: requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(PIP) -r requirements.lock
	@$(BIN)/python -m pip check
	$(COMPILE)
	@echo "$(CURDIR)" > $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')/snowmelt-checkout.pth
	@printf '#!%s -P\nfrom snowmelt.cli.main import main\nmain()\n' "$(abspath $(BIN))/python" > $(BIN)/snowmelt
	@chmod +x $(BIN)/snowmelt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	$(PIP) -r requirements-dev.lock
	$(COMPILE)
	@touch $@

install: $(VENV)/.installed ## the virtual environment, from the hash-locked requirements

install-dev: $(VENV)/.installed-dev ## the same, with what tests and lint need

up: $(VENV)/.installed ## everything, on this machine; DATA=PATH brings your own data
	@$(BIN)/snowmelt up $(if $(DATA),--data "$(DATA)")

down: ## drain both lanes, then stop everything
	@$(BIN)/snowmelt down

test: $(VENV)/.installed-dev ## the whole suite, but for what `make drills` runs
	@$(MAKE) --no-print-directory --keep-going --jobs=3 test-timed test-calm

# What keeps to times runs beside what can wait longest, which gives way to it. The running system comes first;
# then the drills, which wait for JVMs and for lanes that were killed, beside all the rest.
CHAOS := tests/chaos
CALM := $(addprefix tests/,architecture blending cli datasets docs e2e/test_readme.py evaluation feast features kafka \
  lake ranking releases training)
E2E := tests/e2e --ignore=tests/e2e/test_readme.py
REST := $(addprefix --ignore=,tests/e2e $(CHAOS) $(CALM))
BESIDE = @said=$$(nice -n $(1) $(BIN)/python -m pytest $(2) 2>&1); code=$$?; echo "$(2):"; echo "$$said"; exit $$code

test-timed: $(VENV)/.installed-dev
	@code=0; $(MAKE) --no-print-directory test-e2e || code=$$?; \
	$(MAKE) --no-print-directory --keep-going test-rest test-chaos || code=$$?; exit $$code

test-e2e: $(VENV)/.installed-dev
	$(BIN)/python -m pytest $(E2E)

test-rest: $(VENV)/.installed-dev
	$(BIN)/python -m pytest $(REST)

test-chaos: $(VENV)/.installed-dev
	$(call BESIDE,2,$(CHAOS))

test-calm: $(VENV)/.installed-dev
	$(call BESIDE,5,$(CALM))

drills: $(VENV)/.installed-dev ## the tests that `make test` leaves out as they take long
	$(BIN)/python -m pytest -m long

lint: $(VENV)/.installed-dev ## style, types, contracts, protos, drift of the stubs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy snowmelt services feature_repo
	$(BIN)/lint-imports
	$(BIN)/python -m pip check
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code --path protos/snowmelt
	@$(MAKE) --no-print-directory breaking drift

# Held against where this branch left main (the remote's, where there is one); on main against the commit before.
breaking: $(VENV)/.installed-dev
	@base=$$(git merge-base HEAD origin/main 2> /dev/null || git merge-base HEAD main 2> /dev/null); \
	if [ -z "$$base" ] || [ "$$base" = "$$(git rev-parse HEAD)" ]; then base=$$(git rev-parse -q --verify HEAD~1); fi; \
	if [ -n "$$base" ]; then set -x; $(BIN)/buf breaking --against ".git#ref=$$base"; \
	elif [ "$$(git rev-parse --is-shallow-repository)" = true ]; then \
	  echo "a shallow clone: the protos are held against nothing before it (git fetch --unshallow)"; \
	else echo "the first commit: the protos have nothing to be held against"; fi

drift: stubs
	git diff --exit-code -- snowmelt/api buf
	@new=$$(git ls-files --others --exclude-standard -- snowmelt/api buf); \
	if [ -n "$$new" ]; then printf 'stubs that are not committed:\n%s\n' "$$new" >&2; exit 1; fi

# The one that needs a running system is first, as it says so at once; the others take many minutes.
bench: $(VENV)/.installed-dev ## measure beside `make up`: ratios against named rivals, and the floors
	$(BIN)/snowmelt bench serve
	$(BIN)/snowmelt bench features
	$(BIN)/snowmelt bench ingest
	$(BIN)/snowmelt bench rebuild

stubs: $(VENV)/.installed-dev ## Python stubs and type stubs out of protos/
	@find snowmelt/api buf -name '*_pb2*.py*' -not -path '*/__pycache__/*' -delete
	$(STUBS) --python_out=. --grpc_python_out=. --mypy_out=quiet:. --mypy_grpc_out=quiet:. $(PROTOS)
	$(STUBS) --python_out=. --mypy_out=quiet:. buf/validate/validate.proto

views: $(VENV)/.installed ## the default views, compiled from feature_repo
	$(BIN)/snowmelt features compile --output snowmelt/features/default_views.json > /dev/null

lock: ## resolve the requirements anew (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	  --custom-compile-command "make lock" -q pyproject.toml -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	  --custom-compile-command "make lock" -q --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock

clean: ## stop what runs, then remove the state of the one-command mode
	@if [ -x $(BIN)/snowmelt ] && [ -d "$(STATE)" ]; then $(BIN)/snowmelt down || $(BIN)/snowmelt down; fi
	rm -rf "$(STATE)"
