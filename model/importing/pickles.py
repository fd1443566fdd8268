"""Read a pickle as a description of the objects that it would make, without making them.

The opcodes are interpreted here. No class or function that a pickle names is imported or called: a
name stays a `Name`, a call becomes a `Made`. So no pickle can run anything, or take more memory
than its length allows.
"""

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

MOST_STEPS = 1_000_000  # opcodes of one pickle

_DICTS = ("collections.OrderedDict", "collections.defaultdict", "builtins.dict")
_MARK: Any = object()


@dataclass(frozen=True, slots=True)
class Name:
    """The name of a class or a function."""

    full: str


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """What the maker would return for these arguments: an object, as the pickle describes it."""

    maker: object
    arguments: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Outside:
    """An object that is stored outside of the pickle, under this id."""

    id: object


def described(stream: BinaryIO) -> Any:
    """The object of the next pickle in the stream: dicts, lists and constants are themselves.

    Raises ValueError for a pickle that is malformed, or longer than MOST_STEPS.
    """
    machine = _Machine()
    for number, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
        if number == MOST_STEPS:
            raise ValueError("the pickle is too long")
        if opcode.name == "STOP":
            return machine.pop()
        machine.step(opcode.name, argument)
    raise ValueError("the pickle has no end")


class _Machine:
    """The stack and the memo while a pickle is read."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[object, Any] = {}

    def pop(self) -> Any:
        """The last object; raises ValueError if there is none."""
        if not self._stack or self._stack[-1] is _MARK:
            raise ValueError("the pickle takes more than it has")
        return self._stack.pop()

    def step(self, name: str, argument: Any) -> None:
        """Interpret one opcode."""
        if name in _STEPS:
            _STEPS[name](self, argument)
        elif name in _CONSTANTS:
            self.push(argument)
        else:
            raise ValueError(f"the pickle has {name}, which no checkpoint needs")

    def push(self, value: Any) -> None:
        """Put an object on the stack."""
        self._stack.append(value)

    def marked(self) -> list[Any]:
        """The objects since the last mark, which are removed with it."""
        values: list[Any] = []
        while self._stack and self._stack[-1] is not _MARK:
            values.append(self._stack.pop())
        if not self._stack:
            raise ValueError("the pickle has no mark")
        self._stack.pop()
        return values[::-1]

    def tuple_of(self, count: int) -> None:
        """Make the last objects a tuple."""
        self.push(tuple([self.pop() for _ in range(count)][::-1]))

    def extend(self, values: list[Any]) -> None:
        """Append to the list on the stack; an object that is no list here ignores its items."""
        if not self._stack:
            raise ValueError("the pickle appends to nothing")
        if isinstance(self._stack[-1], list):
            self._stack[-1].extend(values)

    def update(self, values: list[Any]) -> None:
        """Set items of the dict on the stack: key, value, key, value, ..."""
        if not self._stack or len(values) % 2:
            raise ValueError("the pickle sets items of nothing")
        if isinstance(self._stack[-1], dict):
            self._stack[-1].update(_items(values))

    def make(self, maker: object, arguments: Any) -> None:
        """Describe the result of a call."""
        if not isinstance(arguments, tuple):
            raise ValueError("the pickle calls without arguments")
        is_dict = isinstance(maker, Name) and maker.full in _DICTS
        self.push({} if is_dict else Made(maker, arguments))

    def reduce(self) -> None:
        """Describe a call of the object below the arguments."""
        arguments = self.pop()
        self.make(self.pop(), arguments)

    def reduce_named(self) -> None:
        """Describe a call whose named arguments come last."""
        self.pop()
        self.reduce()

    def named(self) -> None:
        """Make the last two texts a name."""
        name, module = self.pop(), self.pop()
        self.push(Name(f"{module:.200}.{name:.200}"))

    def make_of_marked(self) -> None:
        """Describe a call of the first object since the mark."""
        maker, *arguments = self.marked() or [None]
        self.make(maker, tuple(arguments))

    def instance(self, name: str) -> None:
        """Describe a call of the named class."""
        self.make(Name(_dotted(name)), tuple(self.marked()))

    def remember(self, key: object) -> None:
        """Put the last object into the memo."""
        if not self._stack:
            raise ValueError("the pickle remembers nothing")
        self._memo[key] = self._stack[-1]

    def recall(self, key: object) -> None:
        """Get an object from the memo."""
        if key not in self._memo:
            raise ValueError("the pickle recalls what it did not remember")
        self.push(self._memo[key])

    def memoize(self) -> None:
        """Put the last object into the memo, under the next number."""
        self.remember(len(self._memo))


def _dotted(name: str) -> str:
    """The name of a class as pickletools reads it, with a dot for its space."""
    return f"{name:.400}".replace(" ", ".")


def _items(values: list[Any]) -> dict[Any, Any]:
    """A dict of key, value, key, value, ...; a key of any other type than these is unique."""
    plain = (str, bytes, int, float, type(None), Name)
    keys = [key if isinstance(key, plain) else Made(key) for key in values[::2]]
    return dict(zip(keys, values[1::2], strict=True))


_CONSTANTS = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE",
    "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
}  # fmt: skip
_STEPS: dict[str, Callable[[_Machine, Any], object]] = {
    "PROTO": lambda _, __: None,
    "FRAME": lambda _, __: None,
    "MARK": lambda m, _: m.push(_MARK),
    "POP": lambda m, _: m.pop(),
    "POP_MARK": lambda m, _: m.marked(),
    "NONE": lambda m, _: m.push(None),
    "NEWTRUE": lambda m, _: m.push(True),
    "NEWFALSE": lambda m, _: m.push(False),
    "EMPTY_LIST": lambda m, _: m.push([]),
    "EMPTY_TUPLE": lambda m, _: m.push(()),
    "EMPTY_DICT": lambda m, _: m.push({}),
    "EMPTY_SET": lambda m, _: m.push([]),
    "LIST": lambda m, _: m.push(m.marked()),
    "FROZENSET": lambda m, _: m.push(m.marked()),
    "TUPLE": lambda m, _: m.push(tuple(m.marked())),
    "TUPLE1": lambda m, _: m.tuple_of(1),
    "TUPLE2": lambda m, _: m.tuple_of(2),
    "TUPLE3": lambda m, _: m.tuple_of(3),
    "DICT": lambda m, _: m.push(_items(m.marked())),
    "APPEND": lambda m, _: m.extend([m.pop()]),
    "APPENDS": lambda m, _: m.extend(m.marked()),
    "ADDITEMS": lambda m, _: m.extend(m.marked()),
    "SETITEM": lambda m, _: m.update([m.pop(), m.pop()][::-1]),
    "SETITEMS": lambda m, _: m.update(m.marked()),
    "GLOBAL": lambda m, name: m.push(Name(_dotted(name))),
    "STACK_GLOBAL": lambda m, _: m.named(),
    "REDUCE": lambda m, _: m.reduce(),
    "NEWOBJ": lambda m, _: m.reduce(),
    "NEWOBJ_EX": lambda m, _: m.reduce_named(),
    "INST": lambda m, name: m.instance(name),
    "OBJ": lambda m, _: m.make_of_marked(),
    "BUILD": lambda m, _: m.pop(),  # the state of the object below, which nothing here needs
    "PERSID": lambda m, key: m.push(Outside(key)),
    "BINPERSID": lambda m, _: m.push(Outside(m.pop())),
    "GET": lambda m, key: m.recall(key),
    "BINGET": lambda m, key: m.recall(key),
    "LONG_BINGET": lambda m, key: m.recall(key),
    "PUT": lambda m, key: m.remember(key),
    "BINPUT": lambda m, key: m.remember(key),
    "LONG_BINPUT": lambda m, key: m.remember(key),
    "MEMOIZE": lambda m, _: m.memoize(),
}
