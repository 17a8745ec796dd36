"""Names of a package that are imported on first use (PEP 562), and old names that go on for one version.

    __getattr__, __dir__ = attach(__name__, {"Darts": "naslab.searchers.darts"}, deprecated={"Driven": "Stepper"})

A package that calls this repeats its imports under `if TYPE_CHECKING`, so that type checkers and editors know them.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Collection, Mapping
from functools import reduce
from importlib import import_module
from typing import Any

from naslab.errors import NaslabDeprecationWarning

_warned: set[str] = set()
"""Deprecated names, with their package, whose warning was shown in this process."""


def attach(
    package: str,
    names: Mapping[str, str] | None = None,
    *,
    modules: Collection[str] = (),
    deprecated: Mapping[str, str] | None = None,
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Returns `__getattr__` and `__dir__` for the `__init__` of a package.

    What was imported becomes an ordinary attribute, so that only the first use is slower. Threads may be first
    together: Python's own import locks let one of them run the module, and all get the same object.

    Args:
        package: `__name__` of the package.
        names: public name -> absolute name of the module that defines it.
        modules: submodules that are attributes without having been imported, such as `naslab.searchers`.
        deprecated: old name -> new name, or path of attributes (`"settings.Setting"`), in this package. The old name
            gives the same object, warns once a process with `NaslabDeprecationWarning`, and is not listed by `dir`.

    Raises:
        ValueError: a name is given twice.
    """
    lazy, old, submodules = dict(names or {}), dict(deprecated or {}), frozenset(modules)
    if twice := sorted((lazy.keys() & old.keys()) | (lazy.keys() & submodules) | (old.keys() & submodules)):
        raise ValueError(f"{package}: {', '.join(twice)} stands twice among the names, the modules, the deprecated")

    def __getattr__(name: str) -> Any:
        if name in old:
            return _renamed(package, name, old[name])
        if name in submodules:
            return import_module(f"{package}.{name}")
        if name not in lazy:
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=sys.modules[package])
        value = getattr(import_module(lazy[name]), name)
        vars(sys.modules[package])[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*vars(sys.modules[package]), *lazy, *submodules})

    return __getattr__, __dir__


def _renamed(package: str, name: str, new: str) -> Any:
    value = reduce(getattr, new.split("."), sys.modules[package])
    # Two frames up is the code that says the old name; `warn` passes over the frames of the import system.
    warn_of_old_name(f"{package}.{name}", f"{package}.{new}", stacklevel=4)
    return value


def warn_of_old_name(old: str, new: str, *, stacklevel: int = 3) -> None:
    """Warn with `NaslabDeprecationWarning`, once a process for each old name, that it is called otherwise now.

    Args:
        old: the old name with its owner, for instance "Lab.then".
        new: the current name.
        stacklevel: as of `warnings.warn`, counted from here; 3 is the caller of the function that calls this.
    """
    if old not in _warned:
        text = f"{old} is now called {new}; the old name goes with the next version"
        warnings.warn(text, NaslabDeprecationWarning, stacklevel=stacklevel)
        _warned.add(old)  # last: where warnings are errors, each use is one
