"""The errors that `model` raises, as one tree, without HTTP status codes.

ModelError
|-- DataError         a training table or a file of rows cannot be used
|-- InputError        a row, or an option of a prediction, is out of its domain
|-- ArtifactError     a saved model is damaged or incomplete, or does not match its card
`-- CalibrationError  an answer needs calibration rows that the model does not have
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Detail:
    """One fault: `field` is a dotted path (`rows.3.bmi`); `message` says what is wrong."""

    field: str
    message: str


class ModelError(Exception):
    """Base of every error that `model` raises on purpose; `str(error)` is for the user to read."""

    def __init__(self, message: str, details: Sequence[Detail] = ()) -> None:
        super().__init__(message)
        self.details = tuple(details)


class DataError(ModelError):
    """A table cannot be used; the message names the file, row, column and value."""


class InputError(ModelError):
    """A row or an option is out of its domain; `details` has one entry per fault."""


class ArtifactError(ModelError):
    """A saved model cannot be loaded; the message says which part is wrong, and why."""


class CalibrationError(ModelError):
    """The calibration rows do not allow the answer; the message names the number needed."""
