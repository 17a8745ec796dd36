"""Metrics of the outputs of a network, accumulated over mini-batches and processes.

A metric consists of three pure functions: `update` adds a mini-batch to a state, `merge` joins the states of several
processes, and `compute` returns the value. A perplexity is therefore the exponential of the mean loss of all tokens,
not the mean of the perplexities of mini-batches; and a metric that is not a mean, such as an area under a curve, can
keep all that it needs.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Literal, NamedTuple

from torch import Tensor
from torch.utils import _pytree

from naslab.directions import DIRECTIONS, Direction
from naslab.errors import SpecError, among, unknown
from naslab.quantities import Quantity
from naslab.transfer import Number, Pending, numbers, pending
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


def soon(found: Any) -> float | Pending:
    """Returns a value of a metric as a float, or as one that is still to be read if a device computes it; `NoNumber`
    for anything else than one number.
    """
    if isinstance(found, Pending):
        return found
    return pending(float, found) if isinstance(found, Tensor) and found.numel() == 1 else one_number(found)


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

    def pending(self, outputs: Any, batch: Any) -> Number:
        """Returns the value for one mini-batch, which may still have to be read from a device by
        `naslab.transfer.numbers`; by default it is read at once.
        """
        return self.of(outputs, batch)

    def weighed(self, per: float) -> Metric:
        """Returns the metric with weights relative to mini-batches of the size `per`.

        If all mini-batches have this size, their weights are exactly 1, and the value is the plain mean of theirs to
        the last bit. A metric without weights returns itself.
        """
        return self


class Unread(NamedTuple):
    """The sums of a quotient before a mini-batch whose terms are still to be read from a device."""

    before: tuple[float, float] | Unread | None
    above: float | Pending
    below: float | Pending

    @property
    def parts(self) -> tuple[tuple[float, float] | None, list[float | Pending]]:
        """The sums that are known, and the terms to add to them: above, below, above, below, ..."""
        terms: list[float | Pending] = []
        state: tuple[float, float] | Unread | None = self
        while isinstance(state, Unread):
            terms += (state.below, state.above)
            state = state.before
        return state, terms[::-1]


def settled(states: Any) -> Any:
    """Returns the states of metrics, which may be in tuples, lists or dictionaries, after all that is still to be read
    from a device was read, in one copy.
    """
    leaves, structure = _pytree.tree_flatten(states, is_leaf=lambda part: isinstance(part, Unread))
    waiting = {place: leaf.parts for place, leaf in enumerate(leaves) if isinstance(leaf, Unread)}
    if not waiting:
        return states
    found = iter(numbers(term for _, terms in waiting.values() for term in terms))
    for place, (sums, terms) in waiting.items():
        own = list(islice(found, len(terms)))
        for above, below in zip(own[::2], own[1::2], strict=True):
            sums = (above, below) if sums is None else (sums[0] + above, sums[1] + below)
        leaves[place] = sums
    return _pytree.tree_unflatten(leaves, structure)


class Ratio(Metric):
    """Quotient of two sums over the data, or a function of it; most metrics are of this kind.

        accuracy     Ratio(lambda outputs, batch: (correct, images), direction="max", unit="%")
        perplexity   Ratio(lambda outputs, batch: (nats, tokens), then=math.exp, direction="min")

    Args:
        of: (outputs, batch) -> what a mini-batch adds to numerator and denominator: numbers, or tensors of one element,
            which are read from a device at the end, so that it need not be waited for.
        direction, unit, every: as of `Metric`.
        then: function of the quotient; None for the quotient itself.
        empty: the value where the denominator is 0.
    """

    def __init__(
        self,
        of: Callable[[Any, Any], tuple[Number, Number]],
        *,
        direction: Direction | None = None,
        unit: str = "",
        every: Every = "batch",
        then: Callable[[float], float] | None = None,
        empty: float = math.nan,
    ) -> None:
        super().__init__(direction, unit, every)
        self._of, self._then, self._empty = of, then, empty

    @property
    def is_mean(self) -> bool:
        """True if the value is the quotient itself, so that values of parts of equal size can be averaged."""
        return self._then is None

    def update(self, state: Any, outputs: Any, batch: Any) -> tuple[float, float] | Unread:
        """Returns the sums after a mini-batch; on a device, the sums before it and its terms."""
        above, below = map(soon, self._of(outputs, batch))
        if isinstance(state, Unread) or isinstance(above, Pending) or isinstance(below, Pending):
            return Unread(state, above, below)
        return (above, below) if state is None else (state[0] + above, state[1] + below)

    def merge(self, states: Sequence[Any]) -> tuple[float, float]:
        states = settled(states)
        return sum(state[0] for state in states), sum(state[1] for state in states)

    def of(self, outputs: Any, batch: Any) -> float:
        return numbers([self.pending(outputs, batch)])[0]

    def pending(self, outputs: Any, batch: Any) -> Number:
        return pending(self._value_of, *map(soon, self._of(outputs, batch)))

    def _value_of(self, above: float, below: float) -> float:
        return self.compute((above, below))

    def compute(self, state: Any) -> float:
        state = settled(state) if isinstance(state, Unread) else state
        if not state[1]:
            return self._empty
        ratio = state[0] / state[1]
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
        value: (outputs, batch) -> the mean over the mini-batch, a number or a tensor of one element.
        size: batch -> its weight.
        direction, unit, every: as of `Metric`.
        then: function of the mean; None for the mean itself.
        per: size of a mini-batch of weight 1. Apart from rounding, the value does not depend on it.
    """

    def __init__(
        self,
        value: Callable[[Any, Any], Number],
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

    def _weighted(self, outputs: Any, batch: Any) -> tuple[Number, float]:
        weight = self._size(batch) / self._per
        return pending(lambda value: value * weight, soon(self._value(outputs, batch))), weight

    def pending(self, outputs: Any, batch: Any) -> Number:
        return pending(self._value_of, soon(self._value(outputs, batch)), 1.0)

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
