"""The use cases, without HTTP: list the models, and predict with one of them."""

from app.service.options import OptionFields
from app.service.service import WARM_UP, Answer, Service

__all__ = ["WARM_UP", "Answer", "OptionFields", "Service"]
