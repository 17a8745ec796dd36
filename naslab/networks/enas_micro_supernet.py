"""The shared weights of all ENAS micro networks (Pham et al. 2018, https://arxiv.org/abs/1802.03268, Sec. 2.2 and 2.4).

Every cell of the stack has its own weights. Each of the two sides of a node owns, for each state that it may read, both
separable convolutions with their normalisation; the 1 x 1 convolution at the end has a [C, C] piece for each state that
may be left unread. A child is a path: **only its operations and pieces are computed**, and only they get a gradient
(`None`, not zero, for all others). A child computes what `EnasMicroNetwork`, the child built alone, computes with the
same weights; `alone` builds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from naslab.errors import SpecError
from naslab.networks import sizes
from naslab.networks.darts import Stem, reductions
from naslab.networks.enas_micro import (
    MICRO_OPERATIONS,
    EnasMicroNetwork,
    Entrance,
    MicroCell,
    MicroPlan,
    operation,
    plan,
    unused_states,
)
from naslab.networks.heads import Outputs, fit_to, head_for
from naslab.networks.mixture import pixels_together
from naslab.operations.norms import BatchNorm2d


class Side(nn.ModuleList):
    """One of the two operations of a node in all its forms: state -> operation -> the module."""

    def __init__(self, states: int, channels: int) -> None:
        super().__init__(
            nn.ModuleDict({name: operation(name, channels) for name in MICRO_OPERATIONS}) for _ in range(states)
        )


class SharedCell(nn.Module):
    """One cell in all its forms, of so many nodes."""

    def __init__(self, nodes: int, at: MicroPlan) -> None:
        super().__init__()
        channels = at.channels
        self.entrance = Entrance(at)
        self.nodes = nn.ModuleList(
            nn.ModuleList(Side(2 + number, channels) for _ in range(2)) for number in range(nodes)
        )
        drawn = nn.Conv2d((2 + nodes) * channels, channels, 1, bias=False).weight.detach()
        self.pieces = nn.ParameterList(nn.Parameter(piece.clone()) for piece in drawn.split(channels, dim=1))
        """[C, C, 1, 1] each: of the states."""
        self.norm = BatchNorm2d(channels)

    def chosen(self, child: MicroCell) -> Iterator[tuple[nn.Module, int]]:
        """(operation, the state that it reads), twice a node."""
        for sides, node in zip(self.nodes, child, strict=True):
            for side, source, name in zip(sides, node.inputs, node.operations, strict=True):  # type: ignore[arg-type]
                yield side[source][name], source

    def merging(self, child: MicroCell) -> Tensor:
        """[C, U C, 1, 1], of the U states that are left unread."""
        return torch.cat([self.pieces[state] for state in unused_states(child)], dim=1)

    def forward(self, before_last: Tensor, last: Tensor, child: MicroCell) -> tuple[Tensor, Tensor]:
        """The two outputs that the next cell finds."""
        states, last = self.entrance(before_last, last)
        chosen = [(module, source) for module, source in self.chosen(child)]
        for (first, one), (second, other) in zip(chosen[::2], chosen[1::2], strict=True):
            states.append(first(states[one]) + second(states[other]))
        beside = torch.cat([states[state] for state in unused_states(child)], dim=1)
        return last, self.norm(F.conv2d(F.relu(beside), self.merging(child)))


class EnasMicroSupernet(nn.Module):
    """All networks of the micro space at once.

    Args:
        nodes: of a cell.
        cells: how many.
        input_shape: (C, H, W) of the images.
        classes: how many; or the heads of a task (`naslab.networks.heads`).
        channels: of the states of the first cells, doubled by each reduction.
    """

    def __init__(
        self, nodes: int, cells: int, input_shape: tuple[int, ...], classes: Outputs, *, channels: int
    ) -> None:
        super().__init__()
        image_channels, _, _ = sizes.image(input_shape, len(reductions(sizes.positive("cells", cells))))
        self._built = (input_shape, classes, sizes.positive("channels", channels))
        self.stem = Stem(image_channels, channels)
        plans = list(plan(channels, cells))
        self.cells = nn.ModuleList(SharedCell(sizes.positive("nodes", nodes), at) for at in plans)
        self.classifier = head_for(plans[-1].channels, classes)

    def forward(self, x: Tensor, child: Sequence[MicroCell]) -> Tensor:
        """Logits [B, classes] of images [B, C, H, W] by one child: its cells, first to last."""
        self._check(child)
        before_last = last = pixels_together(self.stem(x))
        for shared, nodes in zip(self.cells, child, strict=True):
            before_last, last = shared(before_last, last, nodes)
        return self.classifier(last.relu().mean(dim=(2, 3)))

    def alone(self, child: Sequence[MicroCell]) -> EnasMicroNetwork:
        """The child as a network of its own, with a copy of its part of the weights."""
        self._check(child)
        input_shape, classes, channels = self._built
        network = fit_to(EnasMicroNetwork(child, input_shape, classes, channels=channels), self.classifier)
        with torch.no_grad():
            for own, shared in zip(network.state_dict(keep_vars=True).values(), self._tensors_of(child), strict=True):
                own.copy_(shared)
        return network.train(self.training)

    def _tensors_of(self, child: Sequence[MicroCell]) -> Iterator[Tensor]:
        """The child's weights and statistics, in the order in which `EnasMicroNetwork` has them."""
        yield from _tensors(self.stem)
        for shared, nodes in zip(self.cells, child, strict=True):
            yield from _tensors(shared.entrance)  # type: ignore[arg-type]
            for module, _ in shared.chosen(nodes):  # type: ignore[operator]
                yield from _tensors(module)
            yield shared.merging(nodes)  # type: ignore[operator]
            yield from _tensors(shared.norm)  # type: ignore[arg-type]
        yield from _tensors(self.classifier)

    def _check(self, child: Sequence[MicroCell]) -> None:
        if len(child) != len(self.cells):
            raise SpecError(f"a child of these weights has {len(self.cells)} cells, not {len(child)}")


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    """Weights and statistics."""
    return iter(module.state_dict(keep_vars=True).values())
