import orjson
import pytest

import model
from app import errors
from app.errors import (
    MAX_DETAILS,
    MAX_MESSAGE,
    STATUS_OF,
    NotJson,
    ServiceError,
    code_of_status,
    error_body,
    status_of,
)


def leaves(kind: type[Exception]) -> set[type[Exception]]:
    below = kind.__subclasses__()
    return set().union(*map(leaves, below)) if below else {kind}


def test_every_error_that_a_request_can_meet_has_a_status_and_a_code_of_its_own() -> None:
    of_start_up = {model.DataError, model.ArtifactError}
    assert set(STATUS_OF) == leaves(ServiceError) | leaves(model.ModelError) - of_start_up
    codes = [code for _, code in STATUS_OF.values()]
    assert len(set(codes)) == len(codes)
    assert {status for status, _ in STATUS_OF.values()} <= {*range(400, 430), 503, 504}


def test_the_tree_in_the_docstring_is_the_tree_in_the_code() -> None:
    assert errors.__doc__
    drawn = {word for word in errors.__doc__.split() if word.isidentifier() and word[0].isupper()}
    for kind in leaves(ServiceError):
        assert kind.__name__ in drawn


def test_an_error_that_nobody_foresaw_is_a_500_and_tells_nothing() -> None:
    assert status_of(ZeroDivisionError("secret")) == (500, "internal_error")
    assert status_of(NotJson("x")) == (400, "not_json")


@pytest.mark.parametrize(
    ("status", "code"), [(404, "not_found"), (405, "method_not_allowed"), (413, None)]
)
def test_a_bare_status_has_a_code_in_snake_case(status: int, code: str | None) -> None:
    assert code_of_status(status).isidentifier()
    assert code in (None, code_of_status(status))


def test_the_error_body_is_bounded_whatever_the_request_held() -> None:
    details = [model.Detail("x" * 10_000, "y" * 10_000)] * 1000
    body = orjson.loads(error_body("z" * 10_000, "code", details))
    assert len(body["error"]) == MAX_MESSAGE
    assert len(body["details"]) == MAX_DETAILS
    assert all(len(text) <= MAX_MESSAGE for part in body["details"] for text in part.values())
