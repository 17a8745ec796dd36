"""`bundle`: joins the ES modules of `static` into the one script that a widget needs.

anywidget takes the JavaScript of a widget as one text. So the modules are concatenated in the order of their imports,
without `import` lines, the keyword `export`, and JSDoc comments (a quarter of the text). The joined modules share one
scope: a top-level name may be declared only once in all of them, and nothing may be imported under another name.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

STATIC = Path(__file__).parent / "static"

_IMPORT = re.compile(r"^import\s*\{([^}]*)\}\s*from\s*\"\./([\w-]+\.js)\";[ \t]*\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async function|function|class|const|let)\b)", re.MULTILINE)
_TYPES = re.compile(r"^[ \t]*/\*\*(?:(?!\*/).)*\*/[ \t]*\n", re.MULTILINE | re.DOTALL)
"""A JSDoc comment on lines of its own; a type cast inside a line stays, because its parentheses are code."""
_DECLARED = re.compile(r"^(export )?(?:async function|function|class|const|let) (\w+)", re.MULTILINE)


@functools.cache
def bundle(entry: str) -> str:
    """Returns the script of a module with all modules that it imports.

    Args:
        entry: file name of the module in `static`; it exports what anywidget calls.

    Raises:
        ValueError: two modules declare the same name, one imports in a form that cannot be joined, or imports a name
            that the other does not export.
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
    """Append a module to `order` after the modules that it imports (a depth-first topological sort)."""
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
    """Returns style sheets of `static`, concatenated."""
    return "\n".join(map(_read, names))
