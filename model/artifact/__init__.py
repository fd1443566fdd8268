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
from model.artifact.folder import Artifact, check_destination, read, save, sealed
from model.artifact.landscape import (
    DotRecord,
    LandscapeRecord,
    ModelRecord,
    PlaneRecord,
    SurfaceRecord,
    read_landscape,
    save_landscape,
)
from model.artifact.pretrained import shipped
from model.artifact.records import (
    BaselineRecord,
    CalibrationRecord,
    ServingRecord,
    TuningRecord,
    calibration_record,
)
from model.artifact.tables import table_of_model

__all__ = [
    "Architecture",
    "Artifact",
    "BaselineRecord",
    "CalibrationRecord",
    "Card",
    "DotRecord",
    "FeatureRecord",
    "ImportRecord",
    "LandscapeRecord",
    "ModelRecord",
    "Name",
    "NormRecord",
    "PlaneRecord",
    "Rate",
    "ServingRecord",
    "SurfaceRecord",
    "TargetRecord",
    "TargetScale",
    "TrainingRecord",
    "TuningRecord",
    "calibration_record",
    "check_destination",
    "checked_name",
    "feature_records",
    "read",
    "read_landscape",
    "save",
    "save_landscape",
    "sealed",
    "shipped",
    "table_of_model",
    "target_record",
]
