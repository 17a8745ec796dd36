"""Shared passes of the zero-cost proxies: one forward pass and at most two backward passes of an untrained network.

In the published code, every proxy makes its own passes. Here they share them: the kernel of NASWOT is accumulated
during the forward pass; `grad_norm`, `snip` and `fisher` use one backward pass from the loss; `jacob_cov` another,
from the outputs to the images, which does not compute gradients of weights.

Batch normalisation uses the statistics of the mini-batch, as published, and its running statistics are not touched.
Dropout is off, so that a score is a function of weights and images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from naslab.errors import DataError, SpecError
from naslab.estimators.zero_cost.codes import Codes
from naslab.modes import restored_modes
from naslab.networks.batch_norm import enough_to_normalise, frozen_statistics
from naslab.operations.layout import strided_pointwise
from naslab.trees import tensors

Loss = Callable[[Any, Any], Tensor]
"""(outputs, target) -> mean loss, a scalar; for images, of logits [B, K] and labels [B]."""


class Need(Enum):
    """Quantities of the shared passes that a proxy can need."""

    CODES = auto()
    """Which ReLU units are active for which image."""
    GRADIENTS = auto()
    """Gradients of the loss with respect to the weights."""
    CHANNELS = auto()
    """Saliency of each output channel."""
    JACOBIAN = auto()
    """Gradients of the outputs with respect to the images."""


@dataclass
class Seen:
    """A network, a mini-batch, and the results of the passes. Results that were not needed are empty."""

    network: nn.Module
    x: Any
    """Inputs of the network, for instance [B, C, H, W]; in general tensors whose first dimension is B."""
    y: Any
    """Targets of the loss, for instance labels [B]."""
    loss: Loss
    kernel: Tensor = field(default_factory=lambda: torch.empty(0))
    """Number of ReLU units that are active for both images or for neither, [B, B] float64."""
    units: int = 0
    """Number of ReLU units per image, over all layers."""
    gradients: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    """(Weight, gradient) of each convolution and linear layer that the loss depends on."""
    channels: list[tuple[Tensor, int]] = field(default_factory=list)
    """(a * dL/da summed over pixels, [B, C_out]; number of weights per output channel), for each layer."""
    jacobian: Tensor = field(default_factory=lambda: torch.empty(0))
    """Gradient of the sum of all outputs with respect to each image, [B, D]; 0 where there is none."""

    @property
    def device(self) -> torch.device:
        """Device of the inputs, and of the network."""
        return tensors(self.x)[0].device

    @property
    def rows(self) -> int:
        """Batch size B."""
        return rows(self.x)


def rows(x: Any) -> int:
    """Returns the number of examples in a mini-batch of inputs."""
    found = tensors(x)
    return len(found[0]) if found else 0


def layers(network: nn.Module) -> list[nn.Module]:
    """Returns the convolutions and linear layers, whose weights the proxies use, as published."""
    return [module for module in network.modules() if isinstance(module, _ConvNd | nn.Linear)]


def weights(network: nn.Module) -> list[Tensor]:
    """Returns the trainable weights of these layers. For a network without such layers, for instance a recurrent cell
    whose weights are bare matrices, returns all its matrices. Raises `SpecError` if there are none.
    """
    found: list[Any] = [layer.weight for layer in layers(network) if layer.weight.requires_grad]  # type: ignore[union-attr]
    if not layers(network):
        found = [weight for weight in network.parameters() if weight.requires_grad and weight.ndim > 1]
    if not found:
        raise SpecError(
            "the network has no convolution and no linear layer with a weight to learn, which is what the proxies of "
            "gradients look at; use 'parameters' or 'flops', or train it"
        )
    return found


@contextmanager
def batch_statistics(network: nn.Module) -> Iterator[None]:
    """Context in which batch norm uses the mini-batch, without updating running statistics; all else is in evaluation
    mode."""
    with restored_modes(network), frozen_statistics(network):
        for module in network.modules():
            module.training = isinstance(module, _BatchNorm)
        yield


def outputs(network: nn.Module, x: Any) -> Any:
    """Returns the network's outputs, for instance [B, K]; raises an error if they are not finite."""
    with enough_to_normalise(rows(x)):
        found = network(x)
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors(found)):
        raise SpecError("the untrained network's outputs are not all finite: look at its initialisation")
    return found


def total(found: Any) -> Tensor:
    """Returns the sum of all real-valued outputs of a network."""
    sums = [tensor.sum() for tensor in tensors(found) if tensor.is_floating_point()]
    return sums[0] if len(sums) == 1 else torch.stack(sums).sum()


def check_real(x: Any, what: str) -> None:
    """Raise `SpecError` if inputs are not real numbers: then they have no gradients, and cannot be replaced by ones."""
    kinds = sorted({str(tensor.dtype) for tensor in tensors(x) if not tensor.is_floating_point()})
    if kinds:
        raise SpecError(f"{what}, which must be real numbers, not {' and '.join(kinds)}; use another proxy")


def look(network: nn.Module, x: Any, y: Any, loss: Loss, needs: Set[Need]) -> Seen:
    """Run the passes that `needs` requires, and return their results."""
    if not rows(x) or (isinstance(x, Tensor) and isinstance(y, Tensor) and len(x) != len(y)):
        targets = len(y) if isinstance(y, Tensor) else rows(x)
        raise DataError(f"every image has one label, and there is at least one: got {rows(x)} images, {targets} labels")
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors(x) if tensor.is_floating_point()):
        raise DataError("every pixel must be finite: this mini-batch holds NaN or infinity")
    seen = Seen(network, x, y, loss)
    if not needs:
        return seen
    backward = needs & {Need.GRADIENTS, Need.CHANNELS}
    if isinstance(x, Tensor):
        x = _laid_out(network, x)
    if Need.JACOBIAN in needs:
        check_real(x, "jacob_cov differentiates by the input")
        if not isinstance(x, Tensor):
            raise SpecError("jacob_cov differentiates by the input, which must be one tensor; use another proxy")
        x = x.detach().requires_grad_()
    learnt = weights(network) if backward else []
    if Need.CHANNELS in needs and not layers(network):
        raise SpecError(
            "fisher looks at the output channels of convolutions and linear layers, and the network has none; use "
            "another proxy"
        )
    codes = Codes(rows(x)) if Need.CODES in needs else None
    with batch_statistics(network), _products(network, Need.CHANNELS in needs) as channels:
        with torch.set_grad_enabled(bool(backward) or Need.JACOBIAN in needs), codes or nullcontext():
            given = outputs(network, x)
        if backward:
            found = torch.autograd.grad(loss(given, y), learnt, allow_unused=True, retain_graph=Need.JACOBIAN in needs)
            seen.gradients = [(w, g) for w, g in zip(learnt, found, strict=True) if g is not None]
            seen.channels = [(product, fan_in) for product, fan_in in channels if product is not None]
    if Need.JACOBIAN in needs:
        seen.jacobian = _jacobian(total(given), x)
    if codes:
        seen.kernel, seen.units = codes.kernel, codes.units
    return seen


def _laid_out(network: nn.Module, x: Tensor) -> Tensor:
    """Returns the same images, on the CPU in channels-last memory format, which is faster there.

    Networks with a strided 1 x 1 convolution are excluded: its backward pass in torch 2.14 then writes out of bounds.
    """
    if x.ndim != 4 or x.device.type != "cpu" or strided_pointwise(network):
        return x
    return x.contiguous(memory_format=torch.channels_last)


def _jacobian(summed: Tensor, x: Tensor) -> Tensor:
    if not summed.requires_grad:
        return torch.zeros_like(x).flatten(1)
    (found,) = torch.autograd.grad(summed, x, allow_unused=True)
    return (torch.zeros_like(x) if found is None else found).flatten(1)


@contextmanager
def _products(network: nn.Module, wanted: bool) -> Iterator[list[tuple[Tensor | None, int]]]:
    """Context in which a backward pass records a * dL/da, summed over pixels, for the output a of every layer."""
    found: list[tuple[Tensor | None, int]] = []
    handles = []

    def watch(layer: nn.Module, _: object, output: Tensor) -> None:
        if not output.requires_grad:
            return
        place, fan_in = len(found), layer.weight[0].numel()  # type: ignore[index, operator, union-attr]
        activation = output.detach()
        pixels = tuple(range(2, output.ndim)) if isinstance(layer, _ConvNd) else ()
        found.append((None, fan_in))

        def put_down(gradient: Tensor) -> None:
            product = activation * gradient
            found[place] = (product.sum(pixels) if pixels else product, fan_in)

        handles.append(output.register_hook(put_down))

    if wanted:
        handles += [layer.register_forward_hook(watch) for layer in layers(network)]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
