"""Images with their labels, and the statistics of their channels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from naslab.errors import DataError


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images and their labels, checked on construction; `DataError` says what is wrong with them."""

    images: Tensor
    """[N, C, H, W] uint8, or float32 with black as 0 (usually in [0, 1])."""
    labels: Tensor
    """[N] int64: class numbers from 0."""

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
                f"the first is image {int(bad[0])}; remove or correct them"
            )
        if int(labels.min()) < 0:
            negative = torch.nonzero(labels < 0).flatten()
            raise DataError(
                f"labels count from 0; the smallest one is {int(labels.min())}, and {len(negative)} of {len(labels)} "
                f"are negative, the first is that of image {int(negative[0])}; leave out images without a label, or "
                "relabel them with y = np.unique(y, return_inverse=True)[1]"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Tensor) -> ImageSet:
        """Returns a copy of the examples at `indices`."""
        return ImageSet(self.images[indices].contiguous(), self.labels[indices])

    def shrunk(self, size: int) -> ImageSet:
        """Returns images [N, C, size, size], each pixel the mean of the pixels that it covers."""
        images = F.adaptive_avg_pool2d(self.images.float(), size)
        if self.images.dtype == torch.uint8:
            images = images.round().to(torch.uint8)
        return ImageSet(images, self.labels)


def mean_and_std(channel: Tensor) -> tuple[float, float]:
    """Returns the mean and standard deviation of all values of a channel.

    Computed on one thread, so that every machine gets the same numbers: bytes by exact integer sums, floats in float64.
    """
    if channel.dtype == torch.uint8:
        # With integers from a histogram: std = sqrt(n * sum(x^2) - sum(x)^2) / n, rounded only at the end.
        often = torch.bincount(channel.reshape(-1), minlength=256).tolist()
        count = sum(often)
        total = sum(n * value for value, n in enumerate(often))
        squares = sum(n * value * value for value, n in enumerate(often))
        return total / count, math.sqrt(count * squares - total * total) / count
    array = channel.numpy()
    return float(np.mean(array, dtype=np.float64)), float(np.std(array, dtype=np.float64))
