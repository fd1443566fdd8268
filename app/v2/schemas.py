"""Schemas of the Open Inference Protocol's routes, as the protocol defines them."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.messages import shown
from app.v2.tensors import refusal

_JSON_TYPES: dict[type, str] = {int: "a whole number", bool: "true or false", str: "a text"}


class _Part(BaseModel):
    """A part of a request. Unknown keys are ignored: the protocol lets clients add keys."""

    model_config = ConfigDict(strict=True)

    parameters: dict[str, Any] | None = Field(default=None, description="Parameters of this part.")

    def parameter(self, name: str, kind: type, where: str = "") -> Any:
        """The parameter, or None; raises InvalidRequest if the parameter has another type."""
        value = (self.parameters or {}).get(name)
        if value is not None and type(value) is not kind:
            place = f"{where}.parameters.{name}".removeprefix(".")
            raise refusal(place, f"must be {_JSON_TYPES[kind]}, not {shown(value)}")
        return value


class InputTensor(_Part):
    """A tensor: `data` has its values, or `parameters.binary_data_size` bytes after the JSON do."""

    name: str = Field(description="`input`, or the name of a feature.")
    shape: list[int] = Field(
        max_length=8, fail_fast=True, description="[rows, features], [rows, 1] or [rows]."
    )
    datatype: str = Field(description="FP64, FP32, an integer type, or BYTES for texts.")
    data: list[Any] | None = Field(default=None, description="Flat in row-major order, or nested.")


class OutputRequest(_Part):
    """An output that the client asks for."""

    name: str = Field(description="One of the outputs in the model's metadata.")


class InferRequest(_Part):
    """Tensors, options in `parameters`, and the outputs to answer: by default all but samples."""

    id: str | None = Field(default=None, description="The answer has the same id.")
    inputs: list[InputTensor] = Field(max_length=4096, fail_fast=True, description="All features.")
    outputs: list[OutputRequest] | None = Field(default=None, max_length=256, fail_fast=True)


class ServerMetadata(BaseModel):
    """The server's name, version, extensions of the protocol, and what computes the passes."""

    name: str
    version: str
    extensions: list[str]
    kernel: str = Field(description="What computes the passes of small networks.")


class ModelReady(BaseModel):
    """The model's next prediction will be computed."""

    name: str
    ready: bool


class Tensor(BaseModel):
    """A tensor in metadata."""

    name: str
    datatype: str
    shape: list[int] = Field(description="The size of each dimension; -1 is variable.")


class ModelMetadata(BaseModel):
    """The versions, inputs and outputs of a model."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[Tensor]
    outputs: list[Tensor]


class OutputTensor(Tensor):
    """An output: `data` has its values in row-major order, or the bytes after the JSON do."""

    parameters: dict[str, Any] | None = None
    data: list[Any] | None = None


class InferResponse(BaseModel):
    """Outputs; `parameters` has the options that reproduce them."""

    model_name: str
    model_version: str
    id: str | None = None
    parameters: dict[str, Any]
    outputs: list[OutputTensor]
