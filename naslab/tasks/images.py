"""Image classification: images, labels, the loss and the accuracy; from arrays, folders or torchvision data sets.

Letters in shapes: N images, B in a mini-batch, C channels, H height, W width, K classes.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from naslab.errors import DataError, unknown, whole
from naslab.randomness import numpy_generator
from naslab.tasks.augmentation import Augmentation

OWN = "images"
"""The task in the spec of data that came as arrays, and that no spec can bring back."""


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images and their labels, checked when made."""

    images: Tensor
    """[N, C, H, W] uint8, or float32 with black as 0 (usually in [0, 1])."""
    labels: Tensor
    """[N] int64, from 0."""

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if images.ndim != 4 or 0 in images.shape[1:]:
            raise DataError(f"images are [N, C, H, W] (or [N, H, W]), not {list(images.shape)}")
        if images.dtype not in (torch.uint8, torch.float32) or labels.dtype != torch.int64:
            raise DataError(
                f"images are uint8 or float32 and labels int64, not {images.dtype} and {labels.dtype}; "
                "Images.from_arrays converts what it safely can"
            )
        if labels.ndim != 1 or len(labels) != len(images):
            raise DataError(
                f"every image has one label: {len(images)} images came with labels of shape {list(labels.shape)}"
            )
        if not len(images):
            raise DataError("the data is empty: there are no images to learn from")
        if images.dtype == torch.float32 and not bool(torch.isfinite(images).all()):
            bad = torch.nonzero(~torch.isfinite(images).flatten(1).all(1)).flatten()
            raise DataError(
                f"every pixel must be finite: {len(bad)} of {len(images)} images hold NaN or infinity, "
                f"the first is image {int(bad[0])}; drop or mend them"
            )
        if int(labels.min()) < 0:
            raise DataError(f"labels count from 0; the smallest one is {int(labels.min())}")

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Tensor) -> ImageSet:
        """The examples at `indices`, copied."""
        return ImageSet(self.images[indices], self.labels[indices])


@dataclass(frozen=True, eq=False, repr=False)
class Images:
    """Image classification: a training set and a test set, normalised and augmented on the way out.

    `nl.tasks.FashionMNIST()` and its neighbours make one; so do `from_arrays`, `from_folder` and `from_dataset`
    of your own data. Images stay in memory as they came; only mini-batches become float32.
    """

    name: str
    train: ImageSet
    test: ImageSet
    class_names: tuple[str, ...]
    augmentation: Augmentation = field(default_factory=Augmentation)
    """What `batch` does to training images when it is given a generator."""
    origin: Mapping[str, Any] = field(default_factory=lambda: {"task": OWN})
    """JSON from which `naslab.tasks.from_spec` finds the data again."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "class_names", tuple(self.class_names))
        object.__setattr__(self, "origin", MappingProxyType(dict(self.origin)))
        if self.classes < 2:
            raise DataError(
                f"there is nothing to tell apart in {self.classes} class; give images of at least two classes"
            )
        for what, part in (("training", self.train), ("test", self.test)):
            if tuple(part.images.shape[1:]) != self.input_shape or part.images.dtype != self.train.images.dtype:
                raise DataError(
                    f"training and test images must be alike: {list(self.input_shape)} {self.train.images.dtype} "
                    f"and {list(part.images.shape[1:])} {part.images.dtype}"
                )
            if int(part.labels.max()) >= self.classes:
                raise DataError(
                    f"labels of {self.classes} classes go from 0 to {self.classes - 1}; the largest {what} label is "
                    f"{int(part.labels.max())}; give classes={int(part.labels.max()) + 1}, or mend the labels"
                )
        if len(self.train.labels.unique()) < 2:
            raise DataError(
                f"all {len(self.train)} training images have the label {int(self.train.labels[0])}: there is nothing "
                "to tell apart; give images of at least two classes"
            )

    # --- making one ------------------------------------------------------------------------------

    @classmethod
    def from_arrays(
        cls,
        x: Any,
        y: Any,
        classes: int | None = None,
        *,
        test: tuple[Any, Any] | None = None,
        test_fraction: float = 0.2,
        seed: int = 0,
        name: str = OWN,
        class_names: Sequence[str] | None = None,
        augmentation: Augmentation | None = None,
        channels_first: bool = False,
    ) -> Images:
        """Your own images in two lines: `Images.from_arrays(x, y)`.

        Args:
            x: [N, C, H, W] or [N, H, W], uint8 or float (0 being black), torch or NumPy. Copied.
            y: [N] whole numbers from 0.
            classes: K. Without it and without `class_names`, the largest label + 1, and each of these classes must
                have a training image.
            test: (x, y) to test on, with no class that was not trained on; without it a random part of the data is
                kept for that.
            test_fraction: how much of the data that part is.
            seed: what that part is drawn from.
            class_names: K names for people to read; the numbers by default.
            augmentation: by default a random crop after padding by an eighth of the shorter side, and no mirror
                image, since nobody but you knows whether a mirrored picture keeps its class.
            channels_first: that x is [N, C, H, W] even if it looks like [N, H, W, C]: C above 4, and W 1, 3 or 4.
        """
        data = _image_set(x, y, "x", "y", channels_first)
        if test is not None:
            if not isinstance(test, tuple | list) or len(test) != 2:
                raise DataError(f"test is a pair (x, y), not {type(test).__name__}")
            train, held = data, _image_set(*test, "test x", "test y", channels_first)
        else:
            train, held = _split(data, test_fraction, seed)
        if classes is None and class_names is not None:
            classes = len(class_names)
        elif classes is None:
            classes = max(int(train.labels.max()), int(held.labels.max())) + 1
            _check_no_class_is_empty(train.labels, held.labels, classes)
        classes = whole("classes", classes, 1, error=DataError)
        names = tuple(map(str, range(classes) if class_names is None else class_names))
        if len(names) != classes:
            raise DataError(f"{classes} classes need {classes} class_names, not {len(names)}")
        if augmentation is None:
            augmentation = Augmentation(padding=min(train.images.shape[2:]) // 8)
        task = cls(name, train, held, names, augmentation)
        strange = sorted(set(held.labels.tolist()) - set(train.labels.tolist()))
        if test is not None and strange:
            raise DataError(
                f"the test images have labels that no training image has, {_some(strange)}, so that they cannot be "
                "learnt; leave those images out, or give training images of these classes"
            )
        return task

    @classmethod
    def from_dataset(
        cls,
        train: Any,
        test: Any = None,
        *,
        classes: int | None = None,
        test_fraction: float = 0.2,
        seed: int = 0,
        name: str | None = None,
        class_names: Sequence[str] | None = None,
        augmentation: Augmentation | None = None,
    ) -> Images:
        """From torchvision-style data sets, whose items are (image, label).

        An image is a PIL image, a [C, H, W] tensor, or a [H, W, C] or [H, W] array, and every image has one size: put
        a `Resize` in the data set's `transform` if need be. Each item is read once, so random transforms in there act
        once. Without `test` a random part is kept for it, as in `from_arrays`.
        """
        if class_names is None and classes is None:
            class_names = getattr(train, "classes", None)
        held = None if test is None else _stacked(test, "test set")
        return cls.from_arrays(
            *_stacked(train, "data set"),
            classes,
            test=held,
            test_fraction=test_fraction,
            seed=seed,
            name=name if name is not None else type(train).__name__,
            class_names=class_names,
            augmentation=augmentation,
        )

    @classmethod
    def from_folder(
        cls,
        path: str | os.PathLike[str],
        size: int | Sequence[int] | None = None,
        *,
        grey: bool = False,
        test_fraction: float = 0.2,
        seed: int = 0,
        augmentation: Augmentation | None = None,
    ) -> Images:
        """From a folder with one folder of pictures a class: `cats/1.png`, `dogs/7.jpg`.

        With two folders `train` and `test` in it, each of which has the folders of the classes, these are taken as
        they are; otherwise a random part is kept for the test.

        Args:
            path: the folder.
            size: side, or (height, width), to which every picture is brought; None: they all have one size.
                Pictures of 16 bits are scaled to 8, 65535 becoming 255; transparent ones are laid on white.
            grey: one channel instead of three.
            test_fraction, seed: as in `from_arrays`.
            augmentation: as in `from_arrays`.
        """
        folder = Path(path).expanduser()
        if not folder.is_dir():
            raise DataError(f"there is no folder {folder}; give the folder that holds one folder of pictures a class")
        seed = whole("seed", seed, error=DataError)
        sides = None if size is None else _sides(size)
        parts = [folder / "train", folder / "test"]
        parts = parts if all(part.is_dir() for part in parts) else [folder]
        sets = [_folder(part, sides, grey) for part in parts]
        if sets[-1].classes != sets[0].classes:
            raise DataError(
                f"{parts[0]} and {parts[-1]} must hold the same classes; "
                f"only one has {sorted(set(sets[0].classes) ^ set(sets[-1].classes))}"
            )
        task = cls.from_dataset(
            sets[0],
            sets[1] if len(sets) > 1 else None,
            test_fraction=test_fraction,
            seed=seed,
            name=folder.resolve().name,
            augmentation=augmentation,
        )
        origin: dict[str, Any] = {"task": "image_folder", "path": str(folder.resolve()), "size": sides, "grey": grey}
        origin |= {"test_fraction": test_fraction, "seed": seed}
        return dataclasses.replace(task, origin=origin)

    def augmented(self, **changes: Any) -> Images:
        """The same data, augmented in another way: `task.augmented(cutout=16)`."""
        return dataclasses.replace(self, augmentation=dataclasses.replace(self.augmentation, **changes))

    def subset(self, train: int | None = None, test: int | None = None, *, seed: int = 0) -> Images:
        """Fewer images, as evenly over the classes as they allow. None keeps all."""
        seed = whole("seed", seed, error=DataError)
        counts = {
            split: None if n is None else whole(split, n, error=DataError)
            for split, n in (("train", train), ("test", test))
        }
        parts: dict[str, ImageSet] = {}
        for split, count in counts.items():
            full: ImageSet = getattr(self, split)
            if count is not None and not 1 <= count <= len(full):
                raise DataError(f"of {len(full)} {split} images 1 to {len(full)} can be taken, not {count}")
            parts[split] = full if count is None else full.take(_evenly(full.labels, count, seed, split))
        origin = {**self.origin, "subsets": [*self.origin.get("subsets", []), [*counts.values(), seed]]}
        return dataclasses.replace(self, **parts, origin=origin)

    # --- what it is --------------------------------------------------------------------------------

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        C, H, W = self.train.images.shape[1:]
        return C, H, W

    @property
    def classes(self) -> int:
        return len(self.class_names)

    def spec(self) -> dict[str, Any]:
        """JSON from which `naslab.tasks.from_spec` makes this task again, where its data can be found again."""
        return {
            **self.origin,
            "augmentation": dataclasses.asdict(self.augmentation),
            "fingerprint": self.fingerprint(),
        }

    def fingerprint(self) -> str:
        """Hex checksum of all images and labels: what is equal here is the same data."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        digest = blake2b(f"{self.classes}".encode(), digest_size=16)
        for part in (self.train, self.test):
            for tensor in (part.images, part.labels):
                digest.update(f" {tensor.dtype} {list(tensor.shape)} ".encode())
                digest.update(np.ascontiguousarray(tensor.numpy()).data)
        return digest.hexdigest()

    @cached_property
    def mean(self) -> Tensor:
        """[C] float32: mean of each channel over the training images, in their own units."""
        return self._moments[0]

    @cached_property
    def std(self) -> Tensor:
        """[C] float32: standard deviation of each channel; 1 for a channel that never changes."""
        return self._moments[1]

    @cached_property
    def _moments(self) -> tuple[Tensor, Tensor]:
        moments = [_mean_and_std(self.train.images[:, channel]) for channel in range(self.input_shape[0])]
        mean, std = (torch.tensor(column, dtype=torch.float64).float() for column in zip(*moments, strict=True))
        return mean, torch.where(std > 0, std, torch.ones_like(std))

    # --- what a trainer and a searcher ask for -------------------------------------------------------

    def halves(self, seed: int, fraction: float = 0.5) -> tuple[Tensor, Tensor]:
        """Two disjoint random parts of the training set: for the weights, and for the architecture.

        Returns:
            [fraction * N] and [N - fraction * N] int64, indices into `train`.
        """
        first = round(len(self.train) * fraction) if 0 < fraction < 1 else 0
        if not 0 < first < len(self.train):
            raise DataError(
                f"{len(self.train)} training images cannot be parted at {fraction!r}: each part needs one; "
                "give a fraction between 0 and 1, or more images"
            )
        order = torch.from_numpy(numpy_generator(seed, "halves").permutation(len(self.train)))
        return order[:first], order[first:]

    def batch(
        self,
        indices: Tensor,
        *,
        split: str = "train",
        augment: torch.Generator | None = None,
        device: str | torch.device = "cpu",
        rows: slice = slice(None),
    ) -> tuple[Tensor, Tensor]:
        """A mini-batch.

        Args:
            indices: [B] int64, into the split.
            split: "train" or "test".
            augment: what to draw the augmentation from; None: the images as they are.
            device: where the mini-batch goes.
            rows: which rows of it to make. The augmentation is drawn for all of it, so that processes which share
                out a mini-batch see the same images as one process that keeps it.

        Returns:
            [B, C, H, W] float32, normalised by mean and standard deviation of the training images; [B] int64.
        """
        if split not in ("train", "test"):
            raise DataError(unknown("split", split, ("train", "test")))
        chosen = self.train if split == "train" else self.test
        draws = None
        if augment is not None:
            draws = self.augmentation.draw(len(indices), *self.input_shape[1:], augment).rows(rows)
        indices = indices[rows]
        images = chosen.images[indices].to(device)
        if draws is not None:
            images = self.augmentation.move(images, draws)
        x = images.float().sub_(self.mean.to(device)[:, None, None]).div_(self.std.to(device)[:, None, None])
        return x if draws is None else self.augmentation.cut(x, draws), chosen.labels[indices].to(device)

    def loss(self, logits: Tensor, y: Tensor, *, smoothing: float = 0.0) -> Tensor:
        """Mean cross-entropy of logits [B, K] and labels [B], in nats; `smoothing` shares out some of each label."""
        return F.cross_entropy(logits, y, label_smoothing=smoothing)

    def accuracy(self, logits: Tensor, y: Tensor) -> float:
        """Part of the rows of [B, K] whose largest logit is at the label, in [0, 1]."""
        return int((logits.argmax(1) == y).sum()) / len(y)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.input_shape))
        return f"<{self.name}: {len(self.train)} + {len(self.test)} images of {shape}, {self.classes} classes>"

    # --- how it travels to other processes -----------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """Arrays in place of tensors, which would pass through shared memory; a container has little of that."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        fields["origin"] = dict(self.origin)
        return fields | {split: tuple(t.numpy() for t in _both(getattr(self, split))) for split in ("train", "test")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        sets = {split: ImageSet(*map(torch.from_numpy, state[split])) for split in ("train", "test")}
        for name, value in {**state, **sets, "origin": MappingProxyType(state["origin"])}.items():
            object.__setattr__(self, name, value)


def _both(part: ImageSet) -> tuple[Tensor, Tensor]:
    return part.images, part.labels


def _image_set(x: Any, y: Any, x_name: str, y_name: str, channels_first: bool) -> ImageSet:
    """Images and labels as they come from a user, converted where nothing is lost, and copied."""
    images, labels = _tensor(x, x_name), _tensor(y, y_name)
    if images.ndim == 3:
        images = images[:, None]
    if images.ndim == 4 and images.shape[1] > 4 and images.shape[3] in (1, 3, 4) and not channels_first:
        transposed = "permute(0, 3, 1, 2)" if isinstance(x, Tensor) else "transpose(0, 3, 1, 2)"
        raise DataError(
            f"{x_name} must be [N, C, H, W], and {list(images.shape)} looks like [N, H, W, C]; pass "
            f"x.{transposed}, or channels_first=True if these are {images.shape[1]} channels of images "
            f"{images.shape[3]} pixels wide"
        )
    if images.is_floating_point():
        images = images.float()
    elif images.dtype != torch.uint8:
        raise DataError(
            f"{x_name} must be uint8 (0 to 255) or float, not {images.dtype}; "
            "convert it, for instance with astype('uint8') if its values are 0 to 255"
        )
    if labels.ndim == 2 and labels.shape[1:] != (1,):
        raise DataError(
            f"{y_name} must be [N], one class number an image, not {list(labels.shape)}; "
            "one-hot labels become numbers by argmax(1)"
        )
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise DataError(
            f"{y_name} must be whole numbers, the classes counted from 0, not {labels.dtype}; "
            "convert it, for instance with astype('int64')"
        )
    return ImageSet(images.contiguous().clone(), labels.to(torch.int64, copy=True))


def _tensor(value: Any, name: str) -> Tensor:
    """A CPU tensor from a tensor, an array or a nested list."""
    if isinstance(value, Tensor):
        return value.detach().cpu()
    try:
        array = np.ascontiguousarray(value)
        return torch.from_numpy(array if array.flags.writeable else array.copy())
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} must be a torch tensor or a NumPy array of numbers: {error}") from None


def _check_no_class_is_empty(train: Tensor, test: Tensor, classes: int) -> None:
    """Of training and test labels, where nobody said how many classes there are."""
    known = set(train.tolist())
    if len(known) < 2 or len(known) == classes:  # one class alone is told elsewhere
        return
    only_tested = sorted(set(test.tolist()) - known)
    if only_tested:
        raise DataError(
            f"there are test images but no training images of the classes {_some(only_tested)}; give more images of "
            "them, leave them out, or give classes= to have it so"
        )
    empty = [label for label in range(min(classes, max(known) + 1, len(known) + 4)) if label not in known]
    raise DataError(
        f"labels go from 0 to {classes - 1}, yet no image has the label {_some(empty)}; relabel them 0 to "
        f"{len(known) - 1} with y = np.unique(y, return_inverse=True)[1], or give classes={classes} to have "
        "classes without images"
    )


def _some(labels: list[int]) -> str:
    return ", ".join(map(str, labels[:3])) + (", ..." if len(labels) > 3 else "")


def _split(data: ImageSet, fraction: float, seed: int) -> tuple[ImageSet, ImageSet]:
    """A random part of the data kept for the test: (training, test)."""
    count = round(len(data) * fraction) if 0 < fraction < 1 else 0
    if not 0 < count < len(data):
        raise DataError(
            f"of {len(data)} images a test set cannot be kept by test_fraction={fraction!r}: give a fraction between "
            "0 and 1, more images, or test=(x, y)"
        )
    order = torch.from_numpy(numpy_generator(seed, "test").permutation(len(data)))
    return data.take(order[count:]), data.take(order[:count])


def _evenly(labels: Tensor, count: int, *words: int | str) -> Tensor:
    """`count` random indices, sorted, as evenly over the classes as can be."""
    order = numpy_generator(*words, "subset").permutation(len(labels))
    shuffled = labels.numpy()[order]
    turn = np.zeros(len(order), dtype=np.int64)  # how many of the same class come before
    for label in np.unique(shuffled):
        here = np.flatnonzero(shuffled == label)
        turn[here] = np.arange(len(here))
    return torch.from_numpy(np.sort(order[np.argsort(turn, kind="stable")[:count]]))


def _mean_and_std(channel: Tensor) -> tuple[float, float]:
    """In float64 and on one thread, so that every machine gets the same; from exact sums where pixels are bytes."""
    if channel.dtype == torch.uint8:
        often = torch.bincount(channel.reshape(-1), minlength=256).tolist()
        count = sum(often)
        total = sum(n * value for value, n in enumerate(often))
        squares = sum(n * value * value for value, n in enumerate(often))
        return total / count, math.sqrt(count * squares - total * total) / count
    array = channel.numpy()
    return float(np.mean(array, dtype=np.float64)), float(np.std(array, dtype=np.float64))


def _stacked(dataset: Any, what: str) -> tuple[Tensor, list[int]]:
    """All images of a torchvision-style data set as one tensor, and the labels."""
    try:
        count = len(dataset)
    except TypeError:
        raise DataError(f"the {what} must have a length and items (image, label), like torchvision's") from None
    if count == 0:
        raise DataError(f"the {what} is empty: there are no images to learn from")
    images: list[Tensor] = []
    labels: list[int] = []
    for image, label in _items(dataset, count, what):
        if images and (image.shape != images[0].shape or image.dtype != images[0].dtype):
            raise DataError(
                f"all images must be alike: image 0 of the {what} is {list(images[0].shape)} {images[0].dtype}, "
                f"image {len(images)} is {list(image.shape)} {image.dtype}; resize them (from_folder has size=..., "
                "a data set takes a Resize in its transform)"
            )
        images.append(image)
        labels.append(label)
    return torch.stack(images), labels


def _items(dataset: Any, count: int, what: str) -> Iterator[tuple[Tensor, Any]]:
    for index in range(count):
        try:
            image, label = dataset[index]
            label = label.item() if isinstance(label, Tensor | np.generic) else label
        except (OSError, ValueError, TypeError, RuntimeError, SyntaxError) as error:  # PIL raises all of these
            raise DataError(f"item {index} of the {what} cannot be read as (image, label): {error}") from error
        yield _picture(image, index, what), label


def _picture(image: Any, index: int, what: str) -> Tensor:
    """[C, H, W] from a PIL image, an array [H, W, C] or [H, W], or a tensor [C, H, W] or [H, W]."""
    if hasattr(image, "convert"):  # PIL
        image = np.array(_eight_bits(image))
    if isinstance(image, np.ndarray):
        image = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1) if image.ndim == 3 else image))
    if not isinstance(image, Tensor) or image.ndim not in (2, 3):
        raise DataError(f"image {index} of the {what} is neither a PIL image nor a [C, H, W] tensor: {type(image)}")
    return image[None] if image.ndim == 2 else image


def _eight_bits(image: Any) -> Any:
    """A PIL image of mode L or RGB from one of any mode. What is transparent is laid on white, as a browser does."""
    from PIL import Image

    if image.mode.startswith("I;16"):  # PIL's own conversion cuts off what is above 255
        return Image.fromarray(np.round(np.asarray(image).astype(np.float32) / 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise DataError(
            f"a picture of PIL's mode {image.mode} does not say which value is white; read it yourself, and pass "
            "floats to Images.from_arrays"
        )
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def _colours(path: str) -> Any:
    """The picture in a file, RGB."""
    from PIL import Image

    with Image.open(path) as image:
        return _eight_bits(image).convert("RGB")


def _sides(size: int | Sequence[int]) -> list[int]:
    """[height, width]."""
    pair = list(size) if isinstance(size, Sequence | np.ndarray) and len(size) == 2 else [size, size]
    try:
        return [whole("size", side, 1, error=DataError) for side in pair]
    except DataError:
        raise DataError(f"size is a side in pixels or a pair (height, width), not {size!r}") from None


def _folder(path: Path, sides: list[int] | None, grey: bool) -> Any:
    """A folder of pictures as a torchvision data set of uint8 tensors."""
    from torchvision import datasets, transforms

    steps: list[Any] = [transforms.Grayscale()] if grey else []
    if sides is not None:
        steps.append(transforms.Resize(sides))
    try:
        return datasets.ImageFolder(path, transforms.Compose([*steps, transforms.PILToTensor()]), loader=_colours)
    except FileNotFoundError as error:
        raise DataError(f"expected one folder of pictures a class in {path}: {error}") from None
