"""What is to be learnt: data, loss and accuracy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from naslab.errors import DataError, SpecError, unknown
from naslab.registry import described
from naslab.tasks.augmentation import Augmentation
from naslab.tasks.bundled import CIFAR10, CIFAR100, Digits, FashionMNIST
from naslab.tasks.image_set import ImageSet
from naslab.tasks.images import OWN, Images

TASKS: dict[str, Callable[..., Images]] = {
    "fashion_mnist": FashionMNIST,
    "digits": Digits,
    "cifar10": CIFAR10,
    "cifar100": CIFAR100,
    "image_folder": Images.from_folder,
}
"""Tasks that can be made again from their spec; one of arrays cannot."""


@described("a task")
def from_spec(spec: Mapping[str, Any], task: Images | None = None) -> Images:
    """The task that said this of itself (`task.spec()`), checked to be the same data.

    Args:
        spec: JSON object.
        task: the task itself, for data that a spec cannot bring back. It is augmented as the spec says.
    """
    arguments = dict(spec)
    name, fingerprint = arguments.pop("task", None), arguments.pop("fingerprint", None)
    stratified = arguments.pop("stratified", False)
    if not isinstance(stratified, bool):
        raise SpecError(f"'stratified' in the spec of a task is true or false, not {stratified!r}")
    subsets, augmentation = arguments.pop("subsets", []), arguments.pop("augmentation", None)
    if not isinstance(name, str) or not isinstance(fingerprint, str) or not isinstance(augmentation, dict):
        raise SpecError(f"the spec of a task has 'task', 'fingerprint' and 'augmentation'; this one has {sorted(spec)}")
    if task is None:
        if name == OWN:
            raise DataError(
                "this task was made from arrays, which are not kept: make it again and hand it over, "
                "Search.open(path, task=...)"
            )
        if name not in TASKS:
            raise SpecError(unknown("task", name, TASKS))
        if "download" in arguments:
            raise SpecError("the spec of a task never downloads: make the task yourself, and hand it over as task=...")
        if name == "image_folder":  # specs of before splits were stratified do not say so
            arguments = {"validation": False, **arguments, "stratified": stratified}
        try:
            task = TASKS[name](**arguments)
            for train, test, seed in subsets:
                task = task.subset(train, test, seed=seed)
        except TypeError as error:
            raise SpecError(f"the spec of the task {name!r} does not make sense: {error}") from None
    try:
        task = task.augmented(**augmentation)
    except TypeError as error:
        raise SpecError(f"the augmentation in the spec of the task {name!r} does not make sense: {error}") from None
    task = task.parted_as(stratified, fingerprint)
    if task.fingerprint() != fingerprint:
        raise DataError(
            f"the data of {task} is not the data that was used before: its fingerprint is {task.fingerprint()}, "
            f"expected {fingerprint}; hand over the same images and labels in the same order"
        )
    return task


__all__ = [
    "CIFAR10",
    "CIFAR100",
    "TASKS",
    "Augmentation",
    "Digits",
    "FashionMNIST",
    "ImageSet",
    "Images",
    "from_spec",
]
