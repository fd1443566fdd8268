"""Write a model in the formats of others: ONNX and plain torch."""

from model.exporting.onnx_file import export_onnx
from model.exporting.torch_file import export_torch

__all__ = [
    "export_onnx",
    "export_torch",
]
