# `make demo` and `make test` are for everybody; each does all the set-up it needs, in .venv. `make test` is for every
# commit: it lints, checks the types and runs all tests of behaviour, on one Python. `make test-all` adds what takes
# longer: coverage, the other Pythons, leaks, the benchmark in small, the fuzzers for seconds, the oldest dependencies
# that are allowed, and the documentation. Three more take minutes: `make bench` measures the project beside its peers, `make
# chaos` cuts streams in every way, and `make fuzz` fuzzes what reads from a server.

PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
OTHER_PYTHONS := 3.11 3.12 3.13 3.14
BIN := .venv/bin

# Reads the lower bounds of the dependencies from pyproject.toml, as pip's constraints: anyio>=4.10,<5 → anyio==4.10
LOWER_BOUNDS := import re, tomllib; \
	[print(re.match(r"([\w.-]+)>=([\w.]+)", dependency).expand(r"\1==\2")) \
	for dependency in tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"]]

.PHONY: demo test generated test-all bench bench-smoke chaos fuzz fuzz-smoke lowest format lint types unit coverage leaks
.PHONY: docs docs-serve pictures other-pythons clean $(OTHER_PYTHONS)

demo: .venv/demo
	$(BIN)/python examples/demo.py

test: lint types generated unit

test-all: coverage leaks other-pythons lowest bench-smoke fuzz-smoke docs

# The documentation, in site/, with fresh plots of the results. A dead link, a dead anchor or a page outside the
# navigation fails it. (With `--quiet` MkDocs would count no warnings.)
docs: .venv/docs
	$(BIN)/python docs/plots.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# The same at http://localhost:8001, anew whenever a page changes. (The examples' server has port 8000.)
docs-serve: .venv/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve --dev-addr localhost:8001

bench: .venv-bench/ready
	.venv-bench/bin/python -m benchmarks
	.venv-bench/bin/python -m benchmarks.http2

# Everything that `make bench` does, in a tiny size: so that it cannot rot.
bench-smoke: .venv-bench/ready
	.venv-bench/bin/python -m benchmarks --smoke
	.venv-bench/bin/python -m benchmarks.http2 --smoke

# The pictures of the command line in docs/.
pictures: .venv/test
	$(BIN)/python docs/make_pictures.py

format: .venv/test
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

lint: .venv/test
	$(BIN)/ruff format --check
	$(BIN)/ruff check

# The package that is generated for the examples' server is what its document gives.
generated: .venv/test
	$(BIN)/python -W ignore -m clientele generate examples.server:app -o examples/demo_client --check

types: .venv/test
	$(BIN)/mypy
	$(BIN)/mypy examples
	$(BIN)/mypy tests/typing
	$(BIN)/pyright
	$(BIN)/ty check
	$(BIN)/pyrefly check

unit: .venv/test
	$(BIN)/python -m pytest --quiet --numprocesses 3 -m "not leaks"

# Without httpx2's own transports, which tests are held against for comparison, and uvloop, which runs what asyncio runs.
coverage: .venv/test
	$(BIN)/python -m pytest --quiet --numprocesses 3 -m "not leaks" -k "not [httpx2 and not uvloop" --cov --cov-report=term

leaks: .venv/test
	$(BIN)/python -m pytest --quiet --numprocesses 2 -m leaks

# Streams through a proxy that cuts them at random, 2,000 times for each kind; a short run is among the tests.
chaos: .venv/test
	$(BIN)/python -m tests.chaos
	$(BIN)/python -m tests.chaos --http2

# Fuzzes what reads bytes from a server, each of it for five minutes: `SECONDS=60 make fuzz` for one. See fuzz/.
fuzz: .venv/fuzz
	$(BIN)/python -m fuzz

# The same for three seconds each, so that it cannot rot.
fuzz-smoke: .venv/fuzz
	SECONDS=3 $(BIN)/python -m fuzz

# The tests of the wire with exactly the lower bounds of the dependencies. Those of the transports that it is compared
# with, httpx2's own, are left out: over anyio before 4.16 they lose a socket when a connect is cancelled.
lowest: .venv-lowest/ready
	.venv-lowest/bin/python -m pytest --quiet -p no:cacheprovider --numprocesses 3 -k "not [httpx2 and not uvloop" \
		tests/wire tests/streaming/test_stream.py

# What depends on the version of Python, on every other one that this machine has, or that uv brings.
other-pythons: .venv/test
	@$(MAKE) --no-print-directory $(OTHER_PYTHONS)

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

.venv/docs: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable . --group docs
	@touch $@

.venv/fuzz: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable . --group fuzz
	@touch $@

# Without the variable one of the peers would put its own urllib3 in the place of another's.
.venv-bench/ready: .venv/bin/python pyproject.toml benchmarks/requirements.txt
	.venv/bin/python -m venv --clear .venv-bench
	.venv-bench/bin/python -m pip install --quiet --upgrade pip
	URLLIB3_NO_OVERRIDE=1 .venv-bench/bin/python -m pip install --quiet --editable . --requirement benchmarks/requirements.txt
	@touch $@

.venv-lowest/ready: .venv/bin/python pyproject.toml
	.venv/bin/python -m venv --clear .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --upgrade pip
	.venv-lowest/bin/python -c '$(LOWER_BOUNDS)' > .venv-lowest/bounds.txt
	.venv-lowest/bin/python -m pip install --quiet --editable . --group wire --constraint .venv-lowest/bounds.txt
	@touch $@

clean:
	rm -rf site .venv .venv-* .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis
