"""Base class of spaces that hold a part of another space and delegate networks, encodings and graphs to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor, nn

from naslab.architecture import Architecture
from naslab.spaces.space import Space
from naslab.tasks.signature import Signature, TaskLike

if TYPE_CHECKING:
    import networkx as nx


class Wrapping(Space):
    """A space of some of the architectures of another one, to which everything but the choosing is delegated."""

    of: Space
    """The whole space."""

    def encode(self, architecture: Architecture) -> np.ndarray:
        """Returns [D] float32, the encoding in the whole space; predictors can so be shared with it."""
        return self.of.encode(architecture)

    def distance(self, first: Architecture, second: Architecture) -> int:
        """Returns the number of choices that differ, as in the whole space."""
        return self.of.distance(first, second)

    def graph(self, architecture: Architecture) -> nx.DiGraph:
        return self.of.graph(architecture)

    def check_task(self, task: Any) -> Signature:
        return self.of.check_task(task)

    def build(self, architecture: Architecture, task: TaskLike, **sizes: Any) -> nn.Module:
        return self.of.build(architecture, task, **sizes)

    def recipe(self, architecture: Architecture) -> Mapping[str, Any]:
        return self.of.recipe(architecture)

    def inherit(
        self, network: nn.Module, architecture: Architecture, parent: Architecture, state: Mapping[str, Tensor]
    ) -> None:
        self.of.inherit(network, architecture, parent, state)
