"""The published way to write a DARTS cell down: operations and inputs, node after node.

    Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ...], normal_concat=[2, 3, 4, 5],
             reduce=[('max_pool_3x3', 0), ...], reduce_concat=[2, 3, 4, 5])

Two entries (operation, input) make a node, which is their sum. Inputs 0 and 1 are the outputs of the two cells
before, 2 the first node, and so on. The concatenation of the nodes in `concat` is the output of the cell.
"""

from __future__ import annotations

import ast
import json
import warnings
from dataclasses import dataclass, fields
from typing import Any

from naslab.errors import SpecError, unknown
from naslab.operations.images import DARTS_OPERATIONS

MAX_TEXT = 64 * 1024
MAX_NODES = 64
FORM = "Genotype(normal=[('op', input), ...], normal_concat=[...], reduce=[...], reduce_concat=[...])"

Edges = tuple[tuple[str, int], ...]


@dataclass(frozen=True, repr=False)
class Genotype:
    """A normal and a reduction cell. `str` gives the published text, `Genotype.parse` reads it."""

    normal: Edges
    normal_concat: tuple[int, ...]
    reduce: Edges
    reduce_concat: tuple[int, ...]

    def __post_init__(self) -> None:
        for part in ("normal", "reduce"):
            edges, concat = _cell(part, getattr(self, part), getattr(self, f"{part}_concat"))
            object.__setattr__(self, part, edges)
            object.__setattr__(self, f"{part}_concat", concat)

    def nodes(self, part: str) -> list[Edges]:
        """The entries of each node of `"normal"` or `"reduce"`, two a node."""
        edges: Edges = getattr(self, part)
        return [edges[start : start + 2] for start in range(0, len(edges), 2)]

    def __repr__(self) -> str:
        return (
            f"Genotype(normal={list(self.normal)}, normal_concat={list(self.normal_concat)}, "
            f"reduce={list(self.reduce)}, reduce_concat={list(self.reduce_concat)})"
        )

    @classmethod
    def parse(cls, text: str) -> Genotype:
        """Read the published text. Nothing is evaluated; `SpecError`, and nothing else, on anything else."""
        if not isinstance(text, str) or len(text) > MAX_TEXT:
            raise SpecError(f"a genotype is a text of at most {MAX_TEXT} characters: {FORM}")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Python's remarks on strange literals
                call = ast.parse(text.strip(), mode="eval").body
            return cls._from_fields(_read_call(call))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            if isinstance(error, SpecError):
                raise
            raise SpecError(f"not a genotype ({type(error).__name__}); expected {FORM}") from None

    def to_json(self) -> str:
        return json.dumps({field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def from_json(cls, text: str) -> Genotype:
        """Read what `to_json` wrote. Raises `SpecError`, and nothing else, on anything else."""
        if not isinstance(text, str) or len(text) > MAX_TEXT:
            raise SpecError(f"a genotype is at most {MAX_TEXT} characters of JSON")
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise SpecError(f"not JSON: {error}") from None
        return cls._from_fields(record)

    @classmethod
    def _from_fields(cls, record: Any) -> Genotype:
        known = [field.name for field in fields(cls)]
        if not isinstance(record, dict):
            raise SpecError(f"expected an object with the keys {', '.join(known)}, got {type(record).__name__}")
        for key in record:
            if key not in known:
                raise SpecError(unknown("key of a genotype", key, known))
        if missing := [key for key in known if key not in record]:
            raise SpecError(f"the genotype lacks {', '.join(missing)}; expected {FORM}")
        return cls(**record)


def _cell(part: str, edges: Any, concat: Any) -> tuple[Edges, tuple[int, ...]]:
    """The entries and the concatenation of a cell, checked and frozen."""
    if not isinstance(edges, list | tuple) or not isinstance(concat, list | tuple | range):
        raise SpecError(f"{part} and {part}_concat must be lists; expected {FORM}")
    if len(edges) % 2 or not 2 <= len(edges) <= 2 * MAX_NODES:
        raise SpecError(f"{part} must have two entries a node and 1 to {MAX_NODES} nodes, not {len(edges)} entries")
    checked = []
    for position, entry in enumerate(edges):
        if not isinstance(entry, list | tuple) or len(entry) != 2:
            raise SpecError(f"{part}: entry {position} must be a pair (operation, input), not {entry!r:.80}")
        operation, source = entry
        if not isinstance(operation, str) or operation not in DARTS_OPERATIONS:
            raise SpecError(f"{part}: entry {position}: {unknown('operation', operation, DARTS_OPERATIONS)}")
        checked.append((operation, _index(f"{part}: input of entry {position}", source, 0, 2 + position // 2)))
    nodes = len(edges) // 2
    if not 1 <= len(concat) <= nodes:
        raise SpecError(f"{part}_concat must name 1 to {nodes} nodes, not {len(concat)}")
    outputs = tuple(_index(f"{part}_concat", node, 2, 2 + nodes) for node in concat)
    if len(set(outputs)) != len(outputs):
        raise SpecError(f"{part}_concat names a node twice: {list(outputs)}")
    return tuple(checked), outputs


def _index(what: str, value: Any, low: int, end: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value < end:
        raise SpecError(f"{what} must be a whole number from {low} to {end - 1}, not {value!r:.80}")
    return value


def _read_call(node: ast.expr) -> dict[str, Any]:
    """`Genotype(key=value, ...)` as a dict."""
    match node:
        case ast.Call(func=ast.Name(id="Genotype"), args=[], keywords=keywords):
            record: dict[str, Any] = {}
            for keyword in keywords:
                if keyword.arg is None or keyword.arg in record:
                    raise SpecError(f"each key of a genotype is written once, by name; expected {FORM}")
                record[keyword.arg] = _read(keyword.value)
            return record
    raise SpecError(f"expected {FORM}")


def _read(node: ast.expr, depth: int = 0) -> Any:
    """A literal made of strings, whole numbers, lists, tuples and `range(start, stop)`, three levels deep."""
    match node:
        case ast.Constant(value=str() | int() as value):
            return value
        case ast.List(elts=elements) | ast.Tuple(elts=elements) if depth < 2 and len(elements) <= 2 * MAX_NODES:
            return [_read(element, depth + 1) for element in elements]
        case ast.Call(
            func=ast.Name(id="range"), args=[ast.Constant(value=start), ast.Constant(value=stop)], keywords=[]
        ):
            low = _index("start of range", start, 0, MAX_NODES + 2)
            return list(range(low, _index("stop of range", stop, low, MAX_NODES + 3)))
    raise SpecError(f"a genotype holds only names, whole numbers, lists and range(a, b); expected {FORM}")


DARTS_V1 = Genotype(
    normal=(
        ("sep_conv_3x3", 1),
        ("sep_conv_3x3", 0),
        ("skip_connect", 0),
        ("sep_conv_3x3", 1),
        ("skip_connect", 0),
        ("sep_conv_3x3", 1),
        ("sep_conv_3x3", 0),
        ("skip_connect", 2),
    ),
    normal_concat=(2, 3, 4, 5),
    reduce=(
        ("max_pool_3x3", 0),
        ("max_pool_3x3", 1),
        ("skip_connect", 2),
        ("max_pool_3x3", 0),
        ("max_pool_3x3", 0),
        ("skip_connect", 2),
        ("skip_connect", 2),
        ("avg_pool_3x3", 0),
    ),
    reduce_concat=(2, 3, 4, 5),
)
"""Found by first-order DARTS on CIFAR-10 (Liu et al. 2019)."""

DARTS_V2 = Genotype(
    normal=(
        ("sep_conv_3x3", 0),
        ("sep_conv_3x3", 1),
        ("sep_conv_3x3", 0),
        ("sep_conv_3x3", 1),
        ("sep_conv_3x3", 1),
        ("skip_connect", 0),
        ("skip_connect", 0),
        ("dil_conv_3x3", 2),
    ),
    normal_concat=(2, 3, 4, 5),
    reduce=(
        ("max_pool_3x3", 0),
        ("max_pool_3x3", 1),
        ("skip_connect", 2),
        ("max_pool_3x3", 1),
        ("max_pool_3x3", 0),
        ("skip_connect", 2),
        ("skip_connect", 2),
        ("max_pool_3x3", 1),
    ),
    reduce_concat=(2, 3, 4, 5),
)
"""Found by second-order DARTS on CIFAR-10 (Liu et al. 2019)."""
