#!/bin/sh
# A session of training on an NVIDIA GPU, in under 10 minutes: benchmarks/gpu_train.py, which takes the options.
cd "$(dirname "$0")/.." || exit 1
test -x .venv/bin/python && PATH="$PWD/.venv/bin:$PATH"
exec python -m benchmarks.gpu_train "$@"
