# Two commands matter: `make demo` shows everything once, `make test` proves it.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LOCAL := $(VENV)/.ready-local
DASHSCOPE_124 := tests/clients/dashscope-1.24/.venv
GATE_PARSER := tools/parser/.venv
HOME_DIR ?= .understudy
BROWSER := $(VENV)/.ready-browser
# The frontend is built before there is a .venv, too: its builder needs the standard library only.
FRONTEND = @$$([ -x $(BIN)/python ] && echo $(BIN)/python || echo $(PYTHON)) -I src/understudy/frontend_build.py

.DEFAULT_GOAL := help
.PHONY: help setup gate-parser frontend frontend-softly check-frontend demo up test test-again test-long test-pg15 test-sdk test-supabase test-browser pictures check bench bench-long format settings openapi lock clean python-version

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

python-version:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v[:2] <= (3, 13) else \
	  "understudy needs Python 3.11 to 3.13; %s is %d.%d. Try: make PYTHON=python3.12 ..." % (sys.executable, v[0], v[1]))'

# Two sets of locked wheels: what the service needs (demo, up), and that with every tool of development.
define install
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --only-binary=:all: --require-hashes --no-deps -r requirements/$(1).txt
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@
endef

$(LOCAL): requirements/local.txt pyproject.toml | python-version
	@echo "setting up $(VENV) to run the service (once; hash-locked wheels only)"
	$(call install,local)

$(READY): requirements/dev.txt pyproject.toml | python-version
	@echo "setting up $(VENV) to test and develop (once; hash-locked wheels only)"
	$(call install,dev)
	@touch $(LOCAL)

setup: $(READY) ## create .venv with everything, from the locked requirements

frontend: | python-version ## build the studio and the operations console (frontend/dist); needs node 20.19 or newer
	$(FRONTEND) build frontend

# For demo and up: without Node they go on without these pages, and say so.
frontend-softly: | python-version
	$(FRONTEND) build frontend --softly

check-frontend: | python-version ## the frontend's format, lint, types and unit tests; needs node 20.19 or newer
	$(FRONTEND) install frontend
	@npm --prefix frontend run check
	@npm --prefix frontend run typecheck
	@npm --prefix frontend run test

demo: $(LOCAL) frontend-softly ## the whole story: speak, break, step back, prove it, write it down
	@$(BIN)/understudy demo

up: $(LOCAL) frontend-softly ## run everything on this machine until Ctrl-C
	@$(BIN)/understudy up --home $(HOME_DIR)

# The migration gate's parser is GPL-3, so it is a program of its own, in an environment of its own.
$(GATE_PARSER)/.ready: requirements/gate.txt | python-version
	@echo "setting up $(GATE_PARSER) (once; hash-locked wheels only)"
	@[ -x $(GATE_PARSER)/bin/python ] || $(PYTHON) -m venv $(GATE_PARSER)
	@$(GATE_PARSER)/bin/python -m pip install -qq --disable-pip-version-check --only-binary=:all: --require-hashes --no-deps -r $<
	@touch $@

gate-parser: $(GATE_PARSER)/.ready ## the SQL parser that `understudy migrations check` asks (GPL-3, a process of its own)

# Four workers on two cores: the first third of the tests mostly waits for deadlines of providers that fail.
test: $(READY) $(GATE_PARSER)/.ready ## all tests that need wheels only
	@$(BIN)/python -m pytest -n 4 --dist loadgroup -m "(unit or integration or conformance or journey) and not long"

test-again: $(READY) ## what the last run failed, once more and alone (at most three, no unit tests)
	@$(BIN)/python tests/again.py
	@$(BIN)/python -m pytest --last-failed --last-failed-no-failures none --timeout 1800

# A second version of a client that dev.txt has in another one: an environment of its own.
$(DASHSCOPE_124)/.ready: requirements/dashscope-1.24.txt | python-version
	@echo "setting up $(DASHSCOPE_124) (once; hash-locked wheels only)"
	@[ -x $(DASHSCOPE_124)/bin/python ] || $(PYTHON) -m venv $(DASHSCOPE_124)
	@$(DASHSCOPE_124)/bin/python -m pip install -qq --disable-pip-version-check --only-binary=:all: --require-hashes --no-deps -r $<
	@touch $@

test-sdk: $(READY) $(DASHSCOPE_124)/.ready ## the vendors' own clients; needs node 20 or newer
	@npm ci --prefix tests/clients/supabase-js --no-audit --no-fund --ignore-scripts
	@CLIENTS_REQUIRED=1 $(BIN)/python -m pytest -m "not supabase" tests/clients

# The lock names this platform's program only, so `npm ci`, which wants every platform's, cannot be used.
test-supabase: $(READY) ## restorations of a Supabase project by its own CLI, versions 2 and 3; needs node 20 or newer
	@if command -v npm >/dev/null; then \
	  for major in v2 v3; do npm install --prefix tests/clients/supabase-cli/$$major \
	    --no-save --no-audit --no-fund --ignore-scripts || exit 1; done; \
	else echo "npm is not installed: the Supabase CLI comes from there, and without it these tests are skipped"; fi
	@CLIENTS_REQUIRED=$${CI:-} $(BIN)/python -m pytest -n 2 -m supabase --timeout 600 tests/clients/supabase

# Playwright's client only: the browser is the distribution's (apt-get install chromium), CHROMIUM names another.
$(BROWSER): requirements/browser.txt $(READY)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --only-binary=:all: --require-hashes --no-deps -r $<
	@touch $@

test-browser: $(BROWSER) frontend ## the studio and the operations console in a real browser; needs chromium and node
	@BROWSER_REQUIRED=$${BROWSER_REQUIRED:-$${CI:+1}} $(BIN)/python -m pytest -m browser --timeout 600 tests/browser

pictures: $(BROWSER) frontend ## make docs/pictures anew, by the tests that look at every page
	@MAKE_PICTURES=1 BROWSER_REQUIRED=1 $(BIN)/python -m pytest -m browser --timeout 600 tests/browser/test_operator.py tests/browser/test_every_page.py

test-long: $(READY) $(GATE_PARSER)/.ready ## the tests that take minutes
	@$(BIN)/python -m pytest -m long --timeout 1800

test-pg15: $(READY) ## migrations on the distribution's Postgres 15
	@$(BIN)/python -m pytest -m pg15 tests/pg15

check: $(READY) $(GATE_PARSER)/.ready ## format, lint, types, layering, migration gate, playbook lint
	@$(BIN)/ruff format --check src tests bench deploy tools hatch_build.py
	@$(BIN)/ruff check src tests bench deploy tools hatch_build.py
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python tests/repository_rules.py
	@$(BIN)/understudy migrations check --strict
	@$(BIN)/understudy playbook lint
	@$(BIN)/understudy playbook simulate --check

bench: $(READY) ## benchmarks (BENCH="routes gateway" for some): prints tables; the fault table goes to docs/faults.md
	@$(BIN)/python -m bench.run $(BENCH)

bench-long: $(READY) ## every fault and every drill, 20 runs each, a healthy soak, triggers over 10 million calls; hours
	@BENCH_LONG=1 $(BIN)/python -m bench.run detecting soak triggers drilling

format: $(READY) ## format and fix what can be fixed
	@$(BIN)/ruff format src tests bench deploy tools hatch_build.py
	@$(BIN)/ruff check --fix src tests bench deploy tools hatch_build.py

settings: $(READY) ## write docs/settings.md from the code
	@$(BIN)/understudy doctor --settings-markdown > docs/settings.md.new && mv docs/settings.md.new docs/settings.md

openapi: $(READY) ## write what the studio's types and docs/api.md are made of, from the code
	@$(BIN)/understudy openapi api > frontend/openapi/studio.json.new && mv frontend/openapi/studio.json.new frontend/openapi/studio.json
	@$(BIN)/understudy openapi guard > frontend/openapi/operations.json.new && mv frontend/openapi/operations.json.new frontend/openapi/operations.json
	@$(BIN)/understudy openapi api --markdown > docs/api.md.new && mv docs/api.md.new docs/api.md

lock: ## write the hash-locked requirements again (needs uv)
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --all-extras pyproject.toml -o requirements/dev.txt
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra local --extra codecs --extra build -c requirements/dev.txt pyproject.toml -o requirements/local.txt
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header requirements/dashscope-1.24.in -o requirements/dashscope-1.24.txt
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header requirements/litellm.in -o requirements/litellm.txt
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header requirements/gate.in -o requirements/gate.txt
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -c requirements/dev.txt requirements/browser.in -o requirements/browser.txt

clean: ## remove the virtual environment and local state
	@rm -rf $(VENV) $(DASHSCOPE_124) $(GATE_PARSER) $(HOME_DIR) frontend/dist frontend/node_modules .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
