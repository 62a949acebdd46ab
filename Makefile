# Everything runs in an environment of its own, which tools/bootstrap makes and
# keeps up to date.  PYTHON=python3.13 picks the interpreter, ARGS="-k wait"
# goes to pytest, the benchmarks or the demo.

VENV ?= .venv
ARGS ?=
# "test peers loops demo" adds other people's packages that some tests meet.
EXTRAS ?= test demo
export VENV

.PHONY: help test core-test demo bench lint ci venv clean

help:
	@echo "make test    build, and pass the tests: C, Python and CPython's own"
	@echo "make demo    crawl, convert images, run short tasks; tables and picture"
	@echo "make bench   measure against the standard module and others"
	@echo "make lint    ruff, mypy, stubtest"
	@echo "make ci      everything, on every interpreter: .ci/run"
	@echo "make clean   remove what the above made"

venv:
	@tools/bootstrap $(EXTRAS)

# Not `python -m pytest`, which would put the checkout on the path: what is
# tested is the installed package, not the folder of that name here.
test: venv core-test
	$(VENV)/bin/pytest $(ARGS)

core-test: venv
	$(MAKE) -C tests/core plain ARGS=
	$(MAKE) -C tests/ipc plain ARGS=

demo: venv
	$(VENV)/bin/python examples/demo.py $(ARGS)

bench: VENV := build/bench
bench:
	@tools/bootstrap bench
	$(VENV)/bin/python -m benchmarks $(ARGS)

lint: VENV := build/lint
lint:
	@tools/bootstrap test lint
	tools/lint $(VENV)/bin

ci:
	.ci/run

clean:
	rm -rf .venv build .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
