"""A row of the file that trained a model is a valid request, in both protocols."""

import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.settings import Settings
from model import TrainOptions, read_table, train
from model.data import encode_table
from tests.app.conftest import asking
from tests.app.inference import packed

pytestmark = pytest.mark.anyio

NAMES = ("smoker", "code", "text", "fl\u00e4che, m\u00b2", "x")
MISSING = (None, "", "NA", "n/a", "NULL")


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """Truth values, codes, numbers as texts, gaps of several kinds, and keys that are absent."""
    chance, found = random.Random(2), list[dict[str, Any]]()
    for _ in range(120):
        smoker, code, x = chance.random() < 0.4, chance.choice([1, 2, 3]), chance.gauss(0, 1)
        row = {
            "smoker": smoker,
            "code": code,
            "text": str(round(chance.uniform(0, 9), 2)),
            "fl\u00e4che, m\u00b2": chance.choice([1.5, 2, 4, None]),
            "x": round(x, 3),
        }
        if chance.random() < 0.2:
            row[chance.choice(["smoker", "text", "code"])] = chance.choice(MISSING)
        if chance.random() < 0.2:
            del row[chance.choice(NAMES)]
        found.append(row | {"y": round(x + 2 * smoker + code, 3)})
    return found


@pytest.fixture(scope="module")
def folder(rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rows")
    (folder / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = read_table(folder / "t.jsonl", categorical=["code"])
    options = TrainOptions(hidden=(4,), epochs=1)
    card = train(table, "y", folder / "m", missing="impute", options=options)
    kinds = {feature.name: feature.kind for feature in card.features}
    assert [kinds[name] == "categorical" for name in NAMES] == [True, True, False, False, False]
    x = encode_table(table, card.schema_of_rows)
    np.save(folder / "x.npy", x)
    return folder


@pytest.fixture(scope="module")
async def client(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with asking(Settings(models=(folder / "m",))) as client:
        yield client


@pytest.fixture(scope="module")
async def means(client: httpx.AsyncClient, rows: list[dict[str, Any]]) -> list[float]:
    """The answers to rows without gaps in them: what the file's gaps were filled with."""
    (card,) = [(await client.get("/models/m")).json()]
    fills = {feature["name"]: feature["fill"] for feature in card["features"]}
    sent = [
        {n: fills[n] if row.get(n) in MISSING else row[n] for n in fills}
        for row in (dict(row) for row in rows)
    ]
    answer = await client.post("/predict", json={"rows": sent, "seed": 1, "passes": 10})
    return [each["mean"] for each in answer.json()["predictions"]]


async def test_every_row_of_the_file_is_answered(
    client: httpx.AsyncClient, rows: list[dict[str, Any]], means: list[float]
) -> None:
    sent = [{name: cell for name, cell in row.items() if name != "y"} for row in rows]
    answer = await client.post("/predict", json={"rows": sent, "seed": 1, "passes": 10})
    assert answer.status_code == 200, answer.text
    assert [each["mean"] for each in answer.json()["predictions"]] == means
    for row in sent[:20]:
        alone = await client.post("/predict", json={"rows": [row], "seed": 1})
        assert alone.status_code == 200, alone.text


def test_a_request_is_encoded_as_the_table_was(folder: Path, rows: list[dict[str, Any]]) -> None:
    from model import load

    sent = [{name: cell for name, cell in row.items() if name != "y"} for row in rows]
    assert np.array_equal(load(folder / "m").encode(sent), np.load(folder / "x.npy"))


@pytest.mark.parametrize("binary", [False, True])
async def test_the_same_rows_are_answered_as_tensors(
    client: httpx.AsyncClient, rows: list[dict[str, Any]], means: list[float], binary: bool
) -> None:
    kinds = {"smoker": "BYTES", "code": "BYTES", "text": "FP64", NAMES[3]: "FP64", "x": "FP64"}
    tensors, data = [], b""
    for name, kind in kinds.items():
        column = [None if row.get(name) in MISSING else row[name] for row in rows]
        if kind == "BYTES":
            cells = ["" if c is None else json.dumps(c) for c in column]
        else:
            gap = np.nan if binary else None
            cells = [gap if c is None else float(c) for c in column]
        tensor = {"name": name, "shape": [len(rows)], "datatype": kind, "data": cells}
        if binary:
            tensor, part = packed(tensor)
            data += part
        tensors.append(tensor)
    body = {"inputs": tensors, "parameters": {"seed": 1, "passes": 10}}
    body["outputs"] = [{"name": "mean"}]
    text = json.dumps(body).encode()
    header = {"inference-header-content-length": str(len(text))}
    answer = await client.post("/v2/models/m/infer", content=text + data, headers=header)
    assert answer.status_code == 200, answer.text
    assert answer.json()["outputs"][0]["data"] == means


async def test_truth_values_codes_and_absent_tensors_have_their_own_datatypes(
    client: httpx.AsyncClient,
) -> None:
    typed = [
        {"name": "smoker", "shape": [2], "datatype": "BOOL", "data": [True, None]},
        {"name": "code", "shape": [2], "datatype": "INT8", "data": [1, None]},
    ]
    texts = [
        {"name": "smoker", "shape": [2], "datatype": "BYTES", "data": ["true", ""]},
        {"name": "code", "shape": [2], "datatype": "BYTES", "data": ["1", "NA"]},
        {"name": NAMES[3].replace("\u00e4", "a\u0308"), "shape": [2], "datatype": "FP32"}
        | {"data": [None, None]},
    ]
    answers = []
    for inputs in (typed, texts):
        body = {"inputs": inputs, "parameters": {"seed": 1}, "outputs": [{"name": "mean"}]}
        answer = await client.post("/v2/models/m/infer", json=body)
        assert answer.status_code == 200, answer.text
        answers.append(answer.json()["outputs"][0]["data"])
    assert answers[0] == answers[1]


async def test_a_true_that_no_category_means_is_refused_in_both_protocols(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.post("/predict", json={"rows": [{"code": True}]})
    assert answer.status_code == 422
    assert "feature 'code' has the unknown category true; known: 1, 2, 3" in answer.json()["error"]
    tensor = {"name": "code", "shape": [1], "datatype": "BOOL", "data": [True]}
    answer = await client.post("/v2/models/m/infer", json={"inputs": [tensor]})
    assert "feature 'code' has the unknown category true; known: 1, 2, 3" in answer.json()["error"]
