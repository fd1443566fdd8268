"""From encoded rows to moments over stochastic passes: network, masks, estimators."""

from model.passes.chunks import chunk_passes, run
from model.passes.estimate import COVARIANCE_CLASSES, Estimate, Passes, entropy, pooled, wide
from model.passes.masks import draw_noise, draw_uniforms
from model.passes.network import (
    MLP,
    USUAL_RATE,
    USUAL_WIDTHS,
    ActivationName,
    MLPConfig,
    Noise,
    Norm,
    NormKind,
)
from model.passes.reduced import Reduction
from model.passes.samplers import Batch, PlainSampler, ReducedSampler, Sampler
from model.passes.stopping import Widen, sample, sample_until

__all__ = [
    "COVARIANCE_CLASSES",
    "MLP",
    "USUAL_RATE",
    "USUAL_WIDTHS",
    "ActivationName",
    "Batch",
    "Estimate",
    "MLPConfig",
    "Noise",
    "Norm",
    "NormKind",
    "Passes",
    "PlainSampler",
    "ReducedSampler",
    "Reduction",
    "Sampler",
    "Widen",
    "chunk_passes",
    "draw_noise",
    "draw_uniforms",
    "entropy",
    "pooled",
    "run",
    "sample",
    "sample_until",
    "wide",
]
