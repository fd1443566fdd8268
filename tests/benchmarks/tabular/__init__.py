"""A comparison with the ordinary ways to learn a table; `python -m tests.benchmarks.tabular`."""
