"""Servers to be measured beside ours."""
