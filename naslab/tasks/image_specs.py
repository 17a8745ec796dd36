"""Image tasks rebuilt from their recorded specs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from naslab.errors import DataError, SpecError, among, unknown
from naslab.registry import named
from naslab.tasks.augmentation import Augmentation
from naslab.tasks.bundled import CIFAR10, CIFAR100, Digits, FashionMNIST
from naslab.tasks.image_classification import OWN
from naslab.tasks.images import Images

IMAGE_TASKS: dict[str, Callable[..., Images]] = {
    "fashion_mnist": FashionMNIST,
    "digits": Digits,
    "cifar10": CIFAR10,
    "cifar100": CIFAR100,
    "image_folder": Images.from_folder,
}
"""Name in a spec -> constructor of the task. A task from arrays is not here, as its spec cannot rebuild it."""


def images_from_spec(spec: Mapping[str, Any], task: Images | None = None) -> Images:
    """Returns the task that a spec (`task.spec()`) describes, with the split as recorded; the data is not compared.

    Args:
        spec: JSON object.
        task: the task itself, for data that a spec cannot rebuild. It gets the augmentation of the spec.
    """
    arguments = dict(spec)
    name, fingerprint = arguments.pop("task", None), arguments.pop("fingerprint", None)
    stratified = arguments.pop("stratified", False)
    if not isinstance(stratified, bool):
        raise SpecError(f"'stratified' in the spec of a task is true or false, not {stratified!r}")
    cls = _class("class of tasks", arguments.pop("class", None), Images)
    subsets, augmentation = arguments.pop("subsets", []), arguments.pop("augmentation", None)
    if not isinstance(name, str) or not isinstance(fingerprint, str) or not isinstance(augmentation, dict):
        raise SpecError(f"the spec of a task has 'task', 'fingerprint' and 'augmentation'; this one has {sorted(spec)}")
    if task is None:
        if name == OWN:
            raise DataError(
                "this task was made from arrays, which are not kept: make it again and hand it over, "
                "Search.open(path, task=...)"
            )
        if not among(name, IMAGE_TASKS):
            raise SpecError(unknown("task", name, IMAGE_TASKS))
        if "download" in arguments:
            raise SpecError("the spec of a task never downloads: make the task yourself, and hand it over as task=...")
        if name == "image_folder":  # older specs, without stratified splits, lack these keys
            arguments = {"validation": False, **arguments, "stratified": stratified}
        make = cls.from_folder if name == "image_folder" else IMAGE_TASKS[name]
        try:
            task = _as(cls, make(**arguments))
            for train, test, seed in subsets:
                task = task.subset(train, test, seed=seed)
        except TypeError as error:
            raise SpecError(f"the spec of the task {name!r} does not make sense: {error}") from None
    try:
        task = _augmented(task, augmentation)
    except TypeError as error:
        raise SpecError(f"the augmentation in the spec of the task {name!r} does not make sense: {error}") from None
    return task.parted_as(stratified, fingerprint)


def _class(what: str, name: object, base: type[Any]) -> type[Any]:
    """Returns `base` if no name is given, else the user's subclass of that name."""
    advice = ", or hand the task over as task=..."
    return base if name is None else named(what, name, {}, base, otherwise=advice)


def _as(cls: type[Images], task: Images) -> Images:
    """Converts the task to the user's class, which is a subclass of `Images`."""
    if isinstance(task, cls):
        return task
    given = {field.name: getattr(task, field.name) for field in dataclasses.fields(task) if field.init}
    try:
        return cls(**given)
    except TypeError as error:
        raise SpecError(
            f"a {cls.__name__} cannot be made of what the run has kept of it ({error}): make the task again and hand "
            "it over, Search.open(path, task=...)"
        ) from None


def _augmented(task: Images, told: Mapping[str, Any]) -> Images:
    """Returns the task with the augmentation that a spec describes."""
    changes = dict(told)
    kind = _class("class of augmentation", changes.pop("class", None), Augmentation)
    if kind is Augmentation or type(task.augmentation) is kind:
        return task.augmented(**changes)
    return dataclasses.replace(task, augmentation=kind(**changes))
