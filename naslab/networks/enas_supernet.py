"""The shared weights of all ENAS macro networks (Pham et al. 2018, https://arxiv.org/abs/1802.03268, Sec. 2.2 and 2.3).

Every layer owns its six operations, and for each state that it may read a [C, C] piece of the 1 x 1 convolution that
merges its inputs; every state has its own reductions. A child is a path: **only its operations, pieces and reductions
are computed**, and only they get a gradient (`None`, not zero, for all others). A child computes what
`EnasMacroNetwork`, the child built alone, computes with the same weights; `alone` builds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from naslab.errors import SpecError
from naslab.networks import sizes
from naslab.networks.enas_macro import EnasMacroNetwork, Layer, reductions
from naslab.networks.heads import Outputs, fit_to, head_for
from naslab.networks.mixture import pixels_together
from naslab.operations.enas import ENAS_OPERATIONS
from naslab.operations.images import FactorizedReduce
from naslab.operations.norms import BatchNorm2d


class SharedLayer(nn.Module):
    """One layer in all its forms.

    Args:
        skips: states that may skip to it; 0 for the first layer, which merges nothing.
        channels: C.
    """

    def __init__(self, skips: int, channels: int, *, first: bool) -> None:
        super().__init__()
        self.operations = nn.ModuleDict({name: make(channels, channels) for name, make in ENAS_OPERATIONS.items()})
        self.merge = nn.ParameterList()
        """[C, C, 1, 1] each: of the states that may skip, and last of the operation."""
        self.norm = nn.Identity() if first else BatchNorm2d(channels)
        if not first:
            drawn = nn.Conv2d((1 + skips) * channels, channels, 1, bias=False).weight.detach()
            self.merge.extend(nn.Parameter(piece.clone()) for piece in drawn.split(channels, dim=1))

    def merging(self, skips: Sequence[int]) -> Tensor:
        """[C, (1 + skips) C, 1, 1]: of those states, and of the operation."""
        return torch.cat([*(self.merge[skip] for skip in skips), self.merge[-1]], dim=1)

    def forward(self, states: Sequence[Tensor], layer: Layer) -> Tensor:
        """The next state [B, C, H, W]."""
        operation, skips = layer
        found = self.operations[operation](states[-1])
        if not self.merge:
            return found
        beside = torch.cat([*(states[skip] for skip in skips), found], dim=1)
        return self.norm(F.conv2d(F.relu(beside), self.merging(skips)))


class EnasMacroSupernet(nn.Module):
    """All networks of the macro space at once.

    Args:
        layers: how many.
        input_shape: (C, H, W) of the images.
        classes: how many; or the heads of a task (`naslab.networks.heads`).
        channels: of the stem, doubled at each of two reductions.
    """

    def __init__(self, layers: int, input_shape: tuple[int, ...], classes: Outputs, *, channels: int) -> None:
        super().__init__()
        reduced = reductions(sizes.positive("layers", layers))
        image_channels, _, _ = sizes.image(input_shape, len(reduced))
        self._built = (input_shape, classes, sizes.positive("channels", channels))
        self.stem = nn.Sequential(nn.Conv2d(image_channels, channels, 3, padding=1, bias=False), BatchNorm2d(channels))
        self.layers = nn.ModuleList()
        self.reductions = nn.ModuleDict()
        for number in range(1, layers + 1):
            self.layers.append(SharedLayer(number - 1, channels, first=number == 1))
            if number in reduced:
                halves = (FactorizedReduce(channels, 2 * channels) for _ in range(number + 1))
                self.reductions[str(number)] = nn.ModuleList(halves)
                channels *= 2
        self.classifier = head_for(channels, classes)

    def forward(self, x: Tensor, child: Sequence[Layer]) -> Tensor:
        """Logits [B, classes] of images [B, C, H, W] by one child: its layers, first to last."""
        self._check(child)
        states = [pixels_together(self.stem(x))]
        dropped = x.new_empty(0)
        for number, (shared, layer) in enumerate(zip(self.layers, child, strict=True), start=1):
            states.append(shared(states, layer))
            if str(number) in self.reductions:
                halves, read = self.reductions[str(number)], _read_later(child, number)
                states = [
                    halves[source](state) if source in read else dropped  # type: ignore[index]
                    for source, state in enumerate(states)
                ]
        return self.classifier(states[-1].mean(dim=(2, 3)))

    def alone(self, child: Sequence[Layer]) -> EnasMacroNetwork:
        """The child as a network of its own, with a copy of its part of the weights."""
        self._check(child)
        input_shape, classes, channels = self._built
        network = fit_to(EnasMacroNetwork(child, input_shape, classes, channels=channels), self.classifier)
        with torch.no_grad():
            for (_, own), (_, shared) in zip(_tensors(network), self._tensors_of(child), strict=True):
                own.copy_(shared)
        return network.train(self.training)

    def _tensors_of(self, child: Sequence[Layer]) -> Iterator[tuple[str, Tensor]]:
        """The child's weights and statistics, in the order in which `EnasMacroNetwork` has them."""
        yield from _tensors(self.stem)
        for shared, (operation, skips) in zip(self.layers, child, strict=True):
            yield from _tensors(shared.operations[operation])  # type: ignore[index]
            if shared.merge:  # type: ignore[truthy-function]
                yield "merge", shared.merging(skips)  # type: ignore[operator]
                yield from _tensors(shared.norm)  # type: ignore[arg-type]
        for number, halves in self.reductions.items():
            for source in sorted(_read_later(child, int(number))):
                yield from _tensors(halves[source])  # type: ignore[index]
        yield from _tensors(self.classifier)

    def _check(self, child: Sequence[Layer]) -> None:
        if len(child) != len(self.layers):
            raise SpecError(f"a child of these weights has {len(self.layers)} layers, not {len(child)}")


def _read_later(child: Sequence[Layer], number: int) -> set[int]:
    """The states that are read after that layer: its own, and those that skip across it."""
    return {number, *(skip for _, skips in child[number:] for skip in skips if skip <= number)}


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Weights and statistics, by name."""
    return iter(module.state_dict(keep_vars=True).items())
