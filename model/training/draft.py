"""A model during training, with everything that its card will say."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from importlib.metadata import version

import numpy as np

from model.artifact import (
    Architecture,
    BaselineRecord,
    CalibrationRecord,
    Card,
    ServingRecord,
    TrainingRecord,
    TuningRecord,
    feature_records,
    target_record,
)
from model.data import SeenRows, Split, row_hashes
from model.passes import Ensemble
from model.training.calibrate import with_noise_powers
from model.training.fit import Fit
from model.training.plan import Plan
from model.training.prepared import Prepared


@dataclass(frozen=True, slots=True)
class Draft:
    """What is known of the model so far; `card` is made of this alone.

    `correcting` has the numbers of the calibration rows that corrected the tuning. `searched` and
    `decays` have the mean log density of validation rows under each dropout rate or weight decay
    that was tried; `encodings` and `lengths` the same under each encoding, and each number of
    epochs.
    """

    data: Prepared
    plan: Plan
    name: str
    fitted: Fit
    tuning: TuningRecord
    serving: ServingRecord = field(default_factory=ServingRecord)
    calibration: CalibrationRecord | None = None
    correcting: np.ndarray = field(default_factory=lambda: np.arange(0))
    metrics: Mapping[str, float] = field(default_factory=dict)
    recall: Mapping[str, float] = field(default_factory=dict)
    baselines: Mapping[str, BaselineRecord] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    searched: Mapping[str, float] = field(default_factory=dict)
    decays: Mapping[str, float] = field(default_factory=dict)
    encodings: Mapping[str, float] = field(default_factory=dict)
    lengths: Mapping[str, float] = field(default_factory=dict)

    def noted(self, notice: str) -> "Draft":
        """The draft with one more notice."""
        return replace(self, notices=(*self.notices, notice))

    @property
    def networks(self) -> Ensemble:
        """The networks with the noise powers in their weights, as they predict."""
        return with_noise_powers(self.fitted.networks, self.tuning.noise_powers)

    @property
    def card(self) -> Card:
        """The card of what is known so far."""
        data, config = self.data, self.fitted.networks.config
        return Card(
            name=self.name,
            task=data.task,
            features=feature_records(data.schema),
            target=target_record(data.target),
            architecture=Architecture(
                hidden=config.hidden,
                activation=config.activation,
                dropout=config.dropout,
                input_noise=config.input_noise,
                members=len(self.fitted.networks),
            ),
            weights_sha256="",
            tuning=self.tuning,
            serving=self.serving,
            calibration=self.calibration,
            training=self._record(),
            metrics=dict(self.metrics),
            recall=dict(self.recall),
            baselines=dict(self.baselines),
        )

    @property
    def seen(self) -> SeenRows:
        """The hashes of the rows that the model has learned from so far."""
        data = self.data
        hashes = row_hashes(data.table, data.schema, data.target)
        fitted = np.concatenate([data.split.seen(refit=True), self.correcting])
        calibrated = np.setdiff1d(data.split.calibration, self.correcting)
        return SeenRows.of(hashes[fitted], hashes[calibrated])

    def _record(self) -> TrainingRecord:
        data, fitted = self.data, self.fitted
        return TrainingRecord(
            data=data.table.name,
            data_sha256=data.table.sha256,
            seed=self.plan.seed,
            settings=self._settings(),
            rows={part.name: len(getattr(data.split, part.name)) for part in fields(Split)},
            class_rows=data.class_rows,
            split=data.split_by,
            epochs=fitted.epochs,
            best_epoch=fitted.best_epoch,
            refitted=fitted.refitted,
            searched=dict(self.searched),
            decays=dict(self.decays),
            encodings=dict(self.encodings),
            lengths=dict(self.lengths),
            notices=(*data.notices, *self.notices),
            versions={package: version(package) for package in ("torch", "numpy")},
        )

    def _settings(self) -> dict[str, bool | int | float | str]:
        """The settings that neither the architecture nor the seed contains."""
        plan = self.plan
        patience = {"patience": plan.patience} if plan.patience else {}
        found = {} if plan.find_dropout == "given" else {"dropout": plan.find_dropout}
        return {
            "number_encoding": plan.encoding,
            "epochs": plan.epochs,
            **patience,
            "weight_decay": plan.weight_decays[0],
            "batch": plan.batch,
            "learning_rate": plan.learning_rate,
            "refit": plan.refit,
            **found,
            **({} if self.data.missing == "error" else {"missing": self.data.missing}),
            **self.data.table.reading.settings,
        }
