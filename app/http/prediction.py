"""Routes of predictions: the framework documents and matches them, our code handles the requests.

For an ordinary route, the framework opens exit stacks for dependencies, and reads and checks
parameters. That takes longer than parsing the body and encoding the answer. Routes of predictions
need no dependencies, and read their few parameters themselves.
"""

from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Any, NamedTuple

from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import Overloaded, ServiceError, status_of
from app.http.query import refuse_query
from app.http.reply import Reply
from app.service import Holding, Service
from model import Predictor

_TELEMETRY = "fastapi.telemetry"  # in the scope of a request that is traced or measured


class Asked(NamedTuple):
    """A request for predictions: the model that answers it, and the memory that it holds."""

    scope: Scope
    receive: Receive
    predictor: Predictor
    held: Holding


Answer = Callable[[Asked], Awaitable[Reply]]


class PredictionRoute(APIRoute):
    """A route whose requests `application` answers; its `endpoint` only documents them."""

    def __init__(
        self, path: str, endpoint: Callable[..., Any], *, application: ASGIApp, **documented: Any
    ) -> None:
        super().__init__(path, endpoint, methods=["POST"], name=endpoint.__name__, **documented)
        self.operation_id = self.unique_id = endpoint.__name__
        self.app = application


class Direct:
    """Fast path: middleware that calls the routes of predictions without the framework's router.

    It matches the same route objects as the router. It saves the router's layers for dependencies,
    which these routes do not have: a tenth of the CPU time of a small request.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute]) -> None:
        self.app = app
        self._routes = [route for route in routes if isinstance(route, PredictionRoute)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the route of predictions that matches path and method, or else the router."""
        app, known = self._found(scope)
        scope.update(known)
        await app(scope, receive, send)

    def _found(self, scope: Scope) -> tuple[ASGIApp, Scope]:
        traced = scope.get(_TELEMETRY) is not None  # the router names the span after the route
        if scope["type"] == "http" and scope["method"] == "POST" and not traced:
            for route in self._routes:
                match, known = route.matches(scope)
                if match is Match.FULL:
                    return route.app, known
        return self.app, {}


def predicting(service: Service, answer: Answer) -> ASGIApp:
    """An application that admits requests, calls `answer` for each reply, and counts requests."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        started, outcome, label = perf_counter(), "cancelled", "unknown"
        asked = scope["path_params"]
        with service.in_flight.hold() as held:
            try:
                # Before the body is read: a client that is refused need not send it.
                predictor = service.admit(asked.get("name"), asked.get("version"))
                label = predictor.card.name
                refuse_query(scope)
                reply = await _answered(answer, Asked(scope, receive, predictor, held))
                outcome = "ok"
            except ClientDisconnect:
                raise
            except Exception as error:
                outcome, label = status_of(error)[1], _label(service, asked.get("name"))
                raise
            finally:
                service.metrics.finished(label, outcome, perf_counter() - started)
            await reply.send(scope, send)

    return application


async def _answered(answer: Answer, asked: Asked) -> Reply:
    try:
        return await answer(asked)
    except MemoryError as error:
        message = "no memory is left for this request; try again, or send fewer rows at once"
        raise Overloaded(message, retry_after_seconds=1) from error


def _label(service: Service, name: str | None) -> str:
    """The model's name as a metric label; all unknown names share one, which keeps labels few."""
    try:
        return service.card(name).name
    except ServiceError:
        return "unknown"
