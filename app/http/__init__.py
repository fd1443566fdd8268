"""HTTP for every request: check the API key, read the body, answer with the reply or an error."""

from app.http.access import REQUEST_ID, Access, Knowledge, route_path
from app.http.auth import PUBLIC_PATHS, Guard, read_keys
from app.http.body import parse, read_bytes, read_json
from app.http.compression import compress
from app.http.cross_origin import CrossOrigin
from app.http.deadline import TIMEOUT, timeout_seconds
from app.http.disconnect import Disconnect
from app.http.failures import refusal
from app.http.headers import headers_of
from app.http.prediction import Direct, PredictionRoute, predicting
from app.http.query import QuerylessRoute
from app.http.reply import JSON, Reply

__all__ = [
    "JSON",
    "PUBLIC_PATHS",
    "REQUEST_ID",
    "TIMEOUT",
    "Access",
    "CrossOrigin",
    "Direct",
    "Disconnect",
    "Guard",
    "Knowledge",
    "PredictionRoute",
    "QuerylessRoute",
    "Reply",
    "compress",
    "headers_of",
    "parse",
    "predicting",
    "read_bytes",
    "read_json",
    "read_keys",
    "refusal",
    "route_path",
    "timeout_seconds",
]
