import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import Overloaded
from app.service.in_flight import MUCH_BYTES, SHOWN_BYTES, InFlight


def bounded(limit: int) -> tuple[InFlight, list[int], list[str]]:
    shown: list[int] = []
    freed: list[str] = []
    in_flight = InFlight(limit, show=shown.append, much_freed=lambda: freed.append("freed"))
    return in_flight, shown, freed


def test_what_all_hold_together_is_bounded_and_a_refusal_changes_nothing() -> None:
    in_flight, _, _ = bounded(100)
    with in_flight.hold() as first, in_flight.hold() as second:
        first.take(60)
        second.take(40)
        with pytest.raises(Overloaded, match="MCD_IN_FLIGHT_BYTES") as caught:
            second.take(41)
        assert caught.value.retry_after_seconds == 1
        assert in_flight.total == 100
        second.take(10)
        first.take(90)
    assert in_flight.total == 0


def test_a_request_that_is_alone_may_hold_more() -> None:
    in_flight, _, _ = bounded(100)
    with in_flight.hold() as alone:
        alone.take(1000)
        with in_flight.hold() as other, pytest.raises(Overloaded):
            other.take(1)
        alone.take(2000)


def test_an_error_ends_the_hold() -> None:
    in_flight, _, _ = bounded(100)
    with pytest.raises(TypeError), in_flight.hold() as held:
        held.take(held.take(5))  # type: ignore[func-returns-value, arg-type]
    assert in_flight.total == 0


@settings(derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 80)), max_size=30))
def test_the_total_is_the_sum_of_the_parts(
    steps: list[tuple[int, int]],
) -> None:
    in_flight, _, _ = bounded(100)
    holdings, held = [in_flight.hold() for _ in range(4)], [0] * 4
    for at, count in steps:
        others = sum(held) - held[at]
        try:
            holdings[at].take(count)
        except Overloaded:
            assert others
            assert others + count > 100
            assert count > held[at]
        else:
            held[at] = count
        assert in_flight.total == sum(held)


def test_large_changes_are_shown_and_the_end_of_much_is_told() -> None:
    in_flight, shown, freed = bounded(10 * MUCH_BYTES)
    with in_flight.hold() as held:
        held.take(SHOWN_BYTES - 1)
        assert shown == []
        held.take(MUCH_BYTES)
        assert shown == [MUCH_BYTES]
        assert freed == []
    assert shown[-1] == 0
    assert freed == ["freed"]
    with in_flight.hold() as held:
        held.take(MUCH_BYTES // 2)
    assert freed == ["freed"]
