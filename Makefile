# make help lists the targets.
PYTHON ?= python3
ROWS ?= 12000
TRIALS ?= 10
TIMEOUT ?= 15
PORT ?= 8000
DATA ?= data/sample.csv
VENV := .venv
BIN := $(VENV)/bin
export TPV_PORT := $(PORT)

.DEFAULT_GOAL := help
.PHONY: help run setup test fix openapi reference lock fuzz benchmark peers containers manifests monitoring clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-12s %s\n", $$1, $$2}'

run: models/champion.json ## make a sample, train briefly, serve on port $(PORT); DATA=file.csv uses your own merchants
	@echo "serving on http://127.0.0.1:$(PORT) (docs at /docs); stop with Ctrl-C"
	@exec $(BIN)/python -m app

setup: $(VENV)/.dev ## install everything, hash-locked, into .venv

test: $(VENV)/.dev ## set up and run every check
	@PATH="$(CURDIR)/$(BIN):$$PATH" .ci/check

fix: $(VENV)/.dev ## format, and apply the linter's safe fixes
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

openapi: $(VENV)/.dev ## write openapi.json again from the code
	@$(BIN)/python -c 'import json; from app.main import create_api; print(json.dumps(create_api().openapi(), indent=2, ensure_ascii=False))' > openapi.json

reference: $(VENV)/.dev ## write docs/settings.md and docs/commands.md again from the code
	@PYTHONPATH=. $(BIN)/python scripts/reference.py

lock: ## lock the dependencies again (needs uv)
	@scripts/lock

fuzz: $(VENV)/.dev ## throw bytes at /predict for 30 minutes
	@FUZZ_SECONDS=1800 $(BIN)/python -m pytest tests/faults -k fuzz

benchmark: $(VENV)/.dev ## measure serving against its floors
	@$(BIN)/python benchmarks/serving

peers: $(VENV)/.dev ## measure other servers with the same model beside it (needs uv; installs 2 GB aside)
	@$(BIN)/python benchmarks/peers/run.py

containers: $(VENV)/.dev ## build the images and try them, compose and the pods on a real engine
	@.ci/containers

manifests: $(VENV)/.dev ## build and validate every manifest, workflow and alert rule
	@.ci/manifests

monitoring: $(VENV)/.dev ## see alerts fire and resolve on a live Prometheus
	@.ci/monitoring

clean: ## remove the environment, the sample and the caches, but no model
	rm -rf $(VENV) data/sample.csv .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage* htmlcov

models/champion.json: $(DATA) | $(VENV)/.run
	@$(BIN)/tpv run $(DATA) --trials $(TRIALS) --timeout $(TIMEOUT) --force
	@touch $@

data/sample.csv: | $(VENV)/.run
	@$(BIN)/tpv sample --rows $(ROWS) --out $@

$(filter-out data/sample.csv,$(DATA)):
	@echo "make: DATA: there is no file $@. Give a CSV or Parquet file of merchants, or leave DATA out." >&2; exit 1

# One stamp a dependency set, made again when its lock changes.
$(VENV)/.run: requirements/training.txt pyproject.toml
	@$(call install,requirements/training.txt)

$(VENV)/.dev: requirements/dev.txt pyproject.toml
	@$(call install,requirements/dev.txt)
	@touch $(VENV)/.run

define install
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "make: Python %d.%d is too old: install Python 3.11 or later and run make PYTHON=python3.11 ..." % sys.version_info[:2])' \
	&& { [ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV); } \
	&& echo "installing $(1) into $(VENV)" \
	&& $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(1) \
	&& $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . \
	&& touch $@
endef
