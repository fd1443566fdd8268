"""The data sets bundled with scikit-learn, as tables."""

import hashlib
import re
from importlib import import_module
from typing import Any

import numpy as np

from model.data.table import Table
from model.errors import DataError
from model.messages import nearest, shown

TARGETS = {
    "diabetes": "progression",
    "breast-cancer": "diagnosis",
    "digits": "digit",
    "wine": "cultivar",
}


def example(source: str) -> Table:
    """The table "example:<name>"; its target, named in TARGETS, is the last column.

    Raises DataError for another name, or if scikit-learn is not installed.
    """
    name = source.removeprefix("example:")
    if name not in TARGETS:
        asked = f"{shown(name)}{nearest(name, TARGETS)}"
        raise DataError(f"there is no example {asked}; there are {', '.join(TARGETS)}")
    try:
        datasets = import_module("sklearn.datasets")
    except ImportError as error:
        hint = 'pip install "mc-dropout-service[train]"'
        raise DataError(f"{source} needs scikit-learn: {hint}") from error
    load = getattr(datasets, f"load_{name.replace('-', '_')}")
    bunch = load(scaled=False) if name == "diabetes" else load()
    x = np.ascontiguousarray(bunch.data, dtype=np.float64)
    columns = {_clean(title): x[:, at].copy() for at, title in enumerate(bunch.feature_names)}
    columns[TARGETS[name]] = _target(name, bunch)
    content = hashlib.sha256(x.tobytes() + np.asarray(bunch.target, np.float64).tobytes())
    return Table(f"example:{name}", columns, content.hexdigest())


def _target(name: str, bunch: Any) -> np.ndarray:
    """The target: numbers for a regression, class names otherwise."""
    if name == "diabetes":
        return np.asarray(bunch.target, dtype=np.float64)
    labels = [str(label) for label in bunch.target_names]
    return np.array([labels[value] for value in bunch.target], dtype=object)


def _clean(title: str) -> str:
    """The title as a column name: "mean radius" becomes "mean_radius"."""
    return re.sub(r"[^0-9a-z]+", "_", title.lower()).strip("_")
