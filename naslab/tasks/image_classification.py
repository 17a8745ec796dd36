"""Image classification: mini-batches of images and labels, cross-entropy and accuracy.

Letters in shapes: N images, B images of a mini-batch, C channels, H height, W width, K classes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from naslab.errors import DataError, SpecError, unknown
from naslab.lazy import warn_of_old_name
from naslab.tasks import folders, splits
from naslab.tasks.augmentation import Augmentation, Draws
from naslab.tasks.image_set import ImageSet, mean_and_std
from naslab.tasks.metrics import Mean, Metric
from naslab.tasks.resident import resident
from naslab.tasks.signature import LOGITS, Field, Head, Signature
from naslab.tasks.streams import Exchangeable
from naslab.tasks.task import LOSS, Task
from naslab.torch_state import default_torch_state
from naslab.transfer import Number, numbers, pending, to_device

OWN = "images"
"""Value of "task" in the spec of data that came as arrays, which a spec cannot load again."""
SHOWN_CLASSES = 8
"""Number of class names that `repr` lists."""


@dataclass(frozen=True, eq=False, repr=False)
class ImageClassification(Task):
    """A training set and a test set in memory; mini-batches are normalised and augmented.

    Images keep the type in which they came, mostly uint8; only mini-batches are converted to float32, which takes four
    times the memory. `naslab.tasks.Images` reads images from arrays, folders and data sets.
    """

    name: str
    train: ImageSet
    test: ImageSet
    class_names: tuple[str, ...]
    augmentation: Augmentation = field(default_factory=Augmentation)
    """Random changes that `batch` makes to training images if it is given a generator."""
    origin: Mapping[str, Any] = field(default_factory=lambda: {"task": OWN})
    """JSON from which `naslab.tasks.from_spec` finds the data again. If it has the key "stratified", every class is in
    both parts of `split_train_valid`."""
    validation: int = 0
    """Number of images at the end of `train` that the data itself provides for validation; 0 if it provides none."""
    notes: tuple[str, ...] = ()
    """Remarks from reading the data, which `repr` shows."""
    units: ClassVar[str] = "images"

    def __post_init__(self) -> None:
        object.__setattr__(self, "class_names", tuple(self.class_names))
        object.__setattr__(self, "origin", MappingProxyType(dict(self.origin)))
        object.__setattr__(self, "notes", tuple(self.notes))
        if not 0 <= self.validation < len(self.train):
            raise DataError(
                f"of {len(self.train)} training images 0 to {len(self.train) - 1} can be for validation, not "
                f"{self.validation}"
            )
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
                    f"{int(part.labels.max())}; give classes={int(part.labels.max()) + 1}, or correct the labels"
                )
        if len(self.train.labels.unique()) < 2:
            raise DataError(
                f"all {len(self.train)} training images have the label {int(self.train.labels[0])}: there is nothing "
                "to tell apart; give images of at least two classes"
            )

    # --- description -------------------------------------------------------------------------------

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Shape of one image, (C, H, W)."""
        C, H, W = self.train.images.shape[1:]
        return C, H, W

    @property
    def classes(self) -> int:
        return len(self.class_names)

    @property
    def objective(self) -> str:
        return "accuracy"

    @property
    def signature(self) -> Signature:
        return Signature(Field(self.input_shape), {LOGITS: Head("vector", self.classes)})

    def metrics(self) -> Mapping[str, Metric]:
        """Returns the cross-entropy in nats and the accuracy, as means over images."""
        return {
            LOSS: Mean(lambda logits, batch: self.loss(logits, batch), self.size, direction="min", unit="nats"),
            "accuracy": Mean(self._pending_accuracy, self.size, direction="max", unit="%"),
        }

    def fingerprint(self) -> str:
        """Returns the checksum of all images and labels in hexadecimal digits; equal checksums mean equal data."""
        return self._fingerprint

    @cached_property
    @default_torch_state()
    def _fingerprint(self) -> str:
        digest = blake2b(f"{self.classes}".encode(), digest_size=16)
        for part in (self.train, self.test):
            for tensor in (part.images, part.labels):
                digest.update(f" {tensor.dtype} {list(tensor.shape)} ".encode())
                digest.update(np.ascontiguousarray(tensor.numpy()).data)
        return digest.hexdigest()

    @cached_property
    def mean(self) -> Tensor:
        """Mean of each channel over the training images, [C] float32, in the units of the images."""
        return self._moments[0]

    @cached_property
    def std(self) -> Tensor:
        """Standard deviation of each channel, [C] float32; 1 for a constant channel, so that division is safe."""
        return self._moments[1]

    @cached_property
    @default_torch_state()
    def _moments(self) -> tuple[Tensor, Tensor]:
        moments = [mean_and_std(self.train.images[:, channel]) for channel in range(self.input_shape[0])]
        mean, std = (torch.tensor(column, dtype=torch.float64).float() for column in zip(*moments, strict=True))
        return mean, torch.where(std > 0, std, torch.ones_like(std))

    # --- what trainers and searchers call ----------------------------------------------------------

    @default_torch_state()
    def split_train_valid(self, seed: int, fraction: float = 0.5) -> tuple[Tensor, Tensor]:
        """Returns two disjoint parts of the training set: for the weights, and for the architecture.

        The parts are random. If the task is stratified, every class of at least two training images is in both. If the
        data has validation images of its own, these are the second part, and the fraction has no effect.

        Args:
            seed: which random split.
            fraction: share of the training images that moves the weights, between 0 and 1.

        Returns:
            About [fraction * N] and [N - fraction * N] int64, indices into `train`.

        Raises:
            DataError: one part would be empty.
        """
        first = round(len(self.train) * fraction) if 0 < fraction < 1 else 0
        if not 0 < first < len(self.train):
            raise DataError(
                f"{len(self.train)} training images cannot be split at {fraction!r}: each part needs an image; "
                "give a fraction between 0 and 1, or more images"
            )
        if self.validation:
            whole_set = torch.arange(len(self.train))
            return whole_set[: -self.validation], whole_set[-self.validation :]
        # "halves" names the stream of random numbers: another word would give every recorded run another split.
        if self.origin.get("stratified"):
            parts = splits.stratified(self.train.labels, len(self.train) - first, seed, "halves")
            if len(parts[1]):  # empty where every class has a single image
                return parts
        second, chosen = splits.by_chance(len(self.train), first, seed, "halves")
        return chosen, second

    def halves(self, seed: int, fraction: float = 0.5) -> tuple[Tensor, Tensor]:
        """Returns `split_train_valid`; the earlier name, which works for one version more."""
        warn_of_old_name("Images.halves", "Images.split_train_valid")
        return self.split_train_valid(seed, fraction)

    def parts(self, seed: int, fraction: float = 0.5) -> tuple[Exchangeable, Exchangeable]:
        """Returns the parts of `split_train_valid` as streams."""
        first, second = self.split_train_valid(seed, fraction)
        return Exchangeable(first), Exchangeable(second)

    def stream(self, split: str) -> Exchangeable:
        """Returns all images of "train" or "test"; or of "valid", if the data has validation images of its own.

        Raises:
            DataError: there is no such split.
        """
        if split == "valid" and self.validation:
            return Exchangeable(torch.arange(len(self.train) - self.validation, len(self.train)))
        self._check_split(split)
        return Exchangeable(torch.arange(len(getattr(self, split))), split)

    def example(self, count: int, *, device: str | torch.device = "cpu", view: Any = None) -> tuple[Tensor, Tensor]:
        """Returns the first `count` training images, beginning again from the first if there are fewer."""
        return self.batch(torch.arange(count) % len(self.train), device=device)

    def size(self, batch: Any) -> int:
        """Returns the number of images."""
        return len(_labels(batch))

    @staticmethod
    def _check_split(split: str) -> None:
        if split not in ("train", "test"):
            raise DataError(unknown("split", split, ("train", "test")))

    @default_torch_state()
    def batch(
        self,
        where: Tensor,
        *,
        split: str = "train",
        augment: torch.Generator | None = None,
        device: str | torch.device = "cpu",
        rows: slice = slice(None),
        view: Any = None,
    ) -> tuple[Tensor, Tensor]:
        """Returns a mini-batch of images and labels.

        Args:
            where: indices into the split, [B] int64.
            split: "train" or "test".
            augment: source of the random numbers of the augmentation; None returns the images unchanged.
            device: device of the tensors that are returned.
            rows: which of the B images to return. Random numbers are drawn for all B, so that processes that divide a
                mini-batch among them see the same images as one process that computes all of it.
            view: not used.

        Returns:
            Images [B, C, H, W] float32, normalised by mean and standard deviation of the training images, and labels
            [B] int64.
        """
        self._check_split(split)
        device = torch.device(device)
        draws = None
        if augment is not None:
            draws = self.augmentation.draw(len(where), *self.input_shape[1:], augment).rows(rows)
        images, labels, draws = _gathered(self.train if split == "train" else self.test, where[rows], draws, device)
        if draws is not None:
            images = self.augmentation.move(images, draws)
        # Moved as they are and converted on the device: uint8 is a quarter of the bytes to copy.
        mean, std = self._moments_on(device)
        x = images.float().sub_(mean[:, None, None]).div_(std[:, None, None])
        return x if draws is None else self.augmentation.cut(x, draws), labels

    def _moments_on(self, device: torch.device) -> tuple[Tensor, ...]:
        """Returns mean and standard deviation of each channel on a device, where they are kept."""
        kept = resident(self, lambda: (self.mean, self.std), device)
        return (self.mean.to(device), self.std.to(device)) if kept is None else kept

    def loss(self, outputs: Tensor, batch: Any, *, smoothing: float = 0.0) -> Tensor:
        """Returns the mean cross-entropy in nats, a tensor without axes.

        Args:
            outputs: logits [B, K].
            batch: images and labels [B]; or, for one version more, the labels alone.
            smoothing: label smoothing: this share of the probability is spread evenly over all K classes.
        """
        return F.cross_entropy(outputs, _labels(batch), label_smoothing=smoothing)

    def accuracy(self, logits: Tensor, y: Tensor) -> float:
        """Returns the share, in [0, 1], of rows of [B, K] that are finite and whose largest logit is at the label."""
        return numbers([_accuracy(logits, y)])[0]

    def _pending_accuracy(self, logits: Tensor, batch: Any) -> Number:
        if type(self).accuracy is not ImageClassification.accuracy:  # a subclass counts in another way
            return self.accuracy(logits, _labels(batch))
        return _accuracy(logits, _labels(batch))

    def with_auxiliary(self, outputs: Any) -> tuple[Any, Any]:
        """Returns logits and auxiliary logits; None for the latter unless the network returned a pair."""
        return outputs if isinstance(outputs, tuple) and len(outputs) == 2 else (outputs, None)

    def check_outputs(self, outputs: Any, batch: Any) -> None:
        x = batch[0]
        if not isinstance(outputs, Tensor) or outputs.shape[:1] != x.shape[:1] or outputs.ndim != 2:
            came = list(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
            raise SpecError(
                f"the network must give logits of shape [{len(x)}, {self.classes}] for images of shape "
                f"{list(x.shape)} (in training, a pair of them if it has an auxiliary head), not {came}"
            )
        if outputs.shape[1] < self.classes:
            raise SpecError(
                f"the network has {outputs.shape[1]} outputs, and the task {self.classes} classes; give its "
                f"last layer {self.classes} outputs"
            )

    def distance(self, outputs: Tensor, teacher: Tensor, batch: Any) -> Tensor:
        """Returns the mean cross-entropy to the teacher's distribution in nats (Hinton et al. 2015, temperature 1).

        Args:
            outputs: logits of the student, [B, K].
            teacher: logits of the teacher, [B, K].
            batch: not used.
        """
        return F.cross_entropy(outputs, teacher.softmax(dim=1))

    def __str__(self) -> str:
        shape = "x".join(map(str, self.input_shape))
        return f"<{self.name}: {len(self.train)} + {len(self.test)} images of {shape}, {self.classes} classes>"

    def __repr__(self) -> str:
        """Returns one line: images of each split, their shape, classes, how they were split, what was left out."""
        names = [folders.printable(name) for name in self.class_names]
        said = []
        if names != list(map(str, range(self.classes))):
            said.append(f": {', '.join(names[:SHOWN_CLASSES])}{', ...' if len(names) > SHOWN_CLASSES else ''}")
        for number, (split, part) in enumerate((("training", self.train), ("test", self.test))):
            counts = torch.bincount(part.labels, minlength=self.classes)
            few = [f"{names[label]} ({int(counts[label])})" for label in torch.nonzero(counts < 2 - number).flatten()]
            if few:
                said.append(f"; few {split} images of {', '.join(few[:3])}{', ...' if len(few) > 3 else ''}")
        if self.validation:
            said.append(f"; the last {self.validation} training images are for validation")
        return f"{str(self)[:-1]}{''.join(said)}{''.join(f'; {note}' for note in self.notes)}>"

    # --- sending to other processes ----------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """Returns the state with arrays in place of tensors, which `multiprocessing` would send through shared memory;
        containers have little of that.
        """
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        fields["origin"] = dict(self.origin)
        return fields | {split: tuple(t.numpy() for t in _both(getattr(self, split))) for split in ("train", "test")}

    @default_torch_state()
    def __setstate__(self, state: dict[str, Any]) -> None:
        sets = {split: ImageSet(*map(torch.from_numpy, state[split])) for split in ("train", "test")}
        for name, value in {**state, **sets, "origin": MappingProxyType(state["origin"])}.items():
            object.__setattr__(self, name, value)


def _gathered(
    part: ImageSet, indices: Tensor, draws: Draws | None, device: torch.device
) -> tuple[Tensor, Tensor, Draws | None]:
    """Returns images [B, C, H, W], labels [B] and the random numbers of their augmentation, all on the device.

    Where the data fits on the device, it lies there, and is gathered there by the indices. What comes from the host
    comes in one copy.
    """
    if device.type == "cpu":
        return part.images[indices], part.labels[indices], draws
    drawn = {} if draws is None else draws.tensors
    kept = resident(part, lambda: (part.images, part.labels), device)
    if kept is None:
        images, labels, drawn = to_device((part.images[indices], part.labels[indices], drawn), device)
    else:
        indices, drawn = to_device((indices, drawn), device)
        images, labels = (whole.index_select(0, indices) for whole in kept)
    return images, labels, None if draws is None else dataclasses.replace(draws, **drawn)


def _labels(batch: Any) -> Tensor:
    return batch if isinstance(batch, Tensor) else batch[1]


def _accuracy(logits: Tensor, y: Tensor) -> Number:
    """Returns the share of rows of [B, K] that are finite and whose largest logit is at the label."""
    right = ((logits.argmax(1) == y) & logits.isfinite().all(dim=1)).sum()
    return pending(lambda count: count / len(y), right)


def _both(part: ImageSet) -> tuple[Tensor, Tensor]:
    return part.images, part.labels
