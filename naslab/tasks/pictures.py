"""Single pictures, from files or PIL images to tensors [C, H, W].

Pictures are rotated by their EXIF data, composed over white where they are transparent, and reduced to 8 bits. Files
are opened by the decoders of `FORMATS` only, and refused if they have more pixels than PIL's limit.
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
"""File name extensions of pictures, in lower case."""
FORMATS = ("JPEG", "MPO", "PNG", "PPM", "BMP", "DIB", "TIFF", "WEBP", "GIF", "AVIF")
"""PIL decoders tried on a file, whatever its extension. EPS is left out, as its decoder runs another program."""
ORIENTATION = 0x0112
"""EXIF tag of the orientation, 1 to 8; 1: the stored rows and columns are shown as they are."""


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[Any]:
    """Opens a file as a PIL image, not yet decoded. More pixels than `PIL.Image.MAX_IMAGE_PIXELS` are an error."""
    from PIL import Image

    Image.init()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # damaged EXIF data, for example, which viewers ignore
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN]) as image:
            yield image


def shown_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Returns (H, W) of the picture in a file after its EXIF rotation, from the header alone."""
    with opened(path) as image:
        width, height = image.size
        # Orientations 5 to 8 swap height and width. PIL rotates TIFF itself and reports the rotated size.
        turned = image.format != "TIFF" and _orientation(image) in (5, 6, 7, 8)
        return (width, height) if turned else (height, width)


def colours(path: str | os.PathLike[str]) -> Any:
    """Returns the picture in a file as a PIL image of mode RGB; of an animation, the first frame."""
    with opened(path) as image:
        return eight_bits(upright(image)).convert("RGB")


def upright(image: Any) -> Any:
    """Returns the PIL image, rotated or mirrored as its EXIF orientation asks."""
    from PIL import Image

    image.load()  # this rotates TIFF and removes its orientation
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
    except Exception:  # damaged EXIF data raises many types; viewers then show the stored picture
        return 1


def eight_bits(image: Any) -> Any:
    """Converts a PIL image to mode L or RGB; transparent parts are composed over white, as in a browser."""
    from PIL import Image

    if image.mode.startswith("I;16"):  # PIL's own conversion clips at 255; 65535 / 257 = 255
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
    """True for a PIL image, by its attributes, so that PIL need not be imported."""
    return hasattr(image, "convert") and hasattr(image, "mode")


def from_pil(image: Any) -> Tensor:
    """Returns [C, H, W] uint8 from a PIL image of any mode; C is 1 or 3."""
    return pixels(eight_bits(upright(image)))


def pixels(image: Any) -> Tensor:
    """Returns [C, H, W] uint8 from a PIL image of mode L or RGB, without rotation."""
    array = np.array(image)
    return torch.from_numpy(array[None] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1)))


def guess(shape: tuple[int, ...] | torch.Size) -> str | None:
    """Returns the layout of one picture's shape, "CHW" or "HWC", or None if the shape does not decide.

    A layout is possible if height and width are at least twice the channels; exactly one must be possible.
    """
    a, b, c = shape
    first, last = min(b, c) >= 2 * a, min(a, b) >= 2 * c
    return None if first == last else "CHW" if first else "HWC"
