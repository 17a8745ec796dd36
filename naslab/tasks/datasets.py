"""Images and labels from map-style data sets (torchvision, Hugging Face, torch): a length, and items by index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader

from naslab.errors import DataError
from naslab.tasks import arrays, pictures

Key = str | int
IMAGE_KEYS = ("image", "img", "images", "pixel_values", "picture", "x")
"""Usual keys of the image in items that are dictionaries."""
LABEL_KEYS = ("label", "labels", "fine_label", "coarse_label", "target", "targets", "class", "y")


class Items(NamedTuple):
    """All items of a data set."""

    read: arrays.Read
    """Images [N, C, H, W]."""
    labels: list[Any]
    """N labels, unconverted."""
    class_names: Sequence[str] | None
    """Class names that the data set declares, if any."""


def items(dataset: Any, what: str, layout: str = "auto", image: Key | None = None, label: Key | None = None) -> Items:
    """Reads every item of a data set once, in order.

    Args:
        dataset: has a length and items that are tuples (image, label, ...) or dictionaries.
        what: name of the data set in error texts.
        layout: layout of its arrays and tensors, one of `arrays.LAYOUTS`.
        image, label: key or position of the image and the label in an item; None: the usual keys, or positions 0 and 1.
    """
    if isinstance(dataset, Mapping):
        raise DataError(
            f"the {what} is a dictionary of {', '.join(map(str, dataset))}; give the data sets in it, for instance "
            "Images.from_dataset(data['train'], data['test'])"
        )
    if isinstance(dataset, DataLoader):
        raise DataError(f"the {what} is a DataLoader; give the data set itself, loader.dataset")
    try:
        count = len(dataset)
    except TypeError:
        raise DataError(f"the {what} must have a length and items (image, label), like torchvision's") from None
    if count == 0:
        raise DataError(f"the {what} is empty: there are no images to learn from")
    reading = _Reading(dataset, what, layout, image, label)
    images = arrays.stack(reading.pairs(count), count, f"the {what}")
    return Items(
        arrays.Read(images, tuple(reading.notes), tuple(reading.warnings)),
        reading.labels,
        _class_names(dataset, reading.keys[1] if reading.keys else None),
    )


class _Reading:
    """One pass through a data set, which collects labels, notes and warnings."""

    def __init__(self, dataset: Any, what: str, layout: str, image: Key | None, label: Key | None) -> None:
        self.dataset, self.what, self.layout = dataset, what, layout
        self.asked = (image, label)
        self.keys: tuple[Key, Key] | None = None
        self.labels: list[Any] = []
        self.notes: list[str] = []
        self.warnings: list[str] = []

    def pairs(self, count: int) -> Iterator[tuple[Tensor, bool]]:
        """Yields each image [C, H, W] with True if it was a PIL image; appends the labels to `labels`."""
        for index in range(count):
            try:
                image, label = self._parts(self.dataset[index], index)
                picture = self._picture(image, index)
            except DataError as error:
                raise DataError(f"{error}{_file(self.dataset, index)}") from error
            except Exception as error:  # the data set's own code may raise anything
                raise DataError(
                    f"item {index} of the {self.what} cannot be read as (image, label): "
                    f"{type(error).__name__}: {error}{_file(self.dataset, index, error)}"
                ) from error
            self.labels.append(label)
            yield picture, pictures.is_pil(image)

    def _parts(self, item: Any, index: int) -> tuple[Any, Any]:
        if self.keys is None:
            self.keys = self._choose(item)
        for key in self.keys:
            try:
                item[key]
            except (KeyError, IndexError, TypeError):
                held = f"the keys {', '.join(map(str, item))}" if isinstance(item, Mapping) else f"{len(item)} members"
                raise DataError(f"item {index} of the {self.what} has no {key!r}; it has {held}") from None
        return item[self.keys[0]], item[self.keys[1]]

    def _choose(self, item: Any) -> tuple[Key, Key]:
        image, label = self.asked
        if isinstance(item, Mapping):
            return (
                self._key(item, "image", IMAGE_KEYS) if image is None else image,
                self._key(item, "label", LABEL_KEYS) if label is None else label,
            )
        if not isinstance(item, tuple | list) or len(item) < 2:
            raise DataError(
                f"item 0 of the {self.what} cannot be read as (image, label): it is {_shown(item)}; give items that "
                "are such pairs, or dictionaries"
            )
        if len(item) > 2 and image is None and label is None:
            self.notes.append(f"of {len(item)} members of each item the first is the image, the second the label")
        return 0 if image is None else image, 1 if label is None else label

    def _key(self, item: Mapping[Any, Any], which: str, usual: tuple[str, ...]) -> Key:
        there = [key for key in usual if key in item]
        if len(there) == 1:
            return there[0]
        every = ", ".join(map(str, item))
        problem = f"may be {' or '.join(map(repr, there))}" if there else "is under none of the usual keys"
        example = there[0] if there else next((str(key) for key in item), "...")
        raise DataError(
            f"items of the {self.what} are dictionaries (dict) with the keys {every}, and the {which} {problem}; say "
            f"which one, {which}={example!r}"
        )

    def _picture(self, image: Any, index: int) -> Tensor:
        """Returns [C, H, W] from a PIL image, an array [H, W, C] or [H, W], or a tensor [C, H, W] or [H, W]."""
        if pictures.is_pil(image):
            return pictures.from_pil(image)
        # Channels last is the custom of arrays, channels first that of tensors; an unambiguous shape overrides both.
        last = self.layout == "NHWC" or (self.layout == "auto" and not isinstance(image, Tensor))
        if isinstance(image, list | tuple):
            image = np.asarray(image)
        if not isinstance(image, Tensor | np.ndarray) or image.ndim not in (2, 3):
            raise DataError(
                f"image {index} of the {self.what} is neither a PIL image nor a [C, H, W] tensor: {_shown(image)}"
            )
        if image.ndim == 3 and self.layout == "auto" and 0 not in image.shape:
            guess = pictures.guess(tuple(image.shape))
            if guess is not None and last != (guess == "HWC"):
                last = guess == "HWC"
                self._say_layout(tuple(image.shape), guess)
        name = f"image {index} of the {self.what}"
        found = arrays.kind(arrays.tensor(image, name), name)
        if found.ndim == 2:
            return found[None]
        return found.permute(2, 0, 1) if last else found

    def _say_layout(self, shape: tuple[int, ...], guess: str) -> None:
        if not self.warnings:
            reading = f"images {list(shape)} of the {self.what} are read as [{', '.join(guess)}]"
            self.notes.append(reading)
            self.warnings.append(f"{reading} (layout={'N' + guess!r} says so)")


def _shown(value: Any) -> str:
    """Returns the type of a value as text, with its shape if it has one."""
    shape = getattr(value, "shape", None)
    return f"{type(value)}" if shape is None else f"{type(value)} of shape {list(shape)}"


def _file(dataset: Any, index: int, error: Exception | None = None) -> str:
    """Returns " (file ...)" for an item, if the error or the data set names its file; else "".

    torchvision's folder data sets list (path, class) in `samples` or `imgs`.
    """
    name = getattr(error, "filename", None)
    for _ in range(10):  # nested data sets, such as torch's Subset; a limit in case they form a cycle
        if name is not None or dataset is None:
            break
        for attribute in ("samples", "imgs"):
            try:
                name = getattr(dataset, attribute)[index][0]
            except Exception:
                continue
            break
        with suppress(Exception):
            index = dataset.indices[index]
        dataset = getattr(dataset, "dataset", None)
    return f" (file {name})" if isinstance(name, str) or hasattr(name, "__fspath__") else ""


def _class_names(dataset: Any, label: Key | None) -> Sequence[str] | None:
    """Returns the class names, which torchvision keeps in `classes` and Hugging Face in `features`."""
    for _ in range(10):
        if dataset is None:
            break
        features = getattr(dataset, "features", None)
        names = getattr(features.get(label), "names", None) if isinstance(features, Mapping) else None
        names = getattr(dataset, "classes", None) if names is None else names
        if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
            return names
        dataset = getattr(dataset, "dataset", None)
    return None
