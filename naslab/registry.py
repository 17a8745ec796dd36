"""What a run folder says, made into things again: a name in it means a class of naslab's, or one of the user's own that
this process has defined; and what does not make sense is one sentence, whatever it is.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import ParamSpec, TypeVar

from naslab.errors import NaslabError, SpecError, unknown

T = TypeVar("T", bound=type)
Arguments = ParamSpec("Arguments")
Made = TypeVar("Made")


def described(what: str) -> Callable[[Callable[Arguments, Made]], Callable[Arguments, Made]]:
    """For a function that makes something again from its spec: `SpecError` for a spec that does not make sense.

    A spec may be a stranger's, and lack a key, or have a list for a number. Constructors say what they can say best;
    what they did not think of is told here, with the error that it came to.
    """

    def wrap(make: Callable[Arguments, Made]) -> Callable[Arguments, Made]:
        @wraps(make)
        def made(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Made:
            try:
                return make(*args, **kwargs)
            except NaslabError:
                raise
            except Exception as error:
                raise SpecError(f"the spec of {what} does not make sense: {_said(error)}") from error

        return made

    return wrap


def _said(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error!s:.100} is not in it"
    return f"{type(error).__name__}: {error!s:.300}"


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
