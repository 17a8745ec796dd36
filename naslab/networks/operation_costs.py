"""Costs of each operation on each edge of a supernet: parameters, or multiply-adds for one example.

Each operation runs alone, on all edges at once, on the meta device; its convolutions and its matrix products with a
parameter are counted as torch counts them. (Matrix products without a parameter are those of the mixture.) The edges
that leave one state have equal costs, so that each gets an equal share of the count. A supernet that is not made of
`mixture.Operations` must have a method `operation_costs`, or is refused.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from naslab.errors import SpecError
from naslab.networks.cost import one_input
from naslab.networks.inside_modules import InsideModules
from naslab.networks.mixture import Mixture, operations_of
from naslab.tasks.task import Task
from naslab.torch_state import default_torch_state

_aten = torch.ops.aten
PRODUCTS: dict[Any, tuple[int, int]] = {_aten.mm: (0, 1), _aten.addmm: (1, 2), _aten.bmm: (0, 1), _aten.baddbmm: (1, 2)}
"""Matrix products -> the places of their factors among the arguments."""


class _Layers(InsideModules):
    """Counts the parameters and multiply-adds of the convolutions and linear layers inside each of some modules."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        from torch.utils.flop_counter import flop_registry  # loads triton where there is one

        super().__init__(modules)
        self._counts = flop_registry
        self.inside: dict[nn.Module, dict[str, int]] = {
            module: {"parameters": 0, "multiply_adds": 0} for module in modules
        }
        self._weights = {weight.untyped_storage()._cdata for module in modules for weight in module.parameters()}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        if self.running is not None and (weights := self._factors(function, args)):
            counts = self.inside[self.running]
            counts["parameters"] += sum(weight.numel() for weight in weights)
            count = self._counts[function.overloadpacket]
            counts["multiply_adds"] += count(*args, **(kwargs or {}), out_val=result) // 2
        return result

    def _factors(self, function: Any, args: Any) -> list[Tensor]:
        """The weights that a convolution or a matrix product multiplies by."""
        if function is _aten.convolution.default:
            return [args[1]]
        places = PRODUCTS.get(function.overloadpacket, ())
        return [args[place] for place in places if args[place].untyped_storage()._cdata in self._weights]


@default_torch_state()
def costs(
    supernet: nn.Module, data: Task | Sequence[int], shapes: Mapping[str, tuple[int, int]]
) -> dict[str, dict[str, Tensor]]:
    """Each figure of `COSTS` -> part -> [E, O] float32: all in the time of one. Arguments as of `parameters`."""
    if hasattr(supernet, "operation_costs"):
        return {figure: supernet.operation_costs(figure) for figure in COSTS}  # type: ignore[operator]
    shadow = copy.deepcopy(supernet).to("meta").eval()
    one = one_input(data)
    rows_of = {shadow.get_submodule(path): list(found.rows) for path, found in operations_of(shadow).items()}
    if not rows_of:
        raise SpecError(
            f"of the supernet, a {type(supernet).__name__}, it is not known what an operation costs: it has no method "
            "operation_costs, and is not made of naslab.networks.mixture.Operations"
        )
    weights = {part: torch.empty(shape, device="meta") for part, shape in shapes.items()}
    found = {figure: {part: torch.zeros(shape) for part, shape in shapes.items()} for figure in COSTS}
    for part, (_, columns) in shapes.items():
        for column in range(columns):
            used = {
                other: [[other == part and this == column for this in range(columns)] for _ in range(rows)]
                for other, (rows, _) in shapes.items()
            }
            with _Layers(list(rows_of)) as counted, torch.no_grad():
                shadow(one, {other: Mixture(weights[other], used[other]) for other in shapes})
            for module, counts in counted.inside.items():
                for figure, count in counts.items():
                    found[figure][part][rows_of[module], column] += count / len(rows_of[module])
    return found


def parameters(
    supernet: nn.Module, data: Task | Sequence[int], shapes: Mapping[str, tuple[int, int]]
) -> dict[str, Tensor]:
    """Part -> [E, O] float32, for a supernet with parts of these shapes (E, O); `data` as of `cost`."""
    return costs(supernet, data, shapes)["parameters"]


def multiply_adds(
    supernet: nn.Module, data: Task | Sequence[int], shapes: Mapping[str, tuple[int, int]]
) -> dict[str, Tensor]:
    """Part -> [E, O] float32, for one example; parts of these shapes (E, O), `data` as of `cost`."""
    return costs(supernet, data, shapes)["multiply_adds"]


COSTS: dict[str, Callable[[nn.Module, Task | Sequence[int], Mapping[str, tuple[int, int]]], dict[str, Tensor]]] = {
    "multiply_adds": multiply_adds,
    "parameters": parameters,
}
