"""The zoo: every promise, on small networks of every kind; `python -m tests.benchmarks.zoo`."""
