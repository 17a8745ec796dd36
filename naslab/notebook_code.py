"""Serialisation of functions and classes of a notebook for a child process on this machine.

A function of an importable module is sent by its name. One that is defined in a notebook, in a script's `__main__` or
inside another function has no name that another process could import, and is sent as code, by cloudpickle.

Unpickling runs code. So this is the only module that does it, and only on bytes that this process has made for a child
of its own, or that the child has made for it, through the pipe between them. Nothing here reads a file or a socket.
"""

from __future__ import annotations

import functools
import inspect
import io
import pickle
import sys
from collections.abc import Iterator, Mapping
from types import MethodType
from typing import Any

import cloudpickle

from naslab.errors import SpecError

DEEPEST = 6
"""Largest depth of the search for the part of an object that cannot be sent."""


class Unsendable(SpecError):
    """An object cannot be sent to another process."""


class _Pickler(cloudpickle.Pickler):
    """cloudpickle's pickler, except that it refuses open files, whose content cloudpickle would copy."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, io.TextIOWrapper) and obj not in (sys.stdin, sys.stdout, sys.stderr):
            raise TypeError("an open file belongs to its process")
        return super().reducer_override(obj)


def _dumps(value: Any) -> bytes:
    buffer = io.BytesIO()
    _Pickler(buffer, protocol=pickle.HIGHEST_PROTOCOL).dump(value)
    return buffer.getvalue()


def packed(value: Any) -> bytes:
    """Returns the object as bytes for `unpacked` in another process; `Unsendable` names a part that cannot be sent."""
    try:
        return _dumps(value)
    except MemoryError:
        raise
    except Exception as error:  # pickling runs code of the user's, which may raise anything
        try:
            return pickle.dumps(value)  # by name alone, without what a function of a script refers to
        except Exception:
            raise Unsendable(_explained(value, error)) from error


def unpacked(data: bytes) -> Any:
    """Returns the object. Only for bytes that `packed` has made in the parent or in a child of this process."""
    return pickle.loads(data)


def _explained(value: Any, error: Exception) -> str:
    name, part = _culprit(value, "", DEEPEST)
    what = f"{name}, {_kind(part)}" if name else _kind(part)
    return (
        f"{what}, cannot be sent to another process ({type(error).__name__}: {error}); make it where it is needed, "
        "inside the function or method that uses it, or compute in this process (workers=1, processes=1)"
    )


def _kind(value: Any) -> str:
    kind = type(value)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return f"an object of type {module}{kind.__qualname__}"


def _culprit(value: Any, name: str, levels: int) -> tuple[str, Any]:
    """Returns name and value of the innermost part that cannot be sent."""
    for part, held in _parts(value) if levels else ():
        try:
            _dumps(held)
        except Exception:
            return _culprit(held, f"{name}{part}" if part.startswith("[") else part, levels - 1)
    return name, value


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Yields name and value of each part that an object is sent with."""
    if isinstance(value, functools.partial):
        called = getattr(value.func, "__name__", "the function")
        yield called, value.func
        yield from ((f"argument {place} of {called}", held) for place, held in enumerate(value.args, 1))
        yield from value.keywords.items()
    elif isinstance(value, MethodType):
        yield type(value.__self__).__name__, value.__self__
        yield from _parts(value.__func__)
    elif inspect.isfunction(value):
        used = inspect.getclosurevars(value)
        yield from {**used.globals, **used.nonlocals}.items()
    elif isinstance(value, Mapping):
        yield from ((f"[{key!r:.50}]", held) for key, held in value.items())
    elif isinstance(value, tuple | list | set | frozenset):
        for place, held in enumerate(value):
            own = getattr(held, "__name__", None) if callable(held) else None
            yield own if isinstance(own, str) and own.isidentifier() else f"[{place}]", held
    elif isinstance(value, type):
        yield from ((key, held) for key, held in vars(value).items() if not key.startswith("__"))
    else:
        yield from getattr(value, "__dict__", {}).items()
        if type(value).__module__ == "__main__" or "<locals>" in type(value).__qualname__:
            yield type(value).__name__, type(value)
