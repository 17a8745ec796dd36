"""The last layer of a network: from a vector of features to the outputs of a task.

For a task with one head it is a linear layer. For several heads the network returns a dictionary of their outputs, by
the names in the task's signature.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from naslab.errors import SpecError
from naslab.networks import sizes
from naslab.tasks.signature import Head, Signature

Outputs = int | Mapping[str, Head]
"""Outputs of a network: their number, or the heads of a task by name."""


class Heads(nn.Module):
    """A linear layer for each head: [..., D] -> {name: [..., outputs]}.

    Args:
        features: D.
    """

    def __init__(self, features: int, heads: Mapping[str, Head]) -> None:
        super().__init__()
        self.heads = nn.ModuleDict({name: nn.Linear(features, one.outputs) for name, one in heads.items()})

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        return {name: layer(features) for name, layer in self.heads.items()}


def head_for(features: int, outputs: Outputs) -> nn.Module:
    """Returns the last layer: `nn.Linear` for one head, `Heads` for several.

    Args:
        features: D, the size of its input.
        outputs: number of outputs; or the heads by name.
    """
    if not isinstance(outputs, Mapping):
        return nn.Linear(features, sizes.positive("classes", outputs))
    for name, one in outputs.items():
        if not isinstance(one, Head):
            raise SpecError(f"the head {name!r} is a naslab.tasks.Head, not {one!r:.100}")
        sizes.positive(f"outputs of the head {name!r}", one.outputs)
    return Heads(features, outputs)


def outputs_of(signature: Signature) -> Outputs:
    """Returns the outputs of a network for this signature."""
    return signature.heads if len(signature.heads) > 1 else signature.head.outputs


def count(outputs: Outputs) -> int:
    """Returns the number of outputs of all heads together."""
    return sum(one.outputs for one in outputs.values()) if isinstance(outputs, Mapping) else outputs


def fit_to(network: Any, other: nn.Module) -> Any:
    """Returns the network, moved to the device and the number format of another one's weights."""
    return network.to(next(other.parameters()))
