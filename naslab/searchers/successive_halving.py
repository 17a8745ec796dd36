"""Successive halving (Karnin, Koren & Somekh 2013, https://proceedings.mlr.press/v28/karnin13.html, for best arms;
Jamieson & Talwalkar 2016, https://arxiv.org/abs/1502.07943, Fig. 3, for hyperparameters): random search that stops
the training of unpromising candidates early.

    draw n candidates, train each for r_0 epochs
    for i = 1, 2, ...: keep the best n / eta^i, rounded down;  train these on until they have had r_i epochs

Differences from the paper:
- The epochs of each rung are given, where the paper spreads a budget evenly over the rungs: with eta = 2 and epochs
  that double, each rung costs the same, as there.
- Where an estimator offers only some training lengths, as a table does, the rungs are chosen among them, the last one
  the longest; hyperparameters that are given are kept.
- When a bracket has ended, another one begins, until the budget of the search is spent.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from naslab.errors import SpecError, real, whole
from naslab.fields import settle
from naslab.searchers.rungs import Halving, Rung, fitting, hyperband


@dataclass(frozen=True, kw_only=True)
class SuccessiveHalvingHyperparameters:
    """For a laptop."""

    candidates: int = 16
    """Number of candidates on the first rung, the paper's n."""
    epochs: tuple[float, ...] = (1, 2, 4)
    """Total epochs of training at each rung, r_0, r_1, ..."""
    eta: float = 2.0
    """One in `eta` candidates goes on to the next rung; "halving" in the paper's title is 2."""

    def __post_init__(self) -> None:
        settle(self)
        object.__setattr__(self, "candidates", whole("candidates", self.candidates, 1))
        object.__setattr__(self, "eta", real("eta", self.eta))
        if not 1 < self.eta < float("inf"):
            raise SpecError(f"eta must be above 1, or no candidate would ever be dropped; not {self.eta!r}")
        given = self.epochs
        if not isinstance(given, Sequence) or isinstance(given, str) or not given:
            raise SpecError(f"epochs are those of each rung in all, for instance (1, 2, 4), not {given!r}")
        epochs = tuple(one if type(one) is int else real("each of the epochs", one) for one in given)
        if not epochs[0] > 0 or not all(one < later < float("inf") for one, later in pairwise((0, *epochs))):
            raise SpecError(f"epochs must rise from rung to rung, and begin above 0, not {given!r}")
        object.__setattr__(self, "epochs", epochs)

    @property
    def rungs(self) -> tuple[Rung, ...]:
        """The rungs that have at least one candidate."""
        sizes = [int(self.candidates / self.eta**i) for i in range(len(self.epochs))]
        return tuple(Rung(size, epochs) for size, epochs in zip(sizes, self.epochs, strict=True) if size)


class SuccessiveHalving(Halving):
    """Successive halving on any space."""

    name = "successive_halving"
    Hyperparameters = SuccessiveHalvingHyperparameters

    def rungs(self, bracket: int) -> Sequence[Rung]:
        return self.hyperparameters.rungs

    def adapted_hyperparameters(self, known: Collection[float]) -> dict[str, Any]:
        """Returns the rungs of the first bracket of Hyperband, each of which costs about the same.

        Hyperparameters that were given are kept, and the others are changed as little as possible.
        """
        own, given_values = self.hyperparameters, self.given_values
        fitted = fitting(known, max(2, round(own.eta)))
        first = hyperband(**fitted)[0]
        epochs = tuple(rung.epochs for rung in first)
        if not given_values:
            return {"candidates": max(own.candidates, first[0].size), "epochs": epochs, "eta": fitted["eta"]}
        if "epochs" in given_values and set(own.epochs) <= set(known):
            return {"candidates": own.candidates, "epochs": own.epochs, "eta": own.eta}
        candidates = own.candidates
        if "candidates" not in given_values:
            candidates = max(candidates, math.ceil(own.eta ** (len(epochs) - 1)))
        reached = sum(candidates >= own.eta**rung for rung in range(len(epochs)))
        return {"candidates": candidates, "epochs": epochs[-reached:], "eta": own.eta}
