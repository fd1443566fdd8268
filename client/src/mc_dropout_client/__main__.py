"""`python -m mc_dropout_client` is `mcd`."""

from mc_dropout_client.command import run

if __name__ == "__main__":
    run()
