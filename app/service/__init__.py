"""The use cases, without HTTP: list the models, and predict with one of them."""

from app.service.in_flight import Holding
from app.service.options import OptionFields
from app.service.service import WARM_UP, Answer, Prepared, Service

__all__ = ["WARM_UP", "Answer", "Holding", "OptionFields", "Prepared", "Service"]
