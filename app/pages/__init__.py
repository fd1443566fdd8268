"""The pages for people: the playground, and the page that documents the routes; all offline."""

from app.pages.docs import router
from app.pages.playground import playground

__all__ = ["playground", "router"]
