"""Forecasts the time and memory of a search from a few steps of a copy.

The search itself does not change: its later steps are the same bit for bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from naslab.device import available
from naslab.errors import SpecError, whole
from naslab.estimators import Table
from naslab.estimators.function import Function
from naslab.estimators.workers import Workers
from naslab.estimators.wrapped import layers
from naslab.immutable import FrozenDict, Record
from naslab.networks.step_memory import bytes_shown, peak
from naslab.registry import own
from naslab.searchers.black_box import BlackBoxSearch
from naslab.searchers.stretch import Stretch
from naslab.searchers.supernet_searcher import SupernetSearcher
from naslab.searchers.twins import twin
from naslab.threads import processors

QUICK = 20
"""Number of evaluations that are timed where a table answers."""
MANY = 10_000
"""Number of remaining steps up to which the due rankings are counted exactly."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Part(Record):
    """Remaining steps of one kind, which take about equally long."""

    name: str
    """For instance "search", "children", "ranking"."""
    count: int
    """Number of remaining steps of this kind."""
    seconds: tuple[float, ...]
    """Measured times of a step."""
    of_epochs: bool = True
    """Whether the steps belong to passes over the training data."""

    @property
    def mean(self) -> float:
        """Mean seconds of a step."""
        return fmean(self.seconds)


@dataclass(frozen=True, kw_only=True, eq=False)
class Forecast(Record):
    """Expected time and memory of the rest of a search."""

    steps: int
    """Number of remaining steps."""
    unit: str
    """Name of a step: "step", or "evaluation" in a black-box search."""
    parts: tuple[Part, ...]
    """The remaining steps by kind."""
    together: int
    """Number of steps that workers do at once."""
    epochs: float | None
    """Remaining passes over the training data; None for a search without epochs."""
    memory: int | None
    """Bytes of the weights, of the states of optimizers and streams, and of the peak of a step; None if not
    measured."""
    free: int | None
    """Bytes that were free before; None if the system does not report them."""
    threads: int | None
    """CPU threads of a step; None on a GPU, or if the searcher does not set them."""
    gains: Mapping[int, float]
    """Other number of threads -> speed of a step with it, relative to `threads`."""
    note: str
    """A caveat for the reader, a sentence without a full stop; empty if there is none."""

    @property
    def total(self) -> float:
        """Expected seconds of all remaining steps."""
        return sum(part.count * part.mean for part in self.parts) / self.together

    @property
    def spread(self) -> tuple[float, float]:
        """Seconds if all steps took as long as the fastest, and as the slowest, that was timed."""
        ends = [sum(part.count * end(part.seconds) for part in self.parts) / self.together for end in (min, max)]
        return ends[0], ends[1]

    @property
    def step(self) -> float:
        """Mean seconds of a step of the kind that takes most of the time."""
        return max(self.parts, key=lambda part: part.count * part.mean).mean if self.parts else 0.0

    @property
    def epoch(self) -> float | None:
        """Seconds of a pass over the training data, with all its other steps; None without epochs."""
        if not self.epochs:
            return None
        return sum(part.count * part.mean for part in self.parts if part.of_epochs) / self.epochs

    @property
    def fits(self) -> bool | None:
        """Whether the memory suffices; None if it is not known."""
        return None if self.memory is None or self.free is None else self.memory <= self.free

    def __str__(self) -> str:
        """One line: "155 steps, about 2 min 40 s (two steps took 2.1 s) · 310 MB of 16 GB · 1 thread (2 would be
        0.9x)"."""
        if not self.steps:
            return f"no {self.unit} is left"
        tried = max(self.parts, key=lambda part: part.count * part.mean).seconds
        took = f"{_number(len(tried))} {self.unit}{'s' if len(tried) > 1 else ''} took {duration(sum(tried))}"
        plural = "s" if self.steps > 1 else ""
        words = [f"{self.steps:,} {self.unit}{plural}, about {duration(self.total)} ({took})"]
        if self.memory is not None:
            words.append(bytes_shown(self.memory) + ("" if self.free is None else f" of {bytes_shown(self.free)}"))
        if self.threads is not None:
            others = ", ".join(f"{number} would be {gain:.1f}x" for number, gain in self.gains.items())
            plural = "" if self.threads == 1 else "s"
            words.append(f"{self.threads} thread{plural}" + (f" ({others})" if others else ""))
        return " · ".join([*words, *([self.note] if self.note else [])])


def duration(seconds: float) -> str:
    """Returns a time for reading: "0.21 s", "42 s", "2 min 40 s", "3 h 5 min", "2 d 4 h"."""
    if not math.isfinite(seconds):
        return "for ever"
    if seconds < 10:
        return f"{seconds:.2g} s"
    for large, small, each, size, most in (("min", "s", 1, 60, 60), ("h", "min", 60, 60, 24)):
        first, rest = divmod(round(seconds / each), size)
        if not first:
            return f"{rest} {small}"
        if first < most:
            return f"{first} {large}" + (f" {rest} {small}" if rest else "")
    first, rest = divmod(round(seconds / 3600), 24)
    return f"{first:,} d" + (f" {rest} h" if rest else "")


def _number(count: int) -> str:
    return {1: "one", 2: "two", 3: "three"}.get(count, f"{count:,}")


def answers_at_once(search: Any) -> bool:
    """Returns whether candidates are looked up in a table, so that a forecast takes hardly any time."""
    stepper = getattr(search, "searcher", search)
    return isinstance(stepper, BlackBoxSearch) and isinstance(_all_layers(stepper.estimator)[-1], Table)


def forecast(
    search: Any,
    *,
    steps: int = 2,
    threads: bool = True,
    call: bool = False,
    ranking: Any = None,
    prepare: Callable[[Any], object] = lambda stepper: None,
    going: Callable[[], object] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> Forecast:
    """Forecasts the rest of a search.

    A copy does one step to warm up, whose memory is measured, and then `steps` of each remaining kind, which are timed.
    Of a black-box search one candidate is evaluated in this process, or `QUICK` where a table answers.

    Args:
        search: a `naslab.Search`, a supernet searcher, or `BlackBoxSearch`.
        steps: number of steps of each kind to time.
        threads: whether to time another number of CPU threads, twice as many or half.
        call: whether the user's own estimator may be called once in addition to the calls of the search.
        ranking: a `naslab.LiveRanking` whose time is included.
        prepare: called with the copy before its first step.
        going: called before each step of the copy; an exception that it raises ends the forecast.
        clock: returns seconds.

    Raises:
        SpecError: no forecast is possible, and why; or the memory does not suffice for a step, with a batch size that
            would fit.
    """
    steps = whole("steps", steps, 1)
    stepper = getattr(search, "searcher", search)
    if not isinstance(stepper, BlackBoxSearch | SupernetSearcher):
        raise SpecError(f"a forecast is of a naslab.Search or of what it drives, not of {stepper!r:.100}")
    with stepper.alone:
        if isinstance(stepper, BlackBoxSearch):
            return _of_trials(stepper, call, prepare, going, clock)
        return _of_supernet(stepper, steps, threads, ranking, prepare, going, clock)


# --- supernets ------------------------------------------------------------------------------------


def _of_supernet(
    stepper: SupernetSearcher,
    steps: int,
    threads: bool,
    ranking: Any,
    prepare: Callable[[Any], object],
    going: Callable[[], object],
    clock: Callable[[], float],
) -> Forecast:
    device = torch.device(getattr(stepper, "device", "cpu"))
    number = getattr(stepper, "threads", None) if device.type == "cpu" else None
    free = available(device)
    if stepper.step >= stepper.total:
        nothing = {"parts": (), "together": 1, "epochs": None, "memory": None, "gains": FrozenDict({}), "note": ""}
        return Forecast(steps=0, unit="step", free=free, threads=number, **nothing)
    copy = twin(stepper)
    prepare(copy)
    # read before the warm-up, which moves the copy a step on
    stretches, epochs, left, total = copy.ahead(), copy.epochs_ahead(), copy.total - copy.step, copy.total
    lasting = sum(value.nbytes for value in copy.state_dict().values() if isinstance(value, Tensor))
    going()
    memory = lasting + peak(copy.advance, device)
    tried = partial(_tried, copy, steps=steps, going=going, clock=clock, device=device)
    # The first kind was warmed up by the step whose memory was measured.
    parts = [tried(one, warm=place == 0) for place, one in enumerate(stretches)]
    gains: dict[int, float] = {}
    if threads and number is not None and (other := _other(number)) is not None:
        most = max(range(len(parts)), key=lambda place: parts[place].count * parts[place].mean)
        copy.threads = other
        quickest = min(tried(stretches[most]).seconds)  # the minimum: other processes only make steps slower
        gains[other] = min(parts[most].seconds) / quickest
        copy.threads = number
    if ranking is not None and (due := _due(ranking, stepper.step, total)):
        going()
        seconds = _timed(lambda: ranking.rank(copy), clock, device)
        parts.append(Part(name="ranking", count=due, seconds=(seconds,), of_epochs=False))
    return Forecast(
        steps=left,
        unit="step",
        parts=tuple(parts),
        together=1,
        epochs=epochs,
        memory=memory,
        free=free,
        threads=number,
        gains=FrozenDict(gains),
        note="",
    )


def _tried(
    copy: Any,
    stretch: Stretch,
    *,
    steps: int,
    going: Callable[[], object],
    clock: Callable[[], float],
    device: torch.device,
    warm: bool = False,
) -> Part:
    """Times `steps` rounds of a kind of steps, after one to warm up unless it is warm; returns seconds per step."""
    rounds = max(1, min(stretch.together, stretch.run))

    def one() -> None:
        for _ in range(rounds):
            copy.advance()
            copy.beside()

    seconds = []
    for _ in range(steps + (not warm)):
        going()
        copy.stand_before(stretch.at)
        seconds.append(_timed(one, clock, device) / rounds)
    return Part(name=stretch.name, count=stretch.count, seconds=tuple(seconds[-steps:]), of_epochs=stretch.of_epochs)


def _timed(job: Callable[[], object], clock: Callable[[], float], device: torch.device) -> float:
    """Returns the seconds of a job."""
    if device.type == "cuda":  # kernels run asynchronously
        torch.cuda.synchronize(device)
    start = clock()
    job()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - start


def _other(number: int) -> int | None:
    """Returns another number of threads that is worth timing: twice as many if there are, else half."""
    if 2 * number <= processors():
        return 2 * number
    return number // 2 if number > 1 else None


def _due(ranking: Any, step: int, total: int) -> int:
    """Returns the number of remaining rankings."""
    if total - step > MANY:
        return round((total - step) / ranking.every)
    return sum(ranking.due(number, total) for number in range(step + 1, total + 1))


# --- black-box searches ---------------------------------------------------------------------------


def _of_trials(
    trials: BlackBoxSearch,
    call: bool,
    prepare: Callable[[Any], object],
    going: Callable[[], object],
    clock: Callable[[], float],
) -> Forecast:
    left = trials.total - trials.step
    common: dict[str, Any] = {
        "steps": left,
        "unit": "evaluation",
        "epochs": None,
        "memory": None,
        "free": available(),
        "threads": None,
    }
    common["gains"] = FrozenDict({})
    if left <= 0:
        return Forecast(**{**common, "steps": 0}, parts=(), together=1, note="")
    if answers_at_once(trials):
        copy = twin(trials)
        prepare(copy)
        copy.workers = 1
        seconds = tuple(_timed(copy.advance, clock, CPU) for _ in range(min(left, QUICK)))
        part = Part(name="evaluations", count=left, seconds=seconds)
        return Forecast(**common, parts=(part,), together=1, note="a table answers")
    _must_be_callable(trials, call)
    going()
    # the first candidate of a new search, which needs no trained weights of an earlier one
    beginning = BlackBoxSearch(type(trials.sampler).from_spec(trials.sampler.spec()), trials.estimator, trials.total)
    try:
        trial, outcome, seconds = _first_evaluation(beginning, clock)
    finally:
        beginning.close()
    if outcome.status != "done":
        raise SpecError(
            f"how long a candidate takes cannot be said: the first one {outcome.status}, {outcome.message:.300}"
        )
    epochs = trial.fidelity if trial.fidelity is not None else outcome.metrics.get("epochs")
    length = "" if epochs is None else f" (of {epochs:g} epoch{'' if epochs == 1 else 's'})"
    differ = ", and trainings differ in length" if len(set(trials.sampler.fidelities)) > 1 else ""
    return Forecast(
        **common,
        parts=(Part(name="evaluations", count=left, seconds=(seconds,)),),
        together=max(1, min(trials.workers, left)),
        note=f"one candidate{length} was evaluated; no other is quite like it{differ}",
    )


def _must_be_callable(trials: BlackBoxSearch, call: bool) -> None:
    """Raises `SpecError` if the estimator must not be called, or would be called on other machines."""
    if trials.executor is not None and not isinstance(trials.executor, Workers):
        raise SpecError(
            f"how long a candidate takes where {type(trials.executor).__name__} has it evaluated cannot be found out "
            "here; the first ones will show it"
        )
    strange = [layer for layer in _all_layers(trials.estimator) if isinstance(layer, Function) or own(type(layer))]
    if strange and not call:
        raise SpecError(
            f"the estimator {getattr(strange[0], '_called', type(strange[0]).__name__)!r} is your own, and one call "
            "more may change what it gives later; where it does not, forecast(call=True) calls it once"
        )


def _all_layers(estimator: Any) -> list[Any]:
    """Returns an estimator and those that it wraps, the innermost last."""
    around = list(layers(estimator))
    return [*around, around[-1].inside if around else estimator]


def _first_evaluation(trials: BlackBoxSearch, clock: Callable[[], float]) -> tuple[Any, Any, float]:
    """Evaluates the first trial of a new search; returns it with its outcome and its seconds."""
    trial = trials.sampler.ask()
    trials.trainings.note(trial)
    found: list[Any] = []
    seconds = _timed(lambda: found.append(trials.evaluations.evaluate_here(trial)), clock, CPU)
    return trial, found[0], seconds


CPU = torch.device("cpu")
"""Device whose time counts for evaluations: they begin and end in this process."""
