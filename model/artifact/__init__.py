"""A model at rest: its card, its weights, the folder of both, and the shipped models."""

from model.artifact.card import (
    Architecture,
    Card,
    Entry,
    ImportRecord,
    Name,
    NormEntry,
    Rate,
    TargetEntry,
    TargetScale,
    TrainingRecord,
    checked_name,
    feature_entries,
    target_entry,
)
from model.artifact.folder import Artifact, check_destination, read, save
from model.artifact.pretrained import shipped
from model.artifact.records import CalibrationEntry, ServingEntry, TuningEntry, calibration_entry

__all__ = [
    "Architecture",
    "Artifact",
    "CalibrationEntry",
    "Card",
    "Entry",
    "ImportRecord",
    "Name",
    "NormEntry",
    "Rate",
    "ServingEntry",
    "TargetEntry",
    "TargetScale",
    "TrainingRecord",
    "TuningEntry",
    "calibration_entry",
    "check_destination",
    "checked_name",
    "feature_entries",
    "read",
    "save",
    "shipped",
    "target_entry",
]
