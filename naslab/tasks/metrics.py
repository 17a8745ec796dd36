"""What is measured of a network's outputs: numbers that add up over mini-batches and processes.

A metric is a pure function in three parts. `update` takes in a mini-batch, `merge` joins what several processes have
seen, `compute` gives the number. So a perplexity is the exponential of the mean loss of all tokens, not the mean of
the perplexities of mini-batches, and a metric that is no mean at all, such as an area under a curve, keeps what it
needs.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import torch

from naslab.directions import DIRECTIONS, Direction
from naslab.errors import NaslabError, SpecError, among, unknown
from naslab.quantities import Quantity
from naslab.trees import described

MISTAKES = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What comes of outputs that are not as a task expects them."""
Every = Literal["batch", "pass"]


class WrongTask(SpecError):
    """A task and a network do not go together, or the task contradicts itself: no step can be made with them."""


class Metric(ABC):
    """A number that is measured of outputs and batches.

    Args:
        direction: "max" if more is better, "min" if less is. It is never guessed.
        unit: see `naslab.quantities.Quantity`.
        every: "batch" for what makes sense of a single mini-batch, and may be charted at every step; "pass" for what
            needs all of the data, such as a mean average precision.
    """

    def __init__(self, direction: Direction, unit: str = "", every: Every = "batch") -> None:
        if not among(direction, DIRECTIONS):
            raise SpecError(
                f"of a metric: {unknown('direction', direction, DIRECTIONS)}; say direction='max' if more is better, "
                "'min' if less is"
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
        """What is known after a mini-batch.

        Args:
            state: what was known before it; None at first. It is not changed. It can be pickled.
            outputs: of the network.
            batch: of the task.
        """

    @abstractmethod
    def merge(self, states: Sequence[Any]) -> Any:
        """What several processes know together; each has seen a part of the data, and at least something."""

    @abstractmethod
    def compute(self, state: Any) -> float:
        """The number."""

    def of(self, outputs: Any, batch: Any) -> float:
        """The number for one mini-batch."""
        return self.compute(self.update(None, outputs, batch))

    def weighed(self, per: float) -> Metric:
        """The same metric. One that weights mini-batches by their size gives those of the size `per` the weight 1, so
        that the number for mini-batches of one size is the plain mean of theirs, to the last bit.
        """
        return self


class Ratio(Metric):
    """A sum over the data divided by another, and perhaps a function of that: most metrics are.

        accuracy     Ratio(lambda outputs, batch: (right, how many), direction="max", unit="%")
        perplexity   Ratio(lambda outputs, batch: (nats, tokens), then=math.exp, direction="min")

    Args:
        of: (outputs, batch) -> what a mini-batch adds to numerator and denominator.
        then: what becomes of the ratio; None: nothing.
    """

    def __init__(
        self,
        of: Callable[[Any, Any], tuple[float, float]],
        *,
        direction: Direction,
        unit: str = "",
        every: Every = "batch",
        then: Callable[[float], float] | None = None,
    ) -> None:
        super().__init__(direction, unit, every)
        self._of, self._then = of, then

    @property
    def is_mean(self) -> bool:
        """Whether the number is the ratio itself, so that numbers of equal parts may be averaged."""
        return self._then is None

    def update(self, state: tuple[float, float] | None, outputs: Any, batch: Any) -> tuple[float, float]:
        above, below = self._of(outputs, batch)
        if state is None:
            return float(above), float(below)
        return state[0] + float(above), state[1] + float(below)

    def merge(self, states: Sequence[tuple[float, float]]) -> tuple[float, float]:
        return sum(state[0] for state in states), sum(state[1] for state in states)

    def compute(self, state: tuple[float, float]) -> float:
        ratio = state[0] / state[1] if state[1] else math.nan
        if self._then is None or ratio != ratio:
            return ratio
        try:
            return self._then(ratio)
        except OverflowError:
            return math.inf


class Mean(Ratio):
    """The mean of what a mini-batch says as a mean of its own, each weighted by its size.

    Of a single mini-batch it is what that says, to the last bit, which a sum that is divided again need not be.

    Args:
        value: (outputs, batch) -> the mean over the mini-batch.
        size: batch -> its weight.
        then: a function of the mean.
        per: the size that weighs 1. The number does not depend on it, but for its rounding.
    """

    def __init__(
        self,
        value: Callable[[Any, Any], float],
        size: Callable[[Any], float],
        *,
        direction: Direction,
        unit: str = "",
        every: Every = "batch",
        then: Callable[[float], float] | None = None,
        per: float = 1,
    ) -> None:
        super().__init__(self._weighted, direction=direction, unit=unit, every=every, then=then)
        self._value, self._size, self._per = value, size, per

    def _weighted(self, outputs: Any, batch: Any) -> tuple[float, float]:
        weight = self._size(batch) / self._per
        return self._value(outputs, batch) * weight, weight

    def of(self, outputs: Any, batch: Any) -> float:
        return self.compute((self._value(outputs, batch), 1.0))

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
    """A function of everything that was seen: for what is no ratio, such as an area under a curve.

    Args:
        of: (outputs, batch) -> what is kept of a mini-batch; anything that can be pickled. Best arrays.
        value: the kept things of all mini-batches -> the number. Their order may differ between numbers of processes.
    """

    def __init__(
        self,
        of: Callable[[Any, Any], Any],
        value: Callable[[Sequence[Any]], float],
        *,
        direction: Direction,
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
        return float(self._value(state))


class Torchmetric(Metric):
    """A metric of the package torchmetrics, or any object with its `update`, `compute` and `higher_is_better`.

    Args:
        make: makes a new one, for instance `lambda: torchmetrics.F1Score("multiclass", num_classes=10)`.
        inputs: (outputs, batch) -> the arguments of its `update`.
        direction: needed where the object does not say `higher_is_better`.
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
        metric = self._make()
        for arguments in state:
            metric.update(*arguments)
        return float(metric.compute())


class Measurement:
    """Several metrics while they are taken: over a pass, or a part of it.

    Args:
        metrics: by name.
        every: take only those that make sense of a single mini-batch ("batch"), or all of them ("pass").
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
            except MISTAKES as error:
                raise WrongTask(
                    f"the metric {name!r} cannot be computed of what the network gives, {described(outputs)}: "
                    f"{type(error).__name__}: {error!s:.300}"
                ) from error

    def merge(self, others: Iterable[Mapping[str, Any]]) -> None:
        """Take in the states of all processes, this one's among them."""
        others = list(others)
        for name, metric in self._metrics.items():
            if seen := [states[name] for states in others if name in states]:
                self.states[name] = metric.merge(seen)

    def compute(self) -> dict[str, float]:
        """The numbers of all that has been seen."""
        return {
            name: metric.compute(self.states[name]) for name, metric in self._metrics.items() if name in self.states
        }
