"""A model as an ONNX file whose masks are inputs, so that any runtime can do the passes.

Inputs, for P passes and B rows:

    x           [B, inputs]   float32  encoded rows; the metadata says how, with an example
    mask_l      [P, units]    float32  of each dropout site l that drops: site 0 is the input, site
                                       l follows hidden layer l
    input_noise [P, inputs]   float32  if the model has Gaussian input noise
    member      [P]           int64    if there are several members: the one that each pass asks

*The law of the masks.* The entries of a mask are independent: 0 with probability p, and 1 / (1 - p)
otherwise, with p the site's rate in the metadata. A mask of ones turns dropout off. Entries of
`input_noise` are normal with mean 0 and the std in the metadata. Pass k asks member k mod M.

Outputs: `outputs` [P, B, O], those of the network, and what one pass says of a row, in the units
of the target:

    targets         [P, B, T]  float64  a regression's; the mean given the pass
    noise_variances [P, B, T]  float64  if the noise is known
    probabilities   [P, B, K]  float64  a classifier's, with its temperature

Their mean over the passes is the prediction's `mean`, and their variance its `variance`.

Shapes: P passes, B rows, O network outputs, T targets, K classes.
"""

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from model.artifact import Card
from model.calibration import CLAIMS
from model.exporting.graph import OPSET, Graph
from model.passes import Ensemble, MLPConfig
from model.predictor import Predictor
from model.tasks import MOST_NOISE

_DOC = "MC dropout with masks as inputs; the metadata says what they and x are"
_MASKS = "independent entries: 0 with probability p, 1 / (1 - p) otherwise; ones turn dropout off"


def export_onnx(predictor: Predictor) -> bytes:
    """The model as an ONNX file, opset 17, whose masks are inputs; see docs/exporting.md.

    Its regions and calibration stay behind. Raises ModelError without the package onnx.
    """
    card, networks, graph = predictor.card, predictor.networks, Graph()
    config = networks.config
    outputs = _Passes(graph, networks).outputs()
    graph.output("outputs", outputs, np.float32, ("passes", "rows", config.outputs))
    wide = graph.add("Cast", outputs, to=11)  # float64
    if card.target.classes:
        _add_probabilities(graph, card, wide)
    else:
        _add_targets(graph, card, wide)
    return graph.file(card.name, _metadata(predictor, config), _DOC)


class _Passes:
    """The network, layer by layer; the pass axis appears with the first noise or member."""

    def __init__(self, graph: Graph, networks: Ensemble) -> None:
        self._graph, self._members, self._config = graph, list(networks), networks.config
        self._x = graph.input("x", np.float32, ("rows", self._config.inputs))
        several = len(self._members) > 1
        self._member = graph.input("member", np.int64, ("passes",)) if several else None

    def outputs(self) -> str:
        """The outputs [P, B, O]."""
        h = self._with_input_noise(self._x)
        depth = len(self._config.hidden)
        for site in range(depth + 1):
            h = self._activation(site, h) if site else h
            h = self._linear(site, self._masked(site, h))
        noisy = self._config.stochastic or self._member
        return h if noisy else self._graph.unsqueezed(h, 0)

    def _with_input_noise(self, x: str) -> str:
        if not self._config.input_noise:
            return x
        noise = self._graph.input("input_noise", np.float32, ("passes", self._config.inputs))
        return self._graph.add("Add", x, self._graph.unsqueezed(noise, 1))

    def _masked(self, site: int, h: str) -> str:
        if not self._config.drop_levels[site]:
            return h
        width = self._config.site_widths[site]
        mask = self._graph.input(f"mask_{site}", np.float32, ("passes", width))
        return self._graph.add("Mul", h, self._graph.unsqueezed(mask, 1))

    def _linear(self, site: int, h: str) -> str:
        layers = [member.linears()[site] for member in self._members]
        weight = self._parameter(f"layers.{site}.weight", [layer.weight.T for layer in layers])
        bias = self._of_units(f"layers.{site}.bias", [layer.bias for layer in layers])
        return self._graph.add("Add", self._graph.add("MatMul", h, weight), bias)

    def _activation(self, site: int, h: str) -> str:
        before, after = zip(*(member.around(site) for member in self._members), strict=True)
        h = self._normed(f"before.{site - 1}", before, h)
        return self._normed(f"after.{site - 1}", after, self._activated(h))

    def _activated(self, h: str) -> str:
        add, number = self._graph.add, self._graph.number
        match self._config.activation:
            case "relu":
                return add("Relu", h)
            case "gelu":
                error = add("Erf", add("Mul", h, number(math.sqrt(0.5))))
                return add("Mul", add("Mul", h, number(0.5)), add("Add", error, number(1)))
            case "silu":
                return add("Mul", h, add("Sigmoid", h))
            case "tanh":
                return add("Tanh", h)
            case "elu":
                return add("Elu", h)
            case "leaky_relu":
                return add("LeakyRelu", h, alpha=0.01)

    def _normed(self, name: str, norms: Sequence[nn.Module | None], h: str) -> str:
        first = norms[0]
        if first is None:
            return h
        if isinstance(first, nn.LayerNorm):
            ones = self._graph.constant(f"{name}.ones", np.ones(first.normalized_shape, np.float32))
            h = self._graph.add("LayerNormalization", h, ones, epsilon=first.eps)
        scaled = self._graph.add("Mul", h, self._of_units(f"{name}.weight", _each(norms, "weight")))
        return self._graph.add("Add", scaled, self._of_units(f"{name}.bias", _each(norms, "bias")))

    def _parameter(self, name: str, tensors: Sequence[Tensor]) -> str:
        """The parameter, or [P, ...] of each pass's member."""
        arrays = [tensor.detach().cpu().numpy() for tensor in tensors]
        if self._member is None:
            return self._graph.constant(name, arrays[0])
        stacked = self._graph.constant(name, np.stack(arrays))
        return self._graph.add("Gather", stacked, self._member, axis=0)

    def _of_units(self, name: str, tensors: Sequence[Tensor]) -> str:
        """A parameter with a number for each unit, [H] or [P, 1, H]."""
        found = self._parameter(name, tensors)
        return found if self._member is None else self._graph.unsqueezed(found, 1)


def _each(modules: Sequence[Any], name: str) -> list[Tensor]:
    return [getattr(module, name) for module in modules]


def _add_probabilities(graph: Graph, card: Card, logits: str) -> None:
    divided = graph.add("Div", logits, graph.number(card.tuning.temperature, "float64"))
    shape = ("passes", "rows", len(card.target.classes))
    graph.output("probabilities", graph.add("Softmax", divided, axis=-1), np.float64, shape)


def _add_targets(graph: Graph, card: Card, outputs: str) -> None:
    """The targets in their units, and their noise variances; see `model.tasks.log_normal`."""
    target, count = card.target_of_rows, len(card.target.names)
    shape = ("passes", "rows", count)
    scale = graph.constant("target.scale", np.array(target.scales))
    mean = graph.constant("target.mean", np.array(target.means))
    noise = _noise(graph, card, outputs, scale)  # of the logarithm, for those learned by it
    passes = graph.add("Add", graph.add("Mul", _part(graph, outputs, 0, count), scale), mean)
    if target.logs:
        passes, noise = _log_normal(graph, target.by_log, passes, noise)
    graph.output("targets", passes, np.float64, shape)
    if card.tuning.noise_scales:
        graph.output("noise_variances", noise, np.float64, shape)


def _noise(graph: Graph, card: Card, outputs: str, scale: str) -> str:
    """The noise variances [P, B, T] in squared units of the scale."""
    count = len(card.target.names)
    scales = np.array(card.tuning.noise_scales or [0.0] * count)
    if card.tuning.noise == "heteroscedastic":
        least, most = (graph.number(limit, "float64") for limit in CLAIMS)
        known = scales > 0
        log = graph.constant("noise.log_scale", np.log(np.where(known, scales, 1.0)))
        claimed = graph.add("Add", _part(graph, outputs, count, count), log)
        claims = graph.add("Exp", graph.add("Clip", claimed, least, most))
        noise = graph.add("Mul", claims, graph.constant("noise.known", known.astype(np.float64)))
    else:
        means = _part(graph, outputs, 0, count)
        claims = graph.add("Exp", graph.add("Mul", means, graph.number(0, "float64")))
        noise = graph.add("Mul", claims, graph.constant("noise.scale", scales))
    if card.target.logs:
        logs = card.target_of_rows.by_log
        limit = graph.constant("noise.most", np.where(logs, MOST_NOISE, np.inf))
        noise = graph.add("Min", noise, limit)
    return graph.add("Mul", noise, graph.add("Mul", scale, scale))


def _log_normal(graph: Graph, logs: np.ndarray, passes: str, noise: str) -> tuple[str, str]:
    """Mean and variance of targets whose logarithms have these means and noise variances."""
    add, number = graph.add, graph.number
    by_log = graph.constant("target.by_log", logs)
    half = add("Mul", noise, number(0.5, "float64"))
    mean = add("Exp", add("Add", passes, half))
    grown = add("Sub", add("Exp", noise), number(1, "float64"))
    variance = add("Mul", grown, add("Mul", mean, mean))
    return add("Where", by_log, mean, passes), add("Where", by_log, variance, noise)


def _part(graph: Graph, values: str, start: int, count: int) -> str:
    """Some of the last axis."""
    indices = graph.constant(f"part:{start}:{count}", np.arange(start, start + count))
    return graph.add("Gather", values, indices, axis=-1)


def _metadata(predictor: Predictor, config: MLPConfig) -> dict[str, str]:
    """What a reader of the file needs to make its inputs, as JSON by name."""
    card, row = predictor.card, predictor.example()
    parts = {
        "name": card.name,
        "version": card.version,
        "task": card.task,
        "features": _features(predictor),
        "target": card.target.model_dump(mode="json"),
        "masks": _MASKS,
        "rates": {f"mask_{site}": rate for site, rate in enumerate(_rates(config)) if rate},
        "members": len(predictor.networks),
        "input_noise_std": config.input_noise,
        "temperature": card.tuning.temperature,
        "variance_factors": card.tuning.variance_factors,
        "member_factors": card.tuning.member_factors,
        "example": {"row": row, "x": predictor.encode([row])[0].tolist()},
        "opset": OPSET,
    }
    return {key: json.dumps(value) for key, value in parts.items()}


def _rates(config: MLPConfig) -> list[float]:
    """The exact rate of each site, whose masks are drawn with 16 bits."""
    return [spread / (1 + spread) for spread in config.spreads]


def _features(predictor: Predictor) -> list[dict[str, Any]]:
    """The card's features, each with the columns of x that it becomes."""
    found, start = [], 0
    for feature, width in zip(predictor.card.features, predictor.columns, strict=True):
        entry = feature.model_dump(mode="json", exclude_defaults=True)
        columns = list(range(start, start + width))
        found.append({"kind": feature.kind, **entry, "columns": columns})
        start += width
    return found
