import orjson
import pytest

import model
from app.errors import (
    MAX_DETAILS,
    MAX_MESSAGE,
    UNEXPECTED,
    NotJson,
    ServiceError,
    code_of_status,
    declared,
    error_body,
    error_rows,
    status_of,
)


def leaves(kind: type[Exception]) -> set[type[Exception]]:
    below = kind.__subclasses__()
    return set().union(*map(leaves, below)) if below else {kind}


def test_every_error_that_a_request_can_meet_has_a_status_and_a_code_of_its_own() -> None:
    of_start_up = {model.DataError, model.ArtifactError}
    rows = error_rows()
    assert len({row.code for row in rows}) == len(rows)
    assert {row.status for row in rows} <= {*range(400, 430), 503, 504}
    listed = {(row.status, row.code) for row in rows}
    for kind in leaves(ServiceError):
        assert (kind.status, kind.code) in listed  # type: ignore[attr-defined]
    for kind in leaves(model.ModelError) - of_start_up:
        assert status_of(kind("x")) in listed
    for kind in of_start_up:
        assert status_of(kind("x")) == UNEXPECTED


def test_every_error_says_what_it_means_in_one_line() -> None:
    for row in error_rows():
        assert row.meaning.endswith(".")
        assert "\n" not in row.meaning


def test_the_documentation_of_a_status_says_what_each_of_its_codes_means() -> None:
    description = declared(400)[400]["description"]
    assert "`not_json`: The body is not one JSON document in UTF-8." in description
    assert "`duplicate_key`" in description


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
