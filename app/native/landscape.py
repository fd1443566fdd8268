"""The route of what is stored of the loss of a model."""

from fastapi import APIRouter, Response

from app.error_examples import ERROR_EXAMPLES
from app.errors import NoLandscape, declared
from app.http import JSON
from app.native.requests import ModelPath
from app.service import Service
from model import LandscapeRecord

_EXAMPLES = {"no_landscape": ERROR_EXAMPLES["no_landscape"]}
_DRAW = "python -m model landscape DIR DATA draws one"


def add_landscape(routes: APIRouter, service: Service) -> None:
    """Add the route to those of the models."""

    @routes.get(
        "/models/{name}/landscape",
        summary="Show the loss of a model over planes of its weights",
        response_model=LandscapeRecord,
        responses=declared(404, 422, 503, reads_body=False, examples=_EXAMPLES),
    )
    async def landscape(name: ModelPath) -> Response:
        """What `python -m model landscape` has stored beside the model, with dropout."""
        found = service.landscape(name)
        if found.document is None:
            lacks = "that can be used" if found.unusable else "stored beside it"
            raise NoLandscape(f"{name} has no landscape {lacks}; {_DRAW}")
        return Response(found.document, media_type=JSON)
