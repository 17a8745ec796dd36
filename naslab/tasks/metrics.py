"""Metrics of the outputs of a network, accumulated over mini-batches and processes.

A metric consists of three pure functions: `update` adds a mini-batch to a state, `merge` joins the states of several
processes, and `compute` returns the value. A perplexity is therefore the exponential of the mean loss of all tokens,
not the mean of the perplexities of mini-batches; and a metric that is not a mean, such as an area under a curve, can
keep all that it needs.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from naslab.directions import DIRECTIONS, Direction
from naslab.errors import NaslabError, SpecError, among, unknown
from naslab.quantities import Quantity
from naslab.trees import described

MISTAKES = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""Exceptions that code of a user raises when outputs differ from what it expects."""
Every = Literal["batch", "pass"]


class WrongTask(SpecError):
    """A task and a network do not fit together, or the task contradicts itself, so that no step is possible."""


class NoNumber(TypeError):
    """A metric returned something else than one number; the text describes it."""


def one_number(found: Any) -> float:
    """Returns a value of a metric as a float; `NoNumber` for anything else than one number, such as a vector."""
    if isinstance(found, Tensor):
        if found.numel() != 1:
            raise NoNumber(described(found))
        return float(found)
    try:
        return float(found)
    except (TypeError, ValueError):
        raise NoNumber(described(found)) from None


def expected_number(name: str, error: NoNumber) -> WrongTask:
    """Returns the error for a metric of this name that returned something else than one number."""
    return WrongTask(
        f"the metric {name!r} must return one number, and returned {error}: take its mean over the mini-batch, or keep "
        "it with naslab.tasks.Collected, which reduces it at the end"
    )


class Metric(ABC):
    """A number computed from outputs and batches.

    Args:
        direction: "max" if more is better, "min" if less is; it is never guessed from a name.
        unit: unit of the value; see `naslab.quantities.Quantity`.
        every: "batch" if the metric is defined for a single mini-batch, and can be charted at every step; "pass" if it
            needs all data, such as a mean average precision.
    """

    def __init__(self, direction: Direction | None = None, unit: str = "", every: Every = "batch") -> None:
        # No direction is the default, so that who forgets it reads this error and not one about arguments.
        if direction is None or not among(direction, DIRECTIONS):
            wrong = "has none" if direction is None else f"has an {unknown('direction', direction, DIRECTIONS)}"
            raise SpecError(
                f"a metric has a direction, and this {type(self).__name__} {wrong}; give direction='max' if more is "
                "better, 'min' if less is"
            )
        if not among(every, ("batch", "pass")):
            raise SpecError(unknown("every of a metric", every, ("batch", "pass")))
        self.quantity = Quantity(direction, unit)
        self.every: Every = every

    @property
    def direction(self) -> Direction:
        return self.quantity.direction  # type: ignore[return-value]

    @property
    def unit(self) -> str:
        return self.quantity.unit

    @abstractmethod
    def update(self, state: Any, outputs: Any, batch: Any) -> Any:
        """Returns the state after a mini-batch.

        Args:
            state: state before it, None at first. It must not be changed in place, and must be picklable.
            outputs: what the network returned.
            batch: the mini-batch.
        """

    @abstractmethod
    def merge(self, states: Sequence[Any]) -> Any:
        """Returns the joint state of several processes, each of which has seen at least one mini-batch."""

    @abstractmethod
    def compute(self, state: Any) -> float:
        """Returns the value of the metric for all data in a state."""

    def of(self, outputs: Any, batch: Any) -> float:
        """Returns the value for one mini-batch."""
        return self.compute(self.update(None, outputs, batch))

    def weighed(self, per: float) -> Metric:
        """Returns the metric with weights relative to mini-batches of the size `per`.

        If all mini-batches have this size, their weights are exactly 1, and the value is the plain mean of theirs to
        the last bit. A metric without weights returns itself.
        """
        return self


class Ratio(Metric):
    """Quotient of two sums over the data, or a function of it; most metrics are of this kind.

        accuracy     Ratio(lambda outputs, batch: (correct, images), direction="max", unit="%")
        perplexity   Ratio(lambda outputs, batch: (nats, tokens), then=math.exp, direction="min")

    Args:
        of: (outputs, batch) -> what a mini-batch adds to numerator and denominator.
        direction, unit, every: as of `Metric`.
        then: function of the quotient; None for the quotient itself.
    """

    def __init__(
        self,
        of: Callable[[Any, Any], tuple[float, float]],
        *,
        direction: Direction | None = None,
        unit: str = "",
        every: Every = "batch",
        then: Callable[[float], float] | None = None,
    ) -> None:
        super().__init__(direction, unit, every)
        self._of, self._then = of, then

    @property
    def is_mean(self) -> bool:
        """True if the value is the quotient itself, so that values of parts of equal size can be averaged."""
        return self._then is None

    def update(self, state: tuple[float, float] | None, outputs: Any, batch: Any) -> tuple[float, float]:
        above, below = self._of(outputs, batch)
        if state is None:
            return one_number(above), one_number(below)
        return state[0] + one_number(above), state[1] + one_number(below)

    def merge(self, states: Sequence[tuple[float, float]]) -> tuple[float, float]:
        return sum(state[0] for state in states), sum(state[1] for state in states)

    def compute(self, state: tuple[float, float]) -> float:
        ratio = state[0] / state[1] if state[1] else math.nan
        if self._then is None or ratio != ratio:  # NaN
            return ratio
        try:
            return self._then(ratio)
        except OverflowError:  # math.exp of a loss that diverges
            return math.inf


class Mean(Ratio):
    """Mean over the data, from means over mini-batches weighted by their sizes.

    For a single mini-batch it returns its mean to the last bit, which multiplying by the size and dividing again would
    not.

    Args:
        value: (outputs, batch) -> the mean over the mini-batch.
        size: batch -> its weight.
        direction, unit, every: as of `Metric`.
        then: function of the mean; None for the mean itself.
        per: size of a mini-batch of weight 1. Apart from rounding, the value does not depend on it.
    """

    def __init__(
        self,
        value: Callable[[Any, Any], float],
        size: Callable[[Any], float],
        *,
        direction: Direction | None = None,
        unit: str = "",
        every: Every = "batch",
        then: Callable[[float], float] | None = None,
        per: float = 1,
    ) -> None:
        super().__init__(self._weighted, direction=direction, unit=unit, every=every, then=then)
        self._value, self._size, self._per = value, size, per

    def _weighted(self, outputs: Any, batch: Any) -> tuple[float, float]:
        weight = self._size(batch) / self._per
        return one_number(self._value(outputs, batch)) * weight, weight

    def of(self, outputs: Any, batch: Any) -> float:
        return self.compute((one_number(self._value(outputs, batch)), 1.0))

    def weighed(self, per: float) -> Mean:
        return Mean(
            self._value,
            self._size,
            direction=self.direction,
            unit=self.unit,
            every=self.every,
            then=self._then,
            per=per,
        )


class Collected(Metric):
    """Function of something kept from every mini-batch, for values that are not quotients, such as areas under curves.

    Args:
        of: (outputs, batch) -> what to keep of a mini-batch; anything picklable, arrays at best.
        value: list of what was kept -> the value. The order of the list may depend on the number of processes.
        direction, unit, every: as of `Metric`.
    """

    def __init__(
        self,
        of: Callable[[Any, Any], Any],
        value: Callable[[Sequence[Any]], float],
        *,
        direction: Direction | None = None,
        unit: str = "",
        every: Every = "pass",
    ) -> None:
        super().__init__(direction, unit, every)
        self._of, self._value = of, value

    def update(self, state: list[Any] | None, outputs: Any, batch: Any) -> list[Any]:
        return [*(state or ()), self._of(outputs, batch)]

    def merge(self, states: Sequence[list[Any]]) -> list[Any]:
        return [kept for state in states for kept in state]

    def compute(self, state: list[Any]) -> float:
        return one_number(self._value(state))


class Torchmetric(Metric):
    """Metric of the package torchmetrics, or any object with its `update`, `compute` and `higher_is_better`.

    Args:
        make: makes a new object, for instance `lambda: torchmetrics.F1Score("multiclass", num_classes=10)`.
        inputs: (outputs, batch) -> the arguments of its `update`.
        direction: needed if the object has no `higher_is_better`.
        unit, every: as of `Metric`.
    """

    def __init__(
        self,
        make: Callable[[], Any],
        inputs: Callable[[Any, Any], tuple[Any, ...]],
        *,
        direction: Direction | None = None,
        unit: str = "",
        every: Every = "pass",
    ) -> None:
        if direction is None:
            higher = getattr(make(), "higher_is_better", None)
            if higher is None:
                raise SpecError("this metric does not say whether higher is better; give direction='max' or 'min'")
            direction = "max" if higher else "min"
        super().__init__(direction, unit, every)
        self._make, self._inputs = make, inputs

    def update(self, state: list[tuple[Any, ...]] | None, outputs: Any, batch: Any) -> list[tuple[Any, ...]]:
        return [*(state or ()), self._inputs(outputs, batch)]

    def merge(self, states: Sequence[list[tuple[Any, ...]]]) -> list[tuple[Any, ...]]:
        return [seen for state in states for seen in state]

    def compute(self, state: list[tuple[Any, ...]]) -> float:
        # The state is the list of arguments and not the object, because an `update` of torchmetrics works in place.
        metric = self._make()
        for arguments in state:
            metric.update(*arguments)
        return one_number(metric.compute())


class Measurement:
    """States of several metrics during a pass, or a part of it.

    Args:
        metrics: metrics by name.
        every: "batch" for only those that are defined for a single mini-batch, "pass" for all.
    """

    def __init__(self, metrics: Mapping[str, Metric], every: Every = "pass") -> None:
        self._metrics = {name: one for name, one in metrics.items() if every == "pass" or one.every == "batch"}
        self.states: dict[str, Any] = {}

    def update(self, outputs: Any, batch: Any) -> None:
        for name, metric in self._metrics.items():
            try:
                self.states[name] = metric.update(self.states.get(name), outputs, batch)
            except (NaslabError, torch.OutOfMemoryError):
                raise
            except NoNumber as error:
                raise expected_number(name, error) from error
            except MISTAKES as error:
                raise WrongTask(
                    f"the metric {name!r} cannot be computed from the outputs of the network, {described(outputs)}: "
                    f"{type(error).__name__}: {error!s:.300}"
                ) from error

    def merge(self, others: Iterable[Mapping[str, Any]]) -> None:
        """Replaces the states by the joint states of all processes, with this one among them."""
        others = list(others)
        for name, metric in self._metrics.items():
            if seen := [states[name] for states in others if name in states]:
                self.states[name] = metric.merge(seen)

    def compute(self) -> dict[str, float]:
        """Returns the value of each metric for all mini-batches so far."""
        found = {}
        for name, metric in self._metrics.items():
            if name in self.states:
                try:
                    found[name] = one_number(metric.compute(self.states[name]))
                except NoNumber as error:
                    raise expected_number(name, error) from error
        return found
