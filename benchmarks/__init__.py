"""Speed, each as a ratio measured in one run: `python -m benchmarks.NAME`."""
