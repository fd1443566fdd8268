"""Write a model in the formats of others: ONNX, plain torch and MLflow."""

from model.exporting.mlflow_model import export_mlflow, log_model
from model.exporting.onnx_file import export_onnx
from model.exporting.torch_file import export_torch

__all__ = [
    "export_mlflow",
    "export_onnx",
    "export_torch",
    "log_model",
]
