"""The command `export`: write a model in the formats of others."""

import argparse
from pathlib import Path
from typing import Any

from model import Predictor, export_mlflow, export_onnx, export_torch, load
from model.artifact import FeatureRecord
from model.commands.command import add_command
from model.commands.output import write_file
from model.messages import listed

_EXAMPLES = """examples:
  python -m model export houses --onnx houses.onnx
  python -m model export houses --torch houses.pt
  python -m model export houses --mlflow houses-mlflow
"""


def add_export(commands: Any) -> None:
    """`export` with its options."""
    summary = "write a model as ONNX with masks as inputs, as plain torch layers, or for MLflow"
    parser = add_command(commands, "export", _export, summary, _EXAMPLES)
    add = parser.add_argument
    add("folder", metavar="DIR", type=Path)
    add("--onnx", type=Path, metavar="FILE", help="an ONNX file, see docs/exporting.md")
    add("--torch", type=Path, metavar="FILE", help="a file of torch.save: an nn.Sequential")
    add("--mlflow", type=Path, metavar="DIR", help="a folder of MLflow: a python_function model")


def _export(arguments: argparse.Namespace) -> str:
    given = {export_onnx: arguments.onnx, export_torch: arguments.torch}
    files = {made_by: file for made_by, file in given.items() if file}
    if not files and not arguments.mlflow:
        arguments.parser.error("one of --onnx FILE, --torch FILE and --mlflow DIR is needed")
    predictor = load(arguments.folder)
    contents = {file: made_by(predictor) for made_by, file in files.items()}
    for file, content in contents.items():  # once no form is refused
        write_file(file, content)
    if arguments.mlflow:
        export_mlflow(predictor, arguments.mlflow)
    saved = [path for path in (*files.values(), arguments.mlflow) if path]
    said = [_inputs(predictor)] if files else []
    return "\n".join([*said, *(f"saved to {path}" for path in saved)])


def _inputs(predictor: Predictor) -> str:
    """What the columns of the network's input are."""
    lines, start = ["columns of the input:"], 0
    for feature, width in zip(predictor.card.features, predictor.columns, strict=True):
        places = f"{start}" if width == 1 else f"{start} to {start + width - 1}"
        lines.append(f"  {places}: {_column(feature, width)}")
        start += width
    return "\n".join(lines)


def _column(feature: FeatureRecord, width: int) -> str:
    """The columns of one feature, in words."""
    if feature.kind == "categorical":
        names = listed(feature.categories)
        return f"{feature.name}, 1 for the row's category and 0 for the others: {names}"
    code = f", then the {width - 1} columns of its code" if width > 1 else ""
    return f"({feature.name} - {feature.mean:.9g}) / {feature.scale:.9g}{code}"
