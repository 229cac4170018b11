# Everything runs in .venv, which is made on first use from constraints.txt and completed again whenever
# pyproject.toml or constraints.txt change.  Another interpreter: make PYTHON=python3.12 test
PYTHON ?= python3
BIN    := .venv/bin
STAMP  := .venv/.complete
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.DELETE_ON_ERROR:
.PHONY: demo test test-all lint wheel env clean

demo: $(STAMP)
	$(BIN)/python -m duvhuman humanize examples/midi -o out/ -i auto --force

test: $(STAMP)
	$(BIN)/python -m pytest

test-all: $(STAMP)
	$(BIN)/python -m pytest -m "slow or not slow"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy benchmarks/*.py

wheel: $(STAMP)
	rm -rf build dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*

env: $(STAMP)

# torch comes first and alone, so that a CPU build of the pinned version is taken wherever pip is offered one.
# A .venv that is there is completed; only one whose Python does not start is made anew.
$(STAMP): pyproject.toml constraints.txt
	$(BIN)/python -c "import pip" 2>/dev/null || $(PYTHON) -m venv --clear .venv
	$(PIP) torch
	$(PIP) --editable ".[dev,ray,train]"
	touch $@

clean:
	rm -rf build dist out *.egg-info .pytest_cache .mypy_cache .ruff_cache
