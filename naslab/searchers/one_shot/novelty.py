"""Novelty: the distance of an architecture from an archive of trained ones (Zhang et al. 2020, Sec. 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from naslab.architecture import Architecture, Option
from naslab.errors import SpecError, whole
from naslab.randomness import numpy_generator
from naslab.searchers.one_shot.evolution import redrawn
from naslab.searchers.one_shot.paths import Paths
from naslab.searchers.settings import Setting, Slider
from naslab.spaces.space import Space


class Archive:
    """A collection of architectures, with distances to them in numbers of different choices (`Space.distance`).

    Architectures are kept as rows of integer codes, one column for each choice met so far, so that the distances to all
    members are one comparison of arrays.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._columns: dict[str, int] = {}
        self._numbers: dict[tuple[str, Option], int] = {}
        self._codes = np.zeros((0, 0), dtype=np.int32)  # [members, choices met]; 0: the architecture lacks the choice
        self.members: list[Architecture] = []

    def __len__(self) -> int:
        return len(self.members)

    def put(self, architecture: Architecture, place: int | None = None) -> None:
        """Add an architecture, or replace the member at the index `place` by it."""
        code = self._code(architecture)
        if place is None:
            self.members.append(architecture)
            self._codes = np.concatenate([self._codes, code[None]])
        else:
            self.members[place], self._codes[place] = architecture, code

    def distances(self, architecture: Architecture) -> np.ndarray:
        """Returns the distance to each member, [members] int."""
        code = self._code(architecture)
        return (self._codes != code).sum(axis=1)

    def novelty(self, architecture: Architecture, nearest: int) -> float:
        """Returns the mean distance to the `nearest` closest members.

        Raises:
            SpecError: the archive is empty, or has fewer members.
        """
        if not self.members:
            raise SpecError("the archive is empty: nothing is near or far from it; put an architecture into it first")
        if nearest > len(self):
            raise SpecError(f"the {nearest} nearest are more than the {len(self)} members of the archive")
        return float(np.sort(self.distances(architecture))[:nearest].mean())

    def _code(self, architecture: Architecture) -> np.ndarray:
        """Returns the code of an architecture, [choices met]; choices that are new get a column in all codes."""
        pairs = [(choice.name, value) for choice, value in self._space.walk(architecture.choices)]
        for name, _ in pairs:
            self._columns.setdefault(name, len(self._columns))
        if (missing := len(self._columns) - self._codes.shape[1]) > 0:
            self._codes = np.pad(self._codes, ((0, 0), (0, missing)))
        code = np.zeros(len(self._columns), dtype=np.int32)
        for name, value in pairs:
            code[self._columns[name]] = self._numbers.setdefault((name, value), len(self._numbers) + 1)
        return code


class Novel(Paths):
    """Paths far from those trained before: the most novel of n perturbations of a random member of the archive.

    Args:
        space: the space of the paths.
        seed: seed of all randomness.
        size: A, members of the archive; the first A paths, drawn at random, fill it.
        nearest: k, the members that count for the novelty.
        perturbations: n, the perturbations of which the most novel is taken.
        rate: probability that a perturbation redraws a choice.
    """

    def __init__(self, space: Space, seed: int, *, size: int, nearest: int, perturbations: int, rate: float) -> None:
        super().__init__(space, seed)
        self.archive = Archive(space)
        self._size, self._perturbations, self._rate = whole("archive", size, 1), perturbations, rate
        self.nearest = whole("nearest", nearest, 1)
        if self.nearest > self._size:
            raise SpecError(f"nearest must be at most the size of the archive, {self._size}, not {self.nearest}")

    def path(self, number: int) -> Architecture:
        rng = numpy_generator(self.seed, "path", number)
        if len(self.archive) < self._size:
            fresh = self.space.sample(rng)
            self.archive.put(fresh)
            return fresh
        place = int(rng.integers(len(self.archive)))
        member = self.archive.members[place]
        others = [redrawn(self.space, member, self._rate, rng) for _ in range(self._perturbations)]
        novelties = [self.archive.novelty(other, self.nearest) for other in others]
        most = others[int(np.argmax(novelties))]
        self.archive.put(most, place)
        return most

    @property
    def settings(self) -> Mapping[str, Setting]:
        return {"nearest": Slider(value=self.nearest, low=1, high=self._size, log=False, whole=True)}

    def apply_setting(self, name: str, value: Any) -> None:
        self.nearest = round(value)

    def state_dict(self) -> Any:
        return [self.nearest, [member.choices for member in self.archive.members]]

    def load_state_dict(self, state: Any) -> None:
        self.nearest, members = state
        self.archive = Archive(self.space)
        for choices in members:
            self.archive.put(Architecture(self.space.name, tuple(choices)))
