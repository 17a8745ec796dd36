"""Views into a supernet: weight, cost, receptive field and gradient of each operation on each edge.

    anatomy(search)          parameters, multiply-adds, shapes, receptive fields: fixed for the whole search
    shares(search.events)    weights of the operations of an edge, step by step
    gradients(search)        gradient of the loss with respect to these weights, and norm of the parameters' gradients
    feature_maps(search)     output of each operation of an edge for one example

`search` is a `naslab.Search`, or the searcher itself. Everything is computed on a copy: the search is bit for bit
unchanged, and its next random numbers are the same.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from naslab.errors import SpecError, unknown, whole
from naslab.events import Event, SupernetStep
from naslab.immutable import FrozenDict, Record
from naslab.modes import random_layers
from naslab.networks.batch_norm import enough_to_normalise
from naslab.networks.edge_views import Place, places, receptive_fields
from naslab.networks.mixture import Mixture, as_mixture, operations_of, takes_mixtures
from naslab.networks.operation_costs import COSTS, costs
from naslab.spaces.weight_sharing import candidates
from naslab.threads import torch_threads
from naslab.torch_state import default_torch_state
from naslab.transfer import state_on_host

POINTS = 400
"""Largest number of steps in a curve of shares; the first and the last are among them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Edge(Record):
    """The constant properties of one edge, for each of its O operations in the order of `operations`."""

    part: str
    row: int
    """The row of the edge in the part, as in `probabilities`."""
    operations: tuple[str, ...]
    """Names of the operations of this edge."""
    parameters: tuple[float, ...]
    """[O]: number of parameters, summed over all cells of the part; NaN if not known."""
    multiply_adds: tuple[float, ...]
    """[O]: multiply-adds for one example, summed over all cells of the part; NaN if not known."""
    receptive_fields: tuple[tuple[int, int], ...]
    """[O]: height and width of the receptive field, in pixels of the edge's input; (0, 0) if it reads nothing, or if
    not known."""
    places: tuple[Place, ...]
    """Cells that have this edge, with the shapes of its input and output for one example; empty if not known."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Anatomy(Record):
    """The constant properties of all edges of a supernet."""

    edges: tuple[Edge, ...]
    """Edges in the order of part and row."""
    units: str
    """Unit of the examples: images, tokens, ..."""

    def edge(self, part: str, row: int) -> Edge:
        """Returns an edge by part and row; `SpecError` if there is none."""
        found = [edge for edge in self.edges if edge.part == part]
        if not found:
            raise SpecError(unknown("part", part, list(dict.fromkeys(edge.part for edge in self.edges))))
        if isinstance(row, bool) or not isinstance(row, int) or not 0 <= row < len(found):
            raise SpecError(f"row is one of the rows of {part!r}, 0 to {len(found) - 1}, not {row!r:.100}")
        return found[row]


@dataclass(frozen=True, kw_only=True, eq=False)
class Shares(Record):
    """The shares of the operations of one edge, step by step."""

    part: str
    row: int
    steps: np.ndarray
    """[T] int64."""
    values: np.ndarray
    """[T, O] float32, in the order of the columns of `probabilities`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Gradients(Record):
    """The gradients of the training loss, at the mean mixture and on the first examples of the training data."""

    step: int
    loss: float
    of_shares: Mapping[str, np.ndarray]
    """Part -> [E, O] float32: derivative of the loss with respect to the share of the operation. If it is negative, a
    larger share would decrease the loss."""
    of_parameters: Mapping[str, np.ndarray]
    """Part -> [E, O] float32: Euclidean norm of the gradient of the operation's parameters, over all cells; 0 without
    parameters. Empty if the supernet does not say which parameters belong to which operation."""
    examples: int


# --- constant properties --------------------------------------------------------------------------


@default_torch_state()
def anatomy(search: Any) -> Anatomy:
    """Returns the constant properties of the edges, which takes about a second, on the meta device.

    Raises:
        SpecError: the searcher has no mixture of operations to look into.
    """
    searcher = mixing(search)
    with searcher.alone:
        network, space = still_copy(searcher), searcher.space
    shapes = shapes_of(searcher)
    try:
        figures = costs(network, searcher.task, shapes)
        fields = receptive_fields(network, searcher.task, shapes)
        where = places(network, searcher.task, shapes)
    except Exception:  # a user-defined supernet may not declare its operations, or not run on the meta device
        figures = {name: {part: torch.full(shape, math.nan) for part, shape in shapes.items()} for name in COSTS}
        fields = {part: torch.zeros(*shape, 2, dtype=torch.int64) for part, shape in shapes.items()}
        where = {part: [()] * rows for part, (rows, _) in shapes.items()}
    has = candidates(space)
    edges = []
    for part, (rows, _) in shapes.items():
        for row in range(rows):
            columns = np.flatnonzero(has[part][row]).tolist()
            of_edge = {name: tuple(of_all[part][row, columns].tolist()) for name, of_all in figures.items()}
            edges.append(
                Edge(
                    part=part,
                    row=row,
                    operations=tuple(space.operations[column] for column in columns),
                    parameters=of_edge["parameters"],
                    multiply_adds=of_edge["multiply_adds"],
                    receptive_fields=tuple((int(h), int(w)) for h, w in fields[part][row, columns].tolist()),
                    places=where[part][row],
                )
            )
    return Anatomy(edges=tuple(edges), units=searcher.task.units)


# --- shares ---------------------------------------------------------------------------------------


def shares(events: Iterable[Event], part: str, row: int, *, points: int = POINTS) -> Shares:
    """Returns the shares of an edge's operations over the steps among these events.

    Args:
        events: events of a search, in order.
        part: part of the cell, for instance "normal".
        row: row of the edge in the part, as in `probabilities`.
        points: largest number of steps; of more, evenly spaced ones are taken.

    Raises:
        SpecError: no step has such an edge.
    """
    points = whole("points", points, 2)
    steps = [event for event in events if isinstance(event, SupernetStep)]
    if not steps:
        raise SpecError("these events hold no shares of operations; the steps of a mixture have them")
    known = steps[-1].probabilities
    if part not in known:
        raise SpecError(unknown("part", part, known))
    if isinstance(row, bool) or not isinstance(row, int) or not 0 <= row < len(known[part]):
        raise SpecError(f"row is one of the rows of {part!r}, 0 to {len(known[part]) - 1}, not {row!r:.100}")
    kept = np.unique(np.linspace(0, len(steps) - 1, min(points, len(steps))).round().astype(int)).tolist()
    return Shares(
        part=part,
        row=row,
        steps=np.array([steps[place].step for place in kept], dtype=np.int64),
        values=np.stack([steps[place].probabilities[part][row] for place in kept]),
    )


# --- gradients ------------------------------------------------------------------------------------


@default_torch_state()
def gradients(search: Any, *, examples: int | None = None) -> Gradients:
    """Returns the gradients of the training loss at the current weights, by a forward and a backward pass.

    Batch norm uses the statistics of the mini-batch, dropout is off, and a recurrent network begins without a state.

    Args:
        search: a search or a searcher with a mixture.
        examples: number of training examples, the first ones; by default a mini-batch of the search.

    Raises:
        SpecError: the searcher has no mixture of operations to look into.
    """
    searcher = mixing(search)
    shown = int(searcher.hyperparameters.batch_size) if examples is None else whole("examples", examples, 1)
    with searcher.alone, torch_threads(searcher.threads):
        network, task = still_copy(searcher), searcher.task
        step, means = searcher.step, mean_weights(searcher)
        of_shares = {part: mean.requires_grad_() for part, mean in means.items()}
        batch = task.example(shown, device=searcher.device)
        with enough_to_normalise(shown, units=task.units):
            outputs = network(task.inputs(batch), as_mixtures(network, of_shares))
        loss = task.loss(outputs, batch)
        weights = dict(network.named_parameters())
        wanted = [*of_shares.values(), *weights.values()]
        found = torch.autograd.grad(loss, wanted, allow_unused=True)
    pulls = {
        part: torch.zeros_like(share) if pull is None else pull
        for (part, share), pull in zip(of_shares.items(), found, strict=False)
    }
    of_weights = dict(zip(weights, found[len(of_shares) :], strict=True))
    return Gradients(
        step=step,
        loss=float(loss.detach()),
        of_shares=FrozenDict({part: pull.float().cpu().numpy() for part, pull in pulls.items()}),
        of_parameters=FrozenDict(_by_operation(searcher, network, of_weights)),
        examples=shown,
    )


def _by_operation(searcher: Any, network: nn.Module, of_weights: Mapping[str, Tensor | None]) -> dict[str, np.ndarray]:
    """Returns part -> [E, O]: gradient norms; empty if the supernet does not say which parameters are whose."""
    if not (of_modules := operations_of(network)):
        return {}
    parts = parts_of_modules(searcher, network)
    squares = {part: np.zeros(shape) for part, shape in shapes_of(searcher).items()}
    of_weights = state_on_host(of_weights)  # in one copy, and because a Mac's GPU has no float64
    for path, module in of_modules.items():
        if (part := parts.get(path)) is None:
            continue
        for name, column, _, divided in module.tensors():
            gradient = of_weights.get(f"{path}.{name}")
            if gradient is None:  # a buffer, or a parameter that the loss does not depend on
                continue
            pieces = gradient.chunk(len(module.rows)) if divided else [gradient] * len(module.rows)
            for row, piece in zip(module.rows, pieces, strict=True):
                squares[part][row, column] += float(piece.double().square().sum())
    return {part: np.sqrt(matrix).astype(np.float32) for part, matrix in squares.items()}


def parts_of_modules(searcher: Any, network: nn.Module) -> dict[str, str]:
    """Returns module name -> part that it belongs to, for the modules with operations."""
    where = places(network, searcher.task, shapes_of(searcher))
    return {place.module: part for part, rows in where.items() for of_edge in rows for place in of_edge}


# --- the copy -------------------------------------------------------------------------------------


def mixing(search: Any) -> Any:
    """Returns the searcher of a search. Raises `SpecError` if it does not mix operations."""
    searcher = getattr(search, "searcher", search)
    if not isinstance(getattr(searcher, "network", None), nn.Module) or not hasattr(searcher, "alphas"):
        name = getattr(getattr(searcher, "sampler", searcher), "name", type(searcher).__name__)
        raise SpecError(
            f"{name!r} has no mixture to look into: it computes one architecture at a time, and an edge of that has a "
            "single operation. nl.searchers.Darts and its relatives have one"
        )
    return searcher


def still_copy(searcher: Any) -> nn.Module:
    """Returns a copy of the supernet in training mode, with dropout and other random layers turned off."""
    network = copy.deepcopy(searcher.network)
    network.train()
    for layer in random_layers(network):
        layer.training = False
    return network


def shapes_of(searcher: Any) -> dict[str, tuple[int, int]]:
    """Returns part -> (E, O): numbers of edges and of operations."""
    return {part: (rows, len(searcher.space.operations)) for part, rows in searcher.space.edges().items()}


def mean_weights(searcher: Any) -> dict[str, Tensor]:
    """Returns part -> [E, O]: mean weights of the operations, on the device of the search."""
    return {part: torch.tensor(mean, device=searcher.device) for part, mean in searcher.probabilities().items()}


def as_mixtures(network: nn.Module, weights: Mapping[str, Tensor]) -> Mapping[str, Any]:
    """Returns the weights in the form that the supernet takes; operations of weight 0 are not computed."""
    if not takes_mixtures(network):
        return weights
    return {part: Mixture(w, as_mixture(w.detach()).used) for part, w in weights.items()}
