"""Numbers as the report writes them."""

from model.messages import readable as number

__all__ = ["number", "percent"]


def percent(share: float) -> str:
    """The share in percent, with three digits."""
    return f"{100 * share:.3g} %"
