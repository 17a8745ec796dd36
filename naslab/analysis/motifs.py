"""Motifs that are more or less frequent in the cells that searches find than in random cells.

Four kinds of motif are counted in each cell of each architecture:

    operation    an operation, anywhere in the cell
    place        an operation at one place: on a given edge, or at a given node if nodes carry the operations
    pair         two connected nodes, with the operation between them
    triple       three connected nodes, with all connections among them

Pairs and triples are labelled sub-graphs up to isomorphism. The label of a node is its operation if it has one,
otherwise "input", "node" or "output"; the label of an edge is its operation. Sub-graphs leave out edges that the
search does not choose (such as those to the output of a DARTS cell) and nodes and edges that are on no path from an
input to the output. "none" is the absence of a connection; if `space.graph` leaves it out (as NAS-Bench-201 does), it
is not counted as an operation either.

The counts are compared with those in uniformly random architectures of the space, by the ratio of the means and by an
exact permutation test (`naslab.analysis.enrichment`). A sample of the test is an architecture, so that seeds of one
search count as independent. The p-values are corrected for all observed motifs of the same kind (Holm 1979).

Wan et al. 2022 (https://arxiv.org/abs/2203.08887) mine the sub-graphs of the best cells of a table in this way.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from naslab.analysis.cell_shape import connections, parts
from naslab.analysis.enrichment import tails
from naslab.architecture import Architecture
from naslab.errors import SpecError, among, listed, unknown, whole
from naslab.immutable import Record
from naslab.randomness import numpy_generator
from naslab.spaces.space import Space
from naslab.statistics import holm

if TYPE_CHECKING:
    import networkx as nx

KINDS = ("operation", "place", "pair", "triple")
LEAST = 3
"""Smallest number of found architectures; fewer cannot show a common motif."""

Form = tuple[tuple[str, ...], tuple[tuple[int, int, str], ...]]
"""Labels of the nodes, and (source, target, operation) of the edges; the operation is empty for an edge without one."""


@dataclass(frozen=True, order=True)
class Pattern:
    """A motif that is counted, without its counts."""

    kind: str
    part: str
    """Name of the cell that it occurs in."""
    form: Form
    """A single node for an operation or a place; the canonical form of the sub-graph for pairs and triples."""

    def __str__(self) -> str:
        labels, edges = self.form
        if len(labels) == 1:
            return labels[0]
        names = [
            f"{name} {labels[:number].count(name) + 1}" if labels.count(name) > 1 else name
            for number, name in enumerate(labels)
        ]
        return ", ".join(f"{names[u]} → {f'{op} → ' if op else ''}{names[v]}" for u, v, op in edges)

    def graph(self) -> nx.DiGraph:
        """Returns a graph for drawing: nodes with `label` and `role`, edges with `op`."""
        import networkx as nx

        labels, edges = self.form
        graph = nx.DiGraph()
        for number, label in enumerate(labels):
            graph.add_node(number, label=label, role=label if label in ("input", "output") else "node")
        graph.add_edges_from((u, v, {"op": op} if op else {}) for u, v, op in edges)
        return graph


@dataclass(frozen=True, kw_only=True, eq=False)
class Motif(Record):
    """A pattern, and how often it occurs."""

    pattern: Pattern
    found: float
    """Mean number of occurrences in a found architecture."""
    random: float
    """Mean number of occurrences in a random architecture."""
    carriers: int
    """Number of found architectures in which it occurs."""
    p: float
    """Two-sided p-value of this motif, not corrected for multiple tests."""
    holm: float
    """p-value corrected for all motifs of the same kind by the method of Holm."""

    @property
    def ratio(self) -> float:
        """found / random: 1 is as frequent as by chance; infinite if no random architecture has the motif."""
        if self.random == 0:
            return math.inf
        return self.found / self.random


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Motifs(Record):
    """All motifs that occur, sorted by corrected p-value."""

    space: str
    architectures: int
    """Number of found architectures."""
    random: int
    """Number of random architectures that they are compared with."""
    motifs: tuple[Motif, ...]

    def of(self, *kinds: str, part: str | None = None) -> tuple[Motif, ...]:
        """Returns the motifs of the given kinds, and of one cell only if `part` is given."""
        for kind in kinds:
            if not among(kind, KINDS):
                raise SpecError(unknown("kind of motif", kind, KINDS))
        return tuple(m for m in self.motifs if m.pattern.kind in kinds and part in (None, m.pattern.part))

    def enriched(self, level: float = 0.05) -> tuple[Motif, ...]:
        """Returns the motifs more frequent than by chance, with a corrected p-value of at most `level`."""
        return tuple(motif for motif in self.motifs if motif.holm <= level and motif.ratio > 1)

    def depleted(self, level: float = 0.05) -> tuple[Motif, ...]:
        """Returns the motifs less frequent than by chance, with a corrected p-value of at most `level`."""
        return tuple(motif for motif in self.motifs if motif.holm <= level and motif.ratio < 1)

    def __str__(self) -> str:
        """Returns a table of the twenty motifs with the smallest p-values."""
        lines = [f"{'kind':9}  {'cell':8}  {'found':>6}  {'random':>6}  {'ratio':>6}  {'corrected p':>11}  motif"]
        for motif in self.motifs[:20]:
            figures = f"{motif.found:6.2f}  {motif.random:6.2f}  {motif.ratio:6.2f}  {motif.holm:11.2g}"
            lines.append(f"{motif.pattern.kind:9}  {motif.pattern.part:8.8}  {figures}  {motif.pattern}")
        return "\n".join([*lines, repr(self)])

    def __repr__(self) -> str:
        return (
            f"<{len(self.motifs)} motifs in {self.architectures} architectures of {self.space} against {self.random} "
            f"random ones: {len(self.enriched())} enriched, {len(self.depleted())} depleted (corrected p <= 0.05)>"
        )


def motifs(
    found: Iterable[Architecture | Any],
    space: Space,
    *,
    kinds: Sequence[str] = KINDS,
    random: int = 1000,
    seed: int = 0,
) -> Motifs:
    """Mines the architectures found by many searches, or by many seeds of one, for motifs.

    Args:
        found: architectures, or objects with a `best`, such as a `Search`; for run folders `naslab.runs.found(paths)`.
        space: the space that they are from.
        kinds: kinds of motif to count, from `KINDS`.
        random: number of uniformly random architectures to compare with.
        seed: seed of the random architectures.
    """
    if isinstance(found, Architecture) or not listed(found):
        raise SpecError(f"motifs are mined in many architectures: give a list, not {type(found).__name__}")
    mined = [space.check(item if isinstance(item, Architecture) else _best(item)) for item in found]
    if len(mined) < LEAST:
        raise SpecError(
            f"{len(mined)} architectures are too few to have something in common by more than chance: give {LEAST} or "
            "more, of more runs or seeds"
        )
    rng = numpy_generator(whole("seed", seed), "motifs")
    background = [space.sample(rng) for _ in range(whole("random", random, 2))]
    return compared(mined, background, space, kinds)


def compared(
    mined: Sequence[Architecture], background: Sequence[Architecture], space: Space, kinds: Sequence[str] = KINDS
) -> Motifs:
    """Returns the motifs of architectures compared with any others, for instance the worst of a table."""
    counts = [[patterns(space, architecture, kinds) for architecture in group] for group in (mined, background)]
    rows = []
    for kind in kinds:
        seen = sorted({pattern for group in counts for count in group for pattern in count if pattern.kind == kind})
        columns = [[np.array([count[pattern] for count in group]) for group in counts] for pattern in seen]
        p = [tails(own, other).p for own, other in columns]
        for pattern, (own, other), single, corrected in zip(seen, columns, p, holm(p), strict=True):
            rows.append(
                Motif(
                    pattern=pattern,
                    found=float(own.mean()),
                    random=float(other.mean()),
                    carriers=int((own > 0).sum()),
                    p=single,
                    holm=corrected,
                )
            )
    rows.sort(key=lambda motif: (motif.holm, motif.p, KINDS.index(motif.pattern.kind), motif.pattern))
    return Motifs(space=space.name, architectures=len(mined), random=len(background), motifs=tuple(rows))


def patterns(space: Space, architecture: Architecture, kinds: Sequence[str] = KINDS) -> Counter[Pattern]:
    """Returns pattern -> number of its occurrences in an architecture."""
    found: Counter[Pattern] = Counter()
    for name, part in parts(space.graph(architecture)).items():
        for kind in kinds:
            if not among(kind, KINDS):
                raise SpecError(unknown("kind of motif", kind, KINDS))
            forms = _FORMS[kind](part)
            found.update(Pattern(kind, name, form) for form in forms)
    return found


def _operations(part: nx.DiGraph) -> Iterator[Form]:
    for _, operation in _placed(part):
        yield (operation,), ()


def _places(part: nx.DiGraph) -> Iterator[Form]:
    for place, operation in _placed(part):
        yield (f"{place}: {operation}",), ()


def _placed(part: nx.DiGraph) -> Iterator[tuple[str, str]]:
    """Yields (place, operation) for each operation; an edge that names two operations yields both."""
    label = {node: str(name) for node, name in part.nodes(data="label")}
    for node, operation in part.nodes(data="op"):
        if operation is not None:
            yield label[node], str(operation)
    for u, v, named in part.edges(data="op"):
        for operation in _split(named):
            yield f"{label[u]} → {label[v]}", operation


def _split(named: Any) -> list[str]:
    return [] if named is None else str(named).split(" + ")


def _pairs(part: nx.DiGraph) -> Iterator[Form]:
    labels, edges = _skeleton(part)
    for (u, v), operation in edges.items():
        yield (labels[u], labels[v]), ((0, 1, operation),)


def _triples(part: nx.DiGraph) -> Iterator[Form]:
    labels, edges = _skeleton(part)
    for three in itertools.combinations(labels, 3):
        inside = tuple(
            (i, j, edges[three[i], three[j]]) for i, j in ((0, 1), (0, 2), (1, 2)) if (three[i], three[j]) in edges
        )
        if len(inside) >= 2:
            yield canonical((labels[three[0]], labels[three[1]], labels[three[2]]), inside)


def _skeleton(part: nx.DiGraph) -> tuple[dict[Any, str], dict[tuple[Any, Any], str]]:
    """Returns the labels of the nodes in topological order, and the operation of each connection that is searched."""
    sources = connections(part)
    at_edges = any(named is not None for _, _, named in part.edges(data="op"))
    labels = {node: str(part.nodes[node].get("op") or part.nodes[node].get("role", "node")) for node in sources}
    edges: dict[tuple[Any, Any], str] = {}
    for node, read in sources.items():
        for source in read:
            named = part.edges[source, node].get("op")
            if named is not None or not at_edges:
                edges[source, node] = "" if named is None else " + ".join(sorted(_split(named)))
    return labels, edges


@lru_cache(maxsize=1 << 16)
def canonical(labels: tuple[str, ...], edges: tuple[tuple[int, int, str], ...]) -> Form:
    """Returns the lexicographically smallest form over all orders of the nodes, equal exactly for isomorphic graphs.

    A graph has at most three nodes here, so that trying all orders costs at most six forms.
    """
    return min(
        (
            tuple(labels[node] for node in order),
            tuple(sorted((order.index(u), order.index(v), operation) for u, v, operation in edges)),
        )
        for order in itertools.permutations(range(len(labels)))
    )


def _best(item: Any) -> Architecture:
    best = getattr(item, "best", None)
    if not isinstance(best, Architecture):
        raise SpecError(
            f"motifs are mined in architectures, or in searches that have found one; {type(item).__name__} is neither. "
            "Of run folders naslab.runs.found(paths) gives the architectures"
        )
    return best


_FORMS = {"operation": _operations, "place": _places, "pair": _pairs, "triple": _triples}
