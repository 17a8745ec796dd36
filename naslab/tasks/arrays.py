"""Conversion of user arrays to images [N, C, H, W]: memory layouts, dtypes, lists of pictures.

Letters in shapes: N images, C channels, H height, W width.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from naslab.device import available
from naslab.errors import DataError, among, unknown
from naslab.tasks import pictures

LAYOUTS = ("auto", "NCHW", "NHWC")


class Read(NamedTuple):
    """Converted images, with notes and warnings about how the input was interpreted."""

    images: Tensor
    """[N, C, H, W] uint8 or float32; may share memory with the input."""
    notes: tuple[str, ...] = ()
    """How the input was interpreted, for the `repr` of the task."""
    warnings: tuple[str, ...] = ()
    """Warnings for the user, where the layout was guessed."""
    doubt: str = ""
    """Another possible interpretation, for the error if the numbers of labels and images differ."""


ALIASES = {"CHW": "NCHW", "HWC": "NHWC"}
"""Accepted synonyms of the layouts."""


def checked_layout(layout: Any, channels_first: Any = False) -> str:
    """Returns one of `LAYOUTS`; `channels_first=True` is another way to ask for "NCHW"."""
    asked = "auto" if layout is None else ALIASES[layout] if among(layout, ALIASES) else layout
    if not isinstance(asked, str) or asked not in LAYOUTS:
        raise DataError(unknown("layout", layout, LAYOUTS))
    if channels_first and asked == "NHWC":
        raise DataError("channels_first=True and layout='NHWC' contradict each other; give one of them")
    return "NCHW" if channels_first else asked


def images(x: Any, name: str, layout: str = "auto") -> Read:
    """Returns images from a tensor, an array, a list of pictures or a pandas Series of them.

    Only lossless conversions are made; anything else is a `DataError` that names the conversion to apply.
    """
    items = _listed(x)
    if items is not None and any(map(pictures.is_pil, items)):
        return Read(stack(_from_pil(items, name), len(items), name))
    if items is not None:
        x = _joined(items, name)
    found, notes, warned, doubt = tensor(x, name), (), (), ""
    if found.ndim == 3:
        N, H, W = found.shape
        notes = (f"{name} {[N, H, W]} is read as [N, H, W]: one channel",)
        doubt = (
            f"{name} {[N, H, W]} is read as [N, H, W], {N} images of {H} x {W} pixels; if it is one image, [H, W, C] "
            f"or [C, H, W], pass {name}[None]"
        )
        found = found[:, None]
    elif found.ndim == 4 and 0 not in found.shape:
        layout = layout if layout != "auto" else _recognised(found, name)
        if layout == "NHWC?":
            N, H, W, C = found.shape
            notes = (f"{name} {[N, H, W, C]} is read as [N, H, W, C]: {H} x {W} pixels, channels: {C}",)
            warned = (f"{notes[0]} (layout='NHWC' says so, layout='NCHW' reads it the other way)",)
        if layout != "NCHW":
            found = found.permute(0, 3, 1, 2)  # [N, H, W, C] -> [N, C, H, W]
    elif found.ndim == 2:
        raise DataError(
            f"{name} must be [N, C, H, W] or [N, H, W], not {list(found.shape)}; rows of pixels become images by "
            f"reshape(-1, H, W), or reshape(-1, C, H, W)"
        )
    return Read(kind(found, name), notes, warned, doubt)


def _recognised(found: Tensor, name: str) -> str:
    """Returns "NCHW", or "NHWC?" if the shape only suggests channels last."""
    N, a, b, c = found.shape
    guess = pictures.guess((a, b, c))
    if guess == "HWC":
        return "NHWC?"
    # More than 4 channels are rare: if the last axis may be the channels as well, the user has to decide.
    if guess is None and a > 4 and (c in (1, 3, 4) or a == b != c):
        raise DataError(
            f"{name} {[N, a, b, c]} may be [N, C, H, W], {a} channels of {b} x {c} pixels, or looks like "
            f"[N, H, W, C], {c} channels of {a} x {b} pixels; give layout='NCHW' or layout='NHWC'"
        )
    return "NCHW"


def kind(found: Tensor, name: str) -> Tensor:
    """Returns the tensor as uint8 or float32; `DataError` for other dtypes, whose value range is unknown."""
    if found.is_floating_point():
        return found.float()
    if found.dtype == torch.uint8:
        return found
    advice = {
        torch.bool: "masks become images by astype('float32')",
        torch.uint16: "values of 16 bits become floats by x.astype('float32') / 65535",
    }.get(found.dtype, "convert it, for instance with astype('uint8') if its values are 0 to 255")
    raise DataError(f"{name} must be uint8 (0 to 255) or float, not {found.dtype}; {advice}")


def tensor(value: Any, name: str) -> Tensor:
    """Returns a CPU tensor from a tensor, an array or a nested list."""
    try:
        if isinstance(value, Tensor):
            value = value.detach()
            return (value if value.layout == torch.strided else value.to_dense()).cpu()
        if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
            raise TypeError("it has masked elements; fill them, x.filled(0), or leave those examples out")
        array = np.ascontiguousarray(value)
        if array.dtype.kind in "USTO":
            raise TypeError(f"it holds {_kind_of_objects(array)}; files of pictures are read by Images.from_folder")
        if not array.dtype.isnative:  # torch has no tensors of foreign byte order
            array = array.astype(array.dtype.newbyteorder("="))
        # torch warns about read-only arrays, so those are copied.
        return torch.from_numpy(array if array.flags.writeable else array.copy())
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{name} must be a torch tensor or a NumPy array of numbers: {error}") from None


def check_memory(count: int, shape: tuple[int, ...], each: int = 1) -> None:
    """Raises `DataError` unless `count` images of this shape fit into memory, with `each` bytes per value.

    Splitting copies the images, hence the factor 2.
    """
    needed, free = 2 * count * math.prod(shape) * each, available()
    if free is not None and needed > free:
        raise DataError(
            f"{count} images of {' x '.join(map(str, shape))} take {needed / 1e9:.1f} GB to read, and "
            f"{free / 1e9:.1f} GB of memory are free; give smaller images (from_folder has size=...), or fewer"
        )


def _kind_of_objects(array: np.ndarray) -> str:
    return "text" if array.dtype.kind != "O" else type(array.flat[0]).__name__ if array.size else "nothing"


# --- lists of pictures --------------------------------------------------------------------------------


def _listed(x: Any) -> list[Any] | None:
    """Returns the pictures of a list, a pandas Series or an object array; None for any other input."""
    column = not isinstance(x, Tensor) and str(getattr(x, "dtype", "")) == "object" and getattr(x, "ndim", 0) == 1
    if not isinstance(x, list | tuple) and not column:
        return None
    items = list(x)
    return items if items and all(pictures.is_pil(item) or hasattr(item, "shape") for item in items) else None


def _joined(items: list[Any], name: str) -> Any:
    """Stacks arrays or tensors of one shape."""
    shapes = [tuple(item.shape) for item in items]
    other = next((number for number, shape in enumerate(shapes) if shape != shapes[0]), None)
    if other is not None:
        raise DataError(
            f"all images must be alike: image 0 of {name} is {list(shapes[0])}, image {other} is "
            f"{list(shapes[other])}; resize them"
        )
    if all(isinstance(item, Tensor) for item in items):
        return torch.stack([item.detach().cpu() for item in items])
    return np.stack([np.asarray(item) for item in items])


def _from_pil(items: Iterable[Any], name: str) -> Iterator[tuple[Tensor, bool]]:
    for number, item in enumerate(items):
        if not pictures.is_pil(item):
            raise DataError(f"{name} holds PIL images and others: image {number} is {type(item)}; give one kind")
        try:
            yield pictures.from_pil(item), True
        except (OSError, ValueError, SyntaxError) as error:
            raise DataError(f"image {number} of {name} cannot be read: {error}") from error


def stack(found: Iterable[tuple[Tensor, bool]], count: int, what: str) -> Tensor:
    """Returns [N, C, H, W] from N pairs (tensor [C, H, W], True if it was a PIL image).

    Grey PIL images among coloured ones get three equal channels: photograph data sets often hold a few grey images.
    """
    images = torch.empty(0)
    grey = False  # True while all images so far were grey PIL images
    for number, (image, from_pil) in enumerate(found):
        if number == 0:  # the first image sets the shape and dtype of the result
            check_memory(count, tuple(image.shape), image.element_size())
            images, grey = image.new_empty((count, *image.shape)), from_pil and len(image) == 1
        elif from_pil and images.shape[1] == 3 and len(image) == 1:
            image = image.expand(3, -1, -1)
        elif from_pil and grey and len(image) == 3:
            images, grey = images.repeat(1, 3, 1, 1), False  # the first coloured image makes the earlier ones RGB
        if image.shape != images.shape[1:] or image.dtype != images.dtype:
            raise DataError(
                f"all images must be alike: image 0 of {what} is {list(images.shape[1:])} {images.dtype}, "
                f"image {number} is {list(image.shape)} {image.dtype}; resize them (from_folder has size=..., "
                "a data set takes a Resize in its transform)"
            )
        images[number] = image
    return images
