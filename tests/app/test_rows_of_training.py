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
from model import (
    InputError,
    PredictOptions,
    ReadOptions,
    TrainOptions,
    load,
    read_table,
    train,
)
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
    options = TrainOptions(members=1, number_encoding="raw", hidden=(4,), epochs=1)
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


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, str]]]:
    """A model of a file with decimal commas, signs, units and its own missing values; its rows."""
    folder, chance = tmp_path_factory.mktemp("exported"), random.Random(5)
    rows = []
    for at in range(120):
        price = f"{chance.uniform(900, 9000):,.2f}".translate(str.maketrans(",.", ".,"))
        row = {"rate": f"{chance.uniform(0, 9):.1f}".replace(".", ",") + "%", "price": f"€ {price}"}
        row |= {"weight": f"{chance.randint(1, 90)} kg", "age": str(chance.randint(1, 99))}
        row |= {"town": chance.choice(["Bonn", "Ulm"])}
        gap = {"rate": "-", "price": "", "weight": "n/a", "age": "-999", "town": "unknown"}
        name = [*gap, None][at % 6]
        rows.append({**row, name: gap[name]} if name else row)
    lines = [";".join([*rows[0], "y"])]
    lines += [";".join([*row.values(), str(chance.randint(1, 500))]) for row in rows]
    (folder / "t.csv").write_text("\n".join(lines))
    reading = ReadOptions(
        decimal=",", thousands=".", units=("kg",), missing_values=("-999", "unknown")
    )
    table = read_table(folder / "t.csv", options=reading)
    options = TrainOptions(members=1, number_encoding="raw", hidden=(4,), epochs=1)
    card = train(table, "y", folder / "m", missing="impute", options=options)
    kinds = [feature.kind for feature in card.features]
    assert kinds == ["numeric"] * 4 + ["categorical"]
    np.save(folder / "x.npy", encode_table(table, card.schema_of_rows))
    return folder, rows


def test_rows_are_read_as_the_file_wrote_them(exported: tuple[Path, list[dict[str, str]]]) -> None:
    folder, rows = exported
    predictor = load(folder / "m")
    expected = np.load(folder / "x.npy")
    assert np.array_equal(predictor.encode(rows), expected)
    plain: list[dict[str, Any]] = [{**row, "age": int(row["age"])} for row in rows]
    assert np.array_equal(predictor.encode(plain), expected)
    assert np.array_equal(predictor.encode([list(row.values()) for row in plain]), expected)


async def test_rows_as_the_file_wrote_them_are_answered_over_both_protocols(
    exported: tuple[Path, list[dict[str, str]]],
) -> None:
    folder, rows = exported
    predictor = load(folder / "m")
    own = predictor.predict(rows, PredictOptions(seed=1, passes=10))
    means = [row.mean for row in own.rows]
    async with asking(Settings(models=(folder / "m",))) as client:
        answer = await client.post("/predict", json={"rows": rows, "seed": 1, "passes": 10})
        assert [each["mean"] for each in answer.json()["predictions"]] == pytest.approx(means)
        inputs = [
            {"name": name, "shape": [len(rows)], "datatype": "BYTES"}
            | {"data": [row[name] for row in rows]}
            for name in rows[0]
        ]
        body = {"inputs": inputs, "parameters": {"seed": 1, "passes": 10}}
        answer = await client.post("/v2/models/m/infer", json=body)
        outputs = {each["name"]: each["data"] for each in answer.json()["outputs"]}
        assert outputs["mean"] == pytest.approx(means)
        (card,) = [(await client.get("/models/m")).json()]
        assert card["features"][0]["reading"]["sign"] == "%"


@pytest.mark.parametrize(
    ("name", "cell"), [("rate", "4,3 €"), ("age", "1.5"), ("age", "4%"), ("weight", "12 lb")]
)
def test_a_number_in_another_form_than_the_file_has_is_refused(
    exported: tuple[Path, list[dict[str, str]]], name: str, cell: str
) -> None:
    folder, rows = exported
    with pytest.raises(InputError, match=f"feature '{name}' is '{cell}', which is not a number"):
        load(folder / "m").encode([{**rows[5], name: cell}])


def test_a_mark_of_a_missing_value_is_no_number_for_a_model_that_fills_nothing_in(
    tmp_path: Path,
) -> None:
    lines = ["a,b,y", *(f"{at % 7},{at % 5 if at else -999},{at}" for at in range(60))]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    table = read_table(tmp_path / "t.csv", options=ReadOptions(missing_values=("-999",)))
    options = TrainOptions(members=1, number_encoding="raw", hidden=(4,), epochs=1)
    train(table, "y", tmp_path / "m", missing="drop", options=options)
    predictor = load(tmp_path / "m")
    for row in ([1, -999], np.array([1.0, -999.0]), {"a": 1, "b": -999.0}, ["1", "-999"]):
        with pytest.raises(InputError, match="stands for a missing value; the model needs a"):
            predictor.encode([row])  # type: ignore[list-item]
