"""A graph of ONNX while it grows: each step returns the name of its result."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from model.errors import ModelError

OPSET, IR_VERSION = 17, 8  # onnxruntime 1.12 and newer read both


def onnx() -> Any:
    """The package onnx, an extra; raises ModelError with how to install it."""
    try:
        import onnx
        import onnx.helper
        import onnx.numpy_helper
    except ImportError as error:
        hint = 'pip install "mc-dropout-service[onnx]"'
        raise ModelError(f"ONNX files need the package onnx: {hint}") from error
    return onnx


class Graph:
    """Nodes, constants, inputs and outputs of a graph."""

    def __init__(self) -> None:
        self._onnx = onnx()
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []

    def input(self, name: str, kind: type, shape: Sequence[str | int]) -> str:
        """A new input."""
        self._inputs.append(self._described(name, kind, shape))
        return name

    def output(self, name: str, result: str, kind: type, shape: Sequence[str | int]) -> None:
        """Give a result out under that name."""
        self._nodes.append(self._onnx.helper.make_node("Identity", [result], [name]))
        self._outputs.append(self._described(name, kind, shape))

    def constant(self, name: str, values: np.ndarray) -> str:
        """A constant of that name; one that is there already is the same."""
        if name not in self._constants:
            array = np.ascontiguousarray(values)
            self._constants[name] = self._onnx.numpy_helper.from_array(array, name)
        return name

    def number(self, value: float, like: str = "float32") -> str:
        """A constant number."""
        return self.constant(f"{like}:{value:.17g}", np.array(value, like))

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """The result of a new node."""
        name = f"{operator.lower()}:{len(self._nodes)}"
        node = self._onnx.helper.make_node(operator, list(inputs), [name], **attributes)
        self._nodes.append(node)
        return name

    def unsqueezed(self, value: str, axis: int) -> str:
        """The value with an axis more."""
        return self.add("Unsqueeze", value, self.constant(f"axis:{axis}", np.array([axis])))

    def file(self, name: str, metadata: dict[str, str], doc: str) -> bytes:
        """The graph as the bytes of a file, checked."""
        helper = self._onnx.helper
        constants = list(self._constants.values())
        graph = helper.make_graph(self._nodes, name, self._inputs, self._outputs, constants)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="mc-dropout-service",
            doc_string=doc,
        )
        helper.set_model_props(model, metadata)
        self._onnx.checker.check_model(model, full_check=True)
        content: bytes = model.SerializeToString(deterministic=True)
        return content

    def _described(self, name: str, kind: type, shape: Sequence[str | int]) -> Any:
        kinds = self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(kind))
        return self._onnx.helper.make_tensor_value_info(name, kinds, list(shape))
