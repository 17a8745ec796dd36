"""Safe reader of untrusted pickles that contain plain data.

A pickle is a program for a small stack machine. This interpreter implements the instructions that build numbers, texts,
bytes, lists, tuples, sets and dictionaries. It allows four callables, by name, and replaces them with its own:
`collections.OrderedDict()` gives a dictionary, `_codecs.encode(text, "latin1")` bytes, `numpy.dtype(code)` a number
format, and `numpy.core.multiarray.scalar(dtype, bytes)` a number. Everything else is refused, with its name in the
error. Nothing is imported, no attribute is set, and the module `pickle` is not used.

A small pickle can demand much memory: one byte makes an empty set, a few another copy of a long text, and compressed
data is smaller still. The interpreter therefore has a memory limit, counts the bytes of each instruction before it is
executed, and refuses values that take too long to traverse: lists that contain themselves, or each other many times.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from naslab.errors import DataError

KINDS = {
    "f8": "<d",
    "f4": "<f",
    "i8": "<q",
    "i4": "<i",
    "i2": "<h",
    "i1": "<b",
    "u8": "<Q",
    "u4": "<I",
    "u1": "<B",
    "b1": "<?",
}
"""NumPy's type code -> `struct` format of the number."""
MAX_DIGITS = 64
"""Largest size of an integer, in bytes."""
MAX_CONTAINERS = 1_000_000
"""Largest number of containers: an empty one takes one byte in the pickle and sixty in memory."""
MAX_ROOM = 2**30
"""Largest memory limit in bytes, whatever the size of the pickle."""
LEAST_ROOM, ROOM_A_BYTE = 16 * 2**20, 64
"""Default memory limit: a constant in bytes, plus bytes of memory per byte of the pickle."""
MAX_DEPTH = 100
"""Largest nesting depth of containers; the published files have fewer than ten levels."""
MAX_PARTS = 20_000_000
"""Largest number of values in total; a value that is referenced twice counts twice."""
MAX_KEY = 2**61 - 2
"""Largest integer key. Python hashes integers modulo 2^61 - 1: larger ones could all be chosen to collide, which makes
a dictionary take quadratic time."""
SLOT, NUMBER, TEXT, CONTAINER, SET, ENTRY = 8, 32, 80, 72, 224, 104
"""Memory in bytes of a list slot, a number, an empty text, an empty container, an empty set, and a dictionary entry."""


class Refused(Exception):
    """The pickle contains an operation that is not allowed; the message names it."""


class Kind(NamedTuple):
    """Stands for a `numpy.dtype`."""

    code: str


class Name(NamedTuple):
    """Qualified name of a callable in the pickle."""

    module: str
    name: str


MARK = object()
"""Marker on the stack; the values above it are the items of one container."""


def scalar(kind: Any, data: Any) -> Any:
    """Returns the number that the bytes encode."""
    if not isinstance(kind, Kind) or not isinstance(data, bytes) or len(data) != struct.calcsize(KINDS[kind.code]):
        raise Refused("a NumPy number that is none")
    return struct.unpack(KINDS[kind.code], data)[0]


def dtype(code: Any, *_: Any) -> Kind:
    if not isinstance(code, str) or code not in KINDS:
        raise Refused("a NumPy type that is none of numbers")
    return Kind(code)


def encode(text: Any, encoding: Any) -> bytes:
    """Returns bytes from the Latin-1 text as which protocol 2 writes them."""
    if not isinstance(text, str) or encoding != "latin1":
        raise Refused("bytes that are none")
    return text.encode("latin-1")


def key(value: Any) -> Any:
    """Returns a valid key: a text, a number, or a tuple of those. (Deeply nested tuples overflow the stack.)"""
    for part in value if type(value) is tuple else (value,):
        if not isinstance(part, str | int | float | bytes | None):
            raise Refused("a key that is neither text nor number")
        if isinstance(part, int | float) and not abs(part) <= MAX_KEY:
            raise Refused("a key that is too large a number")
    return value


def check_walk(value: Any) -> None:
    """Raise `Refused` if traversing the value takes too long: it contains itself, or is nested or shared too much."""
    parts, levels = 0, [iter((value,))]
    while levels:
        part = next(levels[-1], MARK)
        if part is MARK:
            levels.pop()
        elif isinstance(part, list | tuple | set | frozenset | dict):
            parts += len(part)
            if len(levels) > MAX_DEPTH or parts > MAX_PARTS:
                raise Refused("lists in lists that never end")
            levels.append(iter(part.values() if isinstance(part, dict) else part))


CALLS: dict[Name, Callable[..., Any]] = {
    Name("collections", "OrderedDict"): dict,
    Name("_codecs", "encode"): encode,
    Name("numpy", "dtype"): dtype,
    Name("numpy.core.multiarray", "scalar"): scalar,
    Name("numpy._core.multiarray", "scalar"): scalar,
}


def read(data: bytes, what: str, room: int | None = None) -> Any:
    """Returns the value that is pickled in `data`. Raises only `DataError`, for anything but plain data.

    Args:
        data: the pickle.
        what: source of the data, for error messages.
        room: memory limit in bytes.
    """
    if room is None:
        room = min(MAX_ROOM, LEAST_ROOM + ROOM_A_BYTE * len(data))
    try:
        value = _Machine(data, room).run()
        check_walk(value)
        return value
    except Refused as error:
        raise DataError(f"{what} is not read: it holds {error}, and only plain data is accepted") from None
    except (IndexError, struct.error):
        raise DataError(f"{what} is not a pickle, or it is damaged or cut short") from None
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, MemoryError, RecursionError) as error:
        raise DataError(f"{what} is not a pickle, or it is damaged: {type(error).__name__}") from None


class _Machine:
    """Interpreter: the stack, the memo and the position in the program."""

    def __init__(self, data: bytes, room: int) -> None:
        self.data, self.place = data, 0
        self.room = self.given = room
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.containers = 0

    def run(self) -> Any:
        while (code := self.take(1)) != b".":
            instruction = INSTRUCTIONS.get(code)
            if instruction is None:
                raise Refused(f"the instruction {code!r}")
            instruction(self)
        if len(self.stack) != 1:
            raise IndexError
        return self.stack[0]

    def take(self, count: int) -> bytes:
        taken = self.data[self.place : self.place + count]
        if len(taken) < count:
            raise IndexError
        self.place += count
        return taken

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> str:
        end = self.data.index(b"\n", self.place)
        return self.take(end + 1 - self.place)[:-1].decode("ascii")

    def spend(self, count: int) -> None:
        """Subtract bytes from the memory limit, before they are allocated."""
        self.room -= count
        if self.room < 0:
            raise Refused(f"more than {self.given} bytes of memory have room for")

    def push(self, value: Any) -> None:
        self.spend(SLOT)
        self.stack.append(value)

    def push_number(self, form: str) -> None:
        self.spend(NUMBER)
        self.push(self.number(form))

    def push_text(self, length: str, encoding: str | None) -> None:
        """Read a length in the given format, then a text, or bytes if `encoding` is None; push it."""
        count = self.number(length)
        if count > len(self.data) - self.place:
            raise IndexError
        self.spend(TEXT + (count if encoding != "utf-8" else 4 * count))  # a character may take four bytes
        taken = self.take(count)
        self.push(taken if encoding is None else taken.decode(encoding))

    def push_new(self, container: Any) -> None:
        self.containers += 1
        if self.containers > MAX_CONTAINERS:
            raise Refused(f"more than {MAX_CONTAINERS} lists and dictionaries")
        self.spend(SET if isinstance(container, set | frozenset) else CONTAINER)
        self.push(container)

    def since_mark(self) -> list[Any]:
        place = len(self.stack) - 1
        while self.stack[place] is not MARK:
            place -= 1
            if place < 0:
                raise IndexError
        values = self.stack[place + 1 :]
        del self.stack[place:]
        return values

    def extend(self, values: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise TypeError
        self.stack[-1].extend(values)

    def set_items(self, values: list[Any]) -> None:
        if not isinstance(self.stack[-1], dict):
            raise TypeError
        self.spend_on_keys(values[::2])
        self.stack[-1].update(zip(map(key, values[::2]), values[1::2], strict=True))

    def add_items(self, values: list[Any]) -> None:
        if not isinstance(self.stack[-1], set):
            raise TypeError
        self.spend_on_keys(values)
        self.stack[-1].update(map(key, values))

    def spend_on_keys(self, keys: list[Any]) -> None:
        """Count the memory of new keys. The hash of a tuple is not cached, so its length counts each time."""
        self.spend(sum(ENTRY + (SLOT * len(each) if type(each) is tuple else 0) for each in keys))

    def frozen_set(self) -> None:
        values = self.since_mark()
        self.spend_on_keys(values)
        self.push_new(frozenset(map(key, values)))

    def long(self, length: int) -> None:
        if not 0 <= length <= MAX_DIGITS:
            raise Refused(f"a whole number of {length} bytes")
        self.spend(NUMBER + length)
        self.push(int.from_bytes(self.take(length), "little", signed=True))

    def remember(self, key: int) -> None:
        self.spend(ENTRY)
        self.memo[key] = self.stack[-1]

    def name(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise TypeError
        if (found := Name(module, name)) not in CALLS:
            raise Refused(f"{module[:50]}.{name[:50]}")
        self.push(found)

    def name_from_stack(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.name(module, name)

    def call(self) -> None:
        arguments, called = self.stack.pop(), self.stack.pop()
        if (
            not isinstance(called, Name)
            or not isinstance(arguments, tuple)
            or (called.module == "collections" and arguments)
        ):
            raise Refused("a call of what cannot be called")
        self.spend(TEXT + sum(len(each) for each in arguments if isinstance(each, str | bytes)))
        self.push_new(CALLS[called](*arguments))

    def build(self) -> None:
        """Apply a state: only a dtype may have one, with byte order little-endian ("<") or not applicable ("|")."""
        state = self.stack.pop()
        if not isinstance(self.stack[-1], Kind) or not isinstance(state, tuple) or state[1] not in ("<", "|"):
            raise Refused("the state of an object")

    def pop_mark(self) -> None:
        self.since_mark()

    def tuple_of(self, count: int) -> None:
        values = tuple(self.stack[len(self.stack) - count :])
        if len(values) < count or any(value is MARK for value in values):
            raise IndexError
        del self.stack[len(self.stack) - count :]
        self.push_new(values)


INSTRUCTIONS: dict[bytes, Callable[[_Machine], Any]] = {
    b"\x80": lambda m: m.take(1),  # PROTO
    b"\x95": lambda m: m.take(8),  # FRAME: its length, which only buffered readers need
    b"(": lambda m: m.push(MARK),
    b"0": lambda m: m.stack.pop(),
    b"1": lambda m: m.pop_mark(),
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"K": lambda m: m.push_number("<B"),
    b"M": lambda m: m.push_number("<H"),
    b"J": lambda m: m.push_number("<i"),
    b"\x8a": lambda m: m.long(m.number("<B")),
    b"\x8b": lambda m: m.long(m.number("<i")),
    b"G": lambda m: m.push_number(">d"),
    b"X": lambda m: m.push_text("<I", "utf-8"),
    b"\x8c": lambda m: m.push_text("<B", "utf-8"),
    b"\x8d": lambda m: m.push_text("<Q", "utf-8"),
    b"B": lambda m: m.push_text("<I", None),
    b"C": lambda m: m.push_text("<B", None),
    b"\x8e": lambda m: m.push_text("<Q", None),
    b"T": lambda m: m.push_text("<I", "ascii"),  # strings of Python 2
    b"U": lambda m: m.push_text("<B", "ascii"),
    b"]": lambda m: m.push_new([]),
    b"a": lambda m: m.extend([m.stack.pop()]),
    b"e": lambda m: m.extend(m.since_mark()),
    b"}": lambda m: m.push_new({}),
    b"s": lambda m: m.set_items([m.stack.pop(), m.stack.pop()][::-1]),
    b"u": lambda m: m.set_items(m.since_mark()),
    b"\x8f": lambda m: m.push_new(set()),
    b"\x90": lambda m: m.add_items(m.since_mark()),
    b"\x91": lambda m: m.frozen_set(),
    b")": lambda m: m.push(()),
    b"t": lambda m: m.push_new(tuple(m.since_mark())),
    b"\x85": lambda m: m.tuple_of(1),
    b"\x86": lambda m: m.tuple_of(2),
    b"\x87": lambda m: m.tuple_of(3),
    b"q": lambda m: m.remember(m.number("<B")),
    b"r": lambda m: m.remember(m.number("<I")),
    b"\x94": lambda m: m.remember(len(m.memo)),
    b"h": lambda m: m.push(m.memo[m.number("<B")]),
    b"j": lambda m: m.push(m.memo[m.number("<I")]),
    b"c": lambda m: m.name(m.line(), m.line()),
    b"\x93": lambda m: m.name_from_stack(),
    b"R": lambda m: m.call(),
    b"b": lambda m: m.build(),
}
