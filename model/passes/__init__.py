"""Compute moments over stochastic passes of encoded rows: network, masks, estimators."""

from model.passes.chunks import chunk_passes, keep_freed_memory, pieces, return_freed_memory, run
from model.passes.estimate import COVARIANCE_CLASSES, Estimate, Passes, entropy, pooled, wide
from model.passes.masks import draw_noise, draw_uniforms
from model.passes.mixtures import Source, mixed, sources
from model.passes.network import (
    MLP,
    ActivationName,
    MLPConfig,
    Noise,
    Norm,
    NormKind,
)
from model.passes.reduced import Reduction
from model.passes.samplers import Batch, PlainSampler, Recorder, ReducedSampler, Sampler
from model.passes.stopping import sample, sample_until

__all__ = [
    "COVARIANCE_CLASSES",
    "MLP",
    "ActivationName",
    "Batch",
    "Estimate",
    "MLPConfig",
    "Noise",
    "Norm",
    "NormKind",
    "Passes",
    "PlainSampler",
    "Recorder",
    "ReducedSampler",
    "Reduction",
    "Sampler",
    "Source",
    "chunk_passes",
    "draw_noise",
    "draw_uniforms",
    "entropy",
    "keep_freed_memory",
    "mixed",
    "pieces",
    "pooled",
    "return_freed_memory",
    "run",
    "sample",
    "sample_until",
    "sources",
    "wide",
]
