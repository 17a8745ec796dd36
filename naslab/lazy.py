"""Public names of a package that are imported on first use (PEP 562), and old names that go on for one version.

    if TYPE_CHECKING:
        from naslab.searchers.darts import Darts, DartsHyperparameters

    __getattr__, __dir__ = attach(__name__, deprecated={"Driven": "Stepper"})

The imports under `if TYPE_CHECKING` are read from the source of the package and made one by one, each when its name is
first used. So type checkers, editors and Python are given the same list, which stands once.
"""

from __future__ import annotations

import ast
import sys
import warnings
from collections.abc import Callable, Mapping
from functools import reduce
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from naslab.callers import caller_level
from naslab.errors import NaslabDeprecationWarning

_warned: set[str] = set()
"""Deprecated names, with their package, whose warning was shown in this process."""


class LazyPackage(ModuleType):
    """A package in which a name that is both of a submodule and of what it defines means the latter.

    `import naslab.analysis.collapse` binds the submodule to the package, where `naslab.analysis.collapse` is the
    function: a package that imports everything at once rebinds the name afterwards, a lazy one must not let it go.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        submodule = isinstance(value, ModuleType) and value.__name__ == f"{self.__name__}.{name}"
        if not (submodule and name in vars(self)["_lazy"]):
            super().__setattr__(name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        # cloudpickle sends plain modules by name. A class of a notebook that says `nl.` refers to this one, too.
        return import_module, (self.__name__,)


def attach(
    package: str, *, deprecated: Mapping[str, str] | None = None
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Returns `__getattr__` and `__dir__` for the `__init__` of a package.

    What was imported becomes an ordinary attribute, so that only the first use is slower. Threads may be first
    together: Python's import locks let one of them run the module, and all get the same object.

    Args:
        package: `__name__` of the package.
        deprecated: old name -> new name, or path of attributes (`"settings.Setting"`), in this package. The old name
            gives the same object, warns once a process with `NaslabDeprecationWarning`, and is not listed by `dir`.

    Raises:
        ValueError: an old name is also a name of today.
    """
    module, old = sys.modules[package], dict(deprecated or {})
    lazy, submodules = _imports(package)
    if both := sorted({*lazy, *submodules} & old.keys()):
        raise ValueError(f"{package}: {', '.join(both)} cannot be both an old name and one of today")
    vars(module)["_lazy"] = lazy
    module.__class__ = LazyPackage

    def __getattr__(name: str) -> Any:
        if name in old:
            return _renamed(module, name, old[name])
        if name in lazy:
            where, attribute = lazy[name]
            vars(module)[name] = value = getattr(import_module(where), attribute)
            return value
        # A submodule, listed or not. Names with an underscore are what Jupyter and pickle ask anything for.
        if not name.startswith("_") and find_spec(f"{package}.{name}"):
            return import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=module)

    def __dir__() -> list[str]:
        return sorted({*vars(module), *lazy, *submodules})

    return __getattr__, __dir__


def _imports(package: str) -> tuple[dict[str, tuple[str, str]], set[str]]:
    """Name -> (module, name there) of the imports under `if TYPE_CHECKING`, and those that are submodules."""
    spec = sys.modules[package].__spec__
    source = getattr(spec and spec.loader, "get_source", lambda _: None)(package)
    if source is None:
        raise ImportError(f"{package} was installed without its source, which says what to import; install it again")
    names: dict[str, tuple[str, str]] = {}
    submodules: set[str] = set()
    for block in ast.parse(source).body:
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING":
            for statement in block.body:
                if isinstance(statement, ast.ImportFrom) and statement.module == package:
                    submodules |= {alias.name for alias in statement.names}
                elif isinstance(statement, ast.ImportFrom) and statement.module:
                    names |= {alias.asname or alias.name: (statement.module, alias.name) for alias in statement.names}
    return names, submodules


def _renamed(module: ModuleType, name: str, new: str) -> Any:
    value = reduce(getattr, new.split("."), module)
    # Two frames up is the code that says the old name; `warn` passes over the frames of the import system.
    warn_of_old_name(f"{module.__name__}.{name}", f"{module.__name__}.{new}", stacklevel=4)
    return value


def keep_old_hooks(cls: type, hooks: Mapping[str, str]) -> None:
    """Lets methods and properties of a class be overridden and called by their earlier names for one version.

    A base class calls it for each subclass, in `__init_subclass__`, and for itself:

    - A class that defines the old name only, as a plugin does that was written earlier, gets the same object under the
      new name, and a `NaslabDeprecationWarning`.
    - A class that defines the new name also answers to the old one, with that warning. Each class gets its own alias,
      so that `super().old()` in a subclass reaches the method of its parent, and not its own again.

    Args:
        cls: the class that was just made.
        hooks: old name -> new name.
    """
    for old, new in hooks.items():
        for each in cls.__mro__:
            if new in vars(each):
                break
            if old in vars(each):
                warn_of_old_name(f"{each.__qualname__}.{old}", new, stacklevel=caller_level() + 1)
                setattr(cls, new, vars(each)[old])
                break
        if new in vars(cls) and old not in vars(cls):
            setattr(cls, old, _under_old_name(vars(cls)[new], f"{cls.__qualname__}.{old}", new))


def _under_old_name(member: Any, old: str, new: str) -> Any:
    """The same method or read-only property, which warns when it is used."""
    if isinstance(member, property):
        return property(_under_old_name(member.fget, old, new))

    # Not `functools.wraps`: it would copy the mark of an abstract method, and subclasses would have to override both.
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        warn_of_old_name(old, new)
        return member(self, *args, **kwargs)

    call.__name__, call.__doc__ = old.rpartition(".")[2], f"`{new}`, by its earlier name."
    return call


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
