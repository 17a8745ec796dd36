"""Copies between the host and a device, as few as possible.

Each copy from a device waits until the device has finished all earlier work, and the host queues nothing meanwhile. So
numbers that a step reports stay on the device as `Pending` until `numbers` reads all of them in one copy; tensors are
copied together, as the bytes of one buffer; and what goes to a GPU is put into pinned memory, from which the GPU
fetches it while the host goes on.

On the CPU nothing is copied or delayed, and every number is what it would be without this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from naslab.trees import tensors, tree_map

PIECE = 64_000_000
"""Largest number of bytes that are copied to the host together, which the device holds a second time meanwhile. A
single tensor may be larger."""
HERE = ("cpu", "meta")
"""Types of devices to which nothing is copied in a buffer."""
Kept = TypeVar("Kept")


class Pending(NamedTuple):
    """A number that the host has not read: a function of tensors of one element that a device computes."""

    tensors: tuple[Tensor, ...]
    then: Callable[..., float] = float
    """From the elements, as numbers of Python, to the number."""


Number = float | Tensor | Pending
"""A number, a tensor of one element, or a number that is to be read from a device."""


def pending(then: Callable[..., float], *values: Number) -> float | Pending:
    """Returns `then(*values)`: at once if all values are known on the host, else as a number that `numbers` reads."""
    known = []  # in a plain loop, for on the CPU this is done several times a step
    for value in values:
        if _waits(value):
            break
        known.append(value.item() if isinstance(value, Tensor) else value)
    else:
        return then(*known)
    parts = [value if isinstance(value, Pending) else _asking(value) for value in values]

    def later(*elements: float) -> float:
        rest = iter(elements)
        return then(
            *(part.then(*islice(rest, len(part.tensors))) if isinstance(part, Pending) else part for part in parts)
        )

    return Pending(tuple(tensor for part in parts if isinstance(part, Pending) for tensor in part.tensors), later)


def _waits(value: Number) -> bool:
    return isinstance(value, Pending) or (isinstance(value, Tensor) and not value.is_cpu)


def numbers(values: Iterable[Number]) -> list[float]:
    """Returns all values as numbers of Python, in one copy from each device."""
    values = list(values)
    if not any(map(_waits, values)):  # the CPU's case, three times as fast as the way below
        return [value.item() if isinstance(value, Tensor) else value for value in values]  # type: ignore[misc]
    return fetched(values)[0]


def fetched(values: Iterable[Number], arrays: Sequence[Tensor] = ()) -> tuple[list[float], list[Tensor]]:
    """Returns values as numbers of Python, and tensors on the CPU, all in one copy from each device."""
    asked = [value if isinstance(value, Pending) else _asking(value) for value in values]
    there = {
        id(tensor): tensor
        for one in asked
        if isinstance(one, Pending)
        for tensor in one.tensors
        if tensor.device.type != "cpu"
    }
    here = to_host([*there.values(), *arrays])
    read = dict(zip(there, here, strict=False))
    found = [
        one.then(*(read.get(id(tensor), tensor).item() for tensor in one.tensors)) if isinstance(one, Pending) else one
        for one in asked
    ]
    return found, here[len(there) :]


def _asking(value: float | Tensor) -> float | Pending:
    return Pending((value.detach(),)) if isinstance(value, Tensor) else value


# --- trees and lists of tensors ------------------------------------------------------------------


def to_device(tree: Kept, device: str | torch.device) -> Kept:
    """Returns the tree with its tensors on a device. All that come from the CPU go there in one copy, for which the
    host does not wait if the device is a GPU of CUDA. They then share one block of memory of the device.
    """
    device = torch.device(device)
    here = [tensor for tensor in tensors(tree) if tensor.device.type == "cpu"]
    if device.type in HERE or not here:
        return tree_map(lambda tensor: tensor.to(device), tree)
    pinned = device.type == "cuda"
    layout = _Layout.of(here)
    buffer = torch.empty(layout.size, dtype=torch.uint8, pin_memory=pinned)
    torch.cat(layout.bytes_of(here), out=buffer)
    there = layout.tensors_in(buffer.to(device, non_blocking=pinned))
    found = {id(tensor): copy for tensor, copy in zip(here, there, strict=True)}
    return tree_map(lambda tensor: found[id(tensor)] if id(tensor) in found else tensor.to(device), tree)


def network_to_device(network: nn.Module, device: str | torch.device) -> nn.Module:
    """Moves a network to a device, as `network.to(device)` does, in one copy instead of one for each tensor."""
    here = [tensor for tensor in (*network.parameters(), *network.buffers()) if tensor.device.type == "cpu"]
    if torch.device(device).type in HERE or not here:
        return network.to(device)
    # Each gets memory of its own again, laid out as before, so that it can be freed and written alone.
    there = {
        id(tensor): torch.empty_like(tensor, device=device, requires_grad=False).copy_(part)
        for tensor, part in zip(here, to_device([tensor.detach() for tensor in here], device), strict=True)
    }
    return network._apply(lambda tensor: there[id(tensor)] if id(tensor) in there else tensor.to(device))


def to_host(found: Sequence[Tensor]) -> list[Tensor]:
    """Returns the tensors on the CPU: those that are there already as they are, those of a device contiguous, with
    their memory in buffers of about `PIECE` bytes, each of which is one copy.
    """
    copies = list(found)
    by_device: dict[torch.device, list[int]] = {}
    for place, tensor in enumerate(copies):
        if tensor.device.type != "cpu":
            by_device.setdefault(tensor.device, []).append(place)
    for places in by_device.values():
        for piece in _pieces(copies, places):
            apart = [copies[place].detach() for place in piece]
            layout = _Layout.of(apart)
            parts = layout.bytes_of(apart)
            buffer = (torch.cat(parts) if len(parts) > 1 else parts[0]).cpu()
            for place, tensor in zip(piece, layout.tensors_in(buffer), strict=True):
                copies[place] = tensor
    return copies


def state_on_host(state: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a state by name with its tensors on the CPU, as `to_host` copies them; other values stay as they are."""
    names = [name for name, value in state.items() if isinstance(value, Tensor)]
    return {**state, **dict(zip(names, to_host([state[name] for name in names]), strict=True))}


def _pieces(all_tensors: Sequence[Tensor], places: Sequence[int]) -> Iterable[list[int]]:
    """Yields the places in runs whose tensors have at most `PIECE` bytes together, or are a single one."""
    piece, size = [], 0
    for place in places:
        more = all_tensors[place].numel() * all_tensors[place].element_size()
        if piece and size + more > PIECE:
            yield piece
            piece, size = [], 0
        piece.append(place)
        size += more
    yield piece


class _Layout(NamedTuple):
    """Where the bytes of tensors lie in one buffer: those with the longest elements first, so that each begins at a
    multiple of the length of its elements.
    """

    order: list[int]
    """Which tensor comes first, second, ... in the buffer."""
    kinds: list[tuple[torch.dtype, torch.Size]]
    """Type and shape of each tensor, in the order in which they were given."""
    lengths: list[int]
    """Bytes of each tensor, in the order of the buffer."""

    @classmethod
    def of(cls, found: Sequence[Tensor]) -> _Layout:
        order = sorted(range(len(found)), key=lambda place: -found[place].element_size())
        lengths = [found[place].numel() * found[place].element_size() for place in order]
        return cls(order, [(tensor.dtype, tensor.shape) for tensor in found], lengths)

    @property
    def size(self) -> int:
        return sum(self.lengths)

    def bytes_of(self, found: Sequence[Tensor]) -> list[Tensor]:
        """Returns the bytes of each tensor, [length] uint8, in the order of the buffer."""
        flat = (found[place].detach().reshape(-1) for place in self.order)
        # A slice with a step stays one in `reshape`; its elements are brought together.
        dense = (one if one.stride(0) == 1 else one.clone(memory_format=torch.contiguous_format) for one in flat)
        return [one.view(torch.uint8) for one in dense]

    def tensors_in(self, buffer: Tensor) -> list[Tensor]:
        """Returns the tensors, as views of the buffer."""
        found: list[Tensor] = [buffer] * len(self.order)
        for place, part in zip(self.order, buffer.split(self.lengths), strict=True):
            dtype, shape = self.kinds[place]
            found[place] = part.view(dtype).view(shape)
        return found
