"""Attacks on a server of its own: what a small client can do to it, and what it answers."""
