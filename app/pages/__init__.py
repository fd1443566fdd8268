"""The page that documents the routes, to read and to try without the internet."""

from app.pages.docs import router

__all__ = ["router"]
