"""FlexiBERT: transformer encoders whose layers differ (Tuli et al. 2023, https://arxiv.org/abs/2205.11656).

The choices are the fields of the published configurations: the hidden size, the number of layers, and for each layer
the operation that mixes positions (`operation_type` and its `operation_parameter`), its number of heads, and its
feed-forward network: 2 * (48^2 + 48^4) = 10,621,440 encoders.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from naslab.architecture import Architecture, Choice, Option, Prefix
from naslab.errors import SpecError
from naslab.networks import sizes
from naslab.networks.flexibert import FlexiBERTNetwork, Layer
from naslab.spaces.requirements import requirements_of, vocabulary_of
from naslab.spaces.space import Space
from naslab.tasks.signature import TaskLike

if TYPE_CHECKING:
    import networkx as nx

PART = "encoder"
HIDDEN = (128, 256)
LAYERS = (2, 4)
PARAMETERS: dict[str, tuple[Option, ...]] = {"SA": ("SDP", "WMA"), "LT": ("DFT", "DCT"), "DSC": (5, 9)}
"""Operation -> its parameters: the similarity of self-attention (scaled dot product, weighted multiplicative), the
linear transform (discrete Fourier, discrete cosine), the kernel size of the span-based dynamic convolution."""
FIELDS: dict[str, tuple[Option, ...]] = {
    "operation_type": tuple(PARAMETERS),
    "operation_parameter": (),
    "num_operation_heads": (2, 4),
    "feed_forward_dimension": (512, 1024),
    "num_feed_forward": (1, 3),
}
"""Field of a layer -> its options; those of `operation_parameter` depend on the operation (`PARAMETERS`)."""
assert tuple(FIELDS) == Layer._fields


@dataclass(frozen=True)
class FlexiBERT(Space):
    """Encoders of two or four layers."""

    name: ClassVar[str] = "flexibert"
    reads = frozenset({"image", "tokens", "row"})

    shrink: int = 1
    """Divisor of the hidden size and the feed-forward sizes when a network is built; the choices stay as published."""

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes.positive("shrink", self.shrink)

    @classmethod
    def paper(cls) -> FlexiBERT:
        """Returns the space of the paper."""
        return cls()

    @classmethod
    def laptop(cls) -> FlexiBERT:
        """Returns a space whose encoders can be trained in seconds."""
        return cls(shrink=8)

    # --- choices ---------------------------------------------------------------------------------

    def next_choice(self, prefix: Prefix) -> Choice | None:
        if len(prefix) < 2:
            return Choice("layers", LAYERS) if prefix else Choice("hidden_size", HIDDEN)
        number, place = divmod(len(prefix) - 2, len(FIELDS))
        if number == prefix[1]:
            return None
        field = tuple(FIELDS)[place]
        options = PARAMETERS[str(prefix[-1])] if field == "operation_parameter" else FIELDS[field]
        # The parameter of each operation is a choice of its own name, so that "5" is never compared with "DFT".
        name = f"{field}_of_{prefix[-1]}" if field == "operation_parameter" else field
        return Choice(f"layer_{number + 1}/{name}", options)

    def future(self, prefix: Prefix) -> Hashable:
        """Returns the position, the number of layers, and the operation whose parameter is next, if it is."""
        length = len(prefix)
        return length, prefix[1:2], prefix[-1] if length > 2 and (length - 2) % len(FIELDS) == 1 else None

    # --- the published form ----------------------------------------------------------------------

    def from_config(self, config: Any) -> Architecture:
        """Reads `{"hidden_size": ..., "nas_config": {"encoder_layers": [{field: value, ...}, ...]}}`.

        Raises `SpecError` on anything else.
        """
        try:
            layers = config["nas_config"]["encoder_layers"]
            choices = [config["hidden_size"], len(layers), *(layer[field] for layer in layers for field in FIELDS)]
        except (KeyError, TypeError, IndexError):
            raise SpecError(
                "expected an object with the keys 'hidden_size' and 'nas_config', the latter with 'encoder_layers', "
                f"a list of objects with the keys {', '.join(FIELDS)}; got {config!r:.300}"
            ) from None
        return self.architecture(choices)

    def layers(self, architecture: Architecture) -> list[Layer]:
        """Returns the layers, first to last."""
        fields: Iterator[Any] = iter(self.check(architecture).choices[2:])
        # The same iterator five times: zip takes five values in a row for each layer.
        return [Layer(*values) for values in zip(*[fields] * len(FIELDS), strict=True)]

    def config(self, architecture: Architecture) -> Mapping[str, Any]:
        """Returns the published form."""
        layers = [layer._asdict() for layer in self.layers(architecture)]
        return {"hidden_size": self.check(architecture).choices[0], "nas_config": {"encoder_layers": layers}}

    # --- graph and network -----------------------------------------------------------------------

    def graph(self, architecture: Architecture) -> nx.DiGraph:
        """Returns a chain with two nodes a layer: the operation that mixes positions, and the feed-forward network."""
        import networkx as nx

        architecture = self.check(architecture)
        layers = self.layers(architecture)
        graph = nx.DiGraph()
        graph.add_node(f"{PART}/input", part=PART, label=f"embedding {architecture.choices[0]}", role="input")
        before = f"{PART}/input"
        for number, layer in enumerate(layers, start=1):
            mix = f"{layer.operation_type}-{layer.operation_parameter}, {layer.num_operation_heads} heads"
            for what, op in (
                ("mix", mix),
                ("feed_forward", f"{layer.num_feed_forward} x {layer.feed_forward_dimension}"),
            ):
                node = f"{PART}/{number}/{what}"
                graph.add_node(node, part=PART, label=op, role="node", op=op)
                graph.add_edge(before, node)
                before = node
        graph.add_node(f"{PART}/output", part=PART, label="output", role="output")
        graph.add_edge(before, f"{PART}/output")
        return graph

    def build(self, architecture: Architecture, task: TaskLike, *, shrink: int | None = None) -> FlexiBERTNetwork:
        """Returns an encoder with random weights, of tokens (a task with a `vocabulary`), of measured values one by
        one, or of the rows of images.
        """
        divisor = sizes.positive("shrink", self.shrink if shrink is None else shrink)
        layers = [
            layer._replace(feed_forward_dimension=max(layer.feed_forward_dimension // divisor, 1))
            for layer in self.layers(architecture)
        ]
        size = int(architecture.choices[0]) // divisor
        return FlexiBERTNetwork(layers, size, *requirements_of(task), vocabulary_of(task))
