"""The network that DARTS evaluates its cells in (Liu et al. 2019, https://arxiv.org/abs/1806.09055, Sec. 3.1.2, A.2).

    stem; a stack of `cells` cells, each reading the outputs of the two before it; the cells at 1/3 and 2/3 of the depth
    are reduction cells, which halve the image and double the channels; global average; linear

There are two stems: one 3 x 3 convolution for small images (the paper's network for CIFAR-10), and three of stride 2,
which leave 28 x 28 pixels of 224 x 224 (its network for ImageNet, Sec. A.3: 48 channels, 14 cells).

Differences from the published networks: images of any number of channels and any size (the auxiliary heads, published
for 32 x 32 and 224 x 224, size their pooling so that 2 x 2 pixels are left; at those sizes they are as published). The
574 million multiply-adds that the paper states for its second cell on ImageNet are more than the convolutions and the
linear layer have, 530 million; it does not say what else it counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from naslab.errors import SpecError
from naslab.networks import sizes
from naslab.networks.genotype import GENOTYPE_OPERATIONS, Genotype
from naslab.networks.heads import Outputs, head_for
from naslab.networks.mixture import total
from naslab.operations.images import FactorizedReduce, ReLUConvBN
from naslab.operations.norms import BatchNorm2d

STEM_MULTIPLIER = 3
"""Channels of the stem's output in units of the cells' channels, as in the authors' code."""
STEMS = {"cifar": 0, "imagenet": 3}
"""Name of a stem -> number of times that it halves the image."""


@dataclass(frozen=True)
class CellPlan:
    """Position of a cell in the stack, and the sizes that follow from it."""

    channels_before_last: int
    """Channels of the first input, the output of the cell before the last one (at the beginning: of the stem)."""
    channels_last: int
    """Channels of the second input, the output of the last cell (at the beginning: of the stem)."""
    channels: int
    """Channels of each node inside the cell."""
    reduction: bool
    """True if the cell halves the image."""
    after_reduction: bool
    """True if the last cell halved the image, so that the first input is twice as large as the second."""

    @property
    def part(self) -> str:
        """The cell of the genotype that is built here, "normal" or "reduce"."""
        return "reduce" if self.reduction else "normal"


def reductions(cells: int) -> tuple[int, ...]:
    """Returns the positions of the reduction cells, at 1/3 and 2/3 of the depth; they coincide for a single cell."""
    return tuple(sorted({cells // 3, 2 * cells // 3}))


def plan(channels: int, cells: int, nodes_out: dict[str, int], stem: str = "cifar") -> Iterator[CellPlan]:
    """Yields the plan of each cell of the stack, first to last.

    Args:
        channels: channels of the nodes of the first cells; doubled at each reduction.
        cells: number of cells.
        nodes_out: part -> number of nodes that a cell of that part concatenates.
        stem: "cifar", or "imagenet", whose second output is half as large as its first.
    """
    before_last = last = channels if stem == "imagenet" else STEM_MULTIPLIER * channels
    after_reduction = stem == "imagenet"
    for position in range(cells):
        reduction = position in reductions(cells)
        channels *= 2 if reduction else 1
        cell = CellPlan(before_last, last, channels, reduction, after_reduction)
        yield cell
        before_last, last, after_reduction = last, nodes_out[cell.part] * channels, reduction


class Stem(nn.Sequential):
    """[B, channels_in, H, W] -> [B, 3 channels, H, W]."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__(
            nn.Conv2d(channels_in, STEM_MULTIPLIER * channels, 3, padding=1, bias=False),
            BatchNorm2d(STEM_MULTIPLIER * channels),
        )


class ImageNetStem(nn.Module):
    """[B, channels_in, H, W] -> [B, channels, ceil(H / 4), ceil(W / 4)] and [B, channels, ceil(H / 8), ceil(W / 8)]."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        half = max(1, channels // 2)
        self.quarter = nn.Sequential(
            nn.Conv2d(channels_in, half, 3, stride=2, padding=1, bias=False),
            BatchNorm2d(half),
            nn.ReLU(),
            nn.Conv2d(half, channels, 3, stride=2, padding=1, bias=False),
            BatchNorm2d(channels),
        )
        self.eighth = ReLUConvBN(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.quarter(x)
        return x, self.eighth(x)


class Preprocess(nn.Module):
    """Converts the two inputs of a cell to its number of channels, and the first to the image size of the second."""

    def __init__(self, cell: CellPlan, affine: bool) -> None:
        super().__init__()
        self.before_last = (
            FactorizedReduce(cell.channels_before_last, cell.channels, affine)
            if cell.after_reduction
            else ReLUConvBN(cell.channels_before_last, cell.channels, 1, affine=affine)
        )
        self.last = ReLUConvBN(cell.channels_last, cell.channels, 1, affine=affine)

    def forward(self, before_last: Tensor, last: Tensor) -> list[Tensor]:
        return [self.before_last(before_last), self.last(last)]


class Classifier(nn.Sequential):
    """[B, channels, H, W] -> logits [B, classes]."""

    def __init__(self, channels: int, classes: Outputs) -> None:
        super().__init__(nn.AdaptiveAvgPool2d(1), nn.Flatten(), head_for(channels, classes))


def drop_path(x: Tensor, probability: float | Tensor) -> Tensor:
    """Returns x [B, C, H, W] with whole images zeroed with this probability, and the others scaled by 1 / (1 - p)
    (Larsson et al. 2017, https://arxiv.org/abs/1605.07648).

    Args:
        x: the output of an operation.
        probability: p. A tensor [] in compiled code, where a number would be a constant of the graph.
    """
    keep = 1 - probability
    mask = torch.empty(x.shape[0], 1, 1, 1, dtype=x.dtype, device=x.device)
    mask = (torch.rand_like(mask) < keep).to(x.dtype) if isinstance(keep, Tensor) else mask.bernoulli_(keep)
    return x * mask / keep


class Cell(nn.Module):
    """One cell of a genotype."""

    def __init__(self, genotype: Genotype, cell: CellPlan) -> None:
        super().__init__()
        self.preprocess = Preprocess(cell, affine=True)
        nodes = genotype.nodes(cell.part)
        self.sources = [[source for _, source in node] for node in nodes]
        self.concat = getattr(genotype, f"{cell.part}_concat")
        self.operations = nn.ModuleList(
            GENOTYPE_OPERATIONS[operation](cell.channels, 2 if cell.reduction and source < 2 else 1, True)
            for node in nodes
            for operation, source in node
        )

    def forward(self, before_last: Tensor, last: Tensor, drop_path_probability: float | Tensor | None) -> Tensor:
        """Returns the output [B, C, H, W] of the cell; drop path is off in evaluation mode and if the probability is
        None."""
        states = self.preprocess(before_last, last)
        operations = iter(self.operations)
        for sources in self.sources:
            outputs = []
            for source in sources:
                operation = next(operations)
                output = operation(states[source])
                if self.training and drop_path_probability is not None and not isinstance(operation, nn.Identity):
                    output = drop_path(output, drop_path_probability)
                outputs.append(output)
            states.append(total(outputs))
        return torch.cat([states[i] for i in self.concat], dim=1)


class AuxiliaryHead(nn.Sequential):
    """A second classifier two thirds up the network, for training only.

    Reads [B, channels, H, W] with H and W at least 2. The published head of the CIFAR-10 network is for 8 x 8 (windows
    of 5, stride 3, which leaves 2 x 2), that of the ImageNet network for 7 x 7 (windows of 5, stride 2, and no second
    batch normalisation: the authors forgot it and kept it so for consistency). Other sizes have a window and a stride
    that also leave 2 x 2.
    """

    def __init__(self, channels: int, classes: Outputs, height: int, width: int, stem: str = "cifar") -> None:
        if min(height, width) < 2:
            raise SpecError(
                f"the auxiliary head needs 2 x 2 pixels or more after the second reduction, not {height} x {width}; "
                "use larger images or auxiliary=False"
            )
        largest = 2 if stem == "imagenet" else 3
        stride = (min(largest, height - 1), min(largest, width - 1))
        window = (height - stride[0], width - stride[1])  # two windows along each axis
        super().__init__(
            nn.ReLU(),
            nn.AvgPool2d(window, stride, count_include_pad=False),
            nn.Conv2d(channels, 128, 1, bias=False),
            BatchNorm2d(128),
            nn.ReLU(),
            nn.Conv2d(128, 768, 2, bias=False),
            nn.Identity() if stem == "imagenet" else BatchNorm2d(768),
            nn.ReLU(),
            nn.Flatten(),
            head_for(768, classes),
        )


class DartsNetwork(nn.Module):
    """A network of the cells of a genotype, to be trained on its own.

    Args:
        genotype: the normal and the reduction cell.
        input_shape: (C, H, W) of the images.
        classes: number of classes; or the heads of a task (`naslab.networks.heads`).
        channels: channels of the nodes of the first cells (36 in the paper; 48 on ImageNet).
        cells: number of cells (20 in the paper; 14 on ImageNet).
        stem: "cifar", one convolution, or "imagenet", three of stride 2 for images of about 224 x 224 pixels.
        auxiliary: add the auxiliary head; in training, and only then, `forward` returns a pair.
        drop_path: initial value of `drop_path_probability`.
    """

    _drop_path: Tensor

    def __init__(
        self,
        genotype: Genotype,
        input_shape: tuple[int, ...],
        classes: Outputs,
        *,
        channels: int,
        cells: int,
        stem: str = "cifar",
        auxiliary: bool = False,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        sizes.one_of("stem", stem, STEMS)
        sizes.positive("channels", channels)
        sizes.positive("cells", cells)
        reduced = reductions(cells)
        channels_in, height, width = sizes.image(input_shape, STEMS[stem] + len(reduced))
        self.genotype = genotype
        self.register_buffer("_drop_path", torch.zeros(()), persistent=False)
        self._drops_paths = False
        self.drop_path_probability = sizes.probability("drop_path", drop_path)
        self.stem = ImageNetStem(channels_in, channels) if stem == "imagenet" else Stem(channels_in, channels)
        nodes_out = {"normal": len(genotype.normal_concat), "reduce": len(genotype.reduce_concat)}
        plans = list(plan(channels, cells, nodes_out, stem))
        self.cells = nn.ModuleList(Cell(genotype, cell) for cell in plans)
        self.auxiliary_position = reduced[-1]
        self.auxiliary_head = None
        if auxiliary:
            halved = 2 ** (STEMS[stem] + len(reduced))
            self.auxiliary_head = AuxiliaryHead(
                nodes_out["reduce"] * plans[reduced[-1]].channels,
                classes,
                -(-height // halved),
                -(-width // halved),
                stem,
            )
        self.classifier = Classifier(nodes_out[plans[-1].part] * plans[-1].channels, classes)

    @property
    def drop_path_probability(self) -> float:
        """Probability that the output of an operation other than the identity is dropped in training; the paper raises
        it linearly from 0 to 0.2 over the epochs. May be set at any time."""
        return self._drop_path_probability

    @drop_path_probability.setter
    def drop_path_probability(self, probability: float) -> None:
        self._drop_path_probability = probability
        # Compiled code reads the buffer, so that a schedule changes a number and not the graph; and once it has had a
        # probability above 0, it draws masks also at 0, which drop nothing.
        self._drop_path.fill_(probability)
        self._drops_paths = self._drops_paths or probability > 0

    def _dropping(self) -> float | Tensor | None:
        """Returns the probability for the cells, a tensor [] in compiled code; None for no drop path."""
        if torch.compiler.is_compiling():
            return self._drop_path if self._drops_paths else None
        return self.drop_path_probability if self.drop_path_probability > 0 else None

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Returns logits [B, classes] of images [B, C, H, W]; in training with an auxiliary head, the pair of them and
        the auxiliary logits."""
        auxiliary_logits, dropping = None, self._dropping()
        before_last, last = states if isinstance(states := self.stem(x), tuple) else (states, states)
        for position, cell in enumerate(self.cells):
            before_last, last = last, cell(before_last, last, dropping)
            if self.training and self.auxiliary_head is not None and position == self.auxiliary_position:
                auxiliary_logits = self.auxiliary_head(last)
        logits = self.classifier(last)
        return logits if auxiliary_logits is None else (logits, auxiliary_logits)
