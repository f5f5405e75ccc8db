# Every target does its own set-up first; the second time that costs a tenth of a second.
PYTHON ?= python3
RUN := .venv/bin/python -m
UV_COMPILE := $(RUN) uv pip compile -q --python-version 3.11 --universal --generate-hashes --no-header --no-annotate --no-emit-index-url

.PHONY: help up test lint types prove bench screenshots docs lock ready ready-to-test
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

up: ready ## run everything on this machine (RESET=1 begins empty, DEMO=shared fills every page); Ctrl-C stops it
	@exec $(RUN) local.up

test: ready-to-test ## lint, types and all tests
	@$(RUN) local.checks lint types tests

lint: ready-to-test ## style, format and the rules on imports
	@$(RUN) local.checks lint

types: ready-to-test ## mypy --strict
	@$(RUN) local.checks types

prove: ready-to-test ## the long proofs of safety; ONLY=words runs those whose names match
	@$(RUN) pytest tests/prove $(if $(ONLY),-k "$(ONLY)")

bench: ready-to-test ## measure and print the numbers that docs/ quotes
	@$(RUN) tests.benchmarks

screenshots: ready-to-test ## take a picture of every page in every state
	@$(RUN) tests.screenshots

docs: ready ## write the generated files again: docs/events.md, deploy/rabbitmq/topology.json
	@$(RUN) local.topology write
	@$(RUN) local.events_page write

lock: ready ## resolve requirements*.in into the lock files again
	@$(UV_COMPILE) requirements.in -o requirements.lock
	@$(UV_COMPILE) requirements-dev.in -o requirements-dev.lock

ready:
	@$(PYTHON) local/bootstrap.py up

ready-to-test:
	@$(PYTHON) local/bootstrap.py test
