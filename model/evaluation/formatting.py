"""Numbers as the report writes them."""

LEAST, MOST = 1e-4, 1e15  # sizes outside of this range are written with an exponent


def number(value: float | None) -> str:
    """The value with four digits, or with all digits before the point: 0.4375, 123.5, 50,370.

    A metric that is not defined is None and becomes "-".
    """
    if value is None:
        return "-"
    if value and not LEAST <= abs(value) < MOST:
        return f"{value:.4g}"
    return f"{value:,.0f}" if abs(value) >= 999.95 else f"{value or 0.0:.4g}"


def percent(share: float) -> str:
    """The share in percent, with three digits."""
    return f"{100 * share:.3g} %"
