"""Signature and help text of a searcher, which list its hyperparameters with defaults and descriptions.

A searcher takes them as `**hyperparameters`, and their names, defaults and docstrings stand in its frozen dataclass
`Hyperparameters`. `document` copies both to the class, so that `help`, `inspect.signature` and completion show them.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import itertools
import textwrap
from collections.abc import Iterator
from typing import Any


@functools.cache
def attribute_docstrings(cls: type) -> dict[str, str]:
    """Returns field -> docstring below it in the source of a dataclass."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0].body  # type: ignore[attr-defined]
    return {
        field.target.id: text.value.value
        for field, text in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def document(cls: type) -> None:
    """Gives a class of searchers the signature and the docstring that list its hyperparameters, if it has any."""
    if dataclasses.is_dataclass(getattr(cls, "Hyperparameters", None)):
        cls.__signature__ = _signature(cls)  # type: ignore[attr-defined]
        cls.__doc__ = _help(cls, vars(cls).get("__doc__") or cls.__name__)


def _signature(cls: Any) -> inspect.Signature:
    """Returns the signature of `__init__`, with a keyword for each hyperparameter instead of `**hyperparameters`."""
    _, *given = inspect.signature(cls.__init__).parameters.values()
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in given):
        return inspect.Signature(given)
    own = [parameter for parameter in given if parameter.kind is not parameter.VAR_KEYWORD]
    taken = {parameter.name for parameter in own}
    for field in dataclasses.fields(cls.Hyperparameters):
        if field.init and field.name not in taken:
            own.append(
                inspect.Parameter(
                    field.name, inspect.Parameter.KEYWORD_ONLY, default=_default(field), annotation=field.type
                )
            )
    return inspect.Signature(own)


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return inspect.Parameter.empty


def _help(cls: Any, own: str) -> str:
    return "\n".join([inspect.cleandoc(own), "", "Hyperparameters:", *_lines(cls.Hyperparameters)])


def _lines(hyperparameters: Any) -> Iterator[str]:
    """Yields a line for each hyperparameter: name, default and docstring."""
    said: dict[str, str] = {}
    for cls in reversed(hyperparameters.__mro__):
        if dataclasses.is_dataclass(cls):
            try:
                said |= attribute_docstrings(cls)
            except (OSError, TypeError, SyntaxError, IndexError):  # a class that was typed in has no source
                continue
    for field in dataclasses.fields(hyperparameters):
        if not field.init:
            continue
        default = _default(field)
        value = "required" if default is inspect.Parameter.empty else repr(default)
        text = " ".join(said.get(field.name, "").split())
        line = f"{field.name} = {value}" + (f": {text}" if text else "")
        yield textwrap.fill(line, 112, initial_indent="    ", subsequent_indent="        ")
