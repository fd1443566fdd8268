"""Write JSON with orjson; app/http reads JSON."""

import orjson

to_json = orjson.dumps
