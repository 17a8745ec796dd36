"""Learning-rate range test (Smith 2017, "Cyclical learning rates for training neural networks",
https://arxiv.org/abs/1506.01186, Sec. 3.3).

    the rate <- a very small one
    repeat: one step at that rate, and the loss of its mini-batch;  the rate <- a little larger

The loss falls once the rate is large enough to learn by, and explodes once it is too large. In the paper the rate grows
linearly. The exponential growth, the smoothing, the stopping rule and the two suggestions are those of fastai (Howard &
Gugger 2020, https://arxiv.org/abs/2002.04688, Sec. 4.1):

    steepest    where the smoothed loss falls most steeply along the logarithm of the rate
    tenth       a tenth of the rate at which the smoothed loss is least; this is what is suggested

The rate of the weights is tested with a frozen architecture, that of the architecture with frozen weights, each on a
copy of the searcher: the search itself goes on bit for bit as it would have.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from naslab.errors import Diverged, SpecError, real, unknown, whole
from naslab.immutable import Record
from naslab.searchers.settings import Slider
from naslab.searchers.stretch import Stretch
from naslab.searchers.supernet_searcher import SupernetSearcher
from naslab.searchers.twins import twin
from naslab.tasks.task import LOSS
from naslab.torch_state import each_in_default_torch_state

MEMORY = 0.9
"""Decay of the exponential mean of the losses; fastai has 0.98, with many more steps."""
EXPLODED = 4
"""The loss has exploded if the smoothed loss is this many times its minimum."""
FIRST = 5
"""Number of the first losses, hardly smoothed yet, that are ignored in the search for the minimum."""
CLEAR = 4
"""Standard deviations by which a loss has to be lower to count as fallen."""
MEDIAN = 0.954
"""Median distance of two numbers drawn from one normal distribution, in standard deviations: 0.6745 sqrt(2)."""
ROUNDING = 1e-9
"""Relative differences of losses below this are rounding errors."""
PATIENCE = 10
"""Steps before the test for an explosion begins."""
HALVES = {"w_lr": "train", "alpha_lr": "valid"}
"""Learning rate -> the half of the data whose loss it reduces."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Rates(Record):
    """The losses at growing learning rates, as far as these have been tried."""

    name: str
    """The name of the setting: "w_lr" or "alpha_lr"."""
    metric: str
    """Name of the loss, for instance "train/loss": that of each step's mini-batch, before the step."""
    unit: str
    rates: np.ndarray
    """Rates tried, [T] float64, in geometric progression."""
    losses: np.ndarray
    """Loss at each rate, [T] float64."""
    now: float
    """The learning rate of the search at present."""
    steps: int
    """Number of rates to try."""
    ended: str
    """Why the test ended: "exploded", "diverged" or "tried" (all rates were); empty while it goes on."""

    @property
    def smoothed(self) -> np.ndarray:
        """Exponential mean of the losses, [T] float64, corrected for its start at 0 as Adam's moments are."""
        mean, found = 0.0, []
        for number, loss in enumerate(self.losses.tolist(), start=1):
            mean = MEMORY * mean + (1 - MEMORY) * loss
            found.append(mean / (1 - MEMORY**number))
        return np.array(found)

    @property
    def least(self) -> int | None:
        """Index of the minimum of the smoothed losses; None if the loss did not fall by more than random variation.

        The variation of single losses is estimated from the differences of successive ones, that of smoothed ones
        follows from it. If 60 losses vary at random, they fall by `CLEAR` standard deviations in one test of eighty.
        """
        smoothed, numbers = self.smoothed, np.arange(1, len(self.losses) + 1)
        if len(smoothed) <= FIRST + 1:
            return None
        place = FIRST + int(smoothed[FIRST:].argmin())
        apart = float(np.median(np.abs(np.diff(self.losses)))) / MEDIAN
        # standard deviation of the bias-corrected exponential mean of n independent losses, relative to that of one:
        # sqrt((1 - m) / (1 + m) (1 - m^2n)) / (1 - m^n), with m = MEMORY
        share = np.sqrt((1 - MEMORY) / (1 + MEMORY) * (1 - MEMORY ** (2 * numbers))) / (1 - MEMORY**numbers)
        fell = smoothed[: place + 1] - smoothed[place]
        least = CLEAR * apart * np.hypot(share[: place + 1], share[place]) + ROUNDING * abs(smoothed[place])
        return place if (fell > least).any() else None

    @property
    def tenth(self) -> float | None:
        """A tenth of the rate at which the smoothed loss is lowest; None if the loss never fell."""
        return None if self.least is None else float(self.rates[self.least]) / 10

    @property
    def steepest(self) -> float | None:
        """The rate, below that of the minimum, at which the smoothed loss falls most steeply; None if it never fell."""
        if self.least is None:
            return None
        slopes = np.gradient(self.smoothed, np.log(self.rates))[: self.least + 1]
        return float(self.rates[int(slopes.argmin())])

    @property
    def suggestion(self) -> float | None:
        """Suggested rate, `tenth`. For the architecture smaller ones are usual, since the weights have to follow it."""
        return self.tenth

    def __str__(self) -> str:
        if self.suggestion is None:
            return f"{self.name}: the loss did not fall from {self.rates[0]:.1e} to {self.rates[-1]:.1e}"
        ends = {"exploded": "where it explodes", "diverged": "where it is no longer finite"}
        end = ends.get(self.ended, "the highest that was tried")
        return (
            f"{self.name}: {self.suggestion:.2g}, a tenth of where the loss is least; it falls most steeply at "
            f"{self.steepest:.2g}, up to {self.rates[-1]:.2g}, {end}"
        )


def movable(search: Any) -> list[str]:
    """Returns the names of the learning rates for which a range test is possible at the current step of a search."""
    stepper = getattr(search, "searcher", search)
    if not isinstance(stepper, SupernetSearcher):
        return []
    return [name for name in HALVES if any(name in stretch.moves for stretch in stepper.ahead())]


def lr_find(search: Any, name: str = "w_lr", **options: Any) -> Rates:
    """Returns the result of a whole range test; `finding_rates` documents the options, and yields it step by step."""
    *_, last = finding_rates(search, name, **options)
    return last


def finding_rates(
    search: Any,
    name: str = "w_lr",
    *,
    steps: int = 60,
    low: float | None = None,
    high: float | None = None,
    prepare: Callable[[Any], object] = lambda stepper: None,
) -> Iterator[Rates]:
    """Yields the range test so far, after each of its steps. It begins at the current step of the search.

    Args:
        search: a `naslab.Search` with a supernet searcher, or that searcher.
        name: "w_lr", or "alpha_lr" in gradient-based search.
        steps: number of rates. Each is tried for one update, which is several steps where paths share one.
        low: the lowest rate; that of the setting's slider if left out.
        high: the highest rate; likewise.
        prepare: called with the copy of the searcher before the test.

    Raises:
        SpecError: there is no such rate, or no loss that it reduces.
    """
    stepper = getattr(search, "searcher", search)
    if not isinstance(stepper, SupernetSearcher):
        raise SpecError(
            "a range test watches the loss of shared weights while the rate grows, and a search by trials has no loss "
            "of its own; its estimator trains each candidate by a recipe"
        )
    if name not in (there := movable(stepper)):
        advice = "all of its steps are done" if stepper.step >= stepper.total else "its other rates follow no loss"
        raise SpecError(f"{unknown('learning rate', name, there)}; {advice}" if there else f"{name}: {advice}")
    slider = stepper.settings[name]
    assert isinstance(slider, Slider)
    low, high = real("low", slider.low if low is None else low), real("high", slider.high if high is None else high)
    if not 0 < low < high < math.inf:
        raise SpecError(f"low and high are rates above 0, the second the larger, not {low:g} and {high:g}")
    return _find(stepper, name, whole("steps", steps, 2), low, high, prepare)


@each_in_default_torch_state
def _find(
    stepper: SupernetSearcher, name: str, steps: int, low: float, high: float, prepare: Callable[[Any], object]
) -> Iterator[Rates]:
    with stepper.alone:
        stretch = next(one for one in stepper.ahead() if name in one.moves)
        now = float(stepper.settings[name].value)
        copy = twin(stepper)
    prepare(copy)
    copy.stand_before(stretch.at)
    tried = np.geomspace(low, high, steps)
    losses: list[float] = []
    still = _standing_still(copy, name)
    metric = f"{HALVES[name]}/{LOSS}"
    for number, rate in enumerate(tried.tolist(), start=1):
        ended = "tried" if number == steps else ""
        with stepper.alone:  # one thread at a time: the number of torch's threads is that of the process
            try:
                loss = _update(copy, stretch, name, rate, metric, still)
            except Diverged:
                loss = math.nan
        if math.isfinite(loss):
            losses.append(loss)
        else:
            ended = "diverged"
        found = Rates(
            name=name,
            metric=metric,
            unit=copy.metrics[metric].unit if metric in copy.metrics else "",
            rates=tried[: len(losses)],
            losses=np.array(losses),
            now=now,
            steps=steps,
            ended=ended,
        )
        if not ended and number > PATIENCE:
            smoothed = found.smoothed
            if smoothed[-1] - smoothed.min() > (EXPLODED - 1) * abs(smoothed.min()):
                found = dataclasses.replace(found, ended="exploded")
        if len(losses):
            yield found
        if found.ended:
            return


def _update(copy: Any, stretch: Stretch, name: str, rate: float, metric: str, still: Callable[[], object]) -> float:
    """Make one update of the copy at a rate. Returns the mean of the losses of its steps, before the update."""
    if copy.step + stretch.together > stretch.at + stretch.run:
        copy.stand_before(stretch.at)  # few steps of this kind are left: begin at the first of them again
    found = []
    for _ in range(stretch.together):
        copy.apply_setting(name, rate)
        event = copy.advance()
        still()
        found.append(event.metrics[metric])
    return sum(found) / len(found)


def _standing_still(copy: Any, name: str) -> Callable[[], object]:
    """Freeze what the tested rate does not train. Returns a function to call after every step."""
    if name == "w_lr":
        if "alpha_lr" in copy.settings:
            copy.apply_setting("alpha_lr", 0.0)
        return lambda: None
    kept = {key: value for key, value in copy.state_dict().items() if key.startswith(OF_WEIGHTS)}

    def put_back() -> None:
        """Restore the weights. A zero learning rate would not do: the inner step of second order uses the rate."""
        state = {key: value for key, value in copy.state_dict().items() if not key.startswith(OF_WEIGHTS)}
        copy.load_state_dict({**state, **kept})

    return put_back


OF_WEIGHTS = ("network/", "momentum/")
"""Prefixes of the names of the weights and their momentum in a state."""
