"""Some architectures of a space, and no others: what a table holds of a space that is too large to be trained in full.

Architectures are those of the whole space, and so are networks, graphs, codes and distances. Drawn are only those of
the list, each as likely as any other. Changing one choice of a listed architecture seldom leads to another listed one,
so neighbours are the nearest on the list instead, by Gower's distance over the choices (Gower 1971,
https://doi.org/10.2307/2528823):

    d(a, b) = sum over all choices of
        |place of a's option - place of b's| / (options - 1)  where the options are numbers,
        0 or 1 (the same, or not)                             where they are words,
        1                                                     where only one of the two was asked

Two architectures are neighbours if one of them is among the `nearest` of the other; and so that there is a way from
each to every other, parts of the list that this leaves apart are joined by the nearest pair. A mutation goes to a
neighbour at random; a child of two parents is what is on the list nearest to a uniform crossover. Nothing here looks at
a fitness.
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
"""Code of a choice that was not asked: at least 1 away from all others."""
BLOCK = 32
"""So many rows of distances are held at a time."""


@dataclass(frozen=True)
class Subset(Wrapping):
    """A space that holds what is listed."""

    name: ClassVar[str] = "listed"
    """In a spec. The architectures are of the family of `of`, and so is the name of an instance."""

    of: Space
    """The whole space; its spec does as well."""
    rows: tuple[Prefix, ...]
    """The choices of each architecture, in the order of their numbers."""
    nearest: int = 10
    """How many are nearest."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.of, Mapping):
            from naslab.spaces import from_spec  # which knows this class

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

    # --- what is on the list ---------------------------------------------------------------------

    def next_choice(self, prefix: Prefix) -> Choice | None:
        """The choice of the whole space, with the options that some listed architecture goes on with."""
        choice = self.of.next_choice(prefix)
        if choice is None:
            return None
        begun = self._begun.get(prefix, frozenset())
        return Choice(choice.name, tuple(option for option in choice.options if option in begun))

    @cached_property
    def _begun(self) -> dict[Prefix, set[Option]]:
        """How a listed architecture begins -> what comes next."""
        begun: dict[Prefix, set[Option]] = {}
        for row in self.rows:
            for length, option in enumerate(row):
                begun.setdefault(row[:length], set()).add(option)
        return begun

    @cached_property
    def _numbers(self) -> dict[Prefix, int]:
        return {row: number for number, row in enumerate(self.rows)}

    @property
    def size(self) -> int:  # type: ignore[override]  # what is counted elsewhere is known here
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
        """In the order of the list."""
        for row in self.rows:
            yield Architecture(self.name, row)

    # --- ways about it ---------------------------------------------------------------------------

    def sample(self, rng: np.random.Generator | int) -> Architecture:
        """Each architecture is as likely as any other."""
        return Architecture(self.name, self.rows[int(generator_of(rng).integers(len(self.rows)))])

    def neighbours(self, architecture: Architecture) -> Iterator[Architecture]:
        """The nearest first; of equally near ones the one with the smaller number."""
        for number in self._neighbours[self._number(architecture)]:
            yield Architecture(self.name, self.rows[number])

    def mutate(self, architecture: Architecture, rng: np.random.Generator | int) -> Architecture:
        """A neighbour at random."""
        near = self._neighbours[self._number(architecture)]
        if not near:
            raise SpecError(f"{self.name}: a single architecture is listed, there is nothing to mutate")
        return Architecture(self.name, self.rows[near[int(generator_of(rng).integers(len(near)))]])

    def crossover(self, first: Architecture, second: Architecture, rng: np.random.Generator | int) -> Architecture:
        """What is nearest to a uniform crossover of the two."""
        for parent in (first, second):
            self._number(parent)
        return self.nearest_to(self.of.crossover(first, second, rng))

    def nearest_to(self, architecture: Architecture) -> Architecture:
        """What is listed and nearest to an architecture of the whole space; of equally near ones the first."""
        code = self._code(architecture)
        return Architecture(self.name, self.rows[int(self._distances(code[None])[0].argmin())])

    def _number(self, architecture: Architecture) -> int:
        number = None
        if isinstance(architecture, Architecture) and architecture.space == self.name:
            number = self._numbers.get(architecture.choices)
        return self._numbers[self.check(architecture).choices] if number is None else number

    # --- distances -------------------------------------------------------------------------------

    @cached_property
    def _columns(self) -> dict[str, dict[Option, float]]:
        """Name of a choice -> option -> code: codes of words are 1 apart, those of numbers divide 0 to 1 evenly."""
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
        """[C] float32: the code of each choice that a listed architecture was asked."""
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
        """[M, N] float32: from M codes [M, C] to all that is listed."""
        distances = np.zeros((len(codes), len(self.rows)), dtype=np.float32)
        apart = np.empty_like(distances)
        for mine, listed in zip(codes.T, self._codes, strict=True):
            np.subtract(mine[:, None], listed, out=apart)
            distances += np.minimum(np.abs(apart, out=apart), 1, out=apart)
        return distances

    @cached_property
    def _neighbours(self) -> tuple[tuple[int, ...], ...]:
        """The numbers of the neighbours of each, the nearest first."""
        import networkx as nx

        graph = nx.Graph()
        graph.add_nodes_from(range(len(self.rows)))
        for start in range(0, len(self.rows), BLOCK):
            distances = self._distances(self._codes[:, start : start + BLOCK].T)
            for number, row in enumerate(distances, start=start):
                row[number] = np.inf
                near = np.argsort(row, kind="stable")[: min(self.nearest, len(row) - 1)]
                graph.add_weighted_edges_from((number, other, float(row[other])) for other in near.tolist())
        while len(parts := [np.array(sorted(part)) for part in nx.connected_components(graph)]) > 1:
            distances = self._distances(self._codes[:, parts[0]].T)
            distances[:, parts[0]] = np.inf
            here, there = np.unravel_index(distances.argmin(), distances.shape)
            graph.add_edge(int(parts[0][here]), int(there), weight=float(distances[here, there]))
        return tuple(
            tuple(sorted(graph[number], key=lambda other, number=number: (graph[number][other]["weight"], other)))
            for number in range(len(self.rows))
        )

    # --- what the whole space knows --------------------------------------------------------------

    def answers(self, architecture: Architecture) -> dict[str, Option]:
        return self.of.answers(architecture)
