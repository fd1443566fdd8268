"""The page of a landscape: `landscape.html.j2` with its style, its script and its data inside.

The page asks for no other file. Its content policy allows the one script by its hash. Without
scripts it shows the still picture.
"""

import base64
import hashlib
import json
from dataclasses import astuple
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined, Template

from model.exploration.landscape import Landscape, Plane, at_centre, roughness
from model.exploration.landscape_picture import landscape_svg
from model.exploration.landscape_scale import BANDS, palette, scale_of
from model.exploration.landscape_words import in_words
from model.messages import readable


def landscape_page(landscape: Landscape) -> str:
    """One HTML page with the surfaces, the film of the masks and tables; it needs no network."""
    script, card = f"\n{_file('landscape.js')}", landscape.card
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    masks = landscape.options.masks
    return _template().render(
        card=card,
        css=_file("landscape.css"),
        data=_data(landscape),
        data_sha256=landscape.data_sha256,
        facts=_facts(landscape),
        masks=masks,
        picture=landscape_svg(landscape),
        planes=[_figure(plane, masks) for plane in landscape.planes],
        script=script,
        script_hash=f"sha256-{digest}",
        summary=landscape.summary,
    )


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_file("landscape.html.j2"))


def _file(name: str) -> str:
    return files("model.exploration").joinpath(name).read_text(encoding="utf-8")


def _data(landscape: Landscape) -> str:
    """What the script draws, as JSON that cannot end its element."""
    stored = landscape.record().model_dump(mode="json")["planes"]
    planes = [
        {
            **{name: entry[name] for name in ("name", "x", "surfaces", "dots")},
            "scale": {"low": scale.low, "high": scale.high, "unit": scale.unit},
        }
        for plane, entry in zip(landscape.planes, stored, strict=True)
        for scale in [scale_of(plane.surfaces.values())]
    ]
    document = {"palette": palette().tolist(), "planes": planes}
    return json.dumps(document, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _facts(landscape: Landscape) -> dict[str, str]:
    shape, options = landscape.card.architecture, landscape.options
    rates = ", ".join(f"{rate:g}" for rate in shape.dropout)
    return {
        "loss": f"{landscape.loss}; without the weight decay",
        "rows": f"{landscape.rows} rows of {landscape.data}",
        "network": f"{'-'.join(map(str, shape.hidden))} {shape.activation}, dropout {rates}",
        "planes": f"{options.points} x {options.points} points, seed {options.seed}",
        "version": landscape.card.version,
    }


def _figure(plane: Plane, masks: int) -> dict[str, Any]:
    """A plane as the template shows it."""
    scale = scale_of(plane.surfaces.values())
    whole = np.ptp(plane.surfaces.get("average", plane.surfaces["deterministic"])) or 1.0
    return {
        "name": plane.name,
        "title": plane.title,
        "averaged": "average" in plane.surfaces,
        "labels": plane.labels,
        "ends": [readable(float(plane.axis[end]), 2) for end in (0, -1)],
        "colours": ["#{:02x}{:02x}{:02x}".format(*colour) for colour in palette()[::-1].tolist()],
        "losses": [readable(scale.loss(band / BANDS), 3) for band in range(BANDS, -1, -BANDS // 5)],
        "words": list(in_words(plane, masks)),
        "rows": [
            (
                "dropout off" if name == "deterministic" else name,
                *(readable(value) for value in (at_centre(z), z.min(), z.max())),
                readable(roughness(z) / whole, 3),
            )
            for name, z in plane.surfaces.items()
        ],
        "dots": [
            (number, *(readable(value, 3) for value in astuple(dot)))
            for number, dot in enumerate(plane.dots, 1)
        ],
    }
