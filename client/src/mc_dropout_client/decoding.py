"""Frozen dataclasses from JSON: fields that a newer server has in addition are left out."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from mc_dropout_client.errors import UnexpectedAnswer

T = TypeVar("T")
Decode = Callable[[Any], Any]


def decoded(kind: type[T], value: Any) -> T:
    """The value as an instance of the dataclass; raises UnexpectedAnswer if it does not fit."""
    try:
        of: Any = kind
        made: T = _of_dataclass(of)(value)
    except (KeyError, TypeError, AttributeError) as error:
        raise UnexpectedAnswer(
            f"the answer is no {kind.__name__}: {type(error).__name__} {error}", code="unexpected"
        ) from None
    return made


@cache
def _of_dataclass(kind: type[Any]) -> Decode:
    hints = get_type_hints(kind)
    made = [(f.name, _of(hints[f.name]), f.default is MISSING) for f in fields(kind)]

    def decode(value: Any) -> Any:
        found: dict[str, Any] = {}
        for name, of, required in made:
            if required or name in value:
                cell = value[name]
                found[name] = cell if of is None or cell is None else of(cell)
        return kind(**found)

    return decode


def _of(hint: Any) -> Decode | None:
    """How to decode a value of that type; None: as it is."""
    if get_origin(hint) in (Union, UnionType):
        (inner,) = {_of(each) for each in get_args(hint) if each is not NoneType}
        return inner
    if is_dataclass(hint):
        return _of_dataclass(hint)  # type: ignore[arg-type]
    if get_origin(hint) is tuple:
        return _of_tuple(_of(get_args(hint)[0]))
    if get_origin(hint) is Mapping:
        return dict
    return None


def _of_tuple(of: Decode | None) -> Decode:
    if of is None:
        return tuple
    return lambda value: tuple(map(of, value))
