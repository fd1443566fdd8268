"""Write answers as JSON: the model's own columns, not objects for each row."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from app.http import BLOCK_NUMBERS
from app.json import to_json
from app.service import Answer

NOTHING: Mapping[str, Any] = MappingProxyType({})


def encode(answer: Answer, extra: Mapping[str, Any] = NOTHING) -> Iterator[bytes]:
    """The answer as JSON, in pieces of a few milliseconds' work each; `extra` are more fields."""
    predictions = answer.predictions
    note = {} if predictions.note is None else {"note": predictions.note}
    promised = predictions.acceptance
    document: dict[str, Any] = {
        "model": {"name": answer.card.name, "version": answer.card.version},
        "task": predictions.task,
        "passes": predictions.passes,
        "stopped": predictions.stopped,
        "seed": predictions.seed,
        "estimator": predictions.estimator,
        **note,
        "masks": predictions.masks,
        **({} if promised is None else {"acceptance": promised}),
        **extra,
    }
    blocks = list(predictions.rows.blocks(BLOCK_NUMBERS))
    if len(blocks) == 1:
        yield to_json({**document, "predictions": blocks[0].records()})
        return
    yield to_json({**document, "predictions": []})[:-2]
    for number, block in enumerate(blocks):
        yield b"," * (number > 0) + to_json(block.records())[1:-1]
    yield b"]}"
