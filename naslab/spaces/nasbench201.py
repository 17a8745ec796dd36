"""NAS-Bench-201: 15,625 cells whose training is tabulated (Dong & Yang 2020, https://arxiv.org/abs/2001.00326).

A cell has four nodes and one of five operations on each of its six edges, 5^6 = 15,625 cells. The published form gives
for each node but the first its operations and the nodes that they read,

    |nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|

Cells are numbered as in the benchmark's table. That order follows no rule, so that the list of cells is bundled.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np

import naslab.data
from naslab.architecture import Architecture, Choice
from naslab.errors import SpecError, whole
from naslab.networks import sizes
from naslab.networks.nasbench201 import EDGES, NODES, NASBench201Network, NASBench201Supernet
from naslab.networks.single_path import SinglePathNASBench201
from naslab.operations.images import NASBENCH201_OPERATIONS
from naslab.spaces.fixed_space import FixedSpace
from naslab.spaces.requirements import requirements_of
from naslab.spaces.weight_sharing import weight_matrices
from naslab.tasks.signature import TaskLike

if TYPE_CHECKING:
    import networkx as nx

PART = "cell"
OPERATIONS = tuple(NASBENCH201_OPERATIONS)
FORM = "|op~0|+|op~0|op~1|+|op~0|op~1|op~2|"
CHOICES = tuple(Choice(f"{PART}/{node}/from_{source}", OPERATIONS) for source, node in EDGES)


@cache
def official_order() -> tuple[str, ...]:
    """Returns all cells as strings, in the order of the benchmark."""
    table = io.StringIO(gzip.decompress(naslab.data.read("nasbench201.csv.gz")).decode("ascii"))
    return tuple(row["arch_str"] for row in csv.DictReader(table))


@cache
def _official_index() -> dict[str, int]:
    return {text: index for index, text in enumerate(official_order())}


@dataclass(frozen=True)
class NASBench201(FixedSpace):
    """One cell: an operation on every edge between four nodes."""

    name: ClassVar[str] = "nasbench201"
    reads = frozenset({"image"})

    channels: int = 16
    """Channels of the first of three stages, in the supernet and by default in a built network."""
    cells: int = 5
    """Number of cells in each stage."""

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes.positives(self, "channels", "cells")

    @classmethod
    def paper(cls) -> NASBench201:
        """Returns the space of the benchmark."""
        return cls()

    @classmethod
    def laptop(cls) -> NASBench201:
        """Returns a space that can be searched interactively on two CPU cores."""
        return cls(channels=8, cells=1)

    @property
    def operations(self) -> tuple[str, ...]:
        """The five operations, in the order of the columns of the mixture weights."""
        return OPERATIONS

    def all_edges(self) -> NASBench201:
        """Returns the space itself: its architectures keep every edge."""
        return self

    # --- choices ---------------------------------------------------------------------------------

    def each_choice(self) -> tuple[Choice, ...]:
        return CHOICES

    # --- the published form ----------------------------------------------------------------------

    def parse(self, text: str) -> Architecture:
        """Reads the published string. Raises `SpecError` on anything else."""
        if not isinstance(text, str) or len(text) > 1024:
            raise SpecError(f"a cell is a text of the form {FORM}")
        nodes = "".join(text.split()).split("+")  # a log or a page may have broken it into lines
        if len(nodes) != NODES - 1:
            raise SpecError(f"expected {NODES - 1} nodes, as in {FORM}, got {len(nodes)}: {text!r}")
        choices = []
        for node, written in enumerate(nodes, start=1):
            entries = re.fullmatch(r"\|(.*)\|", written)
            pairs = [entry.split("~") for entry in entries[1].split("|")] if entries else []
            if [pair[1:] for pair in pairs] != [[str(source)] for source in range(node)]:
                raise SpecError(f"expected node {node} as in {FORM}, got {written!r}")
            choices += [operation for operation, _ in pairs]
        return self.architecture(choices)

    def format(self, architecture: Architecture) -> str:
        """Returns the published string."""
        architecture = self.check(architecture)
        nodes = [[] for _ in range(NODES)]
        for (source, node), operation in zip(EDGES, architecture.choices, strict=True):
            nodes[node].append(f"{operation}~{source}")
        return "+".join(f"|{'|'.join(entries)}|" for entries in nodes[1:])

    def index(self, architecture: Architecture) -> int:
        """Returns the number of the architecture in the benchmark."""
        return _official_index()[self.format(architecture)]

    def at(self, index: int) -> Architecture:
        """Returns the architecture with this number in the benchmark."""
        number = -1
        with suppress(SpecError):
            number = whole("index", index)
        if not 0 <= number < self.size:
            raise SpecError(f"the cells are numbered from 0 to {self.size - 1}; there is no {index!r:.100}")
        return self.parse(official_order()[number])

    def canonical(self, architecture: Architecture) -> str:
        """Returns an expression that isomorphic cells share: 6,466 classes, as published.

        A node is the sorted sum of its terms. A skip connection contributes the expression of its source, any other
        operation `(source)@operation`, and `none` the zero `#`, as does every operation on a node 1 that is `#`. This
        is the authors' rule. It is not the coarsest one: a node 2 that sums nothing but zeros is not recognised as
        zero, which would reduce the number of classes to 5,390.
        """
        architecture = self.check(architecture)
        terms: list[list[str]] = [["0"], [], [], []]
        expressions = ["0"]
        for (source, node), operation in zip(EDGES, architecture.choices, strict=True):
            if operation == "none" or expressions[source] == "#":
                term = "#"
            elif operation == "skip_connect":
                term = expressions[source]
            else:
                term = f"({expressions[source]})@{operation}"
            terms[node].append(term)
            if len(terms[node]) == node:
                expressions.append("+".join(sorted(terms[node])))
        return expressions[-1]

    # --- the supernet ----------------------------------------------------------------------------

    def edges(self) -> dict[str, int]:
        """Returns the number of edges of the cell, 6."""
        return {PART: len(EDGES)}

    def discretize(self, weights: Mapping[str, np.ndarray]) -> Architecture:
        """Returns the cell with the strongest operation of each edge, `none` included, as in the benchmark's code.

        The earlier operation wins a tie.
        """
        matrix = weight_matrices(weights, self.edges(), len(OPERATIONS))[PART]
        return self.architecture([OPERATIONS[column] for column in matrix.argmax(axis=1)])

    def one_hot(self, architecture: Architecture) -> dict[str, np.ndarray]:
        architecture = self.check(architecture)
        return {PART: self.encode(architecture).reshape(len(EDGES), len(OPERATIONS))}

    # --- graphs ----------------------------------------------------------------------------------

    def graph(self, architecture: Architecture) -> nx.DiGraph:
        """Returns the graph; an edge whose operation is `none` is left out."""
        architecture = self.check(architecture)
        graph = self._nodes()
        for row, ((source, node), operation) in enumerate(zip(EDGES, architecture.choices, strict=True)):
            if operation != "none":
                graph.add_edge(f"{PART}/{source}", f"{PART}/{node}", op=operation, row=row)
        return graph

    def supergraph(self) -> nx.DiGraph:
        graph = self._nodes()
        for row, (source, node) in enumerate(EDGES):
            graph.add_edge(f"{PART}/{source}", f"{PART}/{node}", row=row)
        return graph

    @staticmethod
    def _nodes() -> nx.DiGraph:
        import networkx as nx

        graph = nx.DiGraph()
        for node in range(NODES):
            role = "input" if node == 0 else "output" if node == NODES - 1 else "node"
            graph.add_node(f"{PART}/{node}", part=PART, label=str(node), role=role)
        return graph

    # --- networks --------------------------------------------------------------------------------

    def build(
        self, architecture: Architecture, task: TaskLike, *, channels: int | None = None, cells: int | None = None
    ) -> NASBench201Network:
        """Returns the benchmark's network; `cells` is the number in each of the three stages."""
        return NASBench201Network(
            self.layers_of(architecture),
            *requirements_of(task),
            channels=self.channels if channels is None else channels,
            cells=self.cells if cells is None else cells,
        )

    def supernet(
        self, task: TaskLike, *, channels: int | None = None, cells: int | None = None, one_in: int = 1
    ) -> NASBench201Supernet:
        """Returns the supernet of all cells.

        Args:
            one_in: operations see one channel in this many (PC-DARTS, `naslab.networks.partial_channels`).
        """
        return NASBench201Supernet(
            OPERATIONS,
            *requirements_of(task),
            channels=self.channels if channels is None else channels,
            cells=self.cells if cells is None else cells,
            one_in=one_in,
        )

    def layers_of(self, architecture: Architecture) -> list[str]:
        """Returns the operation of each edge, in the order of `EDGES`."""
        return [str(operation) for operation in self.check(architecture).choices]

    def shared_weights(
        self, task: TaskLike, *, channels: int | None = None, cells: int | None = None
    ) -> SinglePathNASBench201:
        """Returns the shared weights of all architectures; the argument `layers_of(architecture)` selects one."""
        return SinglePathNASBench201(
            OPERATIONS,
            *requirements_of(task),
            channels=self.channels if channels is None else channels,
            cells=self.cells if cells is None else cells,
        )
