"""MnasNet's factorized hierarchical space (Tan et al. 2019, https://arxiv.org/abs/1807.11626, Sec. 4.1, Fig. 4).

MobileNetV2 gives the skeleton: seven segments of equal blocks. The choices of a segment are the convolution that its
blocks are made of, its kernel, squeeze-and-excitation or not, the kind of skip, the width (as a factor of
MobileNetV2's) and the number of blocks (one less, as many or one more): 4 * 2 * 2 * 3 * 3 * 3 = 432 options for a
segment, as in the paper. Difference: a segment has at least one block, so that the first and the last, which have one
in MobileNetV2, have 288 options: 432^5 * 288^2 = 1.2e18 networks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from naslab.architecture import Architecture, Choice
from naslab.errors import SpecError
from naslab.networks import sizes
from naslab.networks.mnasnet import EXPANSIONS, KERNELS, SKIPS, MnasNetNetwork, Segment
from naslab.spaces.fixed_space import FixedSpace
from naslab.spaces.requirements import requirements_of
from naslab.tasks.signature import TaskLike

if TYPE_CHECKING:
    import networkx as nx

PART = "segments"
SKELETON = ((0.5, 1, 1), (0.75, 2, 2), (1, 3, 2), (2, 4, 2), (3, 3, 1), (5, 3, 2), (10, 1, 1))
"""(width in units of the stem's 32 channels, blocks, stride) of MobileNetV2's segments."""
HEAD = 40
"""Width of the last convolution, in the same units: 1280 channels."""


@dataclass(frozen=True)
class MnasNet(FixedSpace):
    """Segments of equal blocks, one after the other."""

    name: ClassVar[str] = "segments"
    reads = frozenset({"image"})

    channels: int = 32
    """Channels of the first convolution; all other widths are multiples of it."""
    segments: int = 7
    """Number of the skeleton's segments that are used, from the first."""
    stem_stride: int = 2
    """Stride of the first convolution: 2 for ImageNet, 1 for small images."""

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes.positives(self, "channels", "segments", "stem_stride")
        if self.segments > len(SKELETON):
            raise SpecError(f"the skeleton has {len(SKELETON)} segments, not {self.segments}")
        if self.stem_stride > 2:
            raise SpecError(f"stem_stride is 1 or 2, not {self.stem_stride}")

    @classmethod
    def paper(cls) -> MnasNet:
        """Returns the space of the paper, for images of 224 x 224."""
        return cls()

    @classmethod
    def laptop(cls) -> MnasNet:
        """Returns a space with three segments, for images of 8 x 8 and more."""
        return cls(channels=8, segments=3, stem_stride=1)

    # --- choices ---------------------------------------------------------------------------------

    def each_choice(self) -> Iterable[Choice]:
        choices = []
        for number, (_, layers, _) in enumerate(SKELETON[: self.segments], start=1):
            options = {
                "op": tuple(EXPANSIONS),
                "kernel": KERNELS,
                "excitation": (0.0, 0.25),  # ratio of squeeze-and-excitation, 0 for none
                "skip": SKIPS,
                "width": (0.75, 1.0, 1.25),
                "layers": tuple(change for change in (-1, 0, 1) if layers + change > 0),
            }
            choices += [Choice(f"{PART}/{number}/{name}", offered) for name, offered in options.items()]
        return choices

    def segments_of(self, architecture: Architecture, channels: int | None = None) -> list[Segment]:
        """Returns the segments to build. `channels` replaces the space's; widths are rounded, and at least 1."""
        architecture = self.check(architecture)
        unit = self.channels if channels is None else sizes.positive("channels", channels)
        segments = []
        for number, (base, layers, stride) in enumerate(SKELETON[: self.segments]):
            operation, kernel, excitation, skip, width, change = architecture.choices[6 * number : 6 * number + 6]
            wide = max(1, round(unit * base * float(width)))
            segments.append(
                Segment(str(operation), int(kernel), float(excitation), str(skip), wide, layers + int(change), stride)
            )
        return segments

    # --- graph and network -----------------------------------------------------------------------

    def graph(self, architecture: Architecture) -> nx.DiGraph:
        """Returns a chain of states, with the segments on its edges."""
        import networkx as nx

        graph = nx.DiGraph()
        graph.add_node(f"{PART}/0", part=PART, label="0", role="input")
        for number, segment in enumerate(self.segments_of(architecture), start=1):
            role = "output" if number == self.segments else "node"
            graph.add_node(f"{PART}/{number}", part=PART, label=str(number), role=role)
            operation = f"{segment.layers} {segment.operation} {segment.kernel}x{segment.kernel}"
            graph.add_edge(f"{PART}/{number - 1}", f"{PART}/{number}", op=operation, row=number - 1)
        return graph

    def build(self, architecture: Architecture, task: TaskLike, *, channels: int | None = None) -> MnasNetNetwork:
        unit = self.channels if channels is None else channels
        return MnasNetNetwork(
            self.segments_of(architecture, channels),
            *requirements_of(task),
            stem=unit,
            stem_stride=self.stem_stride,
            head=HEAD * unit,
        )
