"""A table made ready for training."""

from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np
import torch

from model.calibration import NoiseKind, Tuning
from model.data import Schema, Split, Table, Target, count_classes
from model.tasks import TASKS, Task, TaskName
from model.training.fit import Dataset


@dataclass(frozen=True, slots=True)
class Prepared:
    """A table with its features and its target chosen, encoded and split."""

    table: Table
    task: TaskName
    target: Target
    schema: Schema
    notices: tuple[str, ...]
    split: Split
    split_by: Literal["seed", "given"]
    x: np.ndarray  # [B, D] float32
    y: np.ndarray  # [B, O] float64, or class indices [B] int64
    missing: str = "error"  # what became of missing cells

    def untuned(self, noise: NoiseKind) -> Task[Any]:
        """The task before any rows have tuned or calibrated it."""
        return TASKS[self.task](self.target, Tuning(noise=noise), None)

    @property
    def class_rows(self) -> dict[str, dict[str, int]]:
        """The number of rows by part and class; empty for a regression."""
        if not self.target.classes:
            return {}
        parts = {part.name: getattr(self.split, part.name) for part in fields(Split)}
        return {
            name: count_classes(self.target.classes, self.y[rows]) for name, rows in parts.items()
        }

    def subset(self, index: np.ndarray) -> Dataset:
        """The rows of these numbers, as tensors."""
        y = torch.from_numpy(self.y[index])
        codes = self.schema.code_columns
        return Dataset(
            torch.from_numpy(self.x[index]),
            y if self.target.classes else y.float(),
            torch.from_numpy(codes) if codes.any() else None,
        )

    @property
    def raw(self) -> "Prepared":
        """The same rows without the codes of their numbers."""
        return replace(self, schema=self.schema.without_codes, x=self.schema.plain(self.x))
