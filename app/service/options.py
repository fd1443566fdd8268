"""The options of a prediction that a client may choose, defined once for every protocol."""

from functools import lru_cache

from pydantic import BaseModel, ConfigDict, Field

from model import Estimator, LabelSetMethod, MaskScope, PredictOptions

_DEFAULTS = PredictOptions()


class CommonFields(BaseModel):
    """The options of a prediction of any kind; a client leaves out those it does not choose."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    passes: int | None = Field(
        default=_DEFAULTS.passes,
        description="Stochastic forward passes N; with `tolerance`, the most of them. null takes "
        "the model's own number, `serving.passes` of `GET /models/{name}`: 100 for most.",
        json_schema_extra={"minimum": 2},
    )
    seed: int | None = Field(
        default=_DEFAULTS.seed,
        description="The same seed, rows and options give the same numbers, to float32 rounding "
        "(about 1e-7 relative); null draws one.",
        json_schema_extra={"minimum": 0, "exclusiveMaximum": 1 << 63},
    )
    coverage: float = Field(
        default=_DEFAULTS.coverage,
        description="Probability with which the interval or the label set holds the truth.",
        json_schema_extra={"exclusiveMinimum": 0, "exclusiveMaximum": 1},
    )
    estimator: Estimator | None = Field(
        default=_DEFAULTS.estimator,
        description="`plain`: sample mean and variance of the passes. `reduced`: the same "
        "expectations with less Monte-Carlo error. null takes the model's own, "
        "`serving.estimator`: `reduced` for most regressions.",
    )
    tolerance: float | None = Field(
        default=_DEFAULTS.tolerance,
        description="Stop a row once the relative Monte-Carlo standard error of its standard "
        "deviation is at most this, for 95 % of the rows; null runs all passes.",
        json_schema_extra={"exclusiveMinimum": 0},
    )
    label_set: LabelSetMethod = Field(
        default=_DEFAULTS.label_set,
        description="How a classifier's `label_set` is made. `lac`: the smallest sets on average. "
        "`aps`: larger sets, whose coverage differs less between easy and hard rows. `raps`: like "
        "`aps`, with a penalty on unlikely classes that keeps sets small where there are many "
        "classes.",
    )
    largest_error: float | None = Field(
        default=_DEFAULTS.largest_error,
        description="Accept rows as long as their RMSE, in the target's unit, or a classifier's "
        "error rate is certified to be at most this; every prediction then says `accept`. null "
        "accepts and refuses nothing.",
        json_schema_extra={"exclusiveMinimum": 0},
    )

    def options(self) -> PredictOptions:
        """The options for `model`; raises model.InputError for a value out of its domain."""
        return _options(
            passes=self.passes,
            seed=self.seed,
            coverage=self.coverage,
            estimator=self.estimator,
            tolerance=self.tolerance,
            label_set=self.label_set,
            largest_error=self.largest_error,
        )


class OptionFields(CommonFields):
    """The options of a prediction of rows."""

    masks: MaskScope | None = Field(
        default=_DEFAULTS.masks,
        description="`shared`: one thinned network per pass for all rows. `per_row`: fresh masks "
        "for every row. null takes the model's own, `serving.masks`: `shared` for most.",
    )
    samples: bool = Field(default=_DEFAULTS.samples, description="Also return every pass's output.")

    def options(self) -> PredictOptions:
        """The options for `model`; raises model.InputError for a value out of its domain."""
        return _options(
            passes=self.passes,
            seed=self.seed,
            coverage=self.coverage,
            estimator=self.estimator,
            masks=self.masks,
            tolerance=self.tolerance,
            samples=self.samples,
            label_set=self.label_set,
            largest_error=self.largest_error,
        )


_options = lru_cache(256)(PredictOptions)  # most requests choose the options of an earlier one
