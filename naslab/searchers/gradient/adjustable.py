"""The settings and acts of gradient-based search: scheduled numbers, overrides, and masks."""

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
from naslab.searchers.overrides import ALPHAS, WEIGHTS, Overrides, decay, freezing
from naslab.searchers.settings import Act, Select, Setting
from naslab.searchers.signatures import attribute_docstrings
from naslab.tasks.streams import Timetable

ORDER, DECAYS = "order", ("w_weight_decay", "alpha_weight_decay")
FIXED = {
    "one_in": "it is the width of every operation, and so the shape of the weights",
    "channels": "it is the width of every operation, and so the shape of the weights",
    "edge_normalisation": "edges either have logits to learn, or none",
    "epochs": "all schedules are planned over them",
    "train_portion": "the training data was split by it",
    "temperature_end": "set temperature itself",
    "radius_end": "set perturbation itself",
    "w_lr_min": "set w_lr itself",
}
"""Hyperparameter -> why it cannot be changed during the search."""


class Adjustable(Deriving):
    """The methods of gradient-based search by which it is steered."""

    _schedules: dict[str, Schedule]
    _last_set: dict[str, tuple[float, int]]
    """Setting -> the value that was last set, and the epoch in which it was set."""
    _timetable: Timetable
    """Steps and epochs; an epoch is a pass over the data that trains the weights."""
    _overrides: Overrides
    _optimizers: Optimizers

    if TYPE_CHECKING:

        @property
        def _batch_size(self) -> int: ...

        def _must_fit(self, size: int | None = None) -> None: ...

        def _initial_parameters(self, what: str, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]: ...

    @property
    def settings(self) -> Mapping[str, Setting]:
        epoch = self._timetable.epoch(min(self._step, self.total - 1))
        sliders = {
            name: schedule.slider(self._value_at(name, epoch), self._last_set[name][0])
            for name, schedule in self._schedules.items()
        }
        return {**sliders, **self._overrides.settings(self._step), **self._masks.settings}

    def aged(self, name: str, value: Any, step: int) -> Any:
        """Returns the value that a setting has now if it was set to `value` before `step`, following its schedule."""
        if name not in self._schedules:
            return value
        since, now = (self._timetable.epoch(min(each, self.total - 1)) for each in (step - 1, self._step))
        return self._schedules[name].at(now, self.hyperparameters.epochs, value, since)

    def planned(self, values: Mapping[str, Any]) -> int:
        if self._history.stopped is not None:
            return self._history.stopped
        return self._overrides.batches.epochs_of(values, self._step).total(self.hyperparameters.epochs)

    @property
    def end_of_epoch(self) -> int:
        epoch = self._timetable.epoch(min(self._step, self.total - 1))
        return min(self._timetable.total(epoch + 1), self.total)

    @property
    def begin_of_epoch(self) -> int:
        return self._timetable.total(self._timetable.epoch(min(self._step, self.total - 1)))

    @property
    def acts(self) -> Mapping[str, Act]:
        operations = self.space.operations  # type: ignore[attr-defined]
        shapes = {part: tuple(alpha.shape) for part, alpha in self.alphas.items()}
        return acts(
            self.alphas, self._masks, operations, self._optimizers, lambda: self._initial_parameters("alphas", shapes)
        )

    def check_setting(self, name: str, value: Any) -> Any:
        """Returns the value as JSON. For a hyperparameter that is no setting, `SpecError` says why it cannot change."""
        if isinstance(name, str) and name in self._overrides and name in self.settings:
            value = self._overrides.check(name, value, self._step)
            if name == BATCH_SIZE and value > self._batch_size:
                self._must_fit(value)
            if name == ORDER:
                self._with_order(value)  # raises if the sampling has no gradient of that order
            return value
        if isinstance(name, str) and name not in self._schedules and hasattr(self.hyperparameters, name):
            raise SpecError(
                f"{name} is {getattr(self.hyperparameters, name)!r} for the whole search: "
                f"{FIXED.get(name, 'it was fixed when the search was made')}. Make another search with "
                f"{name}={value!r}; settings that can change during a search: {', '.join(self.settings)}"
            )
        if isinstance(name, str) and name in self._masks.settings:
            return self._masks.check(name, value)
        return super().check_setting(name, value)

    def apply_setting(self, name: str, value: Any) -> None:
        if name in self._schedules:
            self._last_set[name] = (value, self._timetable.epoch(self._step))
        elif name in self._overrides:
            self._overrides.put(name, value, self._step)
            self._apply_settings()
        else:
            self._masks.apply_setting(name, value)

    def _unscheduled_settings(self) -> dict[str, Setting]:
        """Returns the settings that are neither scheduled nor masks, with their initial values."""
        hyper, level, about = self.hyperparameters, self.parts.level, attribute_docstrings(Training)
        found: dict[str, Setting] = {name: decay(getattr(hyper, name), about[name]) for name in DECAYS}
        if isinstance(level, FirstOrSecondOrder):
            described = (
                "1: first-order gradient. 2: the gradient goes through one step of the weights; a few times slower."
            )
            found[ORDER] = Select(value=level.order, options=(1, 2), description=described)
        return {**found, ALPHAS: freezing("alphas"), WEIGHTS: freezing("weights"), **self._late_regularizers()}

    def _late_regularizers(self) -> dict[str, Setting]:
        """Returns the strengths, 0, of regularizers that the search was made without and that it could still use."""
        found: dict[str, Setting] = {}
        for regularizer, name in ((SkipDropout(), SKIP_DROPOUT), (Perturbation(), PERTURBATION)):
            with suppress(SpecError):  # one that the supernet or the other components do not allow is not offered
                regularizer.check(self.network, self.name)
                replace(self.parts, regularizers=(*self.parts.regularizers, regularizer))
                schedule = regularizer.schedules()[name]
                found[name] = replace(schedule, start=0.0, end=None).slider(0.0, 0.0)
        return found

    def _with_order(self, order: int) -> Parts:
        """Returns the components with another order. Raises `SpecError` if they do not allow it."""
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

    def _value_at(self, name: str, epoch: int) -> float:
        """Returns the value of a scheduled setting in an epoch."""
        return self._schedules[name].at(epoch, self.hyperparameters.epochs, *self._last_set[name])

    def _apply_settings(self) -> None:
        """Copy the overrides to the objects that they control."""
        if ORDER in self._overrides:
            self.parts = self._with_order(self._overrides[ORDER])
        self._optimizers.weight_decay, self._optimizers.alpha_weight_decay = (self._overrides[name] for name in DECAYS)

    def _warms_up(self, step: int) -> bool:
        """True if a step, counted from 0, updates the weights alone, with the settings as they are now."""
        epoch = self._timetable.epoch(step)
        return "warmup" in self._schedules and epoch < self._value_at("warmup", epoch) * self.hyperparameters.epochs
