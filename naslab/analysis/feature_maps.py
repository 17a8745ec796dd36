"""Feature maps of the operations of one edge, for one example.

Letters in shapes: O operations, C channels, H height, W width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from naslab.analysis.inside import as_mixtures, mean_weights, mixing, parts_of_modules, shapes_of, still_copy
from naslab.errors import SpecError, unknown, whole
from naslab.immutable import Record
from naslab.networks.batch_norm import enough_to_normalise
from naslab.networks.mixture import Mixture, operations_of, total
from naslab.spaces.weight_sharing import candidates
from naslab.threads import torch_threads
from naslab.torch_state import default_torch_state


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureMaps(Record):
    """The output of each operation of an edge for one example."""

    part: str
    row: int
    place: str
    """Name of the cell's module."""
    operations: tuple[str, ...]
    """The O operations of the edge."""
    shares: np.ndarray
    """[O] float32: weight of each operation in the mixture."""
    reads: np.ndarray
    """[C, H, W] float32: input of the edge."""
    maps: np.ndarray
    """[O, C', H', W'] float32: output of each operation, before it is weighted."""

    def sheet(self, channels: int = 8, *, gap: int = 1) -> np.ndarray:
        """Returns a contact sheet, [height, width] uint8: the input in the first row, then a row for each operation,
        with a column for each channel. Each map is scaled from black, its minimum, to white; a constant one is grey.
        Smaller maps are centred in their field.

        Args:
            channels: number of channels, the first ones.
            gap: width of the white lines between the maps, in pixels.
        """
        channels, gap = whole("channels", channels, 1), whole("gap", gap, 0)
        rows = [self.reads[:channels], *(one[:channels] for one in self.maps)]
        high, wide = (max(one.shape[axis] for one in rows) for axis in (1, 2))
        many = max(map(len, rows))
        sheet = np.full((len(rows) * (high + gap) - gap, many * (wide + gap) - gap), 255, dtype=np.uint8)
        for number, row in enumerate(rows):
            for column, one in enumerate(row):
                top = number * (high + gap) + (high - one.shape[0]) // 2
                left = column * (wide + gap) + (wide - one.shape[1]) // 2
                sheet[top : top + one.shape[0], left : left + one.shape[1]] = _grey(one)
        return sheet


def _grey(values: np.ndarray) -> np.ndarray:
    """Returns [H, W] uint8, scaled from the minimum, black, to the maximum; values that are not finite are black."""
    values = values.astype(np.float64)
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros(values.shape, dtype=np.uint8)
    low, high = values[finite].min(), values[finite].max()
    if low == high:
        return np.where(finite, 128, 0).astype(np.uint8)
    return np.where(finite, np.round(255 * (values - low) / (high - low)), 0).astype(np.uint8)


@default_torch_state()
def feature_maps(
    search: Any, part: str, row: int, *, example: int = 0, place: int = 0, examples: int | None = None
) -> FeatureMaps:
    """Returns the feature maps of an edge for one example, which passes through the mixture up to the edge.

    Batch norm uses the statistics of a mini-batch of the first examples; dropout is off.

    Args:
        search: a search or a searcher with a mixture.
        part: part of the cell, for instance "normal".
        row: row of the edge in the part.
        example: index of the training example.
        place: index of the cell among those of the part: 0 is the first, -1 the last.
        examples: size of the mini-batch; by default that of the search, enlarged to include `example`.

    Raises:
        SpecError: the searcher has no mixture of operations, there is no such edge, or its activations are no images.
    """
    searcher = mixing(search)
    many = searcher.hyperparameters.batch_size if examples is None else whole("examples", examples, 1)
    example = whole("example", example, 0)
    count = max(many, example + 1)
    shapes, space = shapes_of(searcher), searcher.space
    if part not in shapes:
        raise SpecError(unknown("part", part, shapes))
    if isinstance(row, bool) or not isinstance(row, int) or not 0 <= row < shapes[part][0]:
        raise SpecError(f"row is one of the rows of {part!r}, 0 to {shapes[part][0] - 1}, not {row!r:.100}")
    with searcher.alone, torch_threads(searcher.threads), torch.no_grad():
        network, task, means = still_copy(searcher), searcher.task, mean_weights(searcher)
        of_modules = operations_of(network)
        parts = parts_of_modules(searcher, network)
        names = [name for name, one in of_modules.items() if row in one.rows and parts.get(name) == part]
        if not names:
            raise SpecError(
                f"feature maps are of images, and the states of a {type(network).__name__} are none: there is nothing "
                "to be seen on its edges"
            )
        name = names[whole("place, the number of the cell,", place, -len(names), len(names) - 1)]
        module: Any = network.get_submodule(name)
        given: list[tuple[Any, ...]] = []
        hook = module.register_forward_pre_hook(lambda _, inputs: given.append(inputs))
        batch = task.example(count, device=searcher.device)
        with enough_to_normalise(count, units=task.units):
            network(task.inputs(batch), as_mixtures(network, means))
            hook.remove()
            state = given[0][0]
            if not isinstance(state, Tensor) or state.ndim != 4:
                came = list(state.shape) if isinstance(state, Tensor) else type(state).__name__
                raise SpecError(f"feature maps are of images [B, C, H, W], and the edge reads {came}")
            columns = np.flatnonzero(candidates(space)[part][row]).tolist()
            maps = [_alone(module, given[0], row, column, shapes[part][1]) for column in columns]
    largest = next((one for one in maps if one is not None), None)
    empty = torch.zeros_like(state if largest is None else largest)
    return FeatureMaps(
        part=part,
        row=row,
        place=name,
        operations=tuple(space.operations[column] for column in columns),
        shares=means[part][row, columns].float().cpu().numpy(),
        reads=state[example].float().cpu().numpy(),
        maps=np.stack([(empty if one is None else one)[example].float().cpu().numpy() for one in maps]),
    )


def _alone(module: Any, inputs: tuple[Any, ...], row: int, column: int, columns: int) -> Tensor | None:
    """Returns [B, C, H, W], the output of one operation on one edge of a module; None for an operation without one."""
    place, edges = list(module.rows).index(row), len(module.rows)
    weights = torch.zeros(edges, columns, device=inputs[0].device)
    weights[place, column] = 1
    one = Mixture(weights, (weights != 0).tolist())
    terms = module(*(one if isinstance(given, Mixture) else given for given in inputs))[place]
    return total(terms) if len(terms) else None
