"""What the tests of tables share."""

from collections.abc import Iterator

import pytest

from model.messages import in_command


@pytest.fixture(autouse=True)
def _typed() -> Iterator[None]:
    """Messages name options as the command has them; test_options.py has those of Python."""
    with in_command():
        yield
