"""Shapes at each edge of a supernet, and the receptive field of each of its operations.

A copy of the supernet runs on the meta device, where tensors have shapes but no numbers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from naslab.networks.cost import one_input
from naslab.networks.inside_modules import InsideModules
from naslab.networks.mixture import Mixture, Operations, operations_of
from naslab.operations.optimizations import Optimizations
from naslab.tasks.task import Task
from naslab.torch_state import default_torch_state

_aten = torch.ops.aten


class Place(NamedTuple):
    """One occurrence of an edge in a supernet: a part is built once for each cell of the stack."""

    module: str
    """Name of the module with the operations, for `supernet.get_submodule`."""
    reads: tuple[int, ...]
    """Shape of the state that the edge reads, for one example: (C, H, W) of images."""
    gives: tuple[int, ...]
    """Shape of its output, for one example."""


@default_torch_state()
def places(
    supernet: nn.Module, data: Task | Sequence[int], shapes: Mapping[str, tuple[int, int]]
) -> dict[str, list[tuple[Place, ...]]]:
    """Returns part -> for each edge its occurrences, from the first cell to the last.

    Args:
        supernet: made of `mixture.Operations`; for any other supernet the occurrences are empty.
        data: see `naslab.networks.cost.one_input`.
        shapes: part -> (E, O).
    """
    shadow = copy.deepcopy(supernet).to("meta").eval()
    of_modules = operations_of(shadow)
    found: dict[str, list[list[Place]]] = {part: [[] for _ in range(rows)] for part, (rows, _) in shapes.items()}
    one = one_input(data) if of_modules else None
    for part in shapes if of_modules else ():
        # One part at a time, so that a module belongs to the part for which it has outputs.
        with _Recorder({shadow.get_submodule(name): name for name in of_modules}) as recorder:
            _run(shadow, one, shapes, lambda other, column, part=part: other == part)
        for name, state, output in recorder.calls:
            for row, terms in zip(of_modules[name].rows, output, strict=False):
                if len(terms):  # there are none where nothing of the part is computed
                    found[part][row].append(Place(name, tuple(state.shape[1:]), tuple(terms[0].shape[1:])))
    return {part: [tuple(of_edge) for of_edge in rows] for part, rows in found.items()}


@default_torch_state()
def receptive_fields(
    supernet: nn.Module, data: Task | Sequence[int], shapes: Mapping[str, tuple[int, int]]
) -> dict[str, Tensor]:
    """Returns part -> [E, O, 2] int64: height and width of the receptive field of each operation.

    It is measured in pixels of the state that the edge reads, through convolutions and poolings; 0 if nothing is read
    or known. (Through the statistics of a mini-batch every pixel depends on all; this is not counted.)

    The layers of an operation are assumed to be a sequence; layers side by side must be 1 x 1, as in a factorized
    reduction. Arguments as for `places`.
    """
    shadow = copy.deepcopy(supernet).to("meta").eval()
    if hasattr(shadow, "optimizations"):  # separate grids would turn a dilated kernel into an undilated one
        shadow.optimizations = Optimizations(separate_grids=False)  # type: ignore[assignment]
    found = {part: torch.zeros(*shape, 2, dtype=torch.int64) for part, shape in shapes.items()}
    where = places(shadow, data, shapes)
    parts = {place.module: part for part, rows in where.items() for of_edge in rows for place in of_edge}
    innermost = {
        module: next(part for name, part in parts.items() if f"{path}.".startswith(f"{name}."))
        for path, module in shadow.named_modules()
        if _mixes(module)
        and not any(_mixes(inner) for inner in module.modules() if inner is not module)
        and any(f"{path}.".startswith(f"{name}.") for name in parts)
    }
    one = one_input(data) if innermost else None
    for column in range(max(columns for _, columns in shapes.values())) if innermost else ():
        with _Windows(list(innermost)) as windows:
            _run(shadow, one, shapes, lambda part, other, column=column: other == column)
        for module, reach in windows.reach.items():
            rows = list(module.rows)  # type: ignore[arg-type]
            of_part = found[innermost[module]]
            of_part[rows, column] = torch.maximum(of_part[rows, column], torch.tensor(reach))
    return found


def _mixes(module: nn.Module) -> bool:
    """Returns True if the module computes the operations of edges."""
    return isinstance(module, Operations)


def _run(shadow: nn.Module, one: Any, shapes: Mapping[str, tuple[int, int]], used: Callable[[str, int], bool]) -> None:
    """Run the forward pass of a copy on the meta device.

    Args:
        shadow: the copy.
        one: inputs for one example.
        shapes: part -> (E, O).
        used: (part, column) -> True if that operation is computed, on all edges of the part.
    """
    mixtures = {
        part: Mixture(
            torch.empty(rows, columns, device="meta"),
            [[used(part, column) for column in range(columns)] for _ in range(rows)],
        )
        for part, (rows, columns) in shapes.items()
    }
    with torch.no_grad():
        shadow(one, mixtures)


class _Recorder:
    """Context that records inputs and outputs of modules.

    Args:
        names: module -> its name.
    """

    def __init__(self, names: Mapping[nn.Module, str]) -> None:
        self._names = names
        self._hooks: list[RemovableHandle] = []
        self.calls: list[tuple[str, Tensor, Any]] = []
        """(name of the module, its first input, its output) of each call."""

    def __enter__(self) -> Self:
        def record(module: nn.Module, inputs: Any, output: Any) -> None:
            self.calls.append((self._names[module], inputs[0], output))

        self._hooks = [module.register_forward_hook(record) for module in self._names]
        return self

    def __exit__(self, *about: Any) -> None:
        for hook in self._hooks:
            hook.remove()


class _Windows(InsideModules):
    """Dispatch mode that computes the receptive fields of modules from the convolutions and poolings inside them.

    A window of size k, dilation d behind layers of total stride s adds (k - 1) d s pixels.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__(modules)
        self.reach: dict[nn.Module, list[int]] = {}
        """Module -> height and width of its receptive field, for modules with an output."""
        self._now, self._stride = [1, 1], [1, 1]

    def begins(self, module: nn.Module) -> None:
        self._now, self._stride = [1, 1], [1, 1]

    def ends(self, module: nn.Module, output: Any) -> None:
        if any(len(terms) for terms in output):
            self.reach[module] = [max(sizes) for sizes in zip(self._now, self.reach.get(module, (0, 0)), strict=True)]

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.running is not None and (window := _window(function, args)) is not None:
            for axis, (size, stride, dilation) in enumerate(zip(*window, strict=True)):
                self._now[axis] += (size - 1) * dilation * self._stride[axis]
                self._stride[axis] *= stride
        return function(*args, **(kwargs or {}))


def _window(function: Any, args: Any) -> tuple[list[int], list[int], list[int]] | None:
    """Returns kernel, stride and dilation of a layer, each along height and width; None for elementwise functions."""

    # torch writes one number for a square, and leaves out a pooling's stride if it equals the kernel
    def argument(place: int, default: Any) -> list[int]:
        given = list(args[place]) if len(args) > place and args[place] is not None else []
        return (given * 2)[:2] if given else default

    if function is _aten.convolution.default:
        return list(args[1].shape[2:]), argument(3, [1, 1]), argument(5, [1, 1])
    if function is _aten.max_pool2d_with_indices.default:
        kernel = argument(1, [1, 1])
        return kernel, argument(2, kernel), argument(4, [1, 1])
    if function is _aten.avg_pool2d.default:
        kernel = argument(1, [1, 1])
        return kernel, argument(2, kernel), [1, 1]
    return None
