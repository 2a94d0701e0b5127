# Two commands for everybody, `make demo` and `make test`; each does all the set-up it needs, in .venv. Two more:
# `make bench` measures the project beside its peers, which live in an environment of their own, and `make chaos` cuts
# streams in every way for minutes.

PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
OTHER_PYTHONS := 3.11 3.12 3.13
BIN := .venv/bin

.PHONY: demo test bench bench-smoke chaos format lint types unit other-pythons clean $(OTHER_PYTHONS)

demo: .venv/demo
	$(BIN)/python examples/demo.py

test: lint types unit bench-smoke other-pythons

bench: .venv-bench/ready
	.venv-bench/bin/python -m benchmarks

# Everything that `make bench` does, in a tiny size: so that it cannot rot.
bench-smoke: .venv-bench/ready
	.venv-bench/bin/python -m benchmarks --smoke

format: .venv/test
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

lint: .venv/test
	$(BIN)/ruff format --check
	$(BIN)/ruff check

types: .venv/test
	$(BIN)/mypy
	$(BIN)/mypy examples
	$(BIN)/mypy tests/typing
	$(BIN)/pyright
	$(BIN)/ty check
	$(BIN)/pyrefly check

unit: .venv/test
	$(BIN)/python -m pytest --numprocesses 2 -m "not leaks" --cov --cov-report=term
	$(BIN)/python -m pytest --numprocesses 2 -m leaks

# Streams through a proxy that cuts them at random, 2,000 times for each kind; a short run is among the tests.
chaos: .venv/test
	$(BIN)/python -m tests.chaos

# The tests once more on every other Python that this machine has, two at a time.
other-pythons: .venv/test
	@$(MAKE) --no-print-directory --jobs 2 --output-sync $(OTHER_PYTHONS)

$(OTHER_PYTHONS):
	@tests/on_python.sh $@

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or later found; name one: make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip

.venv/demo: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable . --group demo
	@touch $@

.venv/test: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable . --group test
	@touch $@

# Without the variable one of the peers would put its own urllib3 in the place of another's.
.venv-bench/ready: .venv/bin/python pyproject.toml benchmarks/requirements.txt
	.venv/bin/python -m venv --clear .venv-bench
	.venv-bench/bin/python -m pip install --quiet --upgrade pip
	URLLIB3_NO_OVERRIDE=1 .venv-bench/bin/python -m pip install --quiet --editable . --requirement benchmarks/requirements.txt
	@touch $@

clean:
	rm -rf .venv .venv-* .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis
