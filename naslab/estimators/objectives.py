"""Several objectives and constraints combined into the one fitness that a searcher maximises.

    WithMetrics(estimator, Resources(space, task))       adds the cost of the network to the metrics
    Constrained(estimator, limits={"parameters": 1e5})   fails candidates that exceed a limit
    Penalised(estimator, most={"parameters": 1e5})       fitness x a penalty for each limit that is exceeded
    Weighted(estimator, {"latency": -0.1})               fitness + sum of weight x metric
    LatencyReward(estimator, target=0.08)                accuracy x (latency / target)^w  (Tan et al. 2019, Eq. 2)

Each wraps any estimator, also another of these, and leaves the training of candidates to it. The metric "fitness" (or
"accuracy") is then the unchanged fitness of the innermost estimator, and "penalty" the product of all penalties. A
single fitness does not show the Pareto front of several objectives; that is computed from the metrics of the events
afterwards (`naslab.analysis.pareto`).
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Mapping
from typing import Any

from naslab.architecture import Architecture
from naslab.errors import SpecError, real
from naslab.estimators.estimator import Estimator, Score, WrongSetup
from naslab.estimators.resources import METRICS, Resources
from naslab.estimators.table import Table
from naslab.estimators.wrapped import Wrapped, layers
from naslab.lazy import warn_of_old_name

WORST = 10.0
"""Largest ratio of cost and limit that a penalty distinguishes, so that it stays above zero."""


class TooMuch(SpecError):
    """A candidate exceeds a limit: it counts as failed, and the search continues."""


class WithMetrics(Wrapped):
    """Adds the cost of the network to the metrics, and leaves the fitness as it is."""

    name = "with_figures"

    def __init__(self, inside: Estimator, resources: Resources) -> None:
        super().__init__(inside)
        self.resources = resources

    def judge(self, architecture: Architecture, score: Score) -> Score:
        return score.but(metrics={**score.metrics, **self.resources.measure(architecture)})

    def options(self) -> dict[str, Any]:
        return {"resources": self.resources.spec()}

    @classmethod
    def from_parts(cls, spec: Mapping[str, Any], inside: Estimator, task: Any) -> WithMetrics:
        return cls(inside, Resources.from_spec(spec["resources"], task))


class Constrained(Wrapped):
    """Fails candidates that exceed a limit. Such a candidate counts as a step, and its event says which limit it was.

    If no candidate keeps the limits, the search runs to its end, and has no best architecture.

    Args:
        inside: estimator whose metrics are compared with the limits.
        limits: name of a metric -> largest value allowed.
        resources: resource metrics that are checked before training, so that candidates over a limit are not trained.
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
        self._check(score.metrics, set(self.limits) - set(self.resources.metrics if self.resources else ()))
        return score

    def _check(self, metrics: Mapping[str, float], names: Collection[str]) -> None:
        over = [
            f"{name} = {value:g}, at most {self.limits[name]:g}"
            for name in sorted(names)
            if (value := _metric(self, metrics, name)) > self.limits[name]
        ]
        if over:
            raise TooMuch(f"it exceeds the limits: {'; '.join(over)}")

    def options(self) -> dict[str, Any]:
        return {"limits": self.limits, "resources": None if self.resources is None else self.resources.spec()}

    @classmethod
    def from_parts(cls, spec: Mapping[str, Any], inside: Estimator, task: Any) -> Constrained:
        resources = spec["resources"]
        return cls(inside, spec["limits"], None if resources is None else Resources.from_spec(resources, task))


class Penalised(Wrapped):
    """Multiplies the fitness by penalty^(1 + v) for each violated constraint.

    v is the relative violation (0.5 for a cost of 1.5 times the limit); 1 + v is at most `WORST`. A negative fitness is
    divided by the factor instead, so that a penalty always lowers it. A search thus sees in which direction a costly
    candidate would have to change, where `Constrained` only fails it. With a penalty well below 1, the best of a search
    keeps all constraints, unless all that do are much worse.

    The fitness of the innermost estimator becomes the metric "fitness". The metric "penalty" is the factor, 1 if all
    constraints are kept; several `Penalised` around one another multiply it.

    Args:
        inside: estimator whose metrics are compared with the limits.
        most: name of a metric -> largest value allowed.
        least: name of a metric -> smallest value allowed.
        penalty: factor of a constraint that is barely violated, in (0, 1).
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
            raise SpecError(
                f"a limit must be above 0, since violations are relative to it; that of {wrong[0]!r} is not"
            )
        if contrary := [name for name in self.most if self.least.get(name, 0) > self.most[name]]:
            name = contrary[0]
            raise SpecError(f"{name} cannot be {self.least[name]:g} at least and {self.most[name]:g} at most")
        self.penalty = real("penalty", penalty)
        if not 0 < self.penalty < 1:
            raise SpecError(f"penalty is a factor above 0 and below 1, not {penalty!r}")

    def judge(self, architecture: Architecture, score: Score) -> Score:
        shares = [_metric(self, score.metrics, name) / limit for name, limit in self.most.items()]
        shares += [limit / max(_metric(self, score.metrics, name), limit / WORST) for name, limit in self.least.items()]
        # A share is 1 + v. Constraints that are kept have a share up to 1 and do not count.
        factor = math.prod(self.penalty ** min(share, WORST) for share in shares if share > 1)
        fitness = score.fitness * factor if score.fitness >= 0 else score.fitness / factor
        penalised = any(isinstance(layer, Penalised) for layer in layers(self.inside))
        before = score.metrics.get("penalty", 1.0) if penalised else 1.0
        metrics = {**score.metrics, "fitness": self.innermost(score), "penalty": before * factor}
        return Score(fitness, metrics)

    def options(self) -> dict[str, Any]:
        return {"most": self.most, "least": self.least, "penalty": self.penalty}


class Weighted(Wrapped):
    """Adds the sum of weight x metric to the fitness. Metrics to minimise have a negative weight.

    The fitness of the innermost estimator becomes the metric "fitness".

    Args:
        inside: estimator whose fitness and metrics are added.
        weights: name of a metric -> its weight, in units of the fitness per unit of the metric.
    """

    name = "weighted"
    own_fitness = True
    keeps_fitness_as = "fitness"

    def __init__(self, inside: Estimator, weights: Mapping[str, float]) -> None:
        super().__init__(inside)
        self.weights = _amounts("weights", weights)

    def judge(self, architecture: Architecture, score: Score) -> Score:
        costs = [weight * _metric(self, score.metrics, name) for name, weight in self.weights.items()]
        return Score(score.fitness + sum(costs), {**score.metrics, "fitness": self.innermost(score)})

    def options(self) -> dict[str, Any]:
        return {"weights": self.weights}


class LatencyReward(Wrapped):
    """ACC(m) x (LAT(m) / T)^w (MnasNet, Tan et al. 2019, https://arxiv.org/abs/1807.11626, Eq. 2 and 3).

    The exponent w is `below` if the latency is at most T, else `above`. With (-0.07, -0.07), a *soft* limit, halving
    the latency is worth 5 % of the accuracy (2^0.07 = 1.05). With (0, -1), a *hard* limit, only accuracy counts below
    the target, and the reward falls in proportion to the latency above it. The fitness of the innermost estimator
    becomes the metric "accuracy".

    Args:
        inside: estimator whose fitness is the accuracy ACC; it must not be negative.
        target: T, in the unit of the metric.
        below: exponent w up to the target, 0 or negative.
        above: exponent w beyond it, 0 or negative.
        metric: name of the cost LAT.
        figure: `metric`, by its earlier name.
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
        metric: str = "latency",
        figure: str | None = None,
    ) -> None:
        super().__init__(inside)
        if figure is not None:
            warn_of_old_name("LatencyReward(figure=...)", "LatencyReward(metric=...)")
            metric = figure
        self.target, self.exponents = real("target", target), (real("below", below), real("above", above))
        if not 0 < self.target < math.inf:
            raise SpecError(f"target must be above 0, not {target!r}")
        if max(self.exponents) > 0:
            raise SpecError(f"below and above are exponents of a cost, 0 or negative, not {self.exponents}")
        self.metric = metric

    @classmethod
    def hard(cls, inside: Estimator, target: float, *, metric: str = "latency") -> LatencyReward:
        """Returns the hard limit of the paper, with the exponents (0, -1)."""
        return cls(inside, target, below=0.0, above=-1.0, metric=metric)

    def judge(self, architecture: Architecture, score: Score) -> Score:
        if score.fitness < 0:
            raise SpecError(f"the accuracy must not be negative to be rewarded, and it is {score.fitness:g}")
        cost = _metric(self, score.metrics, self.metric)
        if not cost > 0:
            raise SpecError(f"{self.metric} must be above 0 to be compared with a target, and it is {cost:g}")
        share = cost / self.target
        exponent = self.exponents[share > 1]
        return Score(score.fitness * share**exponent, {**score.metrics, "accuracy": self.innermost(score)})

    def options(self) -> dict[str, Any]:
        # The key "figure" is older than the name `metric`; keys in run folders never change.
        return {"target": self.target, "exponents": list(self.exponents), "figure": self.metric}

    @classmethod
    def from_parts(cls, spec: Mapping[str, Any], inside: Estimator, task: Any) -> LatencyReward:
        below, above = spec["exponents"]
        return cls(inside, spec["target"], below=below, above=above, metric=spec["figure"])


def _amounts(what: str, given: Mapping[str, float]) -> dict[str, float]:
    if not isinstance(given, Mapping) or not given:
        raise SpecError(
            f"{what} are numbers by the name of a metric, for instance {{'parameters': 1e5}}; not {given!r}"
        )
    amounts = {str(name): real(f"{what}[{name!r}]", value) for name, value in given.items()}
    if not all(map(math.isfinite, amounts.values())):
        raise SpecError(f"{what} must be finite, not {amounts}")
    return amounts


def _metric(objective: Wrapped, metrics: Mapping[str, float], name: str) -> float:
    """Returns the value of a metric; if it is missing, the error says how to add it, or a metric of a similar name."""
    if name in metrics:
        return metrics[name]
    *_, last = layers(objective)
    table = last.inside if isinstance(last.inside, Table) else None
    more = METRICS if table is None else table.benchmark.metrics
    near = name if name in more else next(iter(difflib.get_close_matches(name, [*metrics, *more], n=1)), None)
    known = ", ".join(metrics) or "none"
    said = f"there are: {known}" if near in (None, name) else f"did you mean {near!r}? There are: {known}"
    if table is not None and near is not None and near not in metrics:
        said += f". A column of the table becomes a metric by {_table_call(table, near)}"
    elif near not in metrics:
        said += ". WithMetrics(estimator, Resources(space, task)) adds some"
    raise WrongSetup(f"there is no metric {name!r} to compare; {said}")


def _table_call(table: Table, metric: str) -> str:
    """Returns the expression that makes the table with another metric."""
    options = [] if table.metric == table.benchmark.objective else [repr(table.metric)]
    options += [] if table.epochs is None else [f"epochs={table.epochs}"]
    return f"nl.estimators.Table({', '.join(['benchmark', *options, f'metrics={(*table.metrics, metric)}'])})"
