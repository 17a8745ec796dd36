"""Autoregressive sampling of text from a network, token by token."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from naslab.errors import DataError, Diverged, SpecError, real, whole
from naslab.modes import evaluation_mode
from naslab.randomness import torch_generator
from naslab.tasks.sequence import logits_of
from naslab.torch_state import default_torch_state


class Writable(Protocol):
    """Interface of a task from whose networks text can be sampled; see `naslab.tasks.LanguageModel`."""

    @property
    def bptt(self) -> int: ...

    def encode(self, text: str) -> Tensor: ...

    def decode(self, numbers: Any) -> str: ...

    def inputs(self, batch: Any, carry: Any = None) -> Any: ...

    def carry(self, outputs: Any) -> Any: ...


@default_torch_state()
def sample(
    task: Writable,
    network: Any,
    prompt: str,
    length: int,
    temperature: float,
    generator: torch.Generator | int,
    device: str | torch.device | None = None,
) -> str:
    """Returns the prompt and `length` tokens after it, each drawn from p(token | earlier tokens) of the network.

    See `LanguageModel.sample`.
    """
    length, temperature = whole("length", length), real("temperature", temperature)
    if temperature < 0:
        raise SpecError(f"a temperature is 0 or more, not {temperature:g}")
    if not isinstance(generator, torch.Generator):
        generator = torch_generator(whole("a seed", generator), "sample")
    if not callable(network):
        raise SpecError(
            f"what writes is a network, such as space.build(architecture, task), or a function in its place; not "
            f"{network!r:.100}"
        )
    found = task.encode(prompt).tolist()
    if not found:
        raise DataError("the prompt has no token to begin with; a line break, '\\n', is one")
    if device is None:
        parameter = next(network.parameters(), None) if isinstance(network, nn.Module) else None
        device = "cpu" if parameter is None else parameter.device
    with torch.no_grad(), evaluation_mode(network) if isinstance(network, nn.Module) else nullcontext():
        unread, state = found, None
        for _ in range(length):
            outputs = network(task.inputs((torch.tensor([unread], device=device),), state))
            found.append(_drawn(logits_of(outputs)[0, -1], temperature, generator))
            state = task.carry(outputs)
            # A network with a state has read the earlier tokens; one without sees the last `bptt` tokens anew.
            unread = found[-1:] if state is not None else found[-task.bptt :]
    return task.decode(found)


def _drawn(logits: Tensor, temperature: float, generator: torch.Generator) -> int:
    """Draws a token number from softmax(logits / temperature) for logits [V]; temperature 0 takes the argmax.

    In float64 on the CPU, so that a seed gives the same text for the same logits on any device.
    """
    logits = logits.cpu().double()  # in this order, for a Mac's GPU has no float64
    if not bool(torch.isfinite(logits).all()):
        raise Diverged("the network's outputs are not finite, so that no token can be drawn from them")
    if temperature == 0:
        return int(logits.argmax())
    return int(torch.multinomial((logits / temperature).softmax(dim=0), 1, generator=generator))
