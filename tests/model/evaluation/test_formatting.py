"""Numbers and shares as the report writes them."""

import pytest

from model.evaluation.formatting import number, percent


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (50_370.4, "50,370"),
        (-1_234_567.0, "-1,234,567"),
        (999.96, "1,000"),
        (123.456, "123.5"),
        (0.43751, "0.4375"),
        (0.0, "0"),
        (-0.0, "0"),
        (2.5e-7, "2.5e-07"),
        (3.2e17, "3.2e+17"),
        (None, "-"),
    ],
)
def test_a_number_has_four_digits_or_all_before_the_point(value: float | None, shown: str) -> None:
    assert number(value) == shown


def test_a_share_is_written_in_percent() -> None:
    assert [percent(share) for share in (0.9, 0.9125, 1.0)] == ["90 %", "91.2 %", "100 %"]
