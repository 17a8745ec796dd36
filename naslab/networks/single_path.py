"""Single-path supernets (Guo et al. 2020, https://arxiv.org/abs/1904.00420, Sec. 3.2): all candidates have weights, and
one path through them is computed.

The skeleton is that of the network built alone, with all candidates in the place of each operation. So a path computes
what that network computes, in the same time. Candidates that are not on the path keep their statistics and get no
gradient (`None`, not zero, so that an optimizer with momentum leaves them unchanged).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import TypeVar

import torch
from torch import Tensor, nn

from naslab.networks import sizes
from naslab.networks.darts import CellPlan, Classifier, DartsNetwork, Preprocess, Stem, plan, reductions
from naslab.networks.darts_supernet import row
from naslab.networks.genotype import Genotype
from naslab.networks.heads import Outputs
from naslab.networks.mixture import pixels_together, total
from naslab.networks.nasbench201 import EDGES, NODES, NASBench201Network, Skeleton
from naslab.operations.images import DARTS_OPERATIONS, NASBENCH201_OPERATIONS
from naslab.operations.layout import strided_pointwise

Network = TypeVar("Network", bound=nn.Module)
Entries = Mapping[str, Sequence[tuple[str, int]]]
"""Part -> (operation, input) twice a node, node after node."""


class Candidates(nn.ModuleDict):
    """The candidates for one place of a network, by name."""

    def forward(self, x: Tensor, chosen: str) -> Tensor:
        """What one of them computes."""
        return self[chosen](x)


@torch.no_grad()
def with_shared_weights(network: Network, shared: nn.Module, name_in_shared: Callable[[str], str]) -> Network:
    """Returns the network with a copy of its part of the shared weights and statistics, on their device, in their mode.

    Args:
        network: the network of one path, built alone.
        shared: the supernet.
        name_in_shared: name of a tensor in the network -> its name in the supernet.
    """
    state = shared.state_dict()
    mine = {name: state[name_in_shared(name)] for name in network.state_dict()}
    like = next(shared.parameters())
    network.to(like.device, like.dtype).load_state_dict(mine)
    return network.train(shared.training)


# --- NAS-Bench-201 -----------------------------------------------------------------------------------


class SinglePathCell(nn.Module):
    """A cell of NAS-Bench-201 with every candidate on every edge."""

    def __init__(self, operations: Sequence[str], channels: int) -> None:
        super().__init__()
        made = ({name: NASBENCH201_OPERATIONS[name](channels, 1, True) for name in operations} for _ in EDGES)
        self.operations = nn.ModuleList(map(Candidates, made))

    def forward(self, x: Tensor, path: Sequence[str]) -> Tensor:
        states, edges = [x], zip(self.operations, path, strict=True)
        for node in range(1, NODES):
            incoming = zip(states, islice(edges, node), strict=True)
            terms = [candidates(state, chosen) for state, (candidates, chosen) in incoming if chosen != "none"]
            states.append(total(terms) if terms else torch.zeros_like(x))
        return states[-1]


class SinglePathNASBench201(Skeleton):
    """All networks of NAS-Bench-201 at once; arguments as of `NASBench201Supernet`."""

    def __init__(
        self, operations: Sequence[str], input_shape: tuple[int, ...], classes: Outputs, *, channels: int, cells: int
    ) -> None:
        super().__init__(lambda width: SinglePathCell(operations, width), input_shape, classes, channels, cells)
        self._built = {"input_shape": input_shape, "classes": classes, "channels": channels, "cells": cells}

    def forward(self, x: Tensor, path: Sequence[str]) -> Tensor:
        """Logits [B, classes] of images [B, C, H, W] by one cell: an operation an edge, in the order of `EDGES`."""
        x = pixels_together(self.stem(x))
        for layer in self.layers:
            x = layer(x, path) if isinstance(layer, SinglePathCell) else layer(x)
        return self.classifier(x)

    def alone(self, path: Sequence[str]) -> NASBench201Network:
        """The network of a cell, with a copy of its weights."""

        def shared(name: str) -> str:
            return re.sub(r"(\.operations\.(\d+))", lambda found: f"{found[1]}.{path[int(found[2])]}", name)

        return with_shared_weights(NASBench201Network(path, **self._built), self, shared)


# --- DARTS -------------------------------------------------------------------------------------------


class SinglePathDartsCell(nn.Module):
    """A cell whose every node can read every state before it through every candidate."""

    def __init__(self, cell: CellPlan, nodes: int, operations: Sequence[str]) -> None:
        super().__init__()
        self.preprocess = Preprocess(cell, affine=True)
        self.edges = nn.ModuleList()
        for source in (source for node in range(nodes) for source in range(2 + node)):
            stride = 2 if cell.reduction and source < 2 else 1
            made = {name: DARTS_OPERATIONS[name](cell.channels, stride, True) for name in operations}
            self.edges.append(Candidates(made))

    def forward(self, before_last: Tensor, last: Tensor, entries: Sequence[tuple[str, int]]) -> Tensor:
        states = self.preprocess(before_last, last)
        found = []
        for position, (operation, source) in enumerate(entries):
            found.append(self.edges[row(position // 2, source)](states[source], operation))
            if position % 2:
                states.append(found[-2] + found[-1])
        return torch.cat(states[2:], dim=1)


class SinglePathDarts(nn.Module):
    """All networks of a DARTS space at once; arguments as of `DartsSupernet`."""

    def __init__(
        self,
        operations: Sequence[str],
        nodes: int,
        input_shape: tuple[int, ...],
        classes: Outputs,
        *,
        channels: int,
        cells: int,
    ) -> None:
        super().__init__()
        for name, value in (("nodes", nodes), ("channels", channels), ("cells", cells)):
            sizes.positive(name, value)
        channels_in, _, _ = sizes.image(input_shape, len(reductions(cells)))
        self._built = {"input_shape": input_shape, "classes": classes, "channels": channels, "cells": cells}
        self._concat = tuple(range(2, 2 + nodes))
        self.stem = Stem(channels_in, channels)
        plans = list(plan(channels, cells, {"normal": nodes, "reduce": nodes}))
        self.parts = [cell.part for cell in plans]
        self.cells = nn.ModuleList(SinglePathDartsCell(cell, nodes, operations) for cell in plans)
        self.classifier = Classifier(nodes * plans[-1].channels, classes)

    def forward(self, x: Tensor, path: Entries) -> Tensor:
        """Logits [B, classes] of images [B, C, H, W] by one normal and one reduction cell."""
        before_last = last = pixels_together(self.stem(x))
        for part, cell in zip(self.parts, self.cells, strict=True):
            before_last, last = last, cell(before_last, last, path[part])
        return self.classifier(last)

    def alone(self, path: Entries) -> DartsNetwork:
        """The network of two cells, with a copy of its weights."""
        genotype = Genotype(tuple(path["normal"]), self._concat, tuple(path["reduce"]), self._concat)

        def shared(name: str) -> str:
            found = re.match(r"cells\.(\d+)\.operations\.(\d+)(.*)", name)
            if found is None:
                return name
            cell, position = int(found[1]), int(found[2])
            operation, source = path[self.parts[cell]][position]
            return f"cells.{cell}.edges.{row(position // 2, source)}.{operation}{found[3]}"

        return with_shared_weights(DartsNetwork(genotype, **self._built), self, shared)


# --- chains ------------------------------------------------------------------------------------------


class SinglePathChain(nn.Module):
    """All networks of a chain at once.

    Args:
        stem: before the chain.
        chain: for each layer its candidates by name.
        head: after it.
        classifier: reads averages over the image.
        build: the names of one candidate a layer -> the network alone, whose parts have the names that they have here.
    """

    def __init__(
        self,
        stem: nn.Module,
        chain: Sequence[Mapping[str, nn.Module]],
        head: nn.Module,
        classifier: nn.Module,
        build: Callable[[Sequence[str]], nn.Module],
    ) -> None:
        super().__init__()
        self.stem, self.head, self.classifier, self._build = stem, head, classifier, build
        self.chain = nn.ModuleList(Candidates(dict(candidates)) for candidates in chain)
        self._together = not strided_pointwise(self)

    def forward(self, x: Tensor, path: Sequence[str]) -> Tensor:
        """Logits [B, classes] of images [B, C, H, W] by one candidate a layer."""
        x = self.stem(x)
        x = pixels_together(x) if self._together else x
        for candidates, chosen in zip(self.chain, path, strict=True):
            x = candidates(x, chosen)
        return self.classifier(self.head(x).mean(dim=(2, 3)))

    def alone(self, path: Sequence[str]) -> nn.Module:
        """The network of a path, with a copy of its weights."""

        def shared(name: str) -> str:
            return re.sub(r"^(chain\.(\d+))", lambda found: f"{found[1]}.{path[int(found[2])]}", name)

        return with_shared_weights(self._build(path), self, shared)
