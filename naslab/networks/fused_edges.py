"""Edges and projections of a supernet that fused kernels compute (`operations/fused.py`, `operations/projection.py`).

They compute all candidates, in training mode, on the CPU. Everything else goes the plain way, which computes the same:
candidates that are left out, dropout behind skips, hooks (which want the output of each operation), autocast,
`torch.compile`, the meta device, channels that are no multiple of 4, a machine without a compiler.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_module

from naslab.operations.fused import Candidates, leaving, side_by_side
from naslab.operations.images import FactorizedReduce, ReLUConvBN
from naslab.operations.indexing import picked
from naslab.operations.optimizations import Optimizations
from naslab.operations.passes import Half, Statistics, fits
from naslab.operations.projection import projected
from naslab.operations.stacked import StackedDilatedConv, StackedFactorizedReduce, StackedSeparableConv

if TYPE_CHECKING:
    from naslab.networks.mixture import MixedEdges, Mixture

SIDES = (3, 5, 7)
"""Sides of the depthwise kernels in `taps.h`."""
POOLS = ("max_pool_3x3", "avg_pool_3x3")


def fused(
    edges: MixedEdges,
    x: Tensor,
    mixture: Mixture,
    optimizations: Optimizations,
    before: Sequence[Sequence[Tensor]] = (),
) -> tuple[Tensor, ...] | None:
    """Returns the outputs [B, C, H', W'] of D edges that read x, each added to its terms of `before`, if given; None if
    the kernels do not apply."""
    names = [name for name in edges.columns if name != "none"]
    if (
        torch.compiler.is_compiling()
        or not _wanted(optimizations)
        or not all(row[edges.columns[name]] for row in mixture.used for name in names)
        or mixture.masks is not None
        or not fits([x], edges.channels, edges.stride)
        or not all(fits(terms, edges.channels) for terms in before)
        or hooked(edges)
    ):
        return None
    halves = {name: found for name, operation in edges.stacked.items() if (found := _halves(operation))}
    reduction = [name for name, module in edges.stacked.items() if isinstance(module, StackedFactorizedReduce)]
    if not halves or len(halves) + len(reduction) < len(edges.stacked):
        return None
    pools = [name for name in POOLS if name in edges.shared] if optimizations.fused_pools else []
    pools = pools if len(pools) == len(POOLS) else []
    identity = [name for name, module in edges.shared.items() if isinstance(module, nn.Identity)]
    others = [name for name in edges.shared if name not in (*pools, *identity)]

    parameters: list[Tensor] = []
    norms: list[Any] = []
    for _, depthwise, pointwise, norm in (half for several in halves.values() for half in several):
        parameters += [depthwise.weight, pointwise.weight]
        norms.append(norm)
    for operation in [cast(Any, edges.stacked[name]) for name in reduction]:
        parameters += [operation.even.weight, operation.odd.weight]
        norms.append(operation.norm)
    norms += [edges.shared[name][1] for name in pools]  # type: ignore[index]
    if not _known(norms, parameters, x):
        return None
    shared = [edges.output_of_shared(name, x, optimizations) for name in others]
    candidates = Candidates(
        norms[0].eps,
        edges.edges,
        edges.stride,
        [[Half(d.kernel_size[0], d.stride[0], d.dilation[0]) for _, d, *_ in several] for several in halves.values()],
        bool(reduction),
        bool(pools),
        bool(identity),
        len(shared),
        [_counted(norm) for norm in norms],
    )
    columns = [edges.columns[name] for name in (*halves, *reduction, *pools, *identity, *others)]
    weight = picked(mixture.weights, columns, dim=1).t().to(x)
    return leaving(candidates, x, weight, parameters, shared, [reduce(torch.add, terms) for terms in before])


def projectable(nodes: Sequence[Tensor], optimizations: Optimizations) -> bool:
    """Returns True if `projection` reads such nodes [B, c, H, W] side by side, as far as they alone decide it."""
    wanted = optimizations.fused_projection and optimizations.one_pass and optimizations.compiled_kernel
    return wanted and not torch.compiler.is_compiling() and all(fits([x], x.shape[1]) for x in nodes)


def projection(module: nn.Module, given: Sequence[Tensor], optimizations: Optimizations) -> Tensor | None:
    """Returns what a `ReLUConvBN` of 1 x 1 or a `FactorizedReduce` makes of `projectable` tensors; None if the kernel
    does not apply."""
    if hooked(module):
        return None
    layers = cast(Any, module)
    if isinstance(module, FactorizedReduce) and module.relu:
        parameters, norm, stride = [layers.even.weight, layers.odd.weight], layers.norm, 2
    elif isinstance(module, ReLUConvBN) and layers[1].kernel_size == layers[1].stride == (1, 1):
        parameters, norm, stride = [layers[1].weight], layers[2], 1
    else:
        return None
    channels = math.gcd(norm.num_features, *(x.shape[1] for x in given))
    if (
        not fits(given, channels, stride)
        or len({x.shape for x in given}) > 1
        or not _known([norm], parameters, given[0])
    ):
        return None
    weight = side_by_side(parameters[0], parameters[-1], 1)[0] if stride == 2 else parameters[0].flatten(1)
    return projected(norm.eps, stride, weight, given, _counted(norm))


def _wanted(optimizations: Optimizations) -> bool:
    """Returns True if the fused unit and all that it builds upon are switched on."""
    o = optimizations
    return o.fused_unit and o.shared and o.stacked and o.weighted_norm and o.one_pass and o.compiled_kernel


def _halves(operation: nn.Module) -> list[Any]:
    """Returns the halves of a separable convolution, or the one of a dilated one; of anything else none."""
    if isinstance(operation, StackedSeparableConv):
        return [half for part in operation for half in _halves(part)]
    known = isinstance(operation, StackedDilatedConv) and cast(Any, operation[1]).kernel_size[0] in SIDES
    return [operation] if known else []


def _known(norms: Sequence[Any], parameters: Sequence[Tensor], x: Tensor) -> bool:
    """Returns True if the normalisations are those of the kernels, and all tensors are in the format of x."""
    statistics = [s for norm in norms if norm.track_running_stats for s in (norm.running_mean, norm.running_var)]
    return all(
        norm.training and not norm.affine and norm.momentum is not None and norm.eps == norms[0].eps for norm in norms
    ) and all(t.dtype == x.dtype and t.device == x.device and t.is_contiguous() for t in [*parameters, *statistics])


def _counted(norm: Any) -> Statistics | None:
    """Returns the running statistics that the next pass moves, which is counted; None if they stay as they are."""
    if not norm.track_running_stats:
        return None
    norm.num_batches_tracked.add_(1)
    return Statistics(float(norm.momentum), norm.running_mean, norm.running_var)


def hooked(module: nn.Module) -> bool:
    """Returns True if a module in it has hooks, or all modules have."""
    return bool(torch_module._has_any_global_hook()) or any(
        bool(part._forward_hooks or part._forward_pre_hooks or part._backward_hooks or part._backward_pre_hooks)
        for part in module.modules()
    )
