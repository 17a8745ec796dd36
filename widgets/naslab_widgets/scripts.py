"""The page's scripts: ES modules that import one another, joined into the one that a widget needs.

A widget brings its JavaScript as one text. So the modules of `static` are put one after the other, those that a module
imports before it, without their `import` lines, the word `export` and their JSDoc comments, which would be a quarter of
what a page loads. Joined, they share one scope: every top-level name is declared once in all of them, and nothing is
imported under another name.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

STATIC = Path(__file__).parent / "static"

_IMPORT = re.compile(r"^import\s*\{([^}]*)\}\s*from\s*\"\./([\w-]+\.js)\";[ \t]*\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async function|function|class|const|let)\b)", re.MULTILINE)
_TYPES = re.compile(r"^[ \t]*/\*\*(?:(?!\*/).)*\*/[ \t]*\n", re.MULTILINE | re.DOTALL)
"""A JSDoc comment that fills its lines; a cast in the middle of one stays."""
_DECLARED = re.compile(r"^(export )?(?:async function|function|class|const|let) (\w+)", re.MULTILINE)


@functools.cache
def bundle(entry: str) -> str:
    """The module of that name, which exports what the widget asks for, with all that it imports.

    Raises:
        ValueError: two of the modules declare one name, import in a form that cannot be joined, or import something
            that is not declared there.
    """
    order: list[str] = []
    _visit(entry, order, ())
    owner: dict[str, str] = {}
    for name in order:
        for _, declared in _DECLARED.findall(_read(name)):
            if owner.setdefault(declared, name) != name:
                raise ValueError(f"{name} and {owner[declared]} both declare {declared!r}, and share one scope")
    return "\n".join(_EXPORT.sub("", _TYPES.sub("", _IMPORT.sub("", _read(name)))) for name in order)


def _visit(name: str, order: list[str], above: tuple[str, ...]) -> None:
    """Puts a module behind those that it imports."""
    if name in order:
        return
    if name in above:
        raise ValueError(f"{' > '.join((*above, name))}: modules that import one another in a circle cannot be joined")
    text = _read(name)
    for names, source in _IMPORT.findall(text):
        _visit(source, order, (*above, name))
        exported = {declared for word, declared in _DECLARED.findall(_read(source)) if word}
        for imported in filter(None, map(str.strip, names.split(","))):
            if imported not in exported:
                raise ValueError(f"{name} imports {imported!r} from {source}, which does not export it")
    if left := re.search(r"^import\b.*", _IMPORT.sub("", text), re.MULTILINE):
        raise ValueError(f'{name}: only `import {{ a, b }} from "./module.js";` can be joined, not {left[0]!r}')
    order.append(name)


def _read(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8")


def styles(*names: str) -> str:
    """Style sheets, one after the other."""
    return "\n".join(map(_read, names))
