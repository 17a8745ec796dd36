"""The settings and acts of a search by gradients: schedules, what is turned on the way, masks."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torch import Tensor

from naslab.errors import SpecError
from naslab.searchers.batch_size import BATCH_SIZE
from naslab.searchers.gradient.deriving import Deriving
from naslab.searchers.gradient.objective import FirstOrSecondOrder
from naslab.searchers.gradient.optimizers import Optimizers
from naslab.searchers.gradient.parts import Parts
from naslab.searchers.gradient.regularizers import (
    PERTURBATION,
    SKIP_DROPOUT,
    Perturbation,
    SkipDropout,
)
from naslab.searchers.gradient.schedule import Schedule
from naslab.searchers.gradient.steering import acts
from naslab.searchers.gradient.training import Training
from naslab.searchers.settings import Act, Select, Setting
from naslab.searchers.signatures import attribute_docstrings
from naslab.searchers.turned import ALPHAS, WEIGHTS, Turned, decay, freezing
from naslab.tasks.streams import Timetable

ORDER, DECAYS = "order", ("w_weight_decay", "alpha_weight_decay")
SETTLED = {
    "one_in": "it is the width of every operation, and so the shape of the weights",
    "channels": "it is the width of every operation, and so the shape of the weights",
    "edge_normalisation": "edges have numbers of their own to learn, or none",
    "epochs": "all schedules are planned over them",
    "train_portion": "the two halves of the data were parted by it",
    "temperature_end": "turn temperature itself",
    "radius_end": "turn perturbation itself",
    "w_lr_min": "turn w_lr itself",
}
"""Hyperparameter -> why it cannot be turned on the way."""


class Adjustable(Deriving):
    """The part of a search by gradients that is steered."""

    _schedules: dict[str, Schedule]
    _set: dict[str, tuple[float, int]]
    """Setting -> the value that was last set, and the epoch when it was."""
    _timetable: Timetable
    """An epoch is a pass over the data that moves the weights."""
    _turned: Turned
    _optimisers: Optimizers

    if TYPE_CHECKING:

        @property
        def _batch_size(self) -> int: ...

        def _must_fit(self, size: int | None = None) -> None: ...

        def _small(self, what: str, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]: ...

    @property
    def settings(self) -> Mapping[str, Setting]:
        epoch = self._timetable.epoch(min(self._step, self.total - 1))
        sliders = {
            name: schedule.slider(self._at(name, epoch), self._set[name][0])
            for name, schedule in self._schedules.items()
        }
        return {**sliders, **self._turned.settings(self._step), **self._masks.settings}

    def aged(self, name: str, value: Any, step: int) -> Any:
        """Along the schedule that a number was put on."""
        if name not in self._schedules:
            return value
        since, now = (self._timetable.epoch(min(each, self.total - 1)) for each in (step - 1, self._step))
        return self._schedules[name].at(now, self.hyperparameters.epochs, value, since)

    def planned(self, values: Mapping[str, Any]) -> int:
        if self._watching.stopped is not None:
            return self._watching.stopped
        return self._turned.batches.epochs_of(values, self._step).total(self.hyperparameters.epochs)

    @property
    def end_of_epoch(self) -> int:
        epoch = self._timetable.epoch(min(self._step, self.total - 1))
        return min(self._timetable.total(epoch + 1), self.total)

    @property
    def acts(self) -> Mapping[str, Act]:
        operations = self.space.operations  # type: ignore[attr-defined]
        shapes = {part: tuple(alpha.shape) for part, alpha in self.alphas.items()}
        return acts(self.alphas, self._masks, operations, self._optimisers, lambda: self._small("alphas", shapes))

    def check_setting(self, name: str, value: Any) -> Any:
        """The value as JSON; for a hyperparameter that is no setting, `SpecError` says why it is none."""
        if isinstance(name, str) and name in self._turned and name in self.settings:
            value = self._turned.check(name, value, self._step)
            if name == BATCH_SIZE and value > self._batch_size:
                self._must_fit(value)
            if name == ORDER:
                self._of_order(value)
            return value
        if isinstance(name, str) and name not in self._schedules and hasattr(self.hyperparameters, name):
            raise SpecError(
                f"{name} is {getattr(self.hyperparameters, name)!r} for the whole search: "
                f"{SETTLED.get(name, 'it was settled when the search was made')}. Make another search with "
                f"{name}={value!r}; what can be turned on the way: {', '.join(self.settings)}"
            )
        if isinstance(name, str) and name in self._masks.settings:
            return self._masks.check(name, value)
        return super().check_setting(name, value)

    def put(self, name: str, value: Any) -> None:
        if name in self._schedules:
            self._set[name] = (value, self._timetable.epoch(self._step))
        elif name in self._turned:
            self._turned.put(name, value, self._step)
            self._obey()
        else:
            self._masks.put(name, value)

    def _more_settings(self) -> dict[str, Setting]:
        """Those that are neither schedules nor masks, as they are at the beginning."""
        hyper, level, about = self.hyperparameters, self.parts.level, attribute_docstrings(Training)
        found: dict[str, Setting] = {name: decay(getattr(hyper, name), about[name]) for name in DECAYS}
        if isinstance(level, FirstOrSecondOrder):
            described = "1 takes the weights as they are; 2 looks through one step of them, at a few times the cost."
            found[ORDER] = Select(value=level.order, options=(1, 2), description=described)
        return {**found, ALPHAS: freezing("alphas"), WEIGHTS: freezing("weights"), **self._late_regularizers()}

    def _late_regularizers(self) -> dict[str, Setting]:
        """Regularizers that the search was made without, and could still get on the way; 0 is none."""
        found: dict[str, Setting] = {}
        for regularizer, name in ((SkipDropout(), SKIP_DROPOUT), (Perturbation(), PERTURBATION)):
            with suppress(SpecError):
                regularizer.check(self.network, self.name)
                replace(self.parts, regularizers=(*self.parts.regularizers, regularizer))
                schedule = regularizer.schedules()[name]
                found[name] = replace(schedule, start=0.0, end=None).slider(0.0, 0.0)
        return found

    def _of_order(self, order: int) -> Parts:
        """The parts with another order; `SpecError` where they do not go together with it."""
        level: Any = self.parts.level
        return self.parts if level.order == order else replace(self.parts, level=replace(level, order=order))

    def _all_schedules(self) -> dict[str, Schedule]:
        hyper, documented = self.hyperparameters, attribute_docstrings(Training)
        return {
            "w_lr": Schedule(
                start=hyper.w_lr,
                end=hyper.w_lr_min,
                shape="cosine",
                low=1e-5,
                high=1.0 if hyper.w_lr <= 1 else 5 * hyper.w_lr,
                description=documented["w_lr"],
            ),
            "alpha_lr": Schedule(start=hyper.alpha_lr, low=1e-5, high=1.0, description=documented["alpha_lr"]),
            **self.parts.schedules(),
        }

    def _at(self, name: str, epoch: int) -> float:
        """The value of a knob in an epoch."""
        return self._schedules[name].at(epoch, self.hyperparameters.epochs, *self._set[name])

    def _obey(self) -> None:
        """Have what is turned obeyed."""
        if ORDER in self._turned:
            self.parts = self._of_order(self._turned[ORDER])
        self._optimisers.weight_decay, self._optimisers.alpha_weight_decay = (self._turned[name] for name in DECAYS)

    def _warms_up(self, step: int) -> bool:
        """Whether a step, counted from 0, moves the weights alone, as the settings are now."""
        epoch = self._timetable.epoch(step)
        return "warmup" in self._schedules and epoch < self._at("warmup", epoch) * self.hyperparameters.epochs
