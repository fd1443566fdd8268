"""A saved model: its card, its weights, the folder of both, and the shipped models."""

from model.artifact.card import (
    Architecture,
    Card,
    FeatureRecord,
    ImportRecord,
    Name,
    NormRecord,
    Rate,
    TargetRecord,
    TargetScale,
    TrainingRecord,
    checked_name,
    feature_records,
    target_record,
)
from model.artifact.folder import Artifact, check_destination, read, save
from model.artifact.pretrained import shipped
from model.artifact.records import (
    CalibrationRecord,
    ServingRecord,
    TuningRecord,
    calibration_record,
)

__all__ = [
    "Architecture",
    "Artifact",
    "CalibrationRecord",
    "Card",
    "FeatureRecord",
    "ImportRecord",
    "Name",
    "NormRecord",
    "Rate",
    "ServingRecord",
    "TargetRecord",
    "TargetScale",
    "TrainingRecord",
    "TuningRecord",
    "calibration_record",
    "check_destination",
    "checked_name",
    "feature_records",
    "read",
    "save",
    "shipped",
    "target_record",
]
