"""HTTP for every request: check the API key, read the body, answer with the reply or an error."""

from app.http.access import REQUEST_ID, Access, Knowledge, route_path
from app.http.auth import HEALTH_PATHS, PUBLIC_PATHS, Guard, read_keys
from app.http.body import check_json_type, parse, read_bytes
from app.http.compression import compressed, encoding_of
from app.http.cross_origin import CrossOrigin
from app.http.deadline import TIMEOUT, timeout_seconds
from app.http.disconnect import Disconnect
from app.http.failures import refusal
from app.http.headers import headers_of
from app.http.prediction import Asked, Direct, PredictionRoute, predicting
from app.http.query import QuerylessRoute
from app.http.reply import BLOCK_NUMBERS, JSON, Reply
from app.http.structure import Structure

__all__ = [
    "BLOCK_NUMBERS",
    "HEALTH_PATHS",
    "JSON",
    "PUBLIC_PATHS",
    "REQUEST_ID",
    "TIMEOUT",
    "Access",
    "Asked",
    "CrossOrigin",
    "Direct",
    "Disconnect",
    "Guard",
    "Knowledge",
    "PredictionRoute",
    "QuerylessRoute",
    "Reply",
    "Structure",
    "check_json_type",
    "compressed",
    "encoding_of",
    "headers_of",
    "parse",
    "predicting",
    "read_bytes",
    "read_keys",
    "refusal",
    "route_path",
    "timeout_seconds",
]
