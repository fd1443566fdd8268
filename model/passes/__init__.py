"""Compute moments over stochastic passes of encoded rows: network, masks, estimators."""

from model.passes.chunks import chunk_passes, keep_freed_memory, pieces, return_freed_memory, run
from model.passes.ensemble import (
    MOST_MEMBERS,
    Ensemble,
    EnsembleSampler,
    averaged,
    pooled_members,
    pooled_numbers,
)
from model.passes.estimate import COVARIANCE_CLASSES, Estimate, Passes, entropy, pooled, wide
from model.passes.fused import Kernel, distances_of, kernel_name, kernel_of
from model.passes.masks import draw_noise, draw_uniforms
from model.passes.mixtures import Source, mixed, sources
from model.passes.network import (
    ACTIVATIONS,
    MLP,
    MODULES,
    ActivationName,
    MLPConfig,
    Noise,
    Norm,
    NormKind,
)
from model.passes.reduced import Reduction
from model.passes.samplers import (
    Batch,
    PlainSampler,
    Recorder,
    ReducedSampler,
    Sampler,
    in_order,
)
from model.passes.stopping import sample, sample_until

__all__ = [
    "ACTIVATIONS",
    "COVARIANCE_CLASSES",
    "MLP",
    "MODULES",
    "MOST_MEMBERS",
    "ActivationName",
    "Batch",
    "Ensemble",
    "EnsembleSampler",
    "Estimate",
    "Kernel",
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
    "averaged",
    "chunk_passes",
    "distances_of",
    "draw_noise",
    "draw_uniforms",
    "entropy",
    "in_order",
    "keep_freed_memory",
    "kernel_name",
    "kernel_of",
    "mixed",
    "pieces",
    "pooled",
    "pooled_members",
    "pooled_numbers",
    "return_freed_memory",
    "run",
    "sample",
    "sample_until",
    "sources",
    "wide",
]
