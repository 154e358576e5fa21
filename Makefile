# Two commands: `make run` and `make test`. Everything they need is fetched once, checked by hash, and kept in
# .tools, .venv and .cache; after that nothing is fetched again.

SHELL := /bin/sh
PORT ?= 8000
DATA ?= .run
DEMO ?= yes
export PORT DATA DEMO
export UV_COMPILE_BYTECODE := 1
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

PYTHON := .venv/bin/python
PYTEST_ARGS ?=
SIZE ?= quick
ONLY ?=
TO ?=
FROM ?=
MINUTES ?= 30

.PHONY: help run demo-reset backup restore upgrade test test-kubernetes bench soak lint lock environment test-environment chromium

help: ## list what can be made
	@echo "Remit: access governance for non-human identities"
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{printf "%-22s %s\n", $$1, $$2}'
	@echo
	@echo "  make run PORT=18123 DATA=/some/folder DEMO=no    choose port, data folder, and no demo"
	@echo "  make test PYTEST_ARGS='-k health'                run some of the tests"

run: environment ## start everything in the foreground; Ctrl-C ends it, the data stays
	@exec $(PYTHON) -m governance.embedded

demo-reset: environment ## forget all data in DATA; the next start loads the demo afresh
	@exec $(PYTHON) -m governance.embedded --reset

backup: environment ## back DATA up into the new file TO=…, also while it runs (KEYS=yes: with its keys, sealed)
	@$(if $(TO),,echo "Say where to: make backup TO=/some/file" >&2; exit 2;) exec $(PYTHON) -m governance.embedded --data "$(DATA)" --backup "$(abspath $(TO))" $(if $(KEYS),--with-keys)

restore: environment ## restore the backup FROM=… into DATA (REPLACE=yes: back up and replace what is there; KEYS=yes)
	@$(if $(FROM),,echo "Say from where: make restore FROM=/some/file DATA=/some/new/folder" >&2; exit 2;) exec $(PYTHON) -m governance.embedded --data "$(DATA)" --restore "$(abspath $(FROM))" $(if $(REPLACE),--replace) $(if $(KEYS),--with-keys)

upgrade: environment ## bring the database in DATA to this version: plan, backup, migrations, checks (PLAN=yes: plan only)
	@exec $(PYTHON) -m governance.embedded --data "$(DATA)" --upgrade $(if $(PLAN),--plan)

test: test-environment chromium ## run all tests on a real PostgreSQL, real brokers and a real browser
	@exec $(PYTHON) -m pytest -n 2 $(PYTEST_ARGS)

test-kubernetes: test-environment ## build a real Kubernetes API server (once, 11 minutes or more) and test against it
	@.ci/kubernetes
	@REMIT_TEST_KUBERNETES=yes exec $(PYTHON) -m pytest -m kubernetes $(PYTEST_ARGS)

bench: test-environment ## measure Remit beside its peers (SIZE=full: a million grants; ONLY=name,name)
	@exec $(PYTHON) -m tests.bench --size $(SIZE) --only "$(ONLY)" $(if $(PROFILE),--profile)

soak: test-environment ## mixed load for MINUTES=30, then kill -9, restart and recount
	@exec $(PYTHON) -m tests.bench.load --minutes $(MINUTES)

lint: test-environment ## check style, layers, types, settings and migrations
	@.ci/lint

lock: environment ## resolve the dependencies of pyproject.toml anew and write the lock files
	@.ci/lock

environment:
	@.ci/environment run

test-environment:
	@.ci/environment dev

chromium:
	@.ci/chromium
