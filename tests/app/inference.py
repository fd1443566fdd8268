"""Requests and answers of the v2 routes, for the tests."""

import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np

import model
from app.errors import ErrorBody
from app.v2.schemas import InferResponse

LIMIT_BYTES = 100_000
NUMBERS = "/v2/models/diabetes/infer"  # 10 features
HOUSE = "/v2/models/regression/infer"
HEADER = "inference-header-content-length"
HOUSES = [[54.0, 2.0, "east"], [300.0, 5.0, "north"], [120.5, 3.0, "south"]]
DTYPES = {"FP64": "<f8", "INT64": "<i8", "BOOL": "?"}


def predictor(name: str, artifacts: dict[str, Path]) -> model.Predictor:
    folders = {folder.name: folder for folder in model.shipped()} | artifacts
    return model.load(folders[name])


def some_rows(card: model.Card) -> list[list[Any]]:
    """Three rows that a model accepts."""
    if card.name not in ("diabetes", "digits"):
        return HOUSES
    names = [feature.name for feature in card.features]
    middle = np.array([feature.mean for feature in card.features if feature.kind == "numeric"])
    rows = middle * np.linspace(0.9, 1.1, 3)[:, None] + np.arange(len(names)) / 7
    return list(rows.tolist())


def by_feature(card: model.Card, rows: list[list[Any]]) -> list[dict[str, Any]]:
    """One tensor per feature."""
    columns = zip(*rows, strict=True)
    return [
        {
            "name": feature.name,
            "shape": [len(rows), 1],
            "datatype": "BYTES" if feature.kind == "categorical" else "FP64",
            "data": list(column),
        }
        for feature, column in zip(card.features, columns, strict=True)
    ]


def matrix(rows: list[list[float]], datatype: str = "FP64") -> dict[str, Any]:
    """The one tensor of all features."""
    shape = [len(rows), len(rows[0])]
    return {"name": "input", "shape": shape, "datatype": datatype, "data": rows}


def packed(tensor: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """A tensor without its data, and the data in binary form."""
    values = np.array(tensor["data"]).ravel()
    if tensor["datatype"] == "BYTES":
        texts = [str(text).encode() for text in values]
        data = b"".join(len(text).to_bytes(4, "little") + text for text in texts)
    else:
        data = values.astype(DTYPES[tensor["datatype"]]).tobytes()
    rest = {key: value for key, value in tensor.items() if key != "data"}
    return rest | {"parameters": {"binary_data_size": len(data)}}, data


async def infer(client: httpx.AsyncClient, name: str, body: dict[str, Any]) -> dict[str, Any]:
    """The JSON answer, checked against the documented schema."""
    response = await client.post(f"/v2/models/{name}/infer", json=body)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    InferResponse.model_validate_json(response.content)
    return dict(response.json())


async def infer_binary(
    client: httpx.AsyncClient, name: str, body: dict[str, Any]
) -> httpx.Response:
    """The answer to the same request with every tensor in binary form."""
    tensors = [packed(tensor) for tensor in body["inputs"]]
    header = json.dumps(body | {"inputs": [tensor for tensor, _ in tensors]}).encode()
    content = header + b"".join(data for _, data in tensors)
    headers = {HEADER: str(len(header))}
    response = await client.post(f"/v2/models/{name}/infer", content=content, headers=headers)
    assert response.status_code == 200, response.text
    return response


def arrays(answer: dict[str, Any]) -> dict[str, np.ndarray]:
    """The outputs of a JSON answer by name."""
    return {
        output["name"]: np.array(output["data"]).reshape(output["shape"])
        for output in answer["outputs"]
    }


def unpacked(response: httpx.Response) -> dict[str, np.ndarray]:
    """The outputs of a binary answer by name."""
    assert response.headers["content-type"] == "application/octet-stream"
    at = int(response.headers[HEADER])
    found = {}
    for output in json.loads(response.content[:at])["outputs"]:
        size = output["parameters"]["binary_data_size"]
        data, at = response.content[at : at + size], at + size
        if output["datatype"] == "BYTES":
            texts, start = [], 0
            while start < len(data):
                end = start + 4 + int.from_bytes(data[start : start + 4], "little")
                texts.append(data[start + 4 : end].decode())
                start = end
            values = np.array(texts)
        else:
            values = np.frombuffer(data, DTYPES[output["datatype"]])
        found[output["name"]] = values.reshape(output["shape"])
    assert at == len(response.content)
    return found


def numbers(value: Any) -> Any:
    """A native value without its keys."""
    if isinstance(value, dict):
        return list(value.values())
    return [numbers(each) for each in value] if isinstance(value, list) else value


def native(prediction: dict[str, Any], name: str) -> Any:
    """What a native prediction says where v2 has the output `name`."""
    if name.startswith("interval_"):
        return numbers(prediction["interval"][name.removeprefix("interval_")])
    return numbers(prediction[name])


def same(outputs: dict[str, np.ndarray], answer: dict[str, Any]) -> bool:
    """Whether the outputs are, to the last bit, what a native answer holds."""
    predictions = answer["predictions"]
    lists = {
        "warnings": [each["warnings"] for each in predictions],
        "label_set": [each.get("label_set", {"labels": None})["labels"] for each in predictions],
    }
    return all(
        list(map(json.loads, values)) == lists[name]
        if name in lists
        else values.tolist() == [native(prediction, name) for prediction in predictions]
        for name, values in outputs.items()
    )


def house_request(**rest: Any) -> dict[str, Any]:
    """A request about one house."""
    shape = {"shape": [1, 1]}
    inputs = [
        {"name": "area", "datatype": "FP64", "data": [54.0], **shape},
        {"name": "rooms", "datatype": "FP64", "data": [2.0], **shape},
        {"name": "quarter", "datatype": "BYTES", "data": ["east"], **shape},
    ]
    return {"inputs": inputs, **rest}


async def refused(
    client: httpx.AsyncClient,
    path: str,
    content: bytes | str,
    headers: dict[str, str] | None = None,
    *,
    status: int = 400,
) -> ErrorBody:
    """The error, in the one shape and with an id."""
    response = await client.post(path, content=content, headers=headers)
    assert response.status_code == status, response.text[:400]
    assert response.headers["x-request-id"]
    return ErrorBody.model_validate_json(response.content)


def house(**columns: Any) -> list[dict[str, Any]]:
    """The inputs of one house, some of them changed or left out (None)."""
    tensors = {
        "area": {"name": "area", "shape": [1], "datatype": "FP64", "data": [54.0]},
        "rooms": {"name": "rooms", "shape": [1], "datatype": "FP64", "data": [2.0]},
        "quarter": {"name": "quarter", "shape": [1], "datatype": "BYTES", "data": ["east"]},
    }
    changed = {name: tensors[name] | (columns.get(name) or {}) for name in tensors}
    return [changed[name] for name in tensors if columns.get(name, {}) is not None]


def request(**rest: Any) -> str:
    return json.dumps({"inputs": house(), **rest})
