#!/bin/sh
# Correctness and speed on an NVIDIA GPU, in under 10 minutes: benchmarks/gpu.py, which takes the options.
cd "$(dirname "$0")/.." || exit 1
test -x .venv/bin/python && PATH="$PWD/.venv/bin:$PATH"
exec python -m benchmarks.gpu "$@"
