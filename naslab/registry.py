"""What a run folder says, made into things again: a name in it means a class of naslab's, or one of the user's own that
this process has defined; and what does not make sense is one sentence, whatever it is.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from functools import wraps
from importlib import import_module
from typing import Any, ParamSpec, TypeVar

from naslab.errors import NaslabError, SpecError, unknown

T = TypeVar("T", bound=type)
Arguments = ParamSpec("Arguments")
Made = TypeVar("Made")


class Registry(MutableMapping[str, T]):
    """Name in a spec -> class of a package, which is imported when it is looked up.

        SEARCHERS = Registry("naslab.searchers", {"darts": "Darts"})

    Other classes may be entered, for instance by a test.
    """

    def __init__(self, package: str, classes: Mapping[str, str]) -> None:
        """The classes are given by their names as attributes of the package."""
        self._package = package
        self._classes: dict[str, str | T] = dict(classes)

    def __getitem__(self, name: str) -> T:
        found = self._classes[name]
        cls: Any = getattr(import_module(self._package), found) if isinstance(found, str) else found
        return cls

    def __setitem__(self, name: str, cls: T) -> None:
        self._classes[name] = cls

    def __delitem__(self, name: str) -> None:
        del self._classes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._classes)

    def __len__(self) -> int:
        return len(self._classes)

    def __contains__(self, name: object) -> bool:
        return name in self._classes  # without importing it

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._package!r}, {self._classes!r})"


def described(what: str) -> Callable[[Callable[Arguments, Made]], Callable[Arguments, Made]]:
    """Decorates a function that rebuilds something from its spec: a senseless spec becomes one `SpecError`.

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


def named(
    what: str,
    name: object,
    registry: Mapping[str, T],
    *bases: type,
    suits: Callable[[type], bool] | None = None,
    otherwise: str = "",
) -> T:
    """The class of that name: the registry's, else the latest subclass of the bases that says it is called so.

    Args:
        what: is looked for, in words.
        name: as it stands in a run.
        registry: naslab's own.
        bases: of which the user's own are subclasses.
        suits: whether a class can be it, beyond its name.
        otherwise: what else the user can do, for the error.

    Raises:
        SpecError: there is none.
    """
    if isinstance(name, str):
        if name in registry:
            return registry[name]
        of_naslab = set(registry.values())
        for cls in _below(bases):
            if cls in of_naslab or inspect.isabstract(cls) or called(cls) != name:
                continue
            if suits is None or suits(cls):
                return cls  # type: ignore[return-value]
    raise SpecError(
        f"{unknown(what, name, registry)}. If it is one of your own, run the code that defines its class first"
        f"{otherwise}"
    )


def called(cls: type) -> Any:
    """The name by which a run knows a class of the user's own: its attribute `name`, else that of the class."""
    return vars(cls).get("name", cls.__name__)


def own(cls: type) -> bool:
    """Whether a class is the user's own."""
    return cls.__module__.partition(".")[0] not in ("naslab", "naslab_widgets")


def _below(bases: tuple[type, ...]) -> Iterator[type]:
    """All subclasses, the latest first."""
    for base in bases:
        for cls in reversed(type.__subclasses__(base)):
            yield from _below((cls,))
            yield cls
