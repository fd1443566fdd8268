"""An application with low limits that serves the tiny models of `tests/conftest.py`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

import model
from app.main import create_app
from app.settings import Settings


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def settings(artifacts: dict[str, Path]) -> Settings:
    return Settings(
        models=tuple(artifacts.values()),
        max_rows=50,
        max_passes=400,
        max_row_passes=5000,
        max_samples=1000,
        max_body_bytes=100_000,
    )


@pytest.fixture(scope="session")
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture(scope="session")
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


@pytest.fixture(scope="session")
async def v2(artifacts: dict[str, Path]) -> AsyncIterator[httpx.AsyncClient]:
    """Asks a server of two shipped models, all of numbers, and of the tiny ones with a category."""
    shipped = (folder for folder in model.shipped() if folder.name in ("diabetes", "digits"))
    async with asking(Settings(models=(*shipped, *artifacts.values()))) as client:
        yield client


@pytest.fixture(scope="session")
async def limited_v2(
    artifacts: dict[str, Path], settings: Settings
) -> AsyncIterator[httpx.AsyncClient]:
    """Asks a server with low limits of a model of 10 numbers and of one with a category."""
    models = (model.shipped()[0], artifacts["regression"])
    async with asking(settings.model_copy(update={"models": models})) as client:
        yield client


@asynccontextmanager
async def asking(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application of its own."""
    app = create_app(settings)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        yield client
