"""Finds and reads genotypes in text, in the forms in which the field publishes and logs them.

    Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=range(2, 6), ...)      as printed
    Genotype(normal=[[('sep_conv_3x3', 0), ('skip_connect', 1)], ...], ...)          node by node
    DARTS_V2 = Genotype(...)                                                         a line, or all, of a genotypes.py
    10/21 05:11:10 PM genotype = Genotype(...)                                       a line of a log
    {"normal": [["sep_conv_3x3", 0], ...], ...}                                      a dict, or JSON

Numbers may be in the form in which NumPy and torch print them (`np.int64(0)`, `tensor(0)`); lists may be tuples or
ranges. Nothing is evaluated: the text is parsed to a syntax tree (`ast`), and only literals in it are read. The
constraints on a genotype are checked in `genotype.py`.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from naslab.errors import SpecError, plain, unknown

MAX_TEXT = 64 * 1024
MAX_NODES = 64
MAX_ENTRIES = MAX_NODES * (MAX_NODES + 3) // 2
"""Entries of a cell of `MAX_NODES` nodes that keeps all edges: 2 + 3 + 4 + ..."""
MAX_DEPTH = 3
"""Largest nesting of lists: the nodes of a cell, the entries of a node, the elements of an entry."""
FIELDS = ("normal", "normal_concat", "reduce", "reduce_concat")
UNUSED = ("connectN", "connects")
"""Further fields of the genotypes of AutoDL-Projects; they must be None."""
FORM = "Genotype(normal=[('op', input), ...], normal_concat=[...], reduce=[...], reduce_concat=[...])"
RECURRENT = (
    "this is a recurrent cell (fields 'recurrent' and 'concat'), for sequences; a genotype of an image network has a "
    f"normal and a reduction cell: {FORM}"
)

_LITERALS = f"a genotype holds only names, whole numbers, lists and range(a, b); expected {FORM}"
# Regular expressions only locate genotypes and their names; the content is read by `ast`.
_CALL = re.compile(r"\bGenotype\s*\(")
_TOKEN = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"|#[^\n]*|[()]")
_NAMED = re.compile(r"([A-Za-z_]\w*)[\"']?\s*[=:][\s\\(]*(?:\w+\.)*$")
_ANNOTATED = re.compile(r"(?:^|\n)\s*([A-Za-z_]\w*)\s*:\s*[\w.]+\s*=[\s\\(]*(?:\w+\.)*$")
_ALIAS = re.compile(r"^[ \t]*([A-Za-z_]\w*)[ \t]*=[ \t]*([A-Za-z_]\w*)[ \t]*(?:#.*)?$", re.MULTILINE)
_BEFORE = 200
"""Number of characters before a genotype that are searched for its name."""
_MOST_UNCLOSED = 32
"""Largest number of unclosed genotypes that are skipped. Each costs a pass over the text; the limit bounds the time."""
_INTEGERS = re.compile(r"u?int(8|16|32|64|c|p|_)?|u?long(long)?")


class Written(NamedTuple):
    """A genotype in a text."""

    name: str
    """Name that it is assigned to; empty if it is not assigned."""
    text: str
    """Text from `Genotype(` to the closing bracket."""


def read(text: Any, which: str | int | None = None) -> dict[str, Any]:
    """Returns the fields of a genotype in a text. Raises `SpecError`, and no other error, if it holds none.

    Args:
        text: at most `MAX_TEXT` characters.
        which: selects one of several by the name that it is assigned to, or by its number (0 the first, -1 the last).
    """
    if not isinstance(text, str) or len(text) > MAX_TEXT:
        came = f"this one has {len(text)}" if isinstance(text, str) else f"not {type(text).__name__}"
        raise SpecError(f"a genotype is a text of at most {MAX_TEXT} characters, {came}: {FORM}")
    text = text.replace("\u00a0", " ")  # no-break spaces, from text copied out of a web page
    found = list(written(text))
    if not found:
        bare = re.sub(r"^\s*[A-Za-z_]\w*\s*=", "", text).strip()
        if not bare.startswith(("{", "[", "(", "dict(", "OrderedDict(")):
            raise SpecError(f"there is no genotype in {text.strip()!r:.80}; expected {FORM}")
        return _record(bare)
    if which is None and len(found) == 1:
        return _record(found[0].text)
    return _chosen(text, found, which)


def written(text: str) -> Iterator[Written]:
    """Yields everything in a text that looks like a genotype, in order."""
    position, unclosed = 0, 0
    while (call := _CALL.search(text, position)) and unclosed < _MOST_UNCLOSED:
        before = text[max(position, call.start() - _BEFORE) : call.start()]
        end = _closing(text, call.end())
        if end is None:  # cut off, or commented out line by line
            unclosed += 1
            position = call.end()
            continue
        name = _ANNOTATED.search(before) or _NAMED.search(before)
        yield Written(name[1] if name else "", text[call.start() : end])
        position = end


def _closing(text: str, start: int) -> int | None:
    """Returns the position after the bracket that closes the one before `start`; None if it is never closed.

    Brackets in strings and comments do not count: `_TOKEN` matches these as a whole.
    """
    depth = 1
    for token in _TOKEN.finditer(text, start):
        depth += {"(": 1, ")": -1}.get(token[0], 0)
        if depth == 0:
            return token.end()
    return None


def _chosen(text: str, found: Sequence[Written], which: str | int | None) -> dict[str, Any]:
    """Returns the fields of one of several genotypes. Unreadable ones only matter if they are selected by name."""
    which = plain(which)
    readable: list[tuple[str, dict[str, Any]]] = []
    refused: dict[str, SpecError] = {}
    for one in found:
        try:
            readable.append((one.name, _record(one.text)))
        except SpecError as error:
            refused.setdefault(one.name, error)
    if not readable:
        raise next(iter(refused.values()))
    if isinstance(which, int) and not isinstance(which, bool):
        if not -len(readable) <= which < len(readable):
            raise SpecError(f"the text holds {len(readable)} genotypes; there is no number {which}")
        return readable[which][1]
    if which is not None:
        named = dict(_ALIAS.findall(text)).get(which, which) if isinstance(which, str) else which
        names = [name for name, _ in readable if name]
        if named not in names:
            if named in refused:
                raise refused[named]
            raise SpecError(unknown("genotype in this text", which, dict.fromkeys(names)))
        readable = [(name, fields) for name, fields in readable if name == named]
    if all(fields == readable[0][1] for _, fields in readable):
        return readable[0][1]
    names = list(dict.fromkeys(name for name, _ in readable if name))
    offered = f'which="{names[0]}" for instance, of {", ".join(names)}' if len(names) > 1 else "which=0 for the first"
    raise SpecError(
        f"the text holds {len(readable)} genotypes{f' called {which!r}' if which is not None else ''}, which differ; "
        f"say which: {offered}, or which=-1 for the last one"
    )


def _record(text: str) -> dict[str, Any]:
    """Returns the fields of `Genotype(...)`, of a dict or of a list of the fields in order, given as text."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # SyntaxWarnings about odd literals, such as invalid escapes
            tree = ast.parse(text.strip(), mode="eval").body
        return _fields(tree)
    except SpecError:
        raise
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise SpecError(f"not a genotype ({type(error).__name__}); expected {FORM}") from None


def _fields(tree: ast.expr) -> dict[str, Any]:
    match tree:
        case ast.Call(func=ast.Name() | ast.Attribute() as function, args=given, keywords=keywords) if (
            called := function.id if isinstance(function, ast.Name) else function.attr
        ) in ("Genotype", "dict", "OrderedDict"):
            if called != "Genotype" and len(given) == 1 and not keywords:
                return _fields(given[0])
            pairs = [(keyword.arg, keyword.value) for keyword in keywords]
            if len(given) <= len(FIELDS + UNUSED):
                return _once([*zip(FIELDS + UNUSED, given, strict=False), *pairs])
        case ast.Dict(keys=keys, values=values):
            names = [key.value if isinstance(key, ast.Constant) else None for key in keys]
            return _once(list(zip(names, values, strict=True)))
        case ast.List(elts=given) | ast.Tuple(elts=given) if len(given) == len(FIELDS):
            return _once(list(zip(FIELDS, given, strict=True)))
    raise SpecError(f"expected {FORM}")


def _once(pairs: Sequence[tuple[Any, ast.expr]]) -> dict[str, Any]:
    """Returns the fields. Raises `SpecError` if a key is not a string or occurs twice."""
    record: dict[str, Any] = {}
    for key, value in pairs:
        if not isinstance(key, str) or key in record or isinstance(value, ast.Starred):
            raise SpecError(f"each key of a genotype is written once, by name; expected {FORM}")
        record[key] = _read(value)
    return record


def _read(node: ast.expr, depth: int = 0) -> Any:
    """Returns the value of a literal made of strings, numbers, lists and ranges."""
    match node:
        case ast.Constant(value=str() | int() | float() | None as value):
            return value
        case ast.Name(id="null"):
            return None
        case ast.List(elts=elements) | ast.Tuple(elts=elements) if depth < MAX_DEPTH and len(elements) <= MAX_ENTRIES:
            values: list[Any] = []
            for element in elements:
                if isinstance(element, ast.Starred):
                    values.extend(_listed(element.value, depth))
                else:
                    values.append(_read(element, depth + 1))
            return values
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=[given], keywords=keywords):
            # Python, NumPy and torch print some values as calls: np.int64(0), tensor(0), array([0, 1])
            if name in ("list", "tuple") and not keywords:
                return _listed(given, depth)
            if name in ("array", "tensor"):
                return _listed(given, depth) if isinstance(given, ast.List | ast.Tuple) else _integer(given)
            if _INTEGERS.fullmatch(name) and not keywords:
                return _integer(given)
            if name in ("str", "str_") and isinstance(given, ast.Constant) and isinstance(given.value, str):
                return given.value
    if _is_range(node):
        return _listed(node, depth)
    raise SpecError(_LITERALS)


def _is_range(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range"


def _listed(node: ast.expr, depth: int) -> list[Any]:
    """The values of a list, a tuple or a range."""
    if not _is_range(node):
        values = _read(node, depth) if depth <= MAX_DEPTH else None
        if not isinstance(values, list):
            raise SpecError(_LITERALS)
        return values
    assert isinstance(node, ast.Call)
    if not 1 <= len(node.args) <= 3 or node.keywords:
        raise SpecError(_LITERALS)
    given = [_integer(argument) for argument in node.args]
    start, stop, step = (0, *given, 1) if len(given) == 1 else (*given, 1)[:3]
    for what, value in (("start", start), ("stop", stop)):
        if not 0 <= value <= MAX_NODES + 2:
            raise SpecError(f"{what} of range must be a whole number from 0 to {MAX_NODES + 2}, not {value!r:.80}")
    if step == 0:
        raise SpecError("the step of range must not be 0")
    return list(range(start, stop, step))


def _integer(node: ast.expr) -> int:
    """Returns an integer, which may be written as a sum or difference of two, as in range(2, 2 + 4)."""
    match node:
        case ast.Constant(value=int() as value) if not isinstance(value, bool):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as value)):
            return -value
        case ast.BinOp(
            op=ast.Add() | ast.Sub() as sign, left=ast.Constant(value=int(a)), right=ast.Constant(value=int(b))
        ):
            return a + b if isinstance(sign, ast.Add) else a - b
    raise SpecError(_LITERALS)


def fields_of(given: Any) -> dict[str, Any]:
    """Returns the fields of an object: a namedtuple of the authors' code, anything else with these attributes, a
    mapping, or a list of the four in order (which is the JSON of a namedtuple)."""
    if isinstance(given, Mapping):
        return dict(given)
    if hasattr(given, "recurrent"):
        return {name: getattr(given, name) for name in ("recurrent", "concat") if hasattr(given, name)}
    if all(hasattr(given, name) for name in FIELDS):
        return {name: getattr(given, name) for name in FIELDS + UNUSED if hasattr(given, name)}
    if isinstance(given, list | tuple) and len(given) == len(FIELDS):
        return dict(zip(FIELDS, given, strict=True))
    raise SpecError(f"expected a genotype as text, or an object with the fields {', '.join(FIELDS)}; got {given!r:.80}")
