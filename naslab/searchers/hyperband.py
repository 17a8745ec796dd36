"""Hyperband (Li, Jamieson, DeSalvo, Rostamizadeh & Talwalkar 2018, https://jmlr.org/papers/v18/16-558.html, Alg. 1):
successive halving without having to know after how many epochs good candidates can be told from bad ones.

    s_max <- floor(log_eta R);  B <- (s_max + 1) R
    for s = s_max, ..., 0:
        n <- ceil(B / R * eta^s / (s + 1));  r <- R eta^-s
        successive halving: for i = 0, ..., s: floor(n eta^-i) candidates, r eta^i epochs each in all

A bracket with a large s begins with many candidates and little training; the last one, s = 0, is random search.

Differences from the paper:
- Epochs are rounded to whole ones, at least 1.
- Where an estimator offers only some training lengths, as a table does, `most`, `eta` and `least` are chosen such that
  it is asked for no others, and for the longest; those that are given are kept.
- When all brackets have ended, the first begins again, until the budget of the search is spent.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from naslab.errors import SpecError, whole
from naslab.fields import settle
from naslab.searchers.rungs import Halving, Rung, fitting, hyperband


@dataclass(frozen=True, kw_only=True)
class HyperbandHyperparameters:
    """For a laptop. The paper's experiments have eta = 4, its recommendation is 3 or 4, and its example has R = 81."""

    most: int = 9
    """Epochs of the longest training, the paper's R."""
    eta: int = 3
    """One in `eta` candidates goes on to the next rung."""
    least: int = 1
    """Epochs of the shortest training; the paper measures R in units of it."""

    def __post_init__(self) -> None:
        settle(self)
        for name, low in (("most", 1), ("eta", 2), ("least", 1)):
            object.__setattr__(self, name, whole(name, getattr(self, name), low))
        if self.least > self.most:
            raise SpecError(f"the shortest training, {self.least} epochs, is longer than the longest, {self.most}")

    @property
    def brackets(self) -> tuple[tuple[Rung, ...], ...]:
        """The rungs of each bracket, s_max first."""
        return hyperband(self.most, self.eta, self.least)


class Hyperband(Halving):
    """Hyperband on any space."""

    name = "hyperband"
    Hyperparameters = HyperbandHyperparameters

    def rungs(self, bracket: int) -> Sequence[Rung]:
        planned = self.hyperparameters.brackets
        return planned[bracket % len(planned)]

    def adapted_hyperparameters(self, known: Collection[float]) -> dict[str, Any]:
        return fitting(known, self.hyperparameters.eta, self.given_values)
