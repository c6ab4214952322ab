# `make demo` sets up and trains, samples and scores; `make test` sets up and runs the tests. Both make .venv once.
PYTHON ?= python3
TORCH_CPU = 2.13.0
BIN = .venv/bin

.PHONY: demo test slow lint clean

demo: .venv/ready
	$(BIN)/python cli.py train-text

test: .venv/ready lint
	$(BIN)/python -m pytest -m "not slow"

slow: .venv/ready
	$(BIN)/python -m pytest -m slow

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# PyPI's torch for Linux carries gigabytes of CUDA: it is only worth pulling where there is an NVIDIA GPU. Elsewhere
# the CPU build is taken from wherever pip is configured to find one, or, by uv, from PyTorch's own index.
.venv/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	@echo "Setting up .venv: a minute or two, once."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@if [ "$$(uname)" != Linux ] || { command -v nvidia-smi && nvidia-smi -L | grep -q GPU; } >/dev/null 2>&1; then \
	    $(BIN)/python -m pip install --quiet torch; \
	else \
	    $(BIN)/python -m pip install --quiet torch==$(TORCH_CPU)+cpu 2>/dev/null || { \
	        $(BIN)/python -m pip install --quiet uv && \
	        $(BIN)/uv pip install --quiet --python $(BIN)/python --torch-backend cpu torch==$(TORCH_CPU); }; \
	fi
	@$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache
