"""Networks of NASNet cells (Zoph et al. 2018, https://arxiv.org/abs/1707.07012, Sec. 3.1).

A block picks two states and an operation for either, and combines the results by their sum or their concatenation; the
states are the outputs of the two cells before, and the earlier blocks. The output of the cell is the concatenation of
all blocks that no other block reads. Cells are stacked as in DARTS (`darts.py`), two of them reduction cells.

Differences from the paper: a concatenation goes through a 1 x 1 convolution back to the width of the cell (there, each
operation on it brings its own); the stack is DARTS's, where the reduction cells stand at 1/3 and 2/3 of the depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from naslab.networks import sizes
from naslab.networks.darts import CellPlan, Classifier, Preprocess, Stem, plan, reductions
from naslab.networks.heads import Outputs
from naslab.operations.images import ReLUConvBN
from naslab.operations.nasnet import NASNET_OPERATIONS

COMBINATIONS = ("add", "concat")


class Block(NamedTuple):
    """Two states (0 and 1: the cells before, 2: the first block), an operation on each, and how to combine them."""

    inputs: tuple[int, int]
    operations: tuple[str, str]
    combination: str


def unused_states(blocks: Sequence[Block]) -> list[int]:
    """Returns the states of blocks that no other block reads. They are the output of the cell, and never empty."""
    read = {source for block in blocks for source in block.inputs}
    return [state for state in range(2, 2 + len(blocks)) if state not in read]


class Cell(nn.Module):
    """One cell: outputs of the two cells before -> concatenation of the unused states [B, C, H, W]."""

    def __init__(self, blocks: Sequence[Block], cell: CellPlan) -> None:
        super().__init__()
        self.preprocess = Preprocess(cell, affine=True)
        self.blocks = tuple(blocks)
        self.output = unused_states(blocks)
        self.operations = nn.ModuleList(
            NASNET_OPERATIONS[operation](cell.channels, 2 if cell.reduction and source < 2 else 1, True)
            for block in blocks
            for source, operation in zip(block.inputs, block.operations, strict=True)
        )
        self.narrowing = nn.ModuleDict(
            {
                str(number): ReLUConvBN(2 * cell.channels, cell.channels, 1)
                for number, block in enumerate(blocks)
                if block.combination == "concat"
            }
        )

    def forward(self, before_last: Tensor, last: Tensor) -> Tensor:
        states = self.preprocess(before_last, last)
        operations = iter(self.operations)
        for number, block in enumerate(self.blocks):
            first, second = (next(operations)(states[source]) for source in block.inputs)
            if block.combination == "add":
                states.append(first + second)
            else:
                states.append(self.narrowing[str(number)](torch.cat([first, second], dim=1)))
        return torch.cat([states[state] for state in self.output], dim=1)


class NASNetNetwork(nn.Module):
    """A stand-alone network.

    Args:
        blocks: blocks of the "normal" and of the "reduce" cell.
        input_shape: (C, H, W) of the images.
        classes: number of classes, or the heads of a task (`naslab.networks.heads`).
        channels: channels of the blocks of the first cells; doubled by each reduction cell.
        cells: number of cells.
    """

    def __init__(
        self,
        blocks: dict[str, Sequence[Block]],
        input_shape: tuple[int, ...],
        classes: Outputs,
        *,
        channels: int,
        cells: int,
    ) -> None:
        super().__init__()
        for name, value in (("channels", channels), ("cells", cells)):
            sizes.positive(name, value)
        image_channels, _, _ = sizes.image(input_shape, len(reductions(cells)))
        self.stem = Stem(image_channels, channels)
        out = {part: len(unused_states(blocks[part])) for part in blocks}
        plans = list(plan(channels, cells, out))
        self.cells = nn.ModuleList(Cell(blocks[cell.part], cell) for cell in plans)
        self.classifier = Classifier(out[plans[-1].part] * plans[-1].channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Returns logits [B, classes] for images [B, C, H, W]."""
        before_last = last = self.stem(x)
        for cell in self.cells:
            before_last, last = last, cell(before_last, last)
        return self.classifier(last)
