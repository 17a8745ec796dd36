"""Random crops, flips and cutout, on whole batches of tensors at once.

An image is first cropped at random after padding with black, then mirrored with probability 1/2, then normalised, and
then loses a square region (cutout, DeVries & Taylor 2017, https://arxiv.org/abs/1708.04552). The removed pixels are 0
after normalisation, which is the mean colour. DARTS and its successors call this the standard augmentation.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from naslab.errors import SpecError, whole
from naslab.fields import settle


@dataclass(frozen=True)
class Draws:
    """Random numbers drawn for a batch of B images; None for a transform that is off."""

    corner: Tensor | None
    """[B, 2] int64: row and column of the crop's upper left corner in the padded image."""
    mirrored: Tensor | None
    """[B] bool: True where the image is mirrored, left to right."""
    hole: Tensor | None
    """[B, 2] int64: row and column of the centre of the cutout square."""

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The random numbers that were drawn, by name."""
        return {field.name: drawn for field in fields(self) if (drawn := getattr(self, field.name)) is not None}

    def rows(self, which: slice) -> Draws:
        """Returns the draws of a slice of the images."""
        return Draws(
            *(None if (drawn := getattr(self, field.name)) is None else drawn[which] for field in fields(self))
        )


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Random transforms of the training images of a task."""

    padding: int = 0
    """Black pixels added on each side before a random crop of the original size; 0: no crop. Usual on CIFAR: 4."""
    flip: bool = False
    """True: each image is mirrored left to right with probability 1/2. Unsuitable for digits or text."""
    cutout: int = 0
    """Side of the cutout square, in pixels; 0: no cutout. DARTS retrains with 16 on CIFAR."""

    def __post_init__(self) -> None:
        settle(self)
        for name in ("padding", "cutout"):
            object.__setattr__(self, name, whole(name, getattr(self, name)))
        if not isinstance(self.flip, bool):
            raise SpecError(f"flip is True or False, not {self.flip!r}")

    def draw(self, count: int, height: int, width: int, generator: torch.Generator) -> Draws:
        """Draws the random numbers for `count` images of height x width pixels."""
        size = torch.tensor([height, width])
        return Draws(
            torch.randint(2 * self.padding + 1, (count, 2), generator=generator) if self.padding else None,
            torch.rand(count, generator=generator) < 0.5 if self.flip else None,
            (torch.rand(count, 2, generator=generator) * size).long() if self.cutout else None,
        )

    def move(self, images: Tensor, draws: Draws) -> Tensor:
        """Crops and mirrors images [B, C, H, W] of any dtype, in which 0 is black; keeps shape and dtype."""
        B, C, H, W = images.shape
        # Source row and column of every output pixel, so that one gather does the crop and the mirror image.
        rows = torch.arange(H, device=images.device).expand(B, H)
        columns = torch.arange(W, device=images.device).expand(B, W)
        if draws.mirrored is not None:
            columns = torch.where(draws.mirrored.to(images.device)[:, None], columns.flip(1), columns)
        if draws.corner is not None:
            corner = draws.corner.to(images.device)
            rows, columns = rows + corner[:, :1], columns + corner[:, 1:]
            images = F.pad(images, (self.padding,) * 4)
        elif draws.mirrored is None:
            return images
        where = rows[:, :, None] * images.shape[3] + columns[:, None, :]  # [B, H, W], flat indices
        return images.flatten(2).gather(2, where.view(B, 1, H * W).expand(B, C, H * W)).view(B, C, H, W)

    def cut(self, images: Tensor, draws: Draws) -> Tensor:
        """Sets the cutout squares of normalised images [B, C, H, W] to 0; a square may reach over the edge."""
        if draws.hole is None:
            return images
        hole = draws.hole.to(images.device)
        first = hole - self.cutout // 2  # [B, 2], upper left corner of the square
        row, column = (torch.arange(n, device=images.device) for n in images.shape[2:])
        in_rows = (row >= first[:, :1]) & (row < first[:, :1] + self.cutout)  # [B, H]
        in_columns = (column >= first[:, 1:]) & (column < first[:, 1:] + self.cutout)  # [B, W]
        return images * ~(in_rows[:, :, None] & in_columns[:, None, :])[:, None]
