"""Network morphism: a larger network that computes the same function (Chen et al. 2016, https://arxiv.org/abs/1511.05641;
Wei et al. 2016, https://arxiv.org/abs/1603.01670), and the networks that can be morphed.

    state 0 <- the image
    state l <- ReLU(batch norm(convolution([state l - 1 + projections of what is added,  what is concatenated])))
    logits  <- a linear map of the last state, averaged over the image

    deepen   a new layer is the identity: its kernel is 1 at the centre, and its batch norm undoes its own statistics
    widen    new channels have random weights, and whatever reads them multiplies them by 0
    add      the projection of a new skip is 0
    concat   the convolution multiplies the channels of a new skip by 0

The function is preserved to rounding in evaluation mode, where batch normalisation is a fixed affine map. In training
mode a new layer normalises by the mini-batch. Everything new can learn: in each product of two new factors one is 0 and
the other is not, so that the zero one has a gradient. (Chen et al. widen by copying channels and halving their outgoing
weights; copies have equal gradients and stay copies unless noise is added.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from naslab.networks import sizes
from naslab.networks.heads import Outputs, head_for

ADD, CONCAT = "add", "concat"


class Morphable(NamedTuple):
    """A convolution with batch normalisation and ReLU."""

    kernel: int
    """Height and width, odd."""
    channels: int
    stride: int
    skips: tuple[tuple[int, str], ...] = ()
    """(state, "add" or "concat"): layers before the one right before it; state l is the output of layer l."""


def inputs(layers: Sequence[Morphable], channels: int, place: int) -> dict[int, int]:
    """Returns the states that the convolution at this position reads, concatenated -> their number of channels."""
    widths = [channels, *(layer.channels for layer in layers)]
    return {state: widths[state] for state in (place, *(s for s, how in layers[place].skips if how == CONCAT))}


def weights(layers: Sequence[Morphable], channels: int, classes: int) -> int:
    """Returns the number of weights of the network."""
    widths = [channels, *(layer.channels for layer in layers)]
    count = (widths[-1] + 1) * classes
    for place, layer in enumerate(layers):
        count += sum(inputs(layers, channels, place).values()) * layer.channels * layer.kernel**2 + 2 * layer.channels
        count += sum(widths[place] * widths[state] for state, how in layer.skips if how == ADD)
    return count


class MorphableNetwork(nn.Module):
    """A network of such layers.

    Args:
        layers: first to last, at least one.
        input_shape: (C, H, W) of the images.
        classes: how many; or the heads of a task (`naslab.networks.heads`).
    """

    def __init__(self, layers: Sequence[Morphable], input_shape: tuple[int, ...], classes: Outputs) -> None:
        super().__init__()
        channels, _, _ = sizes.image(input_shape, reductions=0)
        self.plan, self.channels = tuple(layers), channels
        widths = [channels, *(layer.channels for layer in layers)]
        self.convolutions, self.norms, self.projections = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for place, layer in enumerate(layers):
            read = sum(inputs(layers, channels, place).values())
            self.convolutions.append(
                nn.Conv2d(read, layer.channels, layer.kernel, layer.stride, layer.kernel // 2, bias=False)
            )
            self.norms.append(nn.BatchNorm2d(layer.channels))
            added = [state for state, how in layer.skips if how == ADD]
            self.projections.append(
                nn.ModuleDict({str(s): nn.Conv2d(widths[s], widths[place], 1, bias=False) for s in added})
            )
        self.classifier = head_for(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, classes] of images [B, C, H, W]."""
        states = [x]
        for layer, convolution, norm, projections in zip(
            self.plan, self.convolutions, self.norms, self.projections, strict=True
        ):
            beside = [states[-1]]
            for state, how in layer.skips:
                brought = shrunk(states[state], beside[0])
                if how == ADD:
                    beside[0] = beside[0] + projections[str(state)](brought)  # type: ignore[index,operator]
                else:
                    beside.append(brought)
            states.append(norm(convolution(torch.cat(beside, dim=1))).relu())
        return self.classifier(states[-1].mean(dim=(2, 3)))


def shrunk(state: Tensor, other: Tensor) -> Tensor:
    """Returns the state, average-pooled to the size of the other one; both are [B, C, H, W]."""
    height, width = other.shape[2:]
    return state if state.shape[2:] == other.shape[2:] else F.adaptive_avg_pool2d(state, (height, width))


# --- morphing ---------------------------------------------------------------------------------------------


def embedding(parent: Sequence[Morphable], child: Sequence[Morphable]) -> tuple[int, ...] | None:
    """Returns the position in the child of each layer of the parent; None if no morphisms lead from parent to child.

    Of several embeddings the first is returned: all give the same function.
    """
    for places in combinations(range(len(child)), len(parent)):
        if _embeds(parent, child, places):
            return places
    return None


def _embeds(parent: Sequence[Morphable], child: Sequence[Morphable], places: Sequence[int]) -> bool:
    states = (0, *(place + 1 for place in places))
    for old, place in zip(parent, places, strict=True):
        new = child[place]
        kept = {(states[state], how) for state, how in old.skips}
        if (old.kernel, old.stride) != (new.kernel, new.stride) or old.channels > new.channels:
            return False
        if not kept <= set(new.skips):
            return False
    carried = carried_widths(parent, child, places, 0)
    return all(
        child[place].stride == 1 and place > 0 and child[place].channels >= carried[place]
        for place in range(len(child))
        if place not in places
    )


def carried_widths(
    parent: Sequence[Morphable], child: Sequence[Morphable], places: Sequence[int], channels: int
) -> list[int]:
    """Returns for each state of the child the number of its channels that the parent has; the others are new."""
    olds = dict(zip(places, parent, strict=True))
    widths = [channels]
    for place in range(len(child)):
        widths.append(olds[place].channels if place in olds else widths[-1])
    return widths


@torch.no_grad()
def morph(
    network: MorphableNetwork, parent: Sequence[Morphable], state: Mapping[str, Tensor], places: Sequence[int]
) -> None:
    """Set the weights of a child so that it computes the function of its parent.

    Args:
        network: the child, with random weights; those of new channels stay random.
        parent: the layers of the parent.
        state: the parent's `state_dict()`.
        places: the `embedding` of the parent in the child.
    """
    olds = {place: number for number, place in enumerate(places)}
    states = {place + 1: number + 1 for number, place in enumerate(places)} | {0: 0}
    carried = carried_widths(parent, network.plan, places, network.channels)
    for place, layer in enumerate(network.plan):
        convolution, norm = network.convolutions[place], network.norms[place]
        projections: nn.ModuleDict = network.projections[place]  # type: ignore[assignment]
        assert isinstance(convolution, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        number, width = olds.get(place), carried[place + 1]
        if number is None:
            _pass_on(convolution, norm, width)
        else:
            chain, *concatenated = _blocks(inputs(parent, network.channels, number))
            blocks = dict(concatenated)
            old = state[f"convolutions.{number}.weight"]
            for source, columns in _blocks(inputs(network.plan, network.channels, place)):
                before = chain[1] if source == place else blocks.get(states.get(source, -1))
                found = None if before is None else old[:, before]
                _put(convolution.weight[:, columns], width, found)
            for name, tensor in norm.state_dict().items():
                before = state[f"norms.{number}.{name}"]
                tensor[:width].copy_(before) if tensor.ndim else tensor.copy_(before)
        for source, how in layer.skips:
            if how == ADD:
                before = state.get(f"projections.{number}.{states.get(source)}.weight")
                projection: nn.Conv2d = projections[str(source)]  # type: ignore[assignment]
                _put(projection.weight, carried[place], before)
    for name, tensor in network.classifier.named_parameters():
        before = state[f"classifier.{name}"]
        if tensor.ndim == 2:
            _put(tensor, len(tensor), before)
        else:
            tensor.copy_(before)


def _blocks(read: Mapping[int, int]) -> Iterator[tuple[int, slice]]:
    """Yields (state, its slice of the input channels of the convolution) for each state that is read."""
    start = 0
    for state, width in read.items():
        yield state, slice(start, start + width)
        start += width


def _put(weight: Tensor, rows: int, found: Tensor | None) -> None:
    """Write the parent's weights [rows, fewer in, ...] into the first rows of weights [out, in, ...], with 0 behind."""
    weight[:rows] = 0
    if found is not None:
        weight[:rows, : found.shape[1]] = found


def _pass_on(convolution: nn.Conv2d, norm: nn.BatchNorm2d, width: int) -> None:
    """Make the first output channels equal to the input channels, in evaluation mode."""
    middle = convolution.kernel_size[0] // 2
    convolution.weight[:width] = 0
    channels = torch.arange(width)
    convolution.weight[channels, channels, middle, middle] = 1
    # scale and shift that cancel the normalisation by the running statistics
    norm.weight[:width] = torch.sqrt(norm.running_var[:width] + norm.eps)  # type: ignore[index]
    norm.bias[:width] = norm.running_mean[:width]  # type: ignore[index]
