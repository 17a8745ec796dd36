"""Cost of a network: parameters, multiply-adds and arithmetic intensity; latency and memory on this machine.

    Resources(space, task, ["latency"])                   as the fitness: negative, as less is better
    WithMetrics(estimator, Resources(space, task))        as metrics beside another fitness

Parameters and multiply-adds ("flops" in the literature on architecture search) are counted, and equal on every machine.
So is the arithmetic intensity, the multiply-adds per byte that layers read and write (Williams, Waterman & Patterson
2009, the roofline model): a network of low intensity is limited by memory bandwidth, however fast the machine computes.
Latency is the median of repeated runs after a warm-up. It belongs to this machine and varies a little from run to run;
a search that is replayed nevertheless sees the same latencies, because it reads them from its event log.
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
from naslab.device import device_name, synchronise, usable_device
from naslab.errors import SpecError, among, unknown, whole
from naslab.estimators.estimator import Score
from naslab.lazy import warn_of_old_name
from naslab.modes import evaluation_mode
from naslab.networks.operation_costs import PRODUCTS
from naslab.out_of_memory import placed
from naslab.quantities import Objective
from naslab.randomness import seeded
from naslab.spaces.space import Space
from naslab.tasks.checks import check_task
from naslab.threads import number_of_threads, torch_threads
from naslab.torch_state import default_torch_state
from naslab.trees import tensors

METRICS = ("parameters", "flops", "latency", "memory", "intensity")
"""Names of what can be measured: number of parameters, multiply-adds, seconds and bytes for one example (or `batch`
examples), multiply-adds per byte."""
WANTED = ("intensity",)
"""Metrics of which more is better."""
UNITS = {"latency": "s", "memory": "bytes"}
WARM_UP = 3
"""Untimed runs before the first that is timed: they fill caches and let torch choose its kernels."""


@default_torch_state()
def latency(network: nn.Module, x: Any, *, repeats: int = 20, threads: int | None = 1) -> float:
    """Returns the seconds of a forward pass in evaluation mode: the median of `repeats` runs after a warm-up.

    Args:
        network: on the device of `x`; its mode is restored.
        x: input of the network, for instance [B, C, H, W].
        repeats: number of timed runs.
        threads: CPU threads of torch; None leaves their number as it is.
    """
    seconds, devices = [], {tensor.device for tensor in tensors(x)}
    with evaluation_mode(network), torch.no_grad(), torch_threads(threads):
        for run in range(WARM_UP + repeats):
            start = time.perf_counter()
            network(x)
            for device in devices:
                synchronise(device)  # a GPU computes while Python goes on; the clock must wait for it
            if run >= WARM_UP:
                seconds.append(time.perf_counter() - start)
    return median(seconds)


@default_torch_state()
def memory(network: nn.Module, x: Any) -> int:
    """Returns the peak memory in bytes of a forward pass in evaluation mode: weights, and the tensors alive at once.

    Tensors are counted one by one, so that the result is what the algorithm needs, without the caches of torch's
    allocator.
    """
    with evaluation_mode(network), torch.no_grad(), _Alive() as alive:
        network(x)
    own = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in network.state_dict().values()}
    return alive.most + sum(own.values())


@default_torch_state()
def traffic(network: nn.Module, x: Any) -> int:
    """Returns the bytes that convolutions and linear layers read (inputs, weights, biases) and write in a forward pass;
    for a network without such layers, those of its matrix products.

    The model assumes that inputs and outputs of these layers pass through memory once, and that everything between
    them (normalisation, activations, pooling) is fused and adds no traffic.
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
    """Sums the bytes that matrix products read and write while it is active."""

    def __init__(self) -> None:
        super().__init__()
        self.moved = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if getattr(func, "overloadpacket", None) in PRODUCTS:
            self.moved += sum(tensor.numel() * tensor.element_size() for tensor in tensors((args, made)))
        return made


class _Alive(TorchDispatchMode):
    """Tracks the bytes of all storages that are allocated while it is active and still referenced."""

    def __init__(self) -> None:
        super().__init__()
        self.most = self._now = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        given = {t.untyped_storage()._cdata for t in tensors((args, kwargs or {}))}
        for tensor in tensors(made):
            storage = tensor.untyped_storage()
            # Views and in-place results share the storage of an input and take no memory of their own.
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
    """Estimator of the cost of architectures. The fitness is the first metric, negated unless it is the intensity, of
    which more is better.

    Args:
        space: builds the networks.
        task: determines inputs and outputs of the networks.
        metrics: some of `METRICS`; the first is the objective.
        batch: batch size for latency and memory.
        threads: CPU threads for the latency.
        repeats: timed runs of which the latency is the median.
        device: where latency and memory are measured: the CPU by default, "cuda" for the GPU.
        figures: `metrics`, by their earlier name.
    """

    name = "resources"

    def __init__(
        self,
        space: Space,
        task: Any,
        metrics: Sequence[str] = METRICS,
        *,
        batch: int = 1,
        threads: int = 1,
        repeats: int = 20,
        device: str | torch.device = "cpu",
        figures: Sequence[str] | None = None,
    ) -> None:
        if figures is not None:
            warn_of_old_name("Resources(figures=...)", "Resources(metrics=...)")
            metrics = figures
        if not isinstance(space, Space):
            raise SpecError(f"expected a space, for instance nl.spaces.NASBench201.laptop(), got {space!r:.200}")
        if isinstance(metrics, str) or not metrics:
            raise SpecError(f"metrics are some of {', '.join(METRICS)}, as a list; not {metrics!r}")
        for metric in metrics:
            if not among(metric, METRICS):
                raise SpecError(unknown("metric", metric, METRICS))
        self.space, self.metrics = space, tuple(metrics)
        self.task: Any = check_task(task, "Resources")
        space.check_task(task)
        self._batch, self._threads = whole("batch", batch, 1), number_of_threads(threads)
        self._repeats, self._device = whole("repeats", repeats, 1), device_name(device)

    @property
    def device(self) -> str:
        """Name of the device on which latency and memory are measured."""
        return self._device

    @property
    def figures(self) -> tuple[str, ...]:
        """The earlier name of `metrics`."""
        warn_of_old_name("Resources.figures", "Resources.metrics")
        return self.metrics

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The first metric, as the only objective."""
        first = self.metrics[0]
        return (Objective(first, "max" if first in WANTED else "min", UNITS.get(first, "")),)

    def __call__(self, architecture: Architecture) -> Score:
        metrics = self.measure(architecture)
        first = self.metrics[0]
        return Score(metrics[first] if first in WANTED else -metrics[first], metrics)

    @default_torch_state()
    def measure(self, architecture: Architecture) -> Mapping[str, float]:
        """Returns the value of each metric by name, in the order of `metrics`."""
        with seeded("resources"):
            network = self.space.build(architecture, self.task)
        device = usable_device(self._device)
        network = placed(network, device)
        x = self.task.inputs(self.task.example(self._batch, device=device))
        found: dict[str, float] = {}
        if {"parameters", "flops", "intensity"} & set(self.metrics):
            cost = networks.cost(network, self.task)
            found |= {"parameters": cost.parameters, "flops": cost.multiply_adds}
        if "intensity" in self.metrics:
            one = self.task.inputs(self.task.example(1, device=device))
            bytes_ = traffic(network, one)  # one example, as for "flops"
            found["intensity"] = found["flops"] / bytes_ if bytes_ else 0.0
        if "memory" in self.metrics:
            found["memory"] = memory(network, x)
        if "latency" in self.metrics:
            found["latency"] = latency(network, x, repeats=self._repeats, threads=self._threads)
        return {metric: found[metric] for metric in self.metrics}

    def spec(self) -> dict[str, Any]:
        return {
            "estimator": self.name,
            "space": self.space.spec(),
            "task": self.task.spec(),
            "figures": list(self.metrics),  # older than the name `metrics`; keys in run folders never change
            "batch": self._batch,
            "threads": self._threads,
            "repeats": self._repeats,
            # no key for the CPU: specs, and the fingerprints made of them, are older than the argument
            **({} if self._device == "cpu" else {"device": self._device}),
        }

    def fingerprint(self) -> str:
        return hashlib.sha256(json.dumps(self.spec(), sort_keys=True).encode()).hexdigest()

    @classmethod
    def from_spec(cls, spec: dict[str, Any], task: Any = None) -> Resources:
        arguments = {name: spec[name] for name in ("batch", "threads", "repeats", "device") if name in spec}
        space, task = spaces.from_spec(spec["space"]), tasks.from_spec(spec["task"], task)
        return cls(space, task, spec["figures"], **arguments)
