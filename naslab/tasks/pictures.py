"""One picture: from a file, from PIL, from an array, always to a tensor [C, H, W].

Pictures are turned as their EXIF data says, laid on white where they are transparent, and of 8 bits; a file is opened
only by readers of plain picture formats, and never if it has more pixels than PIL's limit.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from naslab.errors import DataError

SUFFIXES = (
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".png",
    ".ppm",
    ".pgm",
    ".pbm",
    ".bmp",
    ".tif",
    ".tiff",
    ".webp",
    ".gif",
    ".avif",
)
"""Endings of the names of picture files, in small letters."""
FORMATS = ("JPEG", "MPO", "PNG", "PPM", "BMP", "DIB", "TIFF", "WEBP", "GIF", "AVIF")
"""What is tried on a file, whatever its name ends in. EPS, which runs another program, is not among them."""
ORIENTATION = 0x0112
"""EXIF tag: how the stored rows and columns are to be shown."""


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[Any]:
    """The PIL image in a file, not yet decoded. More pixels than `PIL.Image.MAX_IMAGE_PIXELS` are an error."""
    from PIL import Image

    Image.init()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damaged EXIF data, say, which no viewer minds
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN]) as image:
            yield image


def shown_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """(H, W) of the picture in a file as it is to be shown, from its header."""
    with opened(path) as image:
        width, height = image.size
        # PIL turns TIFF itself, and says the size that it will have then
        turned = image.format != "TIFF" and _orientation(image) in (5, 6, 7, 8)
        return (width, height) if turned else (height, width)


def colours(path: str | os.PathLike[str]) -> Any:
    """The picture in a file as a PIL image of mode RGB; the first one of an animation."""
    with opened(path) as image:
        return eight_bits(upright(image)).convert("RGB")


def upright(image: Any) -> Any:
    """The PIL image as its EXIF data says that it is to be shown."""
    from PIL import Image

    image.load()  # TIFF is turned by this, and then says no orientation any more
    transposes = Image.Transpose
    turn = {
        2: transposes.FLIP_LEFT_RIGHT,
        3: transposes.ROTATE_180,
        4: transposes.FLIP_TOP_BOTTOM,
        5: transposes.TRANSPOSE,
        6: transposes.ROTATE_270,
        7: transposes.TRANSVERSE,
        8: transposes.ROTATE_90,
    }.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _orientation(image: Any) -> int:
    try:
        return image.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged EXIF data raises whatever it likes; viewers show the picture as it lies
        return 1


def eight_bits(image: Any) -> Any:
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


def is_pil(image: Any) -> bool:
    return hasattr(image, "convert") and hasattr(image, "mode")


def from_pil(image: Any) -> Tensor:
    """[C, H, W] uint8 from a PIL image of any mode, C being 1 or 3."""
    return pixels(eight_bits(upright(image)))


def pixels(image: Any) -> Tensor:
    """[C, H, W] uint8 from a PIL image of mode L or RGB, as it lies."""
    array = np.array(image)
    return torch.from_numpy(array[None] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1)))


def guess(shape: tuple[int, ...] | torch.Size) -> str | None:
    """ "CHW" or "HWC" for the shape of one picture, where that reading alone has height and width of at least twice
    its channels.
    """
    a, b, c = shape
    first, last = min(b, c) >= 2 * a, min(a, b) >= 2 * c
    return None if first == last else "CHW" if first else "HWC"
