"""A list of architectures of a space as a space: the sample that a table covers where the whole is too large to train.

Architectures are those of the whole space, and so are their networks, graphs, encodings and distances. Only listed ones
are sampled, all with equal probability. Changing one choice of a listed architecture rarely leads to another listed
one, so the neighbours are the nearest ones on the list instead, by Gower's distance over the choices (Gower 1971,
https://doi.org/10.2307/2528823):

    d(a, b) = sum over all choices of
        |rank of a's option - rank of b's| / (options - 1)    if the options are numbers,
        0 or 1 (the same, or not)                             if they are words,
        1                                                     if only one of the two has the choice

Two architectures are neighbours if one of them is among the `nearest` of the other. If the graph of neighbours falls
into several components, they are joined by their nearest pairs, so that local search can reach every architecture. A
mutation is a random neighbour; a child of two parents is the listed architecture nearest to a uniform crossover. No
fitness is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from naslab.architecture import Architecture, Choice, Option, Prefix
from naslab.errors import SpecError, whole
from naslab.randomness import generator_of
from naslab.spaces.space import Space
from naslab.spaces.wrapping import Wrapping

ABSENT = -1.0
"""Code of a choice that an architecture does not have. All other codes are 0 or more, so it is at least 1 away."""
BLOCK_ROWS = 32
"""Rows of the matrix of distances in memory at a time; the whole matrix is quadratic in the length of the list."""


@dataclass(frozen=True)
class Subset(Wrapping):
    """A space that holds the listed architectures of another one."""

    name: ClassVar[str] = "listed"
    """Name in a spec. An instance has the name of `of`, whose family its architectures belong to."""

    of: Space
    """The whole space, or its spec."""
    rows: tuple[Prefix, ...]
    """The choices of each architecture; its number is its position here."""
    nearest: int = 10
    """Number of nearest architectures that each one counts as neighbours."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.of, Mapping):
            from naslab.spaces import from_spec  # here, since that module imports this one

            object.__setattr__(self, "of", from_spec(self.of))
        if not isinstance(self.of, Space):
            raise SpecError(f"expected the space that the listed architectures are of, got {self.of!r:.200}")
        object.__setattr__(self, "nearest", whole("nearest", self.nearest, 1))
        if isinstance(self.rows, str) or not isinstance(self.rows, Sequence) or not self.rows:
            raise SpecError(f"expected a list of the choices of at least one architecture, got {self.rows!r:.200}")
        rows = tuple(self.of.architecture(row).choices for row in self.rows)
        if len(set(rows)) < len(rows):
            twice = next(row for number, row in enumerate(rows) if row in rows[:number])
            raise SpecError(f"an architecture is listed twice: {list(twice)}")
        object.__setattr__(self, "rows", rows)
        object.__setattr__(self, "name", self.of.name)

    def spec(self) -> dict[str, Any]:
        return {
            "space": Subset.name,
            "of": self.of.spec(),
            "rows": [list(row) for row in self.rows],
            "nearest": self.nearest,
        }

    # --- the list --------------------------------------------------------------------------------

    def next_choice(self, prefix: Prefix) -> Choice | None:
        """Returns the choice of the whole space, with those options that continue to some listed architecture."""
        choice = self.of.next_choice(prefix)
        if choice is None:
            return None
        listed = self._continuations.get(prefix, frozenset())
        return Choice(choice.name, tuple(option for option in choice.options if option in listed))

    @cached_property
    def _continuations(self) -> dict[Prefix, set[Option]]:
        """Prefix of a listed architecture -> the options that follow it on the list."""
        continuations: dict[Prefix, set[Option]] = {}
        for row in self.rows:
            for length, option in enumerate(row):
                continuations.setdefault(row[:length], set()).add(option)
        return continuations

    @cached_property
    def _numbers(self) -> dict[Prefix, int]:
        return {row: number for number, row in enumerate(self.rows)}

    @property
    def size(self) -> int:  # type: ignore[override]  # a property, since nothing need be counted and cached
        return len(self.rows)

    def architecture(self, choices: Sequence[Option] | Mapping[str, Option]) -> Architecture:
        architecture = self.of.architecture(choices)
        if architecture.choices not in self._numbers:
            raise SpecError(
                f"{self.name}: {list(architecture.choices)} is an architecture, but none of the {len(self.rows)} that "
                "are listed"
            )
        return architecture

    def enumerate(self) -> Iterator[Architecture]:
        """Yields the architectures in the order of the list."""
        for row in self.rows:
            yield Architecture(self.name, row)

    # --- sampling and neighbours -----------------------------------------------------------------

    def sample(self, rng: np.random.Generator | int) -> Architecture:
        """Returns a listed architecture, all with equal probability."""
        return Architecture(self.name, self.rows[int(generator_of(rng).integers(len(self.rows)))])

    def neighbours(self, architecture: Architecture) -> Iterator[Architecture]:
        """Yields the neighbours, nearest first; among equally near ones the smaller number first."""
        for number in self._neighbours[self._number(architecture)]:
            yield Architecture(self.name, self.rows[number])

    def mutate(self, architecture: Architecture, rng: np.random.Generator | int) -> Architecture:
        """Returns a random neighbour."""
        near = self._neighbours[self._number(architecture)]
        if not near:
            raise SpecError(f"{self.name}: a single architecture is listed, there is nothing to mutate")
        return Architecture(self.name, self.rows[near[int(generator_of(rng).integers(len(near)))]])

    def crossover(self, first: Architecture, second: Architecture, rng: np.random.Generator | int) -> Architecture:
        """Returns the listed architecture that is nearest to a uniform crossover of the two."""
        for parent in (first, second):
            self._number(parent)
        return self.nearest_to(self.of.crossover(first, second, rng))

    def nearest_to(self, architecture: Architecture) -> Architecture:
        """Returns the listed architecture nearest to one of the whole space; among equally near ones the first."""
        code = self._code(architecture)
        return Architecture(self.name, self.rows[int(self._distances(code[None])[0].argmin())])

    def _number(self, architecture: Architecture) -> int:
        """Returns the position on the list. Raises `SpecError` if the architecture is not listed."""
        number = None
        if isinstance(architecture, Architecture) and architecture.space == self.name:
            number = self._numbers.get(architecture.choices)
        return self._numbers[self.check(architecture).choices] if number is None else number

    # --- distances -------------------------------------------------------------------------------

    @cached_property
    def _columns(self) -> dict[str, dict[Option, float]]:
        """Name of a choice -> option -> code. Numbers are spread evenly over 0 to 1 by rank; words are 0, 1, 2, ...

        Differences are cut at 1 (`_distances`), so that any two words are exactly 1 apart.
        """
        options: dict[str, dict[Option, None]] = {}
        for row in self.rows:
            for choice, _ in self.of.walk(row):
                options.setdefault(choice.name, {}).update(dict.fromkeys(choice.options))
        columns = {}
        for name, known in options.items():
            numeric = not any(isinstance(option, str) for option in known)
            last = max(len(known) - 1, 1)
            ordered = sorted(known) if numeric else list(known)  # type: ignore[type-var]
            columns[name] = {option: place / last if numeric else float(place) for place, option in enumerate(ordered)}
        return columns

    def _code(self, architecture: Architecture) -> np.ndarray:
        """Returns [C] float32: the code of each choice that occurs in a listed architecture."""
        code = np.full(len(self._columns), ABSENT, dtype=np.float32)
        places = {name: place for place, name in enumerate(self._columns)}
        for choice, option in self.of.walk(architecture.choices):
            if choice.name in places:
                code[places[choice.name]] = self._columns[choice.name].get(option, ABSENT)
        return code

    @cached_property
    def _codes(self) -> np.ndarray:
        """[C, N] float32."""
        return np.array([self._code(architecture) for architecture in self.enumerate()]).T

    def _distances(self, codes: np.ndarray) -> np.ndarray:
        """Returns [M, N] float32: Gower's distances from M codes [M, C] to all N listed architectures."""
        distances = np.zeros((len(codes), len(self.rows)), dtype=np.float32)
        difference = np.empty_like(distances)
        # One choice after the other and in place: [M, N, C] at once would not fit into memory.
        for mine, listed in zip(codes.T, self._codes, strict=True):
            np.subtract(mine[:, None], listed, out=difference)
            distances += np.minimum(np.abs(difference, out=difference), 1, out=difference)
        return distances

    @cached_property
    def _neighbours(self) -> tuple[tuple[int, ...], ...]:
        """For each architecture the numbers of its neighbours, nearest first."""
        import networkx as nx

        graph = nx.Graph()
        graph.add_nodes_from(range(len(self.rows)))
        for start in range(0, len(self.rows), BLOCK_ROWS):
            distances = self._distances(self._codes[:, start : start + BLOCK_ROWS].T)
            for number, row in enumerate(distances, start=start):
                row[number] = np.inf  # no neighbour of itself
                near = np.argsort(row, kind="stable")[: min(self.nearest, len(row) - 1)]  # stable: ties by number
                graph.add_weighted_edges_from((number, other, float(row[other])) for other in near.tolist())
        # Join the first component to its nearest architecture outside, until the graph is connected.
        while len(parts := [np.array(sorted(part)) for part in nx.connected_components(graph)]) > 1:
            distances = self._distances(self._codes[:, parts[0]].T)
            distances[:, parts[0]] = np.inf
            here, there = np.unravel_index(distances.argmin(), distances.shape)
            graph.add_edge(int(parts[0][here]), int(there), weight=float(distances[here, there]))
        return tuple(
            tuple(sorted(graph[number], key=lambda other, number=number: (graph[number][other]["weight"], other)))
            for number in range(len(self.rows))
        )

    # --- delegated to the whole space ------------------------------------------------------------

    def answers(self, architecture: Architecture) -> dict[str, Option]:
        return self.of.answers(architecture)
