"""The published experiments on six small regressions; `python -m tests.benchmarks.uci`."""
