"""The optimizers of weights and architecture: SGD and Adam, with a state in which every tensor has a name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from naslab.operations import foreach
from naslab.operations.descent import sgd
from naslab.searchers.gradient.bilevel import InnerStep
from naslab.searchers.gradient.on_host import must_be_finite
from naslab.searchers.gradient.training import Training
from naslab.snapshot import State


class Optimizers:
    """SGD with momentum for the weights of a network, Adam for the alphas.

    Args:
        network: the network.
        alphas: name -> tensor that the architecture learns.
        hyper: rates, momentum, decays and clipping.
        check: called with the name and the value of every gradient that has to be finite.
    """

    def __init__(
        self,
        network: nn.Module,
        alphas: Mapping[str, Tensor],
        hyper: Training,
        check: Callable[[str, Tensor], None] = must_be_finite,
    ) -> None:
        self.network, self.alphas, self.hyper, self._check = network, dict(alphas), hyper, check
        self.weight_decay, self.alpha_weight_decay = hyper.w_weight_decay, hyper.alpha_weight_decay
        """Weight decays of the next update; settings change them during the search."""
        self.weights = list(network.parameters())
        self.sgd = sgd(self.weights, lr=hyper.w_lr, momentum=hyper.w_momentum, weight_decay=hyper.w_weight_decay)
        self.adam = torch.optim.Adam(
            list(self.alphas.values()),
            lr=hyper.alpha_lr,
            betas=(hyper.alpha_beta1, hyper.alpha_beta2),
            weight_decay=hyper.alpha_weight_decay,
        )

    def move_alphas(
        self, gradients: list[Tensor], rate: float, frozen_entries: Sequence[Tensor | None] | None = None
    ) -> None:
        """Update the alphas by Adam.

        Args:
            gradients: one for each tensor of `alphas`, of the same shape.
            rate: the learning rate.
            frozen_entries: for each tensor a boolean mask of its shape, or None. Where a mask is True, neither the
                alpha nor its moments change.
        """
        before = self._frozen_values(frozen_entries or [])
        for alpha, gradient in zip(self.alphas.values(), gradients, strict=True):
            self._check("gradient of the architecture", gradient)
            alpha.grad = gradient
        for group in self.adam.param_groups:
            group["lr"], group["weight_decay"] = rate, self.alpha_weight_decay
        self.adam.step()
        # Adam updates whole tensors: with weight decay or momentum, an alpha moves even where its gradient is zero. So
        # frozen entries are written back afterwards, and their moments too; a moment that did not exist before is 0.
        with torch.no_grad():
            for alpha, where, value, moments in before:
                alpha.copy_(torch.where(where, value, alpha))
                for key, moment in self.adam.state[alpha].items():
                    if moment.shape == alpha.shape:
                        moment.copy_(torch.where(where, moments.get(key, torch.zeros_like(moment)), moment))

    def _frozen_values(
        self, frozen_entries: Sequence[Tensor | None]
    ) -> list[tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]]:
        """Returns (alphas, mask, their values, their moments) before an update, for each tensor that has a mask."""
        found = []
        for alpha, where in zip(self.alphas.values(), frozen_entries, strict=False):
            if where is not None:
                # not Adam's count of its steps, which is one number for the whole tensor
                state = self.adam.state.get(alpha, {})
                moments = {key: moment.clone() for key, moment in state.items() if moment.shape == alpha.shape}
                found.append((alpha, where, alpha.detach().clone(), moments))
        return found

    def move_weights(self, rate: float) -> None:
        """Update the weights by SGD with the gradients in their `.grad`, clipped by norm; then clear the gradients."""
        norm = nn.utils.clip_grad_norm_(self.weights, self.hyper.gradient_clipping)
        self._check("gradient of the weights", norm)
        for group in self.sgd.param_groups:
            group["lr"], group["weight_decay"] = rate, self.weight_decay
        self.sgd.step()
        self.sgd.zero_grad()

    def inner_step(self, rate: float, *, clipped: bool = False) -> InnerStep:
        """Returns the SGD step that the weights would make now, for the second-order gradient of the architecture.

        Args:
            rate: the learning rate.
            clipped: whether its gradients are clipped as those of `move_weights` are.
        """
        # None before the first step, which has no momentum. The products are new tensors: SGD's buffers do not change.
        buffers = [self.sgd.state.get(w, {}).get("momentum_buffer") for w in self.weights]
        if all(buffer is not None for buffer in buffers):
            buffers = foreach.scaled(self.hyper.w_momentum, buffers)
        else:
            buffers = [None if buffer is None else self.hyper.w_momentum * buffer for buffer in buffers]
        return InnerStep(
            xi=rate,
            weight_decay=self.weight_decay,
            momentum=buffers,
            clip=self.hyper.gradient_clipping if clipped else math.inf,
        )

    def state(self) -> State:
        """Returns copies of all tensors of the network, the alphas and both optimizers, by name."""
        state: State = {f"network/{name}": t.detach().clone() for name, t in self.network.state_dict().items()}
        state.update({f"alpha/{name}": alpha.detach().clone() for name, alpha in self.alphas.items()})
        for (name, _), w in zip(self.network.named_parameters(), self.weights, strict=True):
            buffer = self.sgd.state.get(w, {}).get("momentum_buffer")
            if buffer is not None:
                state[f"momentum/{name}"] = buffer.clone()
        for name, alpha in self.alphas.items():
            for key, tensor in self.adam.state.get(alpha, {}).items():
                state[f"adam/{name}/{key}"] = tensor.clone()
        return state

    def load(self, state: State) -> None:
        tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
        self.network.load_state_dict(_below("network/", tensors))
        with torch.no_grad():
            for name, alpha in self.alphas.items():
                alpha.copy_(tensors[f"alpha/{name}"])
        self.sgd.state.clear()
        for (name, _), w in zip(self.network.named_parameters(), self.weights, strict=True):
            if (buffer := tensors.get(f"momentum/{name}")) is not None:
                self.sgd.state[w]["momentum_buffer"] = buffer.to(w.device, copy=True)
        self.adam.state.clear()
        for name, alpha in self.alphas.items():
            for key, tensor in _below(f"adam/{name}/", tensors).items():
                # Adam's step count lies on the CPU whatever the device of the alphas (torch's default, not capturable)
                self.adam.state[alpha][key] = tensor.to("cpu" if key == "step" else alpha.device, copy=True)


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
