# Two commands do everything on a fresh machine: `make demo` and `make test`.
# PYTHON chooses the interpreter the environment is made from.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# A pre-made environment or wheels of a machine without a GPU:
#   make demo PIP_INSTALL_ARGS="--extra-index-url <the index of torch's CPU wheels>"
PIP_INSTALL_ARGS ?=
# A process for every core, four at most; the tests of one file stay together.
PYTEST_ARGS ?= --numprocesses logical --maxprocesses 4 --dist loadfile

.PHONY: demo test lint types rooms clean

demo: $(VENV)/.installed
	$(BIN)/lens demo

test: $(VENV)/.installed-test
	$(BIN)/python tests/browser/chromium.py
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy widgets
	$(BIN)/lint-imports
	$(BIN)/python -m pytest $(PYTEST_ARGS)

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt $(PIP_INSTALL_ARGS) torch torchvision
	$(BIN)/python -m pip install --quiet --constraint constraints.txt $(PIP_INSTALL_ARGS) --editable .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt $(PIP_INSTALL_ARGS) --editable ".[test]"
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info lens-demo
