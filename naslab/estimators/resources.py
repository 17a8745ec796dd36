"""What a network costs: parameters, multiply-adds and their intensity, and on this machine its latency and memory.

    Resources(space, task, ["latency"])                   as the fitness: less is better, so it is negative
    WithMetrics(estimator, Resources(space, task))        as figures beside another fitness

Parameters and multiply-adds ("flops", as the field says) are counted, and the same everywhere; so is the intensity, the
multiply-adds for each byte that the layers read and write (Williams, Waterman & Patterson 2009, the roofline model): a
network with little of it waits for the memory, however fast the machine computes. Latency is the median of
repeated runs after warming up: it belongs to this machine, comes out a little different each time, and stays what it
was when a search is repeated, for then it is read from the journal.
"""

from __future__ import annotations

import hashlib
import json
import time
import weakref
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from naslab import networks, spaces, tasks
from naslab.architecture import Architecture
from naslab.errors import SpecError, among, unknown, whole
from naslab.estimators.estimator import Score
from naslab.modes import evaluation_mode
from naslab.networks.operation_costs import PRODUCTS
from naslab.quantities import Objective
from naslab.randomness import seeded
from naslab.spaces.space import Space
from naslab.tasks.checks import check_task
from naslab.threads import number_of_threads, torch_threads
from naslab.torch_state import default_torch_state
from naslab.trees import tensors

FIGURES = ("parameters", "flops", "latency", "memory", "intensity")
"""What can be measured: numbers, multiply-adds, seconds and bytes for one example (or `batch` of them), multiply-adds
for each byte."""
WANTED = ("intensity",)
"""Of which one wants much."""
UNITS = {"latency": "s", "memory": "bytes"}
WARM_UP = 3
"""Runs before the first that is timed."""


@default_torch_state()
def latency(network: nn.Module, x: Any, *, repeats: int = 20, threads: int | None = 1) -> float:
    """Seconds of one forward pass in evaluation mode: the median of `repeats`, after warming up.

    Args:
        network: on the device of `x`; left in the mode it was in.
        x: what it is called with, for instance [B, C, H, W].
    """
    seconds, cuda = [], [tensor.device for tensor in tensors(x) if tensor.is_cuda]
    with evaluation_mode(network), torch.no_grad(), torch_threads(threads):
        for run in range(WARM_UP + repeats):
            start = time.perf_counter()
            network(x)
            for device in cuda[:1]:
                torch.cuda.synchronize(device)
            if run >= WARM_UP:
                seconds.append(time.perf_counter() - start)
    return median(seconds)


@default_torch_state()
def memory(network: nn.Module, x: Any) -> int:
    """Bytes at the worst moment of a forward pass in evaluation mode: the weights, and what is alive of the rest.

    Counted tensor by tensor, so it is what the algorithm needs, without what torch keeps for itself.
    """
    with evaluation_mode(network), torch.no_grad(), _Alive() as alive:
        network(x)
    own = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in network.state_dict().values()}
    return alive.most + sum(own.values())


@default_torch_state()
def traffic(network: nn.Module, x: Any) -> int:
    """Bytes that the convolutions and linear layers of a forward pass read (inputs, weights, biases) and write; of a
    network without such layers, those of its matrix products.

    As if each went to the memory and came from there, and all else (normalisation, activations, pooling) were done on
    the way.
    """
    moved = 0

    def count(layer: nn.Module, given: tuple[torch.Tensor, ...], made: torch.Tensor) -> None:
        nonlocal moved
        moved += sum(tensor.numel() * tensor.element_size() for tensor in (*given, made, *layer.parameters()))

    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    try:
        with evaluation_mode(network), torch.no_grad(), _Products() as products:
            network(x)
    finally:
        for hook in hooks:
            hook.remove()
    return moved or products.moved


class _Products(TorchDispatchMode):
    """Adds up the bytes that matrix products read and write."""

    def __init__(self) -> None:
        super().__init__()
        self.moved = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if getattr(func, "overloadpacket", None) in PRODUCTS:
            self.moved += sum(tensor.numel() * tensor.element_size() for tensor in tensors((args, made)))
        return made


class _Alive(TorchDispatchMode):
    """Adds up the storage of tensors made inside, for as long as they live."""

    def __init__(self) -> None:
        super().__init__()
        self.most = self._now = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        given = {t.untyped_storage()._cdata for t in tensors((args, kwargs or {}))}
        for tensor in tensors(made):
            storage = tensor.untyped_storage()
            if storage._cdata not in given and storage._cdata not in self._known:
                self._watch(storage)
        return made

    def _watch(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        self._known.add(key)
        self._now += size
        self.most = max(self.most, self._now)
        weakref.finalize(storage, self._gone, key, size)

    def _gone(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._now -= size


class Resources:
    """An estimator of what architectures cost. The fitness is the first figure, negative but for the intensity, of
    which one wants much; all are figures.

    Args:
        space: builds the networks.
        task: says what goes into the networks, and what is to come out.
        figures: some of `FIGURES`, in the order of their weight.
        batch: examples that go through the network at once, for latency and memory.
        threads: of the CPU, for the latency.
        repeats: runs that the latency is the median of.
    """

    name = "resources"

    def __init__(
        self,
        space: Space,
        task: Any,
        figures: Sequence[str] = FIGURES,
        *,
        batch: int = 1,
        threads: int = 1,
        repeats: int = 20,
    ) -> None:
        if not isinstance(space, Space):
            raise SpecError(f"expected a space, for instance nl.spaces.NASBench201.laptop(), got {space!r:.200}")
        if isinstance(figures, str) or not figures:
            raise SpecError(f"figures are some of {', '.join(FIGURES)}, as a list; not {figures!r}")
        for figure in figures:
            if not among(figure, FIGURES):
                raise SpecError(unknown("figure", figure, FIGURES))
        self.space, self.figures = space, tuple(figures)
        self.task: Any = check_task(task, "Resources")
        space.check_task(task)
        self._batch, self._threads = whole("batch", batch, 1), number_of_threads(threads)
        self._repeats = whole("repeats", repeats, 1)

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The first of the figures."""
        first = self.figures[0]
        return (Objective(first, "max" if first in WANTED else "min", UNITS.get(first, "")),)

    def __call__(self, architecture: Architecture) -> Score:
        figures = self.measure(architecture)
        first = self.figures[0]
        return Score(figures[first] if first in WANTED else -figures[first], figures)

    @default_torch_state()
    def measure(self, architecture: Architecture) -> Mapping[str, float]:
        """Name of a figure -> its value."""
        with seeded("resources"):
            network = self.space.build(architecture, self.task)
        x = self.task.inputs(self.task.example(self._batch))
        found: dict[str, float] = {}
        if {"parameters", "flops", "intensity"} & set(self.figures):
            cost = networks.cost(network, self.task)
            found |= {"parameters": cost.parameters, "flops": cost.multiply_adds}
        if "intensity" in self.figures:
            bytes_ = traffic(network, self.task.inputs(self.task.example(1)))
            found["intensity"] = found["flops"] / bytes_ if bytes_ else 0.0
        if "memory" in self.figures:
            found["memory"] = memory(network, x)
        if "latency" in self.figures:
            found["latency"] = latency(network, x, repeats=self._repeats, threads=self._threads)
        return {figure: found[figure] for figure in self.figures}

    def spec(self) -> dict[str, Any]:
        return {
            "estimator": self.name,
            "space": self.space.spec(),
            "task": self.task.spec(),
            "figures": list(self.figures),
            "batch": self._batch,
            "threads": self._threads,
            "repeats": self._repeats,
        }

    def fingerprint(self) -> str:
        return hashlib.sha256(json.dumps(self.spec(), sort_keys=True).encode()).hexdigest()

    @classmethod
    def from_spec(cls, spec: dict[str, Any], task: Any = None) -> Resources:
        arguments = {name: spec[name] for name in ("figures", "batch", "threads", "repeats")}
        return cls(spaces.from_spec(spec["space"]), tasks.from_spec(spec["task"], task), **arguments)
