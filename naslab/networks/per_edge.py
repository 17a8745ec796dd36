"""Converts the weights of a supernet to the form of the published supernets, edge by edge, and back.

A supernet here stores the weights of all edges that leave one state in the same tensors (`mixture.Operations`). In the
published form, operation `column` on edge `row` of a cell owns `<cell>.edges.<row>.operations.<column>.<name>`, with
the names that the operation has by itself (`naslab.operations.images`). All other names are the same in both forms.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from naslab.errors import SpecError
from naslab.networks.mixture import operations_of

COUNTER = "num_batches_tracked"
"""One number for each edge, [D]; in the published form a tensor without dimensions."""


def to_per_edge(supernet: nn.Module) -> dict[str, Tensor]:
    """Returns a copy of the state of a supernet in the published form."""
    state = supernet.state_dict()
    found: dict[str, Tensor] = {}
    for name, edge_names, divided in _names(supernet):
        tensor = state.pop(name)
        pieces = tensor.chunk(len(edge_names)) if divided else [tensor] * len(edge_names)
        pieces = [piece.squeeze(0) if name.endswith(COUNTER) and divided else piece for piece in pieces]
        found.update(zip(edge_names, (piece.clone() for piece in pieces), strict=True))
    return {**{name: tensor.clone() for name, tensor in state.items()}, **found}


def from_per_edge(supernet: nn.Module, per_edge: Mapping[str, Tensor]) -> None:
    """Load a state in the published form into a supernet.

    The statistics of a pooling operation, which all edges that leave one state share, are taken from the first edge.
    """
    state = dict(per_edge)
    for name, edge_names, divided in _names(supernet):
        pieces = [state.pop(edge_name) for edge_name in edge_names]
        pieces = [piece.unsqueeze(0) if name.endswith(COUNTER) and divided else piece for piece in pieces]
        state[name] = torch.cat(pieces) if divided else pieces[0]
    supernet.load_state_dict(state)


def _names(supernet: nn.Module) -> Iterator[tuple[str, list[str], bool]]:
    """Yields (name of a tensor of several edges, its names edge by edge, whether each edge owns a part of it)."""
    if not (found := operations_of(supernet)):
        raise SpecError(
            f"a {type(supernet).__name__} has no weights edge by edge: it is not made of "
            "naslab.networks.mixture.Operations"
        )
    for path, operations in found.items():
        cell = path.split(".leaving.")[0]
        for name, column, own_name, divided in operations.tensors():
            edges = [f"{cell}.edges.{row}.operations.{column}.{own_name}" for row in operations.rows]
            yield f"{path}.{name}", edges, divided
