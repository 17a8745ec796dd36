"""Networks of hierarchical motifs (Liu et al. 2018, https://arxiv.org/abs/1711.00436, Sec. 2).

A motif is a graph whose first node is its input and whose last is its output; a node merges the outputs of its incoming
edges. The edges of the motifs of level 2 are primitive operations; those of the cell, the only motif of level 3, are
motifs of level 2. Each occurrence of a motif has separate weights.

    3 x 3 convolution; N cells at C channels, N at 2C, N at 4C, a 3 x 3 separable convolution after each cell, at
    the end of the first two groups with stride 2 and twice the channels; average over the image, linear

That is the template of the paper's Fig. 2 as NASLib (https://github.com/automl/NASLib, search_spaces/hierarchical)
builds it: C = 16 and N = 1 for the search, C = 64 and N = 2 for the final network.

Differences from the paper: it merges by concatenation, however wide the result; here, nodes keep the width,
either by a 1 x 1 convolution behind the concatenation (which the paper calls the general case) or as a sum. Edges that
are on no path from input to output are left out; a motif without such a path returns zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from naslab.networks import sizes
from naslab.networks.heads import Outputs, head_for
from naslab.networks.mixture import total
from naslab.operations.hierarchical import PRIMITIVES, Convolution, depthwise, pointwise

Edges = Mapping[tuple[int, int], str]
"""(source, target) -> operation or motif on that edge; absent edges are missing."""
MERGES = ("concat", "sum")
GROUPS = 3


def edges_on_paths(edges: Edges, nodes: int) -> dict[tuple[int, int], str]:
    """Returns the edges that lie on a path from node 0 to the last node."""
    forward, backward = {0}, {nodes - 1}
    for source, target in sorted(edges, key=lambda edge: edge[1]):
        if source in forward:
            forward.add(target)
    for source, target in sorted(edges, key=lambda edge: -edge[0]):
        if target in backward:
            backward.add(source)
    return {edge: op for edge, op in edges.items() if edge[0] in forward and edge[1] in backward}


class Motif(nn.Module):
    """A graph of operations, [B, C, H, W] -> [B, C, H, W]; all its edges lie on a path from input to output."""

    def __init__(self, edges: Edges, operation: Callable[[str], nn.Module], channels: int, merge: str) -> None:
        super().__init__()
        self.incoming: dict[int, list[int]] = {}
        for source, target in sorted(edges):
            self.incoming.setdefault(target, []).append(source)
        self.operations = nn.ModuleDict(
            {f"{source}_{target}": operation(name) for (source, target), name in sorted(edges.items())}
        )
        self.merges = nn.ModuleDict(
            {
                str(node): Convolution(pointwise(len(sources) * channels, channels))
                for node, sources in self.incoming.items()
                if merge == "concat" and len(sources) > 1
            }
        )

    def forward(self, x: Tensor) -> Tensor:
        if not self.incoming:
            return torch.zeros_like(x)
        states = {0: x}
        for node in sorted(self.incoming):
            terms = [self.operations[f"{source}_{node}"](states[source]) for source in self.incoming[node]]
            merge = str(node)
            states[node] = self.merges[merge](torch.cat(terms, dim=1)) if merge in self.merges else total(terms)
        return states[max(states)]


class HierarchicalNetwork(nn.Module):
    """A stand-alone network.

    Args:
        cell: edges of the cell, each naming a motif.
        motifs: name -> edges of a motif, each naming one of `PRIMITIVES`.
        input_shape: (C, H, W) of the images.
        classes: number of classes, or the heads of a task (`naslab.networks.heads`).
        channels: channels of the first group of cells.
        cells: number of cells in each of the three groups.
        merge: "concat" or "sum".
    """

    def __init__(
        self,
        cell: Edges,
        motifs: Mapping[str, Edges],
        input_shape: tuple[int, ...],
        classes: Outputs,
        *,
        channels: int,
        cells: int,
        merge: str,
    ) -> None:
        super().__init__()
        for name, value in (("channels", channels), ("cells", cells)):
            sizes.positive(name, value)
        sizes.one_of("merge", merge, MERGES)
        image_channels, _, _ = sizes.image(input_shape, GROUPS - 1)
        layers: list[nn.Module] = [Convolution(nn.Conv2d(image_channels, channels, 3, padding=1, bias=False))]
        for number in range(1, GROUPS * cells + 1):
            layers.append(self._cell(cell, motifs, channels, merge))
            wider = 2 if number % cells == 0 and number < GROUPS * cells else 1
            layers.append(Convolution(depthwise(channels, stride=wider), pointwise(channels, wider * channels)))
            channels *= wider
        self.layers = nn.Sequential(*layers)
        self.classifier = head_for(channels, classes)

    @staticmethod
    def _cell(cell: Edges, motifs: Mapping[str, Edges], channels: int, merge: str) -> Motif:
        def primitive(name: str) -> nn.Module:
            return PRIMITIVES[name](channels)

        return Motif(cell, lambda name: Motif(motifs[name], primitive, channels, merge), channels, merge)

    def forward(self, x: Tensor) -> Tensor:
        """Returns logits [B, classes] for images [B, C, H, W]."""
        return self.classifier(self.layers(x).mean(dim=(2, 3)))
