"""The published notation for DARTS cells: operations and inputs, node by node.

    Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ...], normal_concat=[2, 3, 4, 5],
             reduce=[('max_pool_3x3', 0), ...], reduce_concat=[2, 3, 4, 5])

A node is the sum of two entries (operation, input). Inputs 0 and 1 are the outputs of the two preceding cells, 2 is
the first node, and so on. The concatenation of the nodes in `concat` is the output of the cell.

A cell may also keep all of its edges, as in SNAS (`SNAS_mild_edge_all`). The first node then has 2 entries, the next 3,
and so on: one entry for every earlier state, in any order. The number of entries and `concat` decide between the two
readings: no list of entries is a valid cell in both (see `_sizes`).
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, fields
from typing import Any

from naslab.errors import SpecError, unknown, whole
from naslab.networks import genotype_text
from naslab.networks.genotype_text import FIELDS, FORM, MAX_ENTRIES, MAX_NODES, MAX_TEXT, RECURRENT, UNUSED
from naslab.operations.images import DARTS_OPERATIONS, NASBENCH201_OPERATIONS, Operation
from naslab.operations.nasnet import NASNET_OPERATIONS

GENOTYPE_OPERATIONS: dict[str, Operation] = {**DARTS_OPERATIONS, **NASNET_OPERATIONS, **NASBENCH201_OPERATIONS}
"""All operations that a genotype may name; no single space searches over all of them."""
NOISE = (
    "'noise' (random numbers instead of the input, of the search space S4 of RobustDARTS) is an operation that "
    "naslab does not have; put another in its place"
)

Edges = tuple[tuple[str, int], ...]


@dataclass(frozen=True, repr=False)
class Genotype:
    """A normal and a reduction cell. `str` returns the published text, and `Genotype.parse` reads it.

    Raises `SpecError` if the entries are not a valid cell.
    """

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
        """Returns the entries of each node of `"normal"` or `"reduce"`: two, or one for every earlier state."""
        edges: Edges = getattr(self, part)
        return _grouped(edges, _sizes(edges, getattr(self, f"{part}_concat")))

    def keeps_all_edges(self, part: str) -> bool:
        """True if every node reads every earlier state exactly once."""
        return _all_edges(self.nodes(part))

    def __repr__(self) -> str:
        return (
            f"Genotype(normal={list(self.normal)}, normal_concat={list(self.normal_concat)}, "
            f"reduce={list(self.reduce)}, reduce_concat={list(self.reduce_concat)})"
        )

    @classmethod
    def parse(cls, given: Any, *, which: str | int | None = None) -> Genotype:
        """Returns a genotype read from any form in which it is published or logged (`genotype_text`): text, the
        namedtuple of the authors' code or any object with its fields, or a dict. Text is never evaluated as code.

        Args:
            given: for instance "DARTS_V2 = Genotype(normal=[('sep_conv_3x3', 0), ...], ...)".
            which: selects one of several genotypes in a text by its name, "DARTS_V2", or its number (-1 is the last).

        Raises:
            SpecError: it is not a genotype; no other error is raised.
        """
        if isinstance(given, Genotype):
            return given
        record = genotype_text.read(given, which) if isinstance(given, str) else genotype_text.fields_of(given)
        return cls._from_fields(record)

    def to_json(self) -> str:
        return json.dumps({field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def from_json(cls, text: str) -> Genotype:
        """Returns the genotype that `to_json` wrote. Raises `SpecError`, and no other error, on any other text."""
        if not isinstance(text, str) or len(text) > MAX_TEXT:
            raise SpecError(f"a genotype is at most {MAX_TEXT} characters of JSON")
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise SpecError(f"not JSON: {error}") from None
        return cls._from_fields(record)

    @classmethod
    def _from_fields(cls, record: Any) -> Genotype:
        if not isinstance(record, dict):
            raise SpecError(f"expected an object with the keys {', '.join(FIELDS)}, got {type(record).__name__}")
        if "recurrent" in record:
            raise SpecError(RECURRENT)
        given = {key: value for key, value in record.items() if key not in UNUSED or value is not None}
        for key in given:
            if key not in FIELDS:
                raise SpecError(unknown("key of a genotype", key, FIELDS))
        if missing := [key for key in FIELDS if key not in given]:
            raise SpecError(f"the genotype lacks {', '.join(missing)}; expected {FORM}")
        return cls(**given)


def _cell(part: str, given: Any, concat: Any) -> tuple[Edges, tuple[int, ...]]:
    """Returns the entries and the concatenated states of a cell as tuples, after checking them."""
    given, concat = _plain(given), _plain(concat)
    if not isinstance(given, list | tuple) or not isinstance(concat, list | tuple | range):
        raise SpecError(f"{part} and {part}_concat must be lists; expected {FORM}")
    if len(given) > MAX_ENTRIES or len(concat) > MAX_NODES:
        raise SpecError(f"{part} must have 1 to {MAX_NODES} nodes, not {len(given)} entries")
    nested = bool(given) and all(_is_node(entry) for entry in given)
    entries = [entry for node in given for entry in _plain(node)] if nested else list(given)
    edges = tuple(_entry(part, position, entry) for position, entry in enumerate(entries[: MAX_ENTRIES + 1]))
    outputs = tuple(_index(f"{part}_concat", node, 0, 2 + MAX_NODES) for node in concat)
    sizes = _sizes(edges, outputs)
    if nested and [len(node) for node in given] != sizes:
        raise SpecError(
            f"the nodes of {part} have {', '.join(str(len(node)) for node in given)} entries; expected two each, or "
            f"one for every state before it ({', '.join(str(2 + node) for node in range(len(given)))})"
        )
    if sum(sizes) != len(edges) or not 1 <= len(sizes) <= MAX_NODES:
        raise SpecError(
            f"{part} must have two entries a node, or one for every state before it (2, 3, 4, ...), and 1 to "
            f"{MAX_NODES} nodes, not {len(edges)} entries"
        )
    _check_graph(part, edges, outputs, sizes)
    return edges, outputs


def _plain(value: Any) -> Any:
    """Returns a NumPy or torch array as a list, and anything else unchanged."""
    return value.tolist() if hasattr(value, "tolist") and getattr(value, "ndim", 0) else value


def _is_node(entry: Any) -> bool:
    """True for a list of entries, false for a single entry."""
    return isinstance(entry, list | tuple) and bool(entry) and isinstance(entry[0], list | tuple)


def _entry(part: str, position: int, entry: Any) -> tuple[str, int]:
    """Returns (operation, input) of an entry. A third element, the operation's weight in the search, is dropped."""
    weighed = isinstance(entry, list | tuple) and len(entry) == 3 and isinstance(entry[2], float)
    if not isinstance(entry, list | tuple) or (len(entry) != 2 and not weighed):
        raise SpecError(f"{part}: entry {position} must be a pair (operation, input), not {entry!r:.80}")
    operation, source = entry[:2]
    if operation == "noise":
        raise SpecError(f"{part}: entry {position}: {NOISE}")
    if not isinstance(operation, str) or operation not in GENOTYPE_OPERATIONS:
        raise SpecError(f"{part}: entry {position}: {unknown('operation', operation, GENOTYPE_OPERATIONS)}")
    return str(operation), _index(f"{part}: input of entry {position}", source, 0, 2 + MAX_NODES)


def _sizes(edges: Edges, outputs: tuple[int, ...]) -> list[int]:
    """Returns the number of entries of each node: one per earlier state if the entries allow it, otherwise two.

    No valid cell has both readings. With all edges, n > 1 nodes have n (n + 3) / 2 > 2 n entries. Read as two per node,
    these would make more than n nodes. The additional nodes would come after state n + 1, the last one that `concat`
    may name in the first reading, so that nothing would read the last of them.
    """
    nodes = next((n for n in range(1, MAX_NODES + 1) if n * (n + 3) // 2 >= len(edges)), MAX_NODES)
    sizes = [2 + node for node in range(nodes)]
    fits = sum(sizes) == len(edges) and max(outputs, default=0) < 2 + nodes
    return sizes if fits and (len(edges) % 2 or _all_edges(_grouped(edges, sizes))) else [2] * (len(edges) // 2)


def _grouped(edges: Edges, sizes: list[int]) -> list[Edges]:
    ends = list(itertools.accumulate(sizes))
    return [edges[end - size : end] for size, end in zip(sizes, ends, strict=True)]


def _all_edges(nodes: list[Edges]) -> bool:
    """True if every node reads every earlier state exactly once."""
    return all(sorted(source for _, source in node) == list(range(2 + i)) for i, node in enumerate(nodes))


def _check_graph(part: str, edges: Edges, outputs: tuple[int, ...], sizes: list[int]) -> None:
    """Raises `SpecError` if a node reads a later state, or if nothing reads it."""
    nodes, position = len(sizes), 0
    read = set(outputs)
    for node, entries in enumerate(_grouped(edges, sizes)):
        for _, source in entries:
            read.add(_index(f"{part}: input of entry {position}", source, 0, 2 + node))
            position += 1
        if sizes[-1] > 2 and len({source for _, source in entries}) < len(entries):
            raise SpecError(
                f"{part}: node {node} reads {[source for _, source in entries]}; where all edges are kept, it reads "
                f"each of the states 0 to {1 + node} once"
            )
    if not 1 <= len(outputs) <= nodes:
        raise SpecError(f"{part}_concat must name 1 to {nodes} nodes, not {len(outputs)}")
    for output in outputs:
        _index(f"{part}_concat", output, 2, 2 + nodes)
    if len(set(outputs)) != len(outputs):
        raise SpecError(f"{part}_concat names a node twice: {list(outputs)}")
    if unread := [state for state in range(2, 2 + nodes) if state not in read]:
        raise SpecError(
            f"{part}: nothing reads {', '.join(map(str, unread))} of the states 2 to {1 + nodes}, and {part}_concat, "
            f"{list(outputs)}, leaves them out, so that they would be computed for nothing; are the {len(edges)} "
            f"entries (two a node, or all edges: 2, 3, 4, ...) and {part}_concat of the same cell?"
        )


def _index(what: str, value: Any, low: int, end: int) -> int:
    try:
        number = whole(what, value)
    except SpecError:
        number = -1
    if not low <= number < end:
        raise SpecError(f"{what} must be a whole number from {low} to {end - 1}, not {value!r:.80}")
    return number


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
