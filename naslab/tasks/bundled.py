"""Standard image data sets: Fashion-MNIST (a part comes with naslab), digits, CIFAR-10 and CIFAR-100."""

from __future__ import annotations

import dataclasses
import io
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from naslab import data, files, reading
from naslab.errors import DataError
from naslab.paths import is_folder, path_of, resolved
from naslab.tasks.augmentation import Augmentation
from naslab.tasks.images import Images

Root = str | os.PathLike[str]
MAX_BYTES = 2**28
"""Limit on the bytes of an unpacked idx file; the largest one of Fashion-MNIST has 47 million."""

FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


def FashionMNIST(root: Root | None = None, *, download: bool = False) -> Images:
    """Photographs of clothes, 28 x 28, one channel, ten classes (Xiao et al. 2017, https://arxiv.org/abs/1708.07747).

    Augmented by random crops after padding by 2 and by mirror images. CIFAR's padding of 4 exceeds the margin of most
    images here: in a training of two epochs it cost a small network 5 per cent of accuracy.

    Args:
        root: None: the 10,000 training and 2,000 test images that come with naslab, offline. A folder: all 60,000 and
            10,000 images, from its four idx files (plain or gzipped) or from torchvision's `FashionMNIST/raw` in it.
        download: fetch the files into `root` through torchvision if they are not there.
    """
    if root is None:
        if download:
            raise DataError("download=True needs root=..., the folder to download into; without both it is offline")
        with np.load(io.BytesIO(data.read("fashion_mnist.npz")), allow_pickle=False) as arrays:
            train, test = ((arrays[f"{part}_images"], arrays[f"{part}_labels"]) for part in ("train", "test"))
    else:
        folder = _idx_folder(root, download)
        train, test = (
            (_idx(folder, f"{stem}-images-idx3-ubyte"), _idx(folder, f"{stem}-labels-idx1-ubyte"))
            for stem in ("train", "t10k")
        )
    task = Images.from_arrays(
        *train, test=test, name="fashion_mnist", class_names=FASHION, augmentation=Augmentation(padding=2, flip=True)
    )
    return _from(task, "fashion_mnist", root)


def Digits() -> Images:
    """Handwritten digits, 8 x 8, one channel, ten classes: scikit-learn's 1,797, a fifth of them for testing."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    x = (np.asarray(images).reshape(-1, 8, 8) / 16).astype(np.float32)  # values are 0 to 16, so this is exact
    task = Images.from_arrays(
        x, np.asarray(labels), name="digits", augmentation=Augmentation(padding=1), stratified=False
    )
    return dataclasses.replace(task, origin={"task": "digits"}, notes=())


def CIFAR10(root: Root, *, download: bool = False) -> Images:
    """Photographs, 32 x 32, three channels, ten classes (Krizhevsky 2009): 50,000 + 10,000, through torchvision.

    Args:
        root: folder that holds torchvision's `cifar-10-batches-py`, or into which it is downloaded.
        download: fetch the data if it is not there.
    """
    return _cifar("CIFAR10", root, download)


def CIFAR100(root: Root, *, download: bool = False) -> Images:
    """As CIFAR-10, with a hundred classes, in torchvision's `cifar-100-python`."""
    return _cifar("CIFAR100", root, download)


def _cifar(name: str, root: Root, download: bool) -> Images:
    from torchvision import datasets

    folder = path_of("the folder of the data", root)
    if not download and not is_folder(folder):
        raise DataError(f"there is no folder {folder}; give the one that holds {name}, or download=True")
    try:
        train, test = (getattr(datasets, name)(folder, train=part, download=download) for part in (True, False))
    except (RuntimeError, OSError) as error:
        raise DataError(f"{name} is not in {folder} as torchvision keeps it: {error}") from error
    task = Images.from_arrays(
        train.data.transpose(0, 3, 1, 2),  # torchvision keeps [N, H, W, C]
        train.targets,
        test=(test.data.transpose(0, 3, 1, 2), test.targets),
        name=name.lower(),
        class_names=train.classes,
        layout="NCHW",
        augmentation=Augmentation(padding=4, flip=True),
    )
    return _from(task, name.lower(), folder)


def _from(task: Images, name: str, root: Root | None) -> Images:
    """Returns the task with the origin of its data in its spec, which records the folder but never a download."""
    origin: dict[str, Any] = {"task": name}
    if root is not None:
        origin["root"] = str(resolved(path_of("the folder of the data", root)))
    return dataclasses.replace(task, origin=origin, notes=())


def _idx_folder(root: Root, download: bool) -> Path:
    folder = path_of("the folder of the data", root)
    places = [folder, folder / "FashionMNIST" / "raw"]
    wanted = "train-images-idx3-ubyte"
    for attempt in (False, True):
        for place in places:
            if any(os.path.isfile(place / name) for name in (wanted, f"{wanted}.gz")):
                return place
        if download and not attempt:
            from torchvision import datasets

            try:
                datasets.FashionMNIST(folder, download=True)
            except (RuntimeError, OSError) as error:
                raise DataError(f"Fashion-MNIST could not be downloaded into {folder}: {error}") from error
    raise DataError(
        f"expected {wanted} or {wanted}.gz in {places[0]} or {places[1]}, and found neither; give the folder with the "
        "idx files, or download=True, or no root at all for the part that comes with naslab"
    )


def _idx(folder: Path, name: str) -> np.ndarray:
    """Returns the uint8 array in an idx file (LeCun), gzipped or not.

    Format: the bytes 0, 0, 8 (unsigned bytes) and the rank; each size as big-endian int32; the values.
    """
    path = folder / name if os.path.isfile(folder / name) else folder / f"{name}.gz"
    try:
        content = files.read(path, MAX_BYTES, links=True)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    if path.suffix == ".gz":
        content = reading.gunzipped(content, MAX_BYTES, str(path))
    rank = content[3] if content[:3] == b"\0\0\x08" and len(content) > 3 else 0
    if not rank or len(content) < 4 + 4 * rank:
        raise DataError(f"{path} is not an idx file of bytes; it begins with {content[:4]!r}")
    shape = [int(size) for size in np.frombuffer(content, ">i4", count=rank, offset=4)]
    start = 4 + 4 * rank
    length = len(content) - start
    if min(shape) < 0 or length != math.prod(shape):
        raise DataError(f"{path} is cut short or too long: sizes {shape}, but {length} bytes of data")
    return torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=start).view(shape).numpy()
