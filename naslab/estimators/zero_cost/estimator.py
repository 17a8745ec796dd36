"""A zero-cost proxy as an estimator: build the network, and score it on one mini-batch of training data."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from typing import Any

import numpy as np
import torch

from naslab import spaces, tasks
from naslab.architecture import Architecture
from naslab.device import device_here, device_name
from naslab.errors import DataError, SpecError, among, unknown, whole
from naslab.estimators.zero_cost.proxies import PROXIES, scores
from naslab.estimators.zero_cost.vote import VOTERS, vote
from naslab.numerics import Numerics
from naslab.quantities import Objective
from naslab.randomness import numpy_generator, seeded
from naslab.spaces.space import Space
from naslab.tasks.checks import check_task
from naslab.tasks.task import Task
from naslab.threads import torch_threads
from naslab.torch_state import default_torch_state
from naslab.transfer import network_to_device


class ZeroCost:
    """The score of the untrained network that an architecture describes.

    Args:
        space: builds the networks, with its sizes.
        task: provides the training data, from which the mini-batch is drawn without augmentation. Proxies that need
            ReLUs or real-valued inputs raise an error for networks or tasks without.
        proxy: one of `naslab.estimators.zero_cost.PROXIES`, or "vote".
        batch_size: examples in the mini-batch: 128 for NASWOT and 64 for the others in their papers. Scores for
            different batch sizes are not comparable.
        seed: seed of the weights and of the mini-batch: the same for every candidate.
        reference: "vote" only: number of random architectures that a candidate is compared with. They are scored with
            the first candidate.
        device: as in `naslab.trainers.fit`.
        threads: CPU threads.
    """

    name = "zero_cost"

    def __init__(
        self,
        space: Space,
        task: Any,
        proxy: str = "naswot",
        *,
        batch_size: int = 128,
        seed: int = 0,
        reference: int = 32,
        device: str | torch.device | None = None,
        threads: int = 1,
    ) -> None:
        if not isinstance(space, Space):
            raise SpecError(f"expected a space, for instance nl.spaces.NASBench201.laptop(), got {space!r:.200}")
        if not isinstance(task, Task):
            raise SpecError(f"expected a task, for instance nl.tasks.FashionMNIST(), got {task!r:.200}")
        if not among(proxy, (*PROXIES, "vote")):
            raise SpecError(unknown("proxy", proxy, (*PROXIES, "vote")))
        self.space, self.proxy = space, proxy
        self.task: Any = check_task(task, "ZeroCost")
        space.check_task(task)
        self.batch_size, self.seed = whole("batch_size", batch_size, 1), whole("seed", seed)
        self.reference, self.threads = whole("reference", reference, 1), whole("threads", threads, 1)
        try:
            task.stream("train").steps(self.batch_size, 0, self.seed)
        except DataError as error:
            raise SpecError(f"{task} has fewer {task.units} than a mini-batch of {batch_size}: {error}") from error
        self._device = None if device is None else device_name(device)

    @property
    def device(self) -> str | None:
        """Name of the device; None for the GPU if there is one, else the CPU."""
        return self._device

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The score of the proxy, maximised: all proxies are signed so that higher is better."""
        return (Objective(self.proxy, "max"),)

    @default_torch_state()
    def __call__(self, architecture: Architecture) -> float:
        if self.proxy == "vote":
            return vote(self._scores(architecture, VOTERS), self._population)
        return self._scores(architecture, (self.proxy,))[self.proxy]

    def _scores(self, architecture: Architecture, proxies: tuple[str, ...]) -> dict[str, float]:
        with seeded(self.seed, "zero_cost", "weights"):
            network = self.space.build(architecture, self.task)
        device = device_here(self._device)
        network = network_to_device(network, device)
        with torch_threads(self.threads), Numerics(device=device).in_force():
            return scores(network, self.task.inputs(self._batch), self._batch, proxies, loss=self.task.loss)

    @cached_property
    def _batch(self) -> Any:
        """A random mini-batch of the training data."""
        stream = self.task.stream("train")
        where = stream.sample(self.batch_size, numpy_generator(self.seed, "zero_cost", "batch"))
        return self.task.batch(where, split=stream.split, device=device_here(self._device))

    @cached_property
    def _population(self) -> dict[str, np.ndarray]:
        """Proxy -> scores [reference] of the random architectures that candidates are compared with."""
        rng = numpy_generator(self.seed, "zero_cost", "reference")
        drawn = [self._scores(self.space.sample(rng), VOTERS) for _ in range(self.reference)]
        return {name: np.array([found[name] for found in drawn]) for name in VOTERS}

    def spec(self) -> dict[str, Any]:
        return {
            "estimator": self.name,
            "space": self.space.spec(),
            "task": self.task.spec(),
            "proxy": self.proxy,
            "batch_size": self.batch_size,
            "seed": self.seed,
            "reference": self.reference,
            "device": self._device,
            "threads": self.threads,
        }

    def fingerprint(self) -> str:
        """Returns a hash of the data and of all settings."""
        told = json.dumps([self.task.fingerprint(), self.spec()], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()

    @classmethod
    def from_spec(cls, spec: dict[str, Any], task: Any = None) -> ZeroCost:
        return cls(
            spaces.from_spec(spec["space"]),
            tasks.from_spec(spec["task"], task),
            spec["proxy"],
            batch_size=spec["batch_size"],
            seed=spec["seed"],
            reference=spec["reference"],
            device=spec["device"],
            threads=spec["threads"],
        )
