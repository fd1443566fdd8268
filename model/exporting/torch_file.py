"""A model as a file of torch: an `nn.Sequential` of torch's own layers."""

import io

import torch
from torch import nn

from model.errors import InputError
from model.predictor import Predictor


def export_torch(predictor: Predictor) -> bytes:
    """The network as `torch.save` writes an `nn.Sequential`, in evaluation mode.

    Several members are an `nn.ModuleList` of them. Inputs are those of `encode`, outputs those of
    `module`. Raises InputError for a model with Gaussian input noise, which no layer of torch has.
    """
    noise = predictor.networks.config.input_noise
    if noise:
        said = f"the model has Gaussian input noise ({noise:g}), which no layer of torch has"
        raise InputError(f"torch: {said}; export it as ONNX")
    found = [_plain(module) for module in predictor.modules()]
    buffer = io.BytesIO()
    torch.save(found[0] if len(found) == 1 else nn.ModuleList(found).eval(), buffer)
    return buffer.getvalue()


def _plain(module: nn.Sequential) -> nn.Sequential:
    """The module with torch's own layers only: a norm that scales units is a linear layer."""
    layers = (each if _of_torch(each) else _diagonal(each) for each in module)
    return nn.Sequential(*layers).eval().requires_grad_(False)


def _of_torch(layer: nn.Module) -> bool:
    return type(layer).__module__.partition(".")[0] == "torch"


def _diagonal(norm: nn.Module) -> nn.Linear:
    weight, bias = norm.get_parameter("weight"), norm.get_parameter("bias")
    linear = nn.Linear(len(weight), len(weight))
    linear.weight, linear.bias = nn.Parameter(torch.diag(weight)), nn.Parameter(bias.clone())
    return linear
