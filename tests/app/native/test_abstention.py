"""Who names the largest error that it stands hears of every row whether to trust it."""

import httpx
import pytest

from app.native.schemas import PredictResponse
from tests.app.inference import house_request, unpacked

pytestmark = pytest.mark.anyio

HOUSE = {"area": 54.0, "rooms": 2.0, "quarter": "east"}


@pytest.mark.parametrize(("name", "risk"), [("regression", "rmse"), ("binary", "error_rate")])
async def test_every_row_says_whether_to_trust_it_and_the_answer_what_that_means(
    client: httpx.AsyncClient, name: str, risk: str
) -> None:
    path, body = f"/models/{name}/predict", {"rows": [HOUSE, HOUSE], "seed": 1}
    silent = (await client.post(path, json=body)).json()
    assert "acceptance" not in silent
    assert "accept" not in silent["predictions"][0]
    content = (await client.post(path, json=body | {"largest_error": 1e6})).content
    answer = PredictResponse.model_validate_json(content)
    assert answer.acceptance is not None
    assert (answer.acceptance.risk, answer.acceptance.largest_error) == (risk, 1e6)
    assert answer.acceptance.bound <= 1e6
    assert [row.accept for row in answer.predictions] == [True, True]


@pytest.mark.parametrize(
    ("name", "error", "code", "said"),
    [
        ("regression", 1e-9, "not_calibrated", "the smallest that they certify is"),
        ("two_targets", 1.0, "not_calibrated", "a model of one target"),
        ("regression", 0, "invalid_input", "must be a number above 0, not 0"),
        ("regression", "x", "invalid_request", 'not "x"'),
    ],
)
async def test_an_error_that_cannot_be_promised_is_refused_by_name(
    client: httpx.AsyncClient, name: str, error: object, code: str, said: str
) -> None:
    body = {"rows": [HOUSE], "largest_error": error}
    response = await client.post(f"/models/{name}/predict", json=body)
    assert response.status_code == 422
    assert response.json()["code"] == code
    assert "largest_error" in response.text or "RMSE" in response.text
    assert said in response.json()["error"]


@pytest.mark.parametrize("binary", [False, True])
async def test_tensors_say_the_same(client: httpx.AsyncClient, binary: bool) -> None:
    path = "/v2/models/regression/infer"
    parameters = {"largest_error": 1e6, "binary_data_output": binary}
    response = await client.post(path, json=house_request(parameters=parameters))
    assert response.status_code == 200, response.text
    if binary:
        assert unpacked(response)["accept"].tolist() == [True]
        return
    answer = response.json()
    (accept,) = (each for each in answer["outputs"] if each["name"] == "accept")
    assert (accept["datatype"], accept["data"]) == ("BOOL", [True])
    assert answer["parameters"]["acceptance_risk"] == "rmse"
    assert answer["parameters"]["acceptance_bound"] <= 1e6


async def test_tensors_are_silent_where_no_error_is_named(client: httpx.AsyncClient) -> None:
    path = "/v2/models/regression/infer"
    answer = (await client.post(path, json=house_request())).json()
    assert "accept" not in {each["name"] for each in answer["outputs"]}
    asked = await client.post(path, json=house_request(outputs=[{"name": "accept"}]))
    assert asked.status_code == 400
    assert "needs the parameter largest_error" in asked.json()["error"]
    listed = (await client.get("/v2/models/regression")).json()["outputs"]
    assert "accept" not in {each["name"] for each in listed}  # or clients would ask for it
