"""The wire protocols, one module each; none imports another."""
