"""What the client does, apart from how it waits: flows, which yield steps and get their results.

A flow is a generator. It yields `Send`, `Wait` and `Together`; the shells `Client` and
`AsyncClient` carry the steps out, one with threads, one with asyncio.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from mc_dropout_client.errors import ClientError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Send:
    """A request; its result is a `Reply`, or the error if none came."""

    method: str
    path: str
    body: bytes | None
    headers: Mapping[str, str]
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of any status."""

    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True, slots=True)
class Wait:
    """Some seconds without a request."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Together:
    """Flows that run at the same time; the first error ends all."""

    flows: Sequence["Flow[Any]"]


Step: TypeAlias = Send | Wait | Together
Flow: TypeAlias = Generator[Step, Any, T]


def send(step: Send) -> Flow[Reply | ClientError]:
    """The reply to a request, or why there is none."""
    reply: Reply | ClientError = yield step
    return reply


def wait(seconds: float) -> Flow[None]:
    """Nothing, after some seconds."""
    yield Wait(seconds)


def together(flows: Sequence[Flow[None]]) -> Flow[None]:
    """Nothing, once all flows have ended."""
    yield Together(flows)
