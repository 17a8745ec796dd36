"""The shared weights of ENAS and what moves them: SGD with Nesterov momentum, with a state that names every tensor."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from naslab.searchers.enas_hyperparameters import EnasHyperparameters
from naslab.snapshot import State


class SharedWeights:
    """A network with the weights of all children.

    A weight without a gradient, of what a child does not have, is left alone, its momentum too.
    """

    def __init__(self, network: nn.Module, given: EnasHyperparameters) -> None:
        self.network, self._clip = network, given.w_clip
        self._named = dict(network.named_parameters())
        self._sgd = torch.optim.SGD(
            list(self._named.values()),
            lr=given.w_lr,
            momentum=given.w_momentum,
            nesterov=given.w_momentum > 0,
            weight_decay=2 * given.w_l2,  # the gradient of w_l2 |w|^2
        )

    def descend(self, loss: Tensor, rate: float) -> Tensor:
        """One step down the loss. The norm of its gradient; where that is not finite, there was no step."""
        self._sgd.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self._named.values(), self._clip)
        if bool(torch.isfinite(norm)):
            self._sgd.param_groups[0]["lr"] = rate
            self._sgd.step()
        self._sgd.zero_grad()
        return norm

    def state(self) -> State:
        """Of the network and of the optimiser: copies."""
        state: State = {
            f"network/{name}": tensor.detach().clone() for name, tensor in self.network.state_dict().items()
        }
        for name, weight in self._named.items():
            if (buffer := self._sgd.state.get(weight, {}).get("momentum_buffer")) is not None:
                state[f"momentum/{name}"] = buffer.clone()
        return state

    def load(self, state: State) -> None:
        """Take back what `state` gave."""
        self.network.load_state_dict(below("network/", state))
        self._sgd.state.clear()
        for name, buffer in below("momentum/", state).items():
            weight = self._named[name]
            self._sgd.state[weight]["momentum_buffer"] = buffer.to(weight.device, copy=True)


def below(prefix: str, state: State) -> dict[str, Tensor]:
    """The tensors of a state whose names begin so, by the rest of the name."""
    return {
        name.removeprefix(prefix): value
        for name, value in state.items()
        if name.startswith(prefix) and isinstance(value, Tensor)
    }
