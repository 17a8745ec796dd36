"""Novelty: how far an architecture is from those that were trained (Zhang et al. 2020, Sec. 3.2)."""

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
    """Some architectures, and how far others are from them, in choices that differ (`Space.distance`)."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._columns: dict[str, int] = {}
        self._numbers: dict[tuple[str, Option], int] = {}
        self._codes = np.zeros((0, 0), dtype=np.int32)  # [A, names of choices met]; 0 where it was not asked
        self.members: list[Architecture] = []

    def __len__(self) -> int:
        return len(self.members)

    def put(self, architecture: Architecture, place: int | None = None) -> None:
        """Add it, or put it in the place of another."""
        code = self._code(architecture)
        if place is None:
            self.members.append(architecture)
            self._codes = np.concatenate([self._codes, code[None]])
        else:
            self.members[place], self._codes[place] = architecture, code

    def distances(self, architecture: Architecture) -> np.ndarray:
        """[A]: to each member."""
        code = self._code(architecture)
        return (self._codes != code).sum(axis=1)

    def novelty(self, architecture: Architecture, nearest: int) -> float:
        """The mean distance to the `nearest` members that are closest."""
        if not self.members:
            raise SpecError("the archive is empty: nothing is near or far from it; put an architecture into it first")
        if nearest > len(self):
            raise SpecError(f"the {nearest} nearest are more than the {len(self)} members of the archive")
        return float(np.sort(self.distances(architecture))[:nearest].mean())

    def _code(self, architecture: Architecture) -> np.ndarray:
        """[names of choices met]"""
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
    """Paths that are far from those before.

    Args:
        size: A, architectures in the archive; the first A paths, drawn at random, fill it.
        nearest: k, of the novelty.
        perturbations: n, from which the most novel is taken.
        rate: probability that a perturbation draws a choice anew.
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
