"""An answer says which values of a row were missing and are filled in, in both protocols."""

import asyncio
import json
from pathlib import Path

import pytest

from app.settings import Settings
from tests.app.conftest import asking

pytestmark = pytest.mark.anyio

AREA, QUARTER = "imputed:area", "imputed:quarter"


async def test_requests_of_one_batch_keep_their_own_codes(imputing_artifact: Path) -> None:
    rows = [{"rooms": 4, "quarter": None}, {"area": 90, "rooms": 4, "quarter": "east"}]
    tensors = [
        {"name": "rooms", "shape": [2], "datatype": "FP64", "data": [4, 4]},
        {"name": "area", "shape": [2], "datatype": "FP64", "data": [None, 90]},
        {"name": "quarter", "shape": [2], "datatype": "BYTES", "data": ["", "east"]},
    ]
    async with asking(Settings(models=(imputing_artifact,))) as client:
        answers = await asyncio.gather(
            *(client.post("/predict", json={"rows": part, "seed": 1}) for part in (rows, rows[1:]))
        )
        native = [[row["warnings"] for row in each.json()["predictions"]] for each in answers]
        sent = {"inputs": tensors, "outputs": [{"name": "warnings"}]}
        infer = (await client.post("/v2/models/gaps/infer", json=sent)).json()
        asked = {"row": rows[0], "feature": "area", "values": [80, None], "seed": 1}
        swept = (await client.post("/sweep", json=asked)).json()["predictions"]
    (complete,) = native[1]
    assert native[0][1] == complete
    assert native[0][0][-2:] == [AREA, QUARTER]
    assert not any("imputed" in code for code in complete)
    (output,) = infer["outputs"]
    assert json.loads(output["data"][0])[-2:] == [AREA, QUARTER]
    assert json.loads(output["data"][1]) == complete
    assert swept[1]["warnings"][-2:] == [AREA, QUARTER]
    assert AREA not in swept[0]["warnings"]
