"""The network of NAS-Bench-101 (Ying et al. 2019, https://arxiv.org/abs/1902.09635, Sec. 2.3).

    3 x 3 convolution to C channels; N cells at C; max-pooling of stride 2; N cells at 2C; max-pooling; N cells at 4C;
    average over the image, linear.

A cell is a graph whose vertices are operations. A vertex reads the sum of its predecessors, the output vertex their
concatenation; whatever comes from the input goes through a 1 x 1 convolution first, and where the input leads to the
output it is added to the concatenation. Every convolution is followed by batch normalisation and ReLU.

Differences from the published network: normalisation forgets with torch's momentum 0.1 (0.003 there), as is right for
short trainings; images of odd size are halved upwards (as TensorFlow does).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from naslab.errors import SpecError
from naslab.networks import sizes
from naslab.networks.heads import Outputs, head_for
from naslab.networks.mixture import total
from naslab.operations.norms import BatchNorm2d

STAGES = 3


class ConvBNReLU(nn.Sequential):
    """A k x k convolution without bias, batch normalisation, ReLU."""

    def __init__(self, channels_in: int, channels: int, kernel: int) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels, kernel, padding=kernel // 2, bias=False),
            BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )


NASBENCH101_OPERATIONS = {
    "conv3x3-bn-relu": lambda channels: ConvBNReLU(channels, channels, 3),
    "conv1x1-bn-relu": lambda channels: ConvBNReLU(channels, channels, 1),
    "maxpool3x3": lambda channels: nn.MaxPool2d(3, stride=1, padding=1),
}
"""Channels -> the module, in the order in which the benchmark numbers the operations."""


def vertex_channels(channels_in: int, channels: int, matrix: np.ndarray) -> list[int]:
    """Channels of the output of each vertex of a cell, [V, V] of 0 and 1 above the diagonal, without loose ends.

    The vertices that the output concatenates share its channels, the first of them having one more where they do not
    divide evenly; any other vertex has as many channels as the widest vertex that reads it. This is the benchmark's
    rule.
    """
    vertices = len(matrix)
    widths = [channels_in, *[0] * (vertices - 2), channels]
    concatenated = [vertex for vertex in range(1, vertices - 1) if matrix[vertex, -1]]
    if concatenated and channels < len(concatenated):
        raise SpecError(
            f"{channels} channels cannot be shared by the {len(concatenated)} vertices before the output; "
            f"use channels={len(concatenated)} or more"
        )
    for position, vertex in enumerate(concatenated):
        share, rest = divmod(channels, len(concatenated))
        widths[vertex] = share + (position < rest)
    for vertex in range(vertices - 2, 0, -1):
        if not matrix[vertex, -1]:
            widths[vertex] = max(widths[target] for target in range(vertex + 1, vertices - 1) if matrix[vertex, target])
    return widths


class Cell(nn.Module):
    """One cell: [B, channels_in, H, W] -> [B, channels, H, W]; matrix and operations as of the network."""

    def __init__(self, matrix: np.ndarray, operations: Sequence[str], channels_in: int, channels: int) -> None:
        super().__init__()
        self.matrix = matrix
        self.widths = vertex_channels(channels_in, channels, matrix)
        last = len(matrix) - 1
        self.projections = nn.ModuleDict(
            {str(v): ConvBNReLU(channels_in, self.widths[v], 1) for v in range(1, last + 1) if matrix[0, v]}
        )
        self.operations = nn.ModuleList(
            NASBENCH101_OPERATIONS[name](width) for name, width in zip(operations, self.widths[1:last], strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        states, last = [x], len(self.matrix) - 1
        for vertex, operation in enumerate(self.operations, start=1):
            width = self.widths[vertex]  # a predecessor may be one channel wider, and loses its last
            earlier = [states[source][:, :width] for source in range(1, vertex) if self.matrix[source, vertex]]
            states.append(operation(total([*earlier, *self._projected(x, vertex)])))
        sources = [states[source] for source in range(1, last) if self.matrix[source, last]]
        return total([*([torch.cat(sources, dim=1)] if sources else []), *self._projected(x, last)])

    def _projected(self, x: Tensor, vertex: int) -> list[Tensor]:
        """What the vertex gets from the input of the cell: one tensor or none."""
        return [self.projections[str(vertex)](x)] if self.matrix[0, vertex] else []


class NASBench101Network(nn.Module):
    """A network of one cell, to be trained on its own.

    Args:
        matrix: [V, V] of 0 and 1 above the diagonal; vertex 0 is the input, the last one the output, none is loose.
        operations: of the vertices between them, one of `NASBENCH101_OPERATIONS` each.
        input_shape: (C, H, W) of the images.
        classes: how many; or the heads of a task (`naslab.networks.heads`).
        channels: of the first stage (128 in the paper).
        cells: of each of the three stages (3 in the paper).
    """

    def __init__(
        self,
        matrix: np.ndarray,
        operations: Sequence[str],
        input_shape: tuple[int, ...],
        classes: Outputs,
        *,
        channels: int,
        cells: int,
    ) -> None:
        super().__init__()
        for name, value in (("channels", channels), ("cells", cells)):
            sizes.positive(name, value)
        image_channels, _, _ = sizes.image(input_shape, STAGES - 1)
        layers: list[nn.Module] = [ConvBNReLU(image_channels, channels, 3)]
        width = channels
        for stage in range(STAGES):
            if stage > 0:
                layers.append(nn.MaxPool2d(2, stride=2, ceil_mode=True))
            for _ in range(cells):
                layers.append(Cell(matrix, operations, width, channels * 2**stage))
                width = channels * 2**stage
        self.layers = nn.Sequential(*layers)
        self.classifier = head_for(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, classes] of images [B, C, H, W]."""
        return self.classifier(self.layers(x).mean(dim=(2, 3)))
