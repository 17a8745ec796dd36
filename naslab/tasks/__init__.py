"""Tasks: the data, loss and metrics that networks are trained and evaluated on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from naslab.errors import DataError, SpecError, among
from naslab.registry import described, named
from naslab.tasks import metrics
from naslab.tasks.augmentation import Augmentation
from naslab.tasks.bundled import CIFAR10, CIFAR100, Digits, FashionMNIST
from naslab.tasks.columns import Sentence
from naslab.tasks.entities import ENTITIES, Entities
from naslab.tasks.image_classification import OWN
from naslab.tasks.image_set import ImageSet
from naslab.tasks.image_specs import IMAGE_TASKS, images_from_spec
from naslab.tasks.images import Images
from naslab.tasks.joint import JOINT, Joint
from naslab.tasks.language_model import LANGUAGE_MODEL, LanguageModel
from naslab.tasks.metrics import Collected, Mean, Metric, Ratio, Torchmetric
from naslab.tasks.signature import Field, Head, Signature, signature_of
from naslab.tasks.streams import Exchangeable, Stream
from naslab.tasks.task import Task

TASKS: dict[str, Callable[..., Task]] = {**IMAGE_TASKS}
"""Name in a spec -> constructor of the task."""
CLASSES: dict[str, type[Task]] = {LANGUAGE_MODEL: LanguageModel, JOINT: Joint, ENTITIES: Entities}
"""Name in a spec -> task class with its own `from_spec`."""


@described("a task")
def from_spec(spec: Mapping[str, Any], task: Task | None = None) -> Task:
    """Returns the task that a spec (`task.spec()`) describes.

    Args:
        spec: JSON object.
        task: the task itself, for data that a spec cannot rebuild. It gets the augmentation, or the options of
            mini-batches, of the spec.

    Raises:
        DataError: the fingerprint of the data differs from that in the spec.
    """
    name, fingerprint = spec.get("task"), spec.get("fingerprint")
    if not isinstance(name, str) or not isinstance(fingerprint, str):
        raise SpecError(f"the spec of a task has 'task' and 'fingerprint'; this one has {sorted(spec)}")
    if task is not None and not isinstance(task, Task):
        raise SpecError(f"task=... is a task, such as nl.tasks.Images.from_arrays(x, y), not {task!r:.100}")
    if name == OWN or among(name, IMAGE_TASKS):
        if task is not None and not isinstance(task, Images):
            raise DataError(f"the run was made with images, and task=... is {task!r:.100}; hand over the same images")
        made: Task = images_from_spec(spec, task)
    elif task is None:
        advice = ", or hand the task over as task=..."
        known: Any = {**TASKS, **CLASSES}  # the images among them, so that the error can name them too
        made = named("task", name, known, Task, otherwise=advice).from_spec(spec)
    else:
        made = task.as_recorded(spec)
        if (came := made.spec().get("task")) != name:
            raise DataError(
                f"the run was made with the task {name!r}, and task=... is the task {came!r}; pass {name!r}"
            )
    if made.fingerprint() != fingerprint:
        raise DataError(
            f"the data of {made} is not the data that was used before: its fingerprint is {made.fingerprint()}, "
            f"expected {fingerprint}; hand over the same {made.units} in the same order"
        )
    return made


__all__ = [
    "CIFAR10",
    "CIFAR100",
    "CLASSES",
    "TASKS",
    "Augmentation",
    "Collected",
    "Digits",
    "Entities",
    "Exchangeable",
    "FashionMNIST",
    "Field",
    "Head",
    "ImageSet",
    "Images",
    "Joint",
    "LanguageModel",
    "Mean",
    "Metric",
    "Ratio",
    "Sentence",
    "Signature",
    "Stream",
    "Task",
    "Torchmetric",
    "from_spec",
    "metrics",
    "signature_of",
]
