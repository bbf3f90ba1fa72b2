# Every task of this project is a target here. Each target makes everything it needs, from Python 3.11 or
# later and make alone. `make help` lists the targets.
#
# Written for GNU make 3.81 (the version of macOS) and later: no grouped targets, no .ONESHELL.

PYTHON ?= python3

# tools/up calls make again, by the name that make was called by.
export MAKE

VENV := .venv

# Tools are called as modules and never as .venv/bin/NAME. Those scripts contain the path of the venv at the
# time of its creation, and fail if the tree is moved.
VENV_PYTHON := $(VENV)/bin/python
PIP := $(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes
# componentize-py finds the guest's packages (spin-sdk, multipart) by VIRTUAL_ENV. SIG_DFL ends it at once at
# Ctrl-C. Python's own handler would wait until the compilation is done, and then print a traceback.
COMPONENTIZE := VIRTUAL_ENV="$(CURDIR)/$(VENV)" $(VENV_PYTHON) -c 'import signal, sys, componentize_py; \
	signal.signal(signal.SIGINT, signal.SIG_DFL); sys.exit(componentize_py.script())'

SERVICE_WORLD := kv-batch:gateway/service@1.0.0
SERVICE_RC_WORLD := kv-batch:gateway/service-rc@1.0.0
SERVICE_P2_WORLD := kv-batch:gateway/service-p2@1.0.0
EMBEDDED_WORLD := kv-batch:gateway/embedded@1.0.0

# The names of the generated modules where the interfaces of several worlds share one: app.py is compiled for
# two worlds, and bindings/ holds the modules of three.
NAMES := --export-interface-name wasi:http/handler@0.3.0=http-handler \
	--export-interface-name wasi:http/handler@0.3.0-rc-2026-03-15=http-handler \
	--import-interface-name wasi:http/types@0.3.0=wasi-http-types \
	--import-interface-name wasi:clocks/monotonic-clock@0.3.0=monotonic-clock \
	--import-interface-name wasi:http/types@0.2.0=http-types-p2 \
	--import-interface-name wasi:clocks/monotonic-clock@0.2.0=monotonic-clock-p2

# The directory that `make bindings` writes. A test writes the bindings elsewhere, and compares.
BINDINGS ?= bindings

# All files, not only *.py: a guest reads the other files that it needs while it is compiled.
CORE := $(shell find kv_batch gateway -type f ! -name '*.pyc' ! -name '.*')
WIT := $(wildcard wit/*.wit)
TOOLS := tools/mend.py tools/compiled.py tools/wasm.py
GUEST := $(wildcard guests/*.py) $(CORE) $(WIT) $(TOOLS) tools/immortal.py requirements.lock
CLIENT := $(wildcard clients/python/kv_batch_client/*)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: help up build test fuzz bench lint bindings api wheel dist template clean client demo token lock check-python

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' Makefile

# tools/up first decides which host serves, then builds the one component that this host needs.
up: check-python ## build if needed, and serve on 127.0.0.1:3000 (HOST=spin|embedded LISTEN=host:port DATA=dir)
	@exec $(PYTHON) -m tools.up

SERVICES := build/kv-batch.wasm build/kv-batch-0.3-rc.wasm build/kv-batch-0.2.wasm

build: $(SERVICES) build/embedded.wasm ## compile all components

# All components, always: if one no longer compiles, the tests must fail even without `spin`.
test: build lint ## compile, lint, then run every test that this machine can run
	$(VENV_PYTHON) -m pytest

fuzz: build $(VENV)/.installed-dev ## send 20,000 mutated requests to each host, and the corpus of hostile requests
	FUZZ=$${FUZZ:-20000} $(VENV_PYTHON) -m pytest tests/component/test_hostile.py

# OPTIONS="--rounds 1 --only Redis" measures less.
bench: $(SERVICES) $(VENV)/.installed-bench ## measure kv-batch beside its peers (needs spin and wrk; half an hour, on a quiet machine)
	$(VENV_PYTHON) -m bench.compare $(OPTIONS)
	$(VENV_PYTHON) -m bench.report

lint: $(VENV)/.installed-dev ## run ruff and mypy
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m ruff format --check .
	$(VENV_PYTHON) -m mypy

bindings: $(VENV)/.installed ## generate bindings/, the types of wit/world.wit
	@sdk=$$($(VENV_PYTHON) -c 'import pathlib, spin_sdk; print(pathlib.Path(spin_sdk.__file__).parent)') && \
	$(COMPONENTIZE) -q -d "$$sdk/wit" -d wit $(NAMES) \
		-w $(SERVICE_WORLD) -w $(SERVICE_P2_WORLD) -w $(EMBEDDED_WORLD) bindings "$(BINDINGS).new"
	@rm -rf "$(BINDINGS)" && mv "$(BINDINGS).new" "$(BINDINGS)"

api: $(VENV)/.installed ## write gateway/api/, what GET /openapi.json and GET /docs answer, from tools/api
	$(VENV_PYTHON) -m tools.api

wheel: $(VENV)/.installed-dev ## build build/kv_batch-*.whl, the contract for other guests (examples/guest)
	@mkdir -p build
	$(VENV_PYTHON) -m flit_core.wheel --outdir build

dist: $(SERVICES) $(VENV)/.installed-dev ## write dist/: the components, their manifest snippets, the wheel and SHA256SUMS (URL=)
	@$(VENV_PYTHON) -m tools.dist $(URL)

template: $(SERVICES) ## write build/template/, a template for spin new and spin add (FOR=4.0: the Spin that runs the app)
	@$(VENV_PYTHON) -m tools.template $(FOR)

demo: $(VENV)/.installed-dev ## write, read and delete 69,000 cities, through GATEWAY=http://... or its own gateway
	@exec $(VENV_PYTHON) -m tools.demo

client: build/client/.installed ## install the command kvb (clients/python) into build/client, and print where it is
	@echo "$(CURDIR)/build/client/bin/kvb"

build/client/.installed: clients/python/requirements.lock clients/python/pyproject.toml $(CLIENT) | check-python
	@rm -rf build/client && mkdir -p build && $(PYTHON) -m venv build/client
	@build/client/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		-r clients/python/requirements.lock
	@build/client/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-index \
		--no-build-isolation ./clients/python
	@touch "$@"

# make passes NAME, SCOPE, STORES and PREFIX on in the environment.
token: check-python ## print a new token and its entry for the variable tokens (NAME=ci SCOPE=read)
	@$(PYTHON) -m tools.token

# Locked versions stay as long as requirements*.in allow them. UPGRADE=--upgrade takes the newest.
lock: $(VENV)/.installed-dev ## write every requirements*.lock from its requirements*.in
	$(VENV_PYTHON) -m uv pip compile -q $(UPGRADE) --universal --python-version 3.11 --generate-hashes \
		--custom-compile-command 'make lock' requirements.in -o requirements.lock
	$(VENV_PYTHON) -m uv pip compile -q $(UPGRADE) --universal --python-version 3.11 --generate-hashes \
		--custom-compile-command 'make lock' -c requirements.lock requirements-dev.in -o requirements-dev.lock
	$(VENV_PYTHON) -m uv pip compile -q $(UPGRADE) --universal --python-version 3.11 --generate-hashes \
		--custom-compile-command 'make lock' -c requirements-dev.lock clients/python/requirements.in \
		-o clients/python/requirements.lock
	$(VENV_PYTHON) -m uv pip compile -q $(UPGRADE) --universal --python-version 3.11 --generate-hashes \
		--custom-compile-command 'make lock' -c requirements-dev.lock requirements-bench.in -o requirements-bench.lock

clean: ## remove everything built, installed and cached; the data (.spin) stays
	rm -rf build dist $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .schemathesis
	find . -path ./.git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps are written last: an installation that was interrupted is repeated.
$(VENV)/.created: | check-python
	@echo "Creating .venv with $$($(PYTHON) --version)"
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@touch "$@"

$(VENV)/.installed: requirements.lock $(VENV)/.created
	@echo "Installing requirements.lock into .venv"
	@$(PIP) -r requirements.lock
	@touch "$@"

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	@echo "Installing requirements-dev.lock into .venv"
	@$(PIP) -r requirements-dev.lock
	@touch "$@"

$(VENV)/.installed-bench: requirements-bench.lock $(VENV)/.installed-dev
	@$(PIP) -r requirements-bench.lock
	@touch "$@"

check-python:
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
		echo "kv-batch needs Python 3.11 or later, and there is no $(PYTHON) on PATH (Debian: apt install python3)." >&2; \
		exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "kv-batch needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) --version 2>&1). Name another: make PYTHON=python3.12" >&2; \
		exit 1; }
	@test -e $(VENV)/.created || $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) has no venv with pip in it (Debian: apt install python3-venv)." >&2; \
		exit 1; }

# The raw batch interface over HTTP, for the comparison in tests/backends (only with `spin`).
build/raw.wasm: tests/backends/raw/raw.py $(TOOLS) $(WIT) requirements.lock | $(VENV)/.installed
	$(call componentize,$(SERVICE_WORLD),-p tests/backends/raw raw)

# The component is written under another name and then moved. So a build that fails or is interrupted leaves
# the last good component, and a running gateway never reads half a file. The name contains the shell's
# process id, so that two builds at once do not write to the same file.
# $(1) is the world, $(2) the module with the entry, $(3) what else of tools/ changes the component.
define componentize
	@mkdir -p build
	@echo "Compiling $@"
	@out="build/.$$$$.wasm"; trap 'rm -f "$$out"' EXIT; trap 'exit 130' INT TERM HUP; \
	$(COMPONENTIZE) -q -d wit $(NAMES) -w $(1) componentize $(2) -o "$$out" && \
	for tool in mend $(3); do $(VENV_PYTHON) -m tools.$$tool "$$out" || exit 1; done && mv "$$out" "$@"
endef

# The installation is order-only: a new .venv from the same lock file does not require a new compilation.
build/kv-batch.wasm: app.py $(GUEST) | $(VENV)/.installed
	$(call componentize,$(SERVICE_WORLD),app,immortal)

build/kv-batch-0.3-rc.wasm: app.py $(GUEST) | $(VENV)/.installed
	$(call componentize,$(SERVICE_RC_WORLD),guests.service_rc,immortal)

build/kv-batch-0.2.wasm: $(GUEST) | $(VENV)/.installed
	$(call componentize,$(SERVICE_P2_WORLD),guests.wasi02,immortal)

build/embedded.wasm: $(GUEST) | $(VENV)/.installed
	$(call componentize,$(EMBEDDED_WORLD),guests.embedded,immortal)
