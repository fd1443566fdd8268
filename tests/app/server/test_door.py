"""Which process takes a connection, by what each has told the others."""

from multiprocessing.connection import Pipe

from app.server.door import OwnDoor, SharedDoor
from app.shared_metrics import TAKES_NONE, SharedMemory


def doors(memory: SharedMemory | None, count: int) -> list[SharedDoor]:
    """The doors of so many processes that share the memory."""
    return [SharedDoor(Pipe()[1], memory, number) for number in range(count)]


def test_the_process_with_more_connections_lets_the_others_go_first() -> None:
    few, more = doors(SharedMemory.allocate(2), 2)
    assert not few.yields(0)  # the other has told nothing yet, and may not run
    assert more.yields(1)
    assert not few.yields(1)
    assert not more.yields(1)
    assert few.yields(2)


def test_a_process_that_stops_takes_none_while_another_one_does() -> None:
    memory = SharedMemory.allocate(2)
    stops, serves = doors(memory, 2)
    serves.yields(500)
    stops.takes_none()
    assert stops.yields(0)
    assert not serves.yields(501)
    serves.takes_none()
    assert not stops.yields(0)  # nobody else would take it
    assert list(memory.connections) == [TAKES_NONE] * 2


def test_without_shared_memory_or_others_every_process_takes_what_comes() -> None:
    (alone,) = doors(None, 1)
    alone.takes_none()
    assert not alone.yields(9)
    assert not OwnDoor().yields(9)
