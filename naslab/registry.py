"""Finds the class that a name in a run folder refers to, and turns any failure to rebuild it into one `SpecError`.

A name refers to a class of naslab or to a user-defined class that is already defined in this process.
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
    """Name in a spec -> class of a package; the package is imported when a class is first looked up.

        SEARCHERS = Registry("naslab.searchers", {"darts": "Darts"})

    Further classes may be added, for instance by a test.
    """

    def __init__(self, package: str, classes: Mapping[str, str]) -> None:
        """
        Args:
            package: name of the package, as in an import statement.
            classes: name in a spec -> name of the class in the package.
        """
        self._package = package
        self._classes: dict[str, str | T] = dict(classes)

    def __getitem__(self, name: str) -> T:
        found = self._classes[name]
        if not isinstance(found, str):
            return found
        try:
            cls: Any = getattr(import_module(self._package), found)
        except AttributeError as error:
            raise AttributeError(
                f"{self._package} registers the class {found!r} under {name!r}, and does not import it; add its import "
                f"in {self._package}/__init__.py, under TYPE_CHECKING where that is done for the others"
            ) from error
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
        return name in self._classes  # the default implementation would call __getitem__, which imports the package

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._package!r}, {self._classes!r})"


def described(what: str) -> Callable[[Callable[Arguments, Made]], Callable[Arguments, Made]]:
    """Decorates a function that rebuilds something from its spec: an invalid spec raises a `SpecError`.

    A spec may come from an unknown source, lack a key, or hold a list instead of a number. Constructors report the
    errors that they check for; any other exception is wrapped here in a `SpecError` that quotes it.

    Args:
        what: name of the thing that is rebuilt, for the error message.
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
    """Returns the class with that name: from the registry, or else the latest defined subclass of the bases.

    Args:
        what: kind of thing that is looked for, for the error message.
        name: name in the run folder.
        registry: classes of naslab.
        bases: base classes; user-defined classes are looked for among their subclasses.
        suits: further condition that a user-defined class must meet.
        otherwise: further advice for the user, appended to the error message.

    Raises:
        SpecError: there is no such class.
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
    """Returns the name of a user-defined class in a run folder: its own attribute `name`, or else the class name."""
    return vars(cls).get("name", cls.__name__)


def own(cls: type) -> bool:
    """True if a class is user-defined, that is, from outside naslab."""
    return cls.__module__.partition(".")[0] not in ("naslab", "naslab_widgets")


def _below(bases: tuple[type, ...]) -> Iterator[type]:
    """Yields all direct and indirect subclasses, the latest defined first.

    A class that was defined again in a notebook thus takes precedence over its earlier definition.
    """
    for base in bases:
        for cls in reversed(type.__subclasses__(base)):
            yield from _below((cls,))
            yield cls
