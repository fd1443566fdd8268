"""The service's messages ask for the nearest name, and quote little, in the words of JSON."""

import json
from typing import Any

import httpx
import pytest

from app.http.place import LIMIT_CHARACTERS, place
from app.messages import nearest, quoted, shown
from app.settings import SettingsError, read_settings

HOUSE = {"area": 54.0, "rooms": 2.0, "quarter": "east"}


async def refused(client: httpx.AsyncClient, path: str, **document: Any) -> str:
    """What the service says of a request; the message and its details are short."""
    response = await client.post(path, json=document)
    assert response.status_code in (400, 404, 422)
    assert len(response.content) < 4000
    return str(response.json()["error"])


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pases": 10}, "pases: is not known (did you mean 'passes'?); a request has rows"),
        ({"estimator": "reducd"}, "not \"reducd\" (did you mean 'reduced'?)"),
        ({"samples": None}, "samples: must be a valid boolean, not null"),
        ({"passes": True}, "passes: must be a valid integer, not true"),
        ({"passes": [1] * 9000}, "passes: must be a valid integer, not an array"),
        ({"masks": "x" * 9000}, 'not "' + "x" * 80 + '..."'),
        ({"rows": [HOUSE | {"area": True}]}, "feature 'area' is true, which is not a number"),
        ({"rows": [HOUSE | {"area": {"a": HOUSE}}]}, "is an object, which is not a number"),
        ({"rows": [HOUSE | {"aera": 1}]}, "unknown feature 'aera' (did you mean 'area'?)"),
        ({"rows": [HOUSE | {"quarter": "souht"}]}, "'souht' (did you mean 'south'?); known: east"),
        ({"rows": [None]}, "rows.0: null is neither an object nor an array"),
    ],
)
async def test_a_wrong_request_is_answered_with_what_was_meant(
    client: httpx.AsyncClient, changes: dict[str, Any], said: str
) -> None:
    message = await refused(client, "/predict", **{"rows": [HOUSE], **changes})
    assert said.partition(" (did")[0] in message
    assert said.partition("(did")[2] in message


@pytest.mark.anyio
async def test_a_model_or_a_tensor_of_a_like_name_is_asked_for(client: httpx.AsyncClient) -> None:
    asked = await refused(client, "/models/Regresion/predict", rows=[HOUSE])
    assert "there is no model 'Regresion' (did you mean 'regression'?)" in asked
    asked = await refused(client, f"/models/{'m' * 3000}/predict", rows=[HOUSE])
    assert f"there is no model '{'m' * 80}...'" in asked
    infer = "/v2/models/regression/infer"
    tensors = [
        {"name": name, "shape": [1], "datatype": "BYTES", "data": ["east"]}
        for name in ("area", "rooms", "qarter")
    ]
    assert "'qarter' is not known (did you mean 'quarter'?)" in await refused(
        client, infer, inputs=tensors
    )
    tensors[0]["datatype"] = "FP46"
    assert "'FP46' is not known (did you mean 'FP64'?)" in await refused(
        client, infer, inputs=tensors
    )


def test_a_setting_of_a_like_name_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCD_MAX_ROW", "1")
    with pytest.raises(SettingsError, match=r"MAX_ROW' is not a setting \(did you mean 'MCD_MAX_R"):
        read_settings()
    monkeypatch.delenv("MCD_MAX_ROW")
    monkeypatch.setenv("MCD_MAX_ROWS", "9" * 5000)
    with pytest.raises(SettingsError) as caught:
        read_settings()
    assert len(str(caught.value)) < 300


def test_the_place_of_a_character_is_a_path() -> None:
    document = {"a": [1, {"b": [[], {}, ['x,:[{\\"', {"c d": "HERE"}]]}]}
    text = json.dumps(document, indent=1)
    assert place(text, text.index('"HERE"')) == "a.1.b.2.1.c d"
    assert place(" " * LIMIT_CHARACTERS + text, LIMIT_CHARACTERS + 5) == ""
    assert place("]", 1) == place("x", 0) == ""


def test_values_are_quoted_short() -> None:
    assert [shown(each) for each in (True, None, 1.5, "a\n", [1], {})] == [
        "true",
        "null",
        "1.5",
        '"a\\n"',
        "an array",
        "an object",
    ]
    assert quoted("a" * 100) == f"'{'a' * 80}...'"
    assert nearest(3, ["3"]) == ""
