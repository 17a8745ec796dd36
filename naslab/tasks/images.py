"""Image classification from arrays, folders or data sets; smaller or differently augmented versions; its JSON."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from naslab.callers import caller_level
from naslab.errors import DataError, SpecError, whole
from naslab.paths import path_of, resolved
from naslab.progress import interactive
from naslab.registry import called
from naslab.tasks import arrays, datasets, folders, splits
from naslab.tasks.augmentation import Augmentation
from naslab.tasks.classes import names_of_classes, rare, some
from naslab.tasks.image_classification import OWN, ImageClassification
from naslab.tasks.image_set import ImageSet
from naslab.tasks.labels import class_numbers
from naslab.tasks.task import share_of
from naslab.torch_state import default_torch_state


@dataclass(frozen=True, eq=False, repr=False)
class Images(ImageClassification):
    """Image classification on a training set and a test set in memory; mini-batches are normalised and augmented.

    `nl.tasks.FashionMNIST()`, `Digits()`, `CIFAR10()` and `CIFAR100()` return published data; `from_arrays`,
    `from_folder` and `from_dataset` read your own. Images keep their type; only mini-batches are converted to float32.
    """

    _earlier: ClassVar[Callable[[], Images] | None] = None
    """Makes the task with the random test set that versions of naslab without stratified splits drew, for old runs."""

    @classmethod
    @default_torch_state()
    def from_arrays(
        cls,
        x: Any,
        y: Any,
        classes: int | None = None,
        *,
        test: tuple[Any, Any] | None = None,
        test_fraction: float = 0.2,
        stratified: bool = True,
        seed: int = 0,
        name: str = OWN,
        class_names: Sequence[str] | None = None,
        augmentation: Augmentation | None = None,
        layout: str = "auto",
        channels_first: bool = False,
    ) -> Images:
        """Returns a task of images in arrays: `Images.from_arrays(x, y)`.

        Args:
            x: images [N, C, H, W], [N, H, W, C] or [N, H, W], uint8 or float with 0 for black, as a torch tensor or
                NumPy array, or a list of PIL images or arrays. It is copied.
            y: labels [N] or [N, 1]: whole numbers from 0, or names of classes, which are numbered in sorted order.
            classes: number of classes K. Without it and without `class_names`, K is the largest label + 1, and each of
                these classes must have a training image.
            test: pair (x, y) of test data, whose classes all have training images. Without it, a random part of the
                data is kept as test set.
            test_fraction: size of that part, as a share of the data.
            stratified: True if random parts hold every class in the proportion of the whole, and at least one image of
                each class of two. This holds for the test set and for the parts of `split_train_valid`. False draws
                without regard to classes, as early versions of naslab did.
            seed: seed of that part.
            name: name of the task, as texts show it.
            class_names: K names to show; by default those in `y`, or the numbers.
            augmentation: by default a random crop after padding by an eighth of the shorter side, without mirror
                images, because only you know whether a mirrored image keeps its class.
            layout: "NCHW" or "NHWC". By default, [N, H, W, C] is recognised if only with this layout height and width
                are at least twice the number of channels. If it is merely plausible (1, 3 or 4 channels, or square
                images in this layout alone), an error asks for the layout; everything else is read as [N, C, H, W].
            channels_first: True means layout="NCHW".

        Raises:
            DataError: images, labels and classes do not fit together.
        """
        asked = arrays.checked_layout(layout, channels_first)
        if test is not None and (not isinstance(test, tuple | list) or len(test) != 2):
            raise DataError(f"test is a pair (x, y), not {type(test).__name__}")
        read = [arrays.images(x, "x", asked)]
        labels = [(y, "y")]
        if test is not None:
            read.append(arrays.images(test[0], "test x", asked))
            labels.append((test[1], "test y"))
            read = [part._replace(images=part.images.contiguous().clone()) for part in read]  # a split copies anyway
        return cls._of(
            read,
            labels,
            classes=classes,
            class_names=class_names,
            test_fraction=test_fraction,
            stratified=stratified,
            seed=seed,
            name=name,
            augmentation=augmentation,
        )

    @classmethod
    @default_torch_state()
    def from_dataset(
        cls,
        train: Any,
        test: Any = None,
        *,
        image: str | int | None = None,
        label: str | int | None = None,
        classes: int | None = None,
        test_fraction: float = 0.2,
        stratified: bool = True,
        seed: int = 0,
        name: str | None = None,
        class_names: Sequence[str] | None = None,
        augmentation: Augmentation | None = None,
        layout: str = "auto",
    ) -> Images:
        """Returns a task of torchvision data sets, with items (image, label), or Hugging Face ones, with dictionaries.

        An image is a PIL image, a tensor [C, H, W], or an array [H, W, C] or [H, W]. All images have the same size; put
        a `Resize` into the `transform` of the data set if they do not. Each item is read once, so that a random
        transform is drawn only once. Without `test`, a random part is kept as test set, as in `from_arrays`.

        Args:
            train, test: data sets with a length.
            image, label: keys of the two in a dictionary, or positions in a tuple, if they differ from the usual names
                or the first two positions.
            layout: layout of tensors and arrays, "NCHW" or "NHWC", if neither type nor shape determines it.
            classes, test_fraction, stratified, seed, name, class_names, augmentation: as in `from_arrays`.
        """
        asked = arrays.checked_layout(layout)
        parts = [datasets.items(train, "data set", asked, image, label)]
        if test is not None:
            parts.append(datasets.items(test, "test set", asked, image, label))
        if class_names is None and classes is None:
            class_names = parts[0].class_names
        return cls._of(
            [part.read for part in parts],
            [(part.labels, "y" if number == 0 else "test y") for number, part in enumerate(parts)],
            classes=classes,
            class_names=class_names,
            test_fraction=test_fraction,
            stratified=stratified,
            seed=seed,
            name=name if name is not None else type(train).__name__,
            augmentation=augmentation,
        )

    @classmethod
    @default_torch_state()
    def from_folder(
        cls,
        path: str | os.PathLike[str],
        size: int | Sequence[int] | None = None,
        *,
        grey: bool = False,
        test_fraction: float = 0.2,
        stratified: bool = True,
        validation: bool = True,
        seed: int = 0,
        augmentation: Augmentation | None = None,
        progress: bool | None = None,
    ) -> Images:
        """Returns a task of pictures in a folder that has one folder for each class: `cats/1.png`, `dogs/7.jpg`.

        If the folder has folders `train` and `test` (or `training`, `val`, `validation`, ...), each with the folders of
        the classes, these are the splits; otherwise a random part is kept as test set. A folder `val` without a `test`
        is the test set. With both, a search trains weights on `train` and the architecture on `val` (see
        `split_train_valid`), and a final training uses both.

        The layout of the whole folder is checked before any picture is read. Hidden files and files that are not
        pictures are left out, and `repr` names them; an error names pictures that cannot be read.

        Args:
            path: the folder.
            size: side, or (height, width), in pixels to which every picture is resized; None if all have the same
                size. Pictures of 16 bits are scaled to 8 (65535 becomes 255), transparent ones are composited on white,
                and those with an EXIF orientation are turned as viewers show them.
            grey: True for one channel instead of three.
            test_fraction, stratified, seed: as in `from_arrays`.
            validation: False leaves out a folder `val` beside `train` and `test`.
            augmentation: as in `from_arrays`.
            progress: True to show a progress bar; by default in notebooks and terminals only.

        Raises:
            DataError: the layout is not known, or a picture cannot be read.
        """
        seed = whole("seed", seed, error=DataError)
        sides = None if size is None else folders.sides(size)
        folder = path_of("the folder of pictures", path, error=DataError)
        found = folders.look(folder)
        parts, left_out = dict(found.parts), list(found.left_out)
        if not validation and "validation" in parts and "test" in parts:
            left_out.append(os.path.relpath(parts.pop("validation").path, folder) + os.sep)
        pictures = folders.read(parts, sides, grey, interactive() if progress is None else progress)
        tested = next((role for role in ("test", "validation") if role in parts), None)
        learnt = [role for role in parts if role != tested]
        sets = [learnt] if tested is None else [learnt, [tested]]
        task = cls._of(
            [arrays.Read(torch.cat([pictures[role] for role in roles])) for roles in sets],
            [([label for role in roles for label in parts[role].labels], roles[0]) for roles in sets],
            classes=None,
            class_names=parts["train"].classes,
            test_fraction=test_fraction,
            stratified=stratified,
            seed=seed,
            name=resolved(folder).name,
            augmentation=augmentation,
        )
        roles = {"train": "training", tested: "test"}
        places = {roles.get(role, role): os.path.relpath(part.path, folder) for role, part in parts.items()}
        notes = [f"{what} images from {place}" for what, place in places.items()]
        if len(parts) == 1:
            notes = [f"images from {place}" for place in places.values() if place != os.curdir]
        notes += [] if sides is None else [f"brought to {sides[0]} x {sides[1]} pixels"]
        notes += [f"left out: {folders.some(left_out)}"] if left_out else []
        origin: dict[str, Any] = {"task": "image_folder", "path": str(resolved(folder)), "size": sides, "grey": grey}
        origin |= {"test_fraction": test_fraction, "seed": seed}
        origin |= {key: True for key, said in (("stratified", stratified), ("validation", validation)) if said}
        count = len(parts["validation"].pictures) if "validation" in learnt else 0
        return task._changed(
            lambda task: dataclasses.replace(task, origin=origin, notes=(*task.notes, *notes), validation=count)
        )

    @classmethod
    def _of(
        cls,
        read: Sequence[arrays.Read],
        labels: Sequence[tuple[Any, str]],
        *,
        classes: int | None,
        class_names: Sequence[str] | None,
        test_fraction: float,
        stratified: bool,
        seed: int,
        name: str,
        augmentation: Augmentation | None,
    ) -> Images:
        """Returns the task of the images and labels of a training set and a test set; without the latter, it is drawn
        from the former.
        """
        if not isinstance(stratified, bool | np.bool_):
            raise DataError(f"stratified is True or False, not {stratified!r}")
        numbers, said = class_numbers(*labels, class_names=class_names)
        for part, found in zip(read, numbers, strict=True):
            if len(part.images) != len(found) and part.doubt:
                raise DataError(f"every image has one label: {len(found)} labels came, and {part.doubt}")
        sets = [ImageSet(part.images, found) for part, found in zip(read, numbers, strict=True)]
        notes = [note for part in read for note in part.notes]
        warned = [warning for part in read for warning in part.warnings]
        indices = None
        if len(sets) == 1:
            indices = splits.test_split(sets[0].labels, test_fraction, stratified, seed)
            train, held = (sets[0].take(part) for part in indices)
            each = " of each class, one at least" if stratified else ""
            notes.append(f"{len(held)} of {len(numbers[0])} kept for the test ({test_fraction:g}{each}; seed {seed})")
        else:
            train, held = sets
        names = names_of_classes(classes, class_names, said, train.labels, held.labels)
        if augmentation is None:
            augmentation = Augmentation(padding=min(train.images.shape[2:]) // 8)
        origin = {"task": OWN, "stratified": True} if stratified else {"task": OWN}
        task = cls(name, train, held, names, augmentation, origin, notes=tuple(notes))
        strange = sorted(set(held.labels.tolist()) - set(train.labels.tolist()))
        if len(sets) == 2 and strange:
            raise DataError(
                f"the test images have labels that no training image has, {some(strange, names)}, so that they cannot "
                "be learnt; leave those images out, or give training images of these classes"
            )
        if indices is not None and stratified:
            if not strange:
                warned += rare(sets[0].labels, names)
            task._remember(_drawn_by_chance(dataclasses.replace(task), indices, test_fraction, seed))
        for warning in warned:
            warnings.warn(warning, stacklevel=caller_level())
        return task

    def _changed(self, change: Callable[[Images], Images]) -> Images:
        """Returns the changed task, whose unstratified version for old runs is changed in the same way when needed."""
        task, earlier = change(self), self._earlier
        if earlier is not None:
            task._remember(lambda: change(earlier()))
        return task

    def _remember(self, earlier: Callable[[], Images]) -> None:
        object.__setattr__(self, "_earlier", earlier)

    def parted_as(self, stratified: bool, fingerprint: str) -> Images:
        """Returns this task for a run that recorded `stratified` and the fingerprint of its data.

        Early versions of naslab drew the test set without regard to classes; for their runs it is drawn so again.
        """
        task = self
        if not stratified and self._earlier is not None and self.fingerprint() != fingerprint:
            task = self._earlier()
        origin = {key: value for key, value in task.origin.items() if key != "stratified"}
        return dataclasses.replace(task, origin=origin | ({"stratified": True} if stratified else {}))

    def augmented(self, **changes: Any) -> Images:
        """Returns the same data with another augmentation: `task.augmented(cutout=16)`."""
        return self._changed(
            lambda task: dataclasses.replace(task, augmentation=dataclasses.replace(task.augmentation, **changes))
        )

    @default_torch_state()
    def reduced(self, data: float = 1.0, size: int | None = None) -> Images:
        """Returns a share of the training images, shrunk to `size` x `size` pixels by averaging, and one test image."""
        count = max(1, round(share_of(data) * len(self.train)))
        if size is not None and not 1 <= size <= min(self.input_shape[1:]):
            raise SpecError(f"size={size} does not shrink images of {self.input_shape[1]} x {self.input_shape[2]}")
        # A test set cannot be empty; one image is the least, since nobody tests a task of low fidelity.
        task = self.subset(count if count < len(self.train) else None, 1)
        if size is None:
            return task
        return dataclasses.replace(task, train=task.train.shrunk(size), test=task.test.shrunk(size))

    @default_torch_state()
    def subset(self, train: int | None = None, test: int | None = None, *, seed: int = 0) -> Images:
        """Returns a task with fewer images, spread as evenly over the classes as possible.

        Args:
            train, test: number of images of each split; None keeps all.
            seed: seed of the choice.
        """
        seed = whole("seed", seed, error=DataError)
        counts = {
            split: None if n is None else whole(split, n, error=DataError)
            for split, n in (("train", train), ("test", test))
        }
        return self._changed(lambda task: task._subset(counts, seed))

    def _subset(self, counts: Mapping[str, int | None], seed: int) -> Images:
        parts: dict[str, Any] = {}
        for split, count in counts.items():
            full: ImageSet = getattr(self, split)
            if count is None:
                continue
            if not 1 <= count <= len(full):
                raise DataError(f"of {len(full)} {split} images 1 to {len(full)} can be taken, not {count}")
            if split == "train" and self.validation:
                chosen, parts["validation"] = self._fewer_of_both(count, seed)
            else:
                chosen = splits.evenly(full.labels, count, seed, split)
            parts[split] = full.take(chosen)
        origin = {**self.origin, "subsets": [*self.origin.get("subsets", []), [*counts.values(), seed]]}
        return dataclasses.replace(self, **parts, origin=origin)

    def _fewer_of_both(self, count: int, seed: int) -> tuple[Tensor, int]:
        """Returns indices of `count` training images, of which about the same share is for validation as before, and
        the number of those for validation; both parts keep at least one image.
        """
        if count < 2:
            raise DataError("with validation data of its own, a task has 2 training images at least")
        labels, first = self.train.labels, len(self.train) - self.validation
        later = min(max(round(count * self.validation / len(labels)), 1, count - first), count - 1, self.validation)
        chosen = splits.evenly(labels[:first], count - later, seed, "train")
        held = splits.evenly(labels[first:], later, seed, "validation")
        return torch.cat([chosen, first + held]), later

    def spec(self) -> dict[str, Any]:
        """Returns JSON from which `naslab.tasks.from_spec` makes an equal task, if its data can be loaded again."""
        classes = {"class": called(type(self))} if type(self) is not Images else {}
        kind = {"class": called(type(self.augmentation))} if type(self.augmentation) is not Augmentation else {}
        return {
            **self.origin,
            **classes,
            "augmentation": {**kind, **dataclasses.asdict(self.augmentation)},
            "fingerprint": self.fingerprint(),
        }


def _drawn_by_chance(task: Images, indices: tuple[Tensor, Tensor], fraction: float, seed: int) -> Callable[[], Images]:
    """Returns a function that makes the task with a test set drawn without regard to classes.

    Args:
        task: a task with a stratified test set.
        indices: where its training and test images stood in the data as it was given.
        fraction, seed: as of the test set.
    """

    def make() -> Images:
        kept, held = splits.by_chance(len(place), splits.held_out(len(place), fraction), seed, "test")
        images = torch.cat([task.train.images, task.test.images])
        labels = torch.cat([task.train.labels, task.test.labels])
        train, test = (ImageSet(images[place[part]], labels[place[part]]) for part in (kept, held))
        notes = (*(note for note in task.notes if "kept for the test" not in note), "test set drawn by chance")
        return dataclasses.replace(task, train=train, test=test, notes=notes)

    place = torch.argsort(torch.cat(indices))  # inverse permutation: where each given image stands in [train, test] now
    return make
