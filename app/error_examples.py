"""An example of every error, as the service words it; the documentation of the routes has them.

A test provokes the errors and compares.
"""

from typing import Any, NamedTuple

_KEY = "send the header 'Authorization: Bearer KEY' or 'X-API-Key: KEY'"


class ErrorExample(NamedTuple):
    """The sentence of an error, and its one detail if it has one."""

    error: str
    field: str = ""
    message: str = ""

    def body(self, code: str) -> dict[str, Any]:
        """The body of the error."""
        details = [{"field": self.field, "message": self.message}] if self.field else []
        return {"error": self.error, "code": code, "details": details}


def _at(field: str, message: str) -> ErrorExample:
    return ErrorExample(f"{field}: {message}", field, message)


ERROR_EXAMPLES = {
    "not_http": ErrorExample(
        "the message is no HTTP/1.1 request, or its headers are too large, or its body comes in "
        "more than 1000 pieces of less than 32 bytes"
    ),
    "not_json": ErrorExample("the body is not JSON: unexpected end of data at character 12"),
    "not_finite": _at("rows.0.2", "'NaN' at character 18 is not a finite number"),
    "duplicate_key": ErrorExample(
        "the key 'rows' appears twice in one object", "rows", "appears twice in one object"
    ),
    "cross_origin": ErrorExample(
        "pages of 'https://example.org' may not call this service (MCD_CORS_ORIGINS)"
    ),
    "unauthorized": ErrorExample(f"the request needs an API key; {_KEY}"),
    "unknown_model": ErrorExample(
        "there is no model 'diabetis' (did you mean 'diabetes'?); there are diabetes, "
        "breast-cancer, digits"
    ),
    "not_found": ErrorExample("there is no path '/predictions'; /docs lists those there are"),
    "no_landscape": ErrorExample(
        "diabetes has no landscape stored beside it; python -m model landscape DIR DATA draws one"
    ),
    "method_not_allowed": ErrorExample(
        "'/predict' does not take PUT; the header Allow lists what it takes"
    ),
    "request_timeout": ErrorExample(
        "the request did not arrive within 60 seconds (MCD_REQUEST_TIMEOUT_SECONDS)"
    ),
    "body_too_large": ErrorExample(
        "the body has more than 8388608 bytes (MCD_MAX_BODY_BYTES); send fewer rows at once"
    ),
    "unsupported_media_type": ErrorExample(
        "the content type is 'text/plain'; send the header 'Content-Type: application/json'"
    ),
    "invalid_request": _at("passes", 'must be a valid integer, not "many"'),
    "limit_exceeded": ErrorExample(
        "1000000 passes are more than 10000 (MCD_MAX_PASSES)",
        "passes",
        "1000000 passes are more than 10000 (MCD_MAX_PASSES)",
    ),
    "invalid_input": ErrorExample(
        "rows.0: feature 'bmi' is 'high', which is not a number",
        "rows.0.bmi",
        "feature 'bmi' is 'high', which is not a number",
    ),
    "not_calibrated": ErrorExample(
        "a coverage of 0.9999 needs 9999 calibration rows; there are 67"
    ),
    "rate_limited": ErrorExample(
        "more than 1 requests a second (MCD_RATE_LIMIT); try again after the seconds in Retry-After"
    ),
    "overloaded": ErrorExample(
        "20000 rows wait already (MCD_QUEUE_ROWS); try again after the seconds in Retry-After"
    ),
    "not_ready": ErrorExample("the server is starting or stopping; try again"),
    "deadline_exceeded": ErrorExample(
        "no answer within 0.05 seconds; ask for fewer rows or passes, or allow more time"
    ),
}
OF_READS: dict[str, ErrorExample] = {  # of routes that take no body
    "invalid_request": ErrorExample(
        "'rows' is no query parameter: this path takes none",
        "rows",
        "is no query parameter: this path takes none",
    ),
}
OF_ONE_ROW: dict[str, ErrorExample] = {  # of routes that take one row
    "not_finite": _at("row.2", "'NaN' at character 16 is not a finite number"),
    "duplicate_key": ErrorExample(
        "the key 'row' appears twice in one object", "row", "appears twice in one object"
    ),
    "invalid_input": ErrorExample(
        "row: feature 'bmi' is 'high', which is not a number",
        "row.bmi",
        "feature 'bmi' is 'high', which is not a number",
    ),
}
OF_EXPLORATIONS: dict[str, dict[str, ErrorExample]] = {
    "sweep": {},
    "explain": {
        "deadline_exceeded": ErrorExample(
            "no answer within 0.05 seconds; ask for fewer passes or background rows, or allow more "
            "time"
        )
    },
}
OF_VERSIONS: dict[str, ErrorExample] = {  # of routes that name a version of a model
    "unknown_model": ErrorExample(
        "there is no version '1' of 'diabetes'; there are 34f534683859b478"
    ),
}
OF_TENSORS: dict[str, ErrorExample] = {  # of routes that take tensors
    "not_finite": _at("inputs.0.data.2", "'NaN' at character 40 is not a finite number"),
    "duplicate_key": ErrorExample(
        "the key 'inputs' appears twice in one object", "inputs", "appears twice in one object"
    ),
    "unsupported_media_type": ErrorExample(
        "the content type is 'text/plain'; send application/json, application/octet-stream where "
        "binary data follows the JSON, or none"
    ),
    "invalid_request": _at("inputs.0", "the shape [2, 10] has 20 values, but data has 10"),
    "invalid_input": ErrorExample(
        "rows.0: feature 'bmi' is 1e+300, which lies too far from the training range, 18 to 42.2",
        "rows.0.bmi",
        "feature 'bmi' is 1e+300, which lies too far from the training range, 18 to 42.2",
    ),
}
