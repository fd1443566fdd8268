"""JSON as it leaves: orjson writes it, and reads it in app/http."""

import orjson

to_json = orjson.dumps
