"""What every metric promises: the number does not depend on how the data was cut up, or on who has seen what."""

from __future__ import annotations

import itertools
import math
import pickle
from collections.abc import Sequence
from typing import Any

from naslab.tasks.metrics import Metric
from naslab.testing.case import Case, skip


class MetricCase(Case):
    """Checks of a metric.

        class TestMyMetric(MetricCase):
            def make(self):
                return MyMetric(direction="min")

            def batches(self):
                return [(torch.tensor([0.1, 0.9]), torch.tensor([0.0, 1.0])), ...]

    `make` gives the metric, `batches` three or more mini-batches of different sizes, each as (outputs, batch). A
    subclass may also give in `perfect` one that no other could be better than.
    """

    def batches(self) -> Sequence[tuple[Any, Any]]:
        """Outputs with the batch that they are judged by, of three mini-batches or more."""
        raise NotImplementedError("batches() gives three mini-batches or more: [(outputs, batch), ...]")

    def perfect(self) -> tuple[Any, Any] | None:
        """Outputs and a batch whose number is as good as can be; None: the direction is not checked."""
        return None

    def test_it_is_a_metric_with_a_direction(self) -> None:
        check_quantity(self.make(), "the metric")

    def test_a_state_is_pickled_and_is_not_changed(self) -> None:
        check_states_of(self.make(), self.batches(), "the metric")

    def test_the_number_does_not_depend_on_how_the_data_is_cut_up(self) -> None:
        check_merging(self.make(), self.batches(), "the metric")

    def test_nothing_is_better_than_perfect(self) -> None:
        if (perfect := self.perfect()) is None:
            skip("perfect() gives None")
        metric = self.make()
        best = metric.of(*perfect)
        for outputs, batch in self.batches():
            came = metric.of(outputs, batch)
            better = came > best if metric.direction == "max" else came < best
            assert not better, (
                f"a mini-batch has {came}, and the perfect one {best}, although the direction is "
                f"{metric.direction!r}: turn the direction round, or the number"
            )


def check_quantity(metric: Any, what: str) -> None:
    """It is a metric, and says when it makes sense and whether more is better."""
    assert isinstance(metric, Metric), f"{what} is {metric!r:.200}; expected a naslab.tasks.metrics.Metric"
    assert hasattr(metric, "quantity"), f"{what} has no direction: call super().__init__(direction='max'), or 'min'"
    assert metric.direction in ("max", "min"), f"the direction of {what} is {metric.direction!r}, not 'max' or 'min'"
    assert metric.every in ("batch", "pass"), f"`every` of {what} is {metric.every!r}, expected 'batch' or 'pass'"


def check_states_of(metric: Metric, batches: Sequence[tuple[Any, Any]], what: str) -> None:
    """States are values: `update` changes none, and each can be sent to another process."""
    state = None
    for outputs, batch in batches:
        before = pickle.dumps(state)
        new = metric.update(state, outputs, batch)
        assert pickle.dumps(state) == before, f"update() of {what} changes the state that it is given; give a new one"
        again = pickle.loads(pickle.dumps(new))  # noqa: S301
        number, expected = metric.compute(again), metric.compute(new)
        assert isinstance(expected, float), f"compute() of {what} gives {expected!r:.200}, expected a float"
        assert _close(number, expected), f"{what} is {number} after its state was pickled, expected {expected}"
        state = new


def check_merging(metric: Metric, batches: Sequence[tuple[Any, Any]], what: str) -> None:
    """The number of the whole, of parts that are merged, and of other orders."""
    assert len(batches) >= 3, f"{len(batches)} mini-batches are too few to cut up in several ways; give three"
    expected = metric.compute(_seen(metric, batches))
    for order in itertools.islice(itertools.permutations(batches), 1, 4):
        came = metric.compute(_seen(metric, order))
        assert _close(came, expected), f"{what} is {expected}, and with mini-batches in another order {came}"
    for cut in range(1, len(batches)):
        one, other = _seen(metric, batches[:cut]), _seen(metric, batches[cut:])
        for parts, whose in (((one, other), "two processes"), ((other, one), "two processes, the second first,")):
            came = metric.compute(metric.merge(parts))
            assert _close(came, expected), (
                f"{what} of all mini-batches is {expected}, and {came} merged from {whose} that have seen {cut} and "
                f"{len(batches) - cut}; merge() must keep how much each has seen"
            )
    came = metric.compute(metric.merge([_seen(metric, batches)]))
    assert _close(came, expected), f"{what} is {expected}, and merged from a single process {came}"
    came = metric.compute(_seen(metric.weighed(7.0), batches))
    assert _close(came, expected), f"{what} is {expected}, and weighed(7) {came}: only its rounding may differ"
    for outputs, batch in batches:
        one, other = metric.of(outputs, batch), metric.compute(metric.update(None, outputs, batch))
        assert _close(one, other), f"of() of {what} gives {one} for a mini-batch, and update() with compute() {other}"


def _seen(metric: Metric, batches: Sequence[tuple[Any, Any]]) -> Any:
    state = None
    for outputs, batch in batches:
        state = metric.update(state, outputs, batch)
    return state


def _close(one: float, other: float) -> bool:
    return one == other or (one != one and other != other) or math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-7)
