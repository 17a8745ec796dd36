"""Random crops, flips and cutout, on whole batches of tensors at once.

A picture is first moved (a random crop after padding with black, then a mirror image or not), then normalised, and
then a square of it is cut out (DeVries & Taylor 2017, https://arxiv.org/abs/1708.04552). The pixels that are cut out
are 0 after normalisation, which is the mean colour. This is what DARTS and its successors call the standard
augmentation.
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
    """What was drawn for a batch; None for what the augmentation does not do."""

    corner: Tensor | None
    """[B, 2] int64: row and column, in the padded picture, of the crop's upper left corner."""
    mirrored: Tensor | None
    """[B] bool."""
    hole: Tensor | None
    """[B, 2] int64: row and column of the centre of the square that is cut out."""

    def rows(self, which: slice) -> Draws:
        """The draws of some of the pictures."""
        return Draws(
            *(None if (drawn := getattr(self, field.name)) is None else drawn[which] for field in fields(self))
        )


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What is done at random to the training images of a task."""

    padding: int = 0
    """Pixels of black around the picture before a crop of the original size; 0: no crop. CIFAR's usual 4."""
    flip: bool = False
    """Whether half of the pictures are mirrored, left to right. Not for digits or text."""
    cutout: int = 0
    """Side of the square that is cut out, in pixels; 0: none. DARTS retrains with 16 on CIFAR."""

    def __post_init__(self) -> None:
        settle(self)
        for name in ("padding", "cutout"):
            object.__setattr__(self, name, whole(name, getattr(self, name)))
        if not isinstance(self.flip, bool):
            raise SpecError(f"flip is True or False, not {self.flip!r}")

    def draw(self, count: int, height: int, width: int, generator: torch.Generator) -> Draws:
        """Draw for `count` pictures of height x width."""
        size = torch.tensor([height, width])
        return Draws(
            torch.randint(2 * self.padding + 1, (count, 2), generator=generator) if self.padding else None,
            torch.rand(count, generator=generator) < 0.5 if self.flip else None,
            (torch.rand(count, 2, generator=generator) * size).long() if self.cutout else None,
        )

    def move(self, images: Tensor, draws: Draws) -> Tensor:
        """Crop and mirror: [B, C, H, W] of any dtype, 0 being black -> the same shape and dtype."""
        B, C, H, W = images.shape
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
        where = rows[:, :, None] * images.shape[3] + columns[:, None, :]  # [B, H, W], places in a flattened channel
        return images.flatten(2).gather(2, where.view(B, 1, H * W).expand(B, C, H * W)).view(B, C, H, W)

    def cut(self, images: Tensor, draws: Draws) -> Tensor:
        """Cut the holes out of normalised images [B, C, H, W]; a hole may reach over the edge."""
        if draws.hole is None:
            return images
        hole = draws.hole.to(images.device)
        first = hole - self.cutout // 2  # [B, 2]
        row, column = (torch.arange(n, device=images.device) for n in images.shape[2:])
        in_rows = (row >= first[:, :1]) & (row < first[:, :1] + self.cutout)  # [B, H]
        in_columns = (column >= first[:, 1:]) & (column < first[:, 1:] + self.cutout)  # [B, W]
        return images * ~(in_rows[:, :, None] & in_columns[:, None, :])[:, None]
