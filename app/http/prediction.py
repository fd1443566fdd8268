"""Routes of predictions: the framework documents and matches them, and hands the request over.

Between the match and the handler of an ordinary route the framework opens exit stacks for
dependencies, and reads and checks parameters: that takes longer than to parse the body and to
encode the answer. What these routes need of it they do themselves.
"""

from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import ServiceError, status_of
from app.http.reply import Reply
from app.service import Service
from model import Predictor

Answer = Callable[[Scope, Receive, Predictor], Awaitable[Reply]]


class PredictionRoute(APIRoute):
    """A route whose function is documentation, and whose requests `application` answers."""

    def __init__(
        self, path: str, endpoint: Callable[..., Any], *, application: ASGIApp, **documented: Any
    ) -> None:
        super().__init__(path, endpoint, methods=["POST"], name=endpoint.__name__, **documented)
        self.operation_id = self.unique_id = endpoint.__name__
        self.app = application


class Direct:
    """Middleware that hands requests for predictions to their routes at once.

    It looks at the same routes as the framework's router behind it does, at their head. What it
    spares them are the router's layers for dependencies, of which they have none: a tenth of the
    CPU time of a small request.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute]) -> None:
        self.app = app
        self._routes = [route for route in routes if isinstance(route, PredictionRoute)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the route that the request matches in path and method, if there is one."""
        app, known = self._found(scope)
        await app({**scope, **known}, receive, send)

    def _found(self, scope: Scope) -> tuple[ASGIApp, Scope]:
        if scope["type"] == "http" and scope["method"] == "POST":
            for route in self._routes:
                match, known = route.matches(scope)
                if match is Match.FULL:
                    return route.app, known
        return self.app, {}


def predicting(service: Service, answer: Answer) -> ASGIApp:
    """The application that admits a request, lets `answer` make the reply, and counts it."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        started, outcome, label = perf_counter(), "cancelled", "unknown"
        asked = scope["path_params"]
        try:
            # Before the body is read: who cannot be served need not send it.
            predictor = service.admit(asked.get("name"), asked.get("version"))
            label = predictor.card.name
            reply = await answer(scope, receive, predictor)
            outcome = "ok"
        except ClientDisconnect:
            raise
        except Exception as error:
            outcome, label = status_of(error)[1], _label(service, asked.get("name"))
            raise
        finally:
            service.metrics.finished(label, outcome, perf_counter() - started)
        await reply.send(send)

    return application


def _label(service: Service, name: str | None) -> str:
    """The model's name as a metric label; one for all unknown names, or they would pile up."""
    try:
        return service.card(name).name
    except ServiceError:
        return "unknown"
