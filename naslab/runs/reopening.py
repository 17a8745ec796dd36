"""Opening a run again: whether its space, searcher, task and estimator can be rebuilt, and on which device."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from naslab import estimators, searchers, spaces
from naslab.device import moved
from naslab.errors import SpecError
from naslab.estimators.function import Function
from naslab.estimators.wrapped import Wrapped
from naslab.registry import own
from naslab.searchers import BlackBoxSearch
from naslab.tasks import Task


def on_device(spec: dict[str, Any], device: str | None) -> dict[str, Any]:
    """Returns the spec of a search that goes on on a device; as it is if the device is None."""
    if device is None:
        return spec
    if "device" not in spec:
        raise SpecError("device=... is for searchers that train a supernet; this one computes where its estimator does")
    return {**spec, "device": device}


def elsewhere(spec: Mapping[str, Any], stepper: Any) -> str:
    """Returns a sentence for a search that goes on on another device than its spec has; "" if it is the same."""
    if not isinstance(recorded := spec.get("device"), str):
        return ""
    here = getattr(stepper, "device", recorded)
    found = moved(recorded, here)
    if found and spec.get("precision") == "tf32" and torch.device(here).type != "cuda":
        found += ", where products are in float32 and not in TF32"
    return found


def check_reopens(stepper: Any) -> None:
    """Checks that the spec is JSON and that classes of the user are found again by their names.

    Raises:
        SpecError: another class would be taken in the place of a space or a searcher, or a setting is no JSON.

    Warns:
        UserWarning: the estimator cannot be rebuilt, and must be passed when the run is opened.
    """
    try:
        json.dumps(spec := stepper.spec())
    except (TypeError, ValueError) as error:
        raise SpecError(
            f"this search cannot be kept in a run, as something that it is made of is no JSON: {error}; settings of "
            "spaces, searchers and their parts are numbers, strings, and lists of them"
        ) from None
    task = getattr(stepper.estimator if isinstance(stepper, BlackBoxSearch) else stepper, "task", None)
    if isinstance(task, Task):
        _check_task(task)
    sampler = stepper.sampler if isinstance(stepper, BlackBoxSearch) else stepper
    for space in _spaces(stepper.space):
        _check("space", type(space), spaces.class_of(space.spec()["space"]))
    _check("searcher", type(sampler), searchers.by_name(spec["searcher"]))
    if isinstance(stepper, BlackBoxSearch):
        for estimator in _layers(stepper.estimator):
            _check_estimator(estimator)


def _check(what: str, mine: type, found: type) -> None:
    if own(mine) and (mine.__module__, mine.__qualname__) != (found.__module__, found.__qualname__):
        raise SpecError(
            f"the run would be opened with the {what} {found.__name__} in the place of your own {mine.__name__}, as "
            f"that has no name of its own; write name = {mine.__name__.lower()!r} into its class"
        )


def _check_task(task: Task) -> None:
    spec = task.spec()
    if not isinstance(spec, dict) or not all(isinstance(spec.get(key), str) for key in ("task", "fingerprint")):
        raise SpecError(
            f"a run could not find the task {task.name!r} again: its spec() is a dictionary with its name under 'task' "
            f"and a text under 'fingerprint', not {spec!r:.200}"
        )
    if not isinstance(fingerprint := task.fingerprint(), str) or fingerprint != spec["fingerprint"]:
        raise SpecError(
            f"fingerprint() of the task {task.name!r} is a text, the same as in its spec(); it is {fingerprint!r:.100}"
        )


def _check_estimator(estimator: Any) -> None:
    mine = type(estimator)
    if not own(mine) or isinstance(estimator, Function):
        return
    try:
        found = estimators.class_of(estimator.spec()["estimator"])
    except (SpecError, KeyError, TypeError):
        found = None
    if found is None or (mine.__module__, mine.__qualname__) != (found.__module__, found.__qualname__):
        warnings.warn(
            f"the estimator {mine.__name__} cannot be made again from the run: pass it when the run is opened, "
            "Search.open(path, estimator=...); or give its class a name of its own (name = '...', which its spec() "
            "has under 'estimator') and a class method from_spec(spec, task)",
            stacklevel=4,
        )


def _spaces(space: Any) -> Iterator[Any]:
    yield space
    if isinstance(space, spaces.Subset):
        yield space.of


def _layers(estimator: Any) -> Iterator[Any]:
    yield estimator
    if isinstance(estimator, Wrapped):
        yield from _layers(estimator.inside)
