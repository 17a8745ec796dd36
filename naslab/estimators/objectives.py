"""Several objectives and constraints at once, made into the one fitness that a searcher climbs.

    WithMetrics(estimator, Resources(space, task))       adds figures: what it costs
    Constrained(estimator, limits={"parameters": 1e5})   no fitness for what costs more
    Penalised(estimator, most={"parameters": 1e5})       fitness x a penalty for each limit that is not kept to
    Weighted(estimator, {"latency": -0.1})               fitness + sum of weight x figure
    LatencyReward(estimator, target=0.08)                accuracy x (latency / target)^w  (Tan et al. 2019, Eq. 2)

Each goes around any estimator, also around one another, and a candidate trains on inside. The figure "fitness" (or
"accuracy") is then the fitness of the innermost estimator, which none of them has touched, and "penalty" the product of
all penalties. The whole front of several objectives (which no single fitness tells) is drawn from the figures of the
events afterwards.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Mapping
from typing import Any

from naslab.architecture import Architecture
from naslab.errors import SpecError, real
from naslab.estimators.estimator import Estimator, Score, WrongSetup
from naslab.estimators.resources import FIGURES, Resources
from naslab.estimators.table import Table
from naslab.estimators.wrapped import Wrapped, layers

WORST = 10.0
"""How many times a limit is missed at most, in the penalty for it."""


class TooMuch(SpecError):
    """The candidate costs more than a limit allows: it has no fitness, and the search goes on."""


class WithMetrics(Wrapped):
    """The same fitness, with what the network costs among the figures."""

    name = "with_figures"

    def __init__(self, inside: Estimator, resources: Resources) -> None:
        super().__init__(inside)
        self.resources = resources

    def judge(self, architecture: Architecture, score: Score) -> Score:
        return score.but(figures={**score.figures, **self.resources.measure(architecture)})

    def options(self) -> dict[str, Any]:
        return {"resources": self.resources.spec()}

    @classmethod
    def from_parts(cls, spec: Mapping[str, Any], inside: Estimator, task: Any) -> WithMetrics:
        return cls(inside, Resources.from_spec(spec["resources"], task))


class Constrained(Wrapped):
    """No fitness for a candidate that exceeds a limit. It counts as a step, "failed", and its event says which limit.

    When no candidate keeps to the limits, the search goes on to its end, and then there is no best one.

    Args:
        inside: its figures are compared with the limits.
        limits: name of a figure -> the most that is allowed.
        resources: figures that are measured beforehand, so that nobody is trained who costs too much anyway.
    """

    name = "constrained"

    def __init__(self, inside: Estimator, limits: Mapping[str, float], resources: Resources | None = None) -> None:
        super().__init__(inside)
        self.limits, self.resources = _amounts("limits", limits), resources

    def admit(self, architecture: Architecture) -> None:
        if self.resources is not None:
            known = self.resources.measure(architecture)
            self._check(known, set(known) & set(self.limits))

    def judge(self, architecture: Architecture, score: Score) -> Score:
        self._check(score.figures, set(self.limits) - set(self.resources.figures if self.resources else ()))
        return score

    def _check(self, figures: Mapping[str, float], names: Collection[str]) -> None:
        over = [
            f"{name} = {value:g}, at most {self.limits[name]:g}"
            for name in sorted(names)
            if (value := _figure(self, figures, name)) > self.limits[name]
        ]
        if over:
            raise TooMuch(f"it does not keep to the limits: {'; '.join(over)}")

    def options(self) -> dict[str, Any]:
        return {"limits": self.limits, "resources": None if self.resources is None else self.resources.spec()}

    @classmethod
    def from_parts(cls, spec: Mapping[str, Any], inside: Estimator, task: Any) -> Constrained:
        resources = spec["resources"]
        return cls(inside, spec["limits"], None if resources is None else Resources.from_spec(resources, task))


class Penalised(Wrapped):
    """fitness x product over the constraints that are not kept to of penalty^(1 + v), v by how much (0.5: by half).

    So a search sees in which direction a candidate that costs too much would have to change, where `Constrained` only
    says that it failed; and with a penalty well below 1 the best of a search keeps to all constraints, if any that is
    nearly as good does. A fitness below 0 is divided by the penalty. 1 + v is at most `WORST`.

    The fitness inside becomes the figure "fitness", that of the innermost estimator if there are several around one
    another; "penalty" is the factor, 1 where all constraints are kept to, and the product of the factors of all.

    Args:
        inside: its figures are compared with the limits.
        most: name of a figure -> the most that is allowed.
        least: name of a figure -> the least.
        penalty: factor of a constraint that is just missed.
    """

    name = "penalised"
    own_fitness = True
    keeps_fitness_as = "fitness"

    def __init__(
        self,
        inside: Estimator,
        most: Mapping[str, float] | None = None,
        least: Mapping[str, float] | None = None,
        *,
        penalty: float = 0.5,
    ) -> None:
        super().__init__(inside)
        if not most and not least:
            raise SpecError("say what is constrained: most={'parameters': 1e5}, or least={'intensity': 5}")
        self.most = {} if not most else _amounts("most", most)
        self.least = {} if not least else _amounts("least", least)
        if wrong := [name for name, limit in (*self.most.items(), *self.least.items()) if limit <= 0]:
            raise SpecError(f"a limit must be above 0 to tell by how much it is missed; that of {wrong[0]!r} is not")
        if contrary := [name for name in self.most if self.least.get(name, 0) > self.most[name]]:
            name = contrary[0]
            raise SpecError(f"{name} cannot be {self.least[name]:g} at least and {self.most[name]:g} at most")
        self.penalty = real("penalty", penalty)
        if not 0 < self.penalty < 1:
            raise SpecError(f"penalty is a factor above 0 and below 1, not {penalty!r}")

    def judge(self, architecture: Architecture, score: Score) -> Score:
        shares = [_figure(self, score.figures, name) / limit for name, limit in self.most.items()]
        shares += [limit / max(_figure(self, score.figures, name), limit / WORST) for name, limit in self.least.items()]
        factor = math.prod(self.penalty ** min(share, WORST) for share in shares if share > 1)
        fitness = score.fitness * factor if score.fitness >= 0 else score.fitness / factor
        penalised = any(isinstance(layer, Penalised) for layer in layers(self.inside))
        before = score.figures.get("penalty", 1.0) if penalised else 1.0
        figures = {**score.figures, "fitness": self.innermost(score), "penalty": before * factor}
        return Score(fitness, figures)

    def options(self) -> dict[str, Any]:
        return {"most": self.most, "least": self.least, "penalty": self.penalty}


class Weighted(Wrapped):
    """fitness + sum over the figures of weight x figure. What one wants little of has a negative weight.

    The fitness inside becomes the figure "fitness", that of the innermost estimator if there are several around one
    another.
    """

    name = "weighted"
    own_fitness = True
    keeps_fitness_as = "fitness"

    def __init__(self, inside: Estimator, weights: Mapping[str, float]) -> None:
        super().__init__(inside)
        self.weights = _amounts("weights", weights)

    def judge(self, architecture: Architecture, score: Score) -> Score:
        costs = [weight * _figure(self, score.figures, name) for name, weight in self.weights.items()]
        return Score(score.fitness + sum(costs), {**score.figures, "fitness": self.innermost(score)})

    def options(self) -> dict[str, Any]:
        return {"weights": self.weights}


class LatencyReward(Wrapped):
    """ACC(m) x (LAT(m) / T)^w (MnasNet, Tan et al. 2019, https://arxiv.org/abs/1807.11626, Eq. 2 and 3).

    w is `below` where the latency is at most T, else `above`. As a *soft* limit, (-0.07, -0.07): half the latency is
    worth 5 % of the accuracy. As a *hard* one, (0, -1): below the target only accuracy counts, above it the reward
    falls sharply. The accuracy becomes the figure "accuracy", that of the innermost estimator if there are several
    around one another.

    Args:
        inside: its fitness is the accuracy, which must not be negative.
        target: T, in the unit of the figure.
        below: exponent up to the target.
        above: exponent beyond it.
        figure: whatever is to be small, if not the latency.
    """

    name = "latency_reward"
    own_fitness = True
    keeps_fitness_as = "accuracy"

    def __init__(
        self,
        inside: Estimator,
        target: float,
        *,
        below: float = -0.07,
        above: float = -0.07,
        figure: str = "latency",
    ) -> None:
        super().__init__(inside)
        self.target, self.exponents = real("target", target), (real("below", below), real("above", above))
        if not 0 < self.target < math.inf:
            raise SpecError(f"target must be above 0, not {target!r}")
        if max(self.exponents) > 0:
            raise SpecError(f"below and above are exponents of a cost, 0 or negative, not {self.exponents}")
        self.figure = figure

    @classmethod
    def hard(cls, inside: Estimator, target: float, *, figure: str = "latency") -> LatencyReward:
        """The paper's (0, -1)."""
        return cls(inside, target, below=0.0, above=-1.0, figure=figure)

    def judge(self, architecture: Architecture, score: Score) -> Score:
        if score.fitness < 0:
            raise SpecError(f"the accuracy must not be negative to be rewarded, and it is {score.fitness:g}")
        cost = _figure(self, score.figures, self.figure)
        if not cost > 0:
            raise SpecError(f"{self.figure} must be above 0 to be compared with a target, and it is {cost:g}")
        share = cost / self.target
        exponent = self.exponents[share > 1]
        return Score(score.fitness * share**exponent, {**score.figures, "accuracy": self.innermost(score)})

    def options(self) -> dict[str, Any]:
        return {"target": self.target, "exponents": list(self.exponents), "figure": self.figure}

    @classmethod
    def from_parts(cls, spec: Mapping[str, Any], inside: Estimator, task: Any) -> LatencyReward:
        below, above = spec["exponents"]
        return cls(inside, spec["target"], below=below, above=above, figure=spec["figure"])


def _amounts(what: str, given: Mapping[str, float]) -> dict[str, float]:
    if not isinstance(given, Mapping) or not given:
        raise SpecError(
            f"{what} are numbers by the name of a figure, for instance {{'parameters': 1e5}}; not {given!r}"
        )
    amounts = {str(name): real(f"{what}[{name!r}]", value) for name, value in given.items()}
    if not all(map(math.isfinite, amounts.values())):
        raise SpecError(f"{what} must be finite, not {amounts}")
    return amounts


def _figure(objective: Wrapped, figures: Mapping[str, float], name: str) -> float:
    """The figure; where it is missing, the error says from where it, or one that is nearly called so, is to be had."""
    if name in figures:
        return figures[name]
    *_, last = layers(objective)
    table = last.inside if isinstance(last.inside, Table) else None
    more = FIGURES if table is None else table.benchmark.metrics
    near = name if name in more else next(iter(difflib.get_close_matches(name, [*figures, *more], n=1)), None)
    known = ", ".join(figures) or "none"
    said = f"there are: {known}" if near in (None, name) else f"did you mean {near!r}? There are: {known}"
    if table is not None and near is not None and near not in figures:
        said += f". A metric of the table becomes a figure by {_told(table, near)}"
    elif near not in figures:
        said += ". WithMetrics(estimator, Resources(space, task)) adds some"
    raise WrongSetup(f"there is no figure {name!r} to compare; {said}")


def _told(table: Table, figure: str) -> str:
    """How to write the table with another figure."""
    options = [] if table.metric == table.benchmark.objective else [repr(table.metric)]
    options += [] if table.epochs is None else [f"epochs={table.epochs}"]
    return f"nl.estimators.Table({', '.join(['benchmark', *options, f'figures={(*table.figures, figure)}'])})"
