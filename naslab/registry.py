"""What a name in a run folder means: a class of naslab's, or one of the user's own that this process has defined."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import TypeVar

from naslab.errors import SpecError, unknown

T = TypeVar("T", bound=type)


def named(what: str, name: object, registry: Mapping[str, T], *bases: type) -> T:
    """The class of that name: the registry's, else the latest subclass of the bases that says it is called so.

    Raises:
        SpecError: there is none.
    """
    if isinstance(name, str):
        if name in registry:
            return registry[name]
        for cls in _below(bases):
            if vars(cls).get("name") == name and not inspect.isabstract(cls):
                return cls  # type: ignore[return-value]
    raise SpecError(
        f"{unknown(what, name, registry)}. If it is one of your own, run the code that defines its class first"
    )


def _below(bases: tuple[type, ...]) -> Iterator[type]:
    """All subclasses, the latest first."""
    for base in bases:
        for cls in reversed(base.__subclasses__()):
            yield from _below((cls,))
            yield cls
