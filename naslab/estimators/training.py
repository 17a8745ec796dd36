"""Training: build the network, fit it for some epochs, and see what it makes of images that were held out.

With few epochs, few channels or few cells this is the low fidelity of Zela et al. 2018
(https://arxiv.org/abs/1807.06906); how well it ranks what full training would rank is to be seen, not assumed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

from naslab import spaces, tasks
from naslab.architecture import Architecture
from naslab.errors import SpecError
from naslab.randomness import seeded
from naslab.spaces.space import Space
from naslab.trainers import Recipe, fit

HELD_OUT = 0.2
"""Part of the training images that the fitness is measured on."""


class Training:
    """Held-out accuracy, in [0, 1], of the network that an architecture describes. The test images are not looked at
    for it.

    Args:
        space: builds the networks, of its own sizes.
        task: what to train on, for instance `naslab.tasks.Digits()`.
        seed: of the weights, the images held out, their order and augmentation: the same for every candidate.
        device: as in `naslab.trainers.fit`.
        threads: CPU threads of a training.
        hyperparameters: of `naslab.trainers.Recipe`, by name; `held_out` is a fifth if left out.
    """

    name = "training"

    def __init__(
        self,
        space: Space,
        task: Any,
        *,
        seed: int = 0,
        device: str | None = None,
        threads: int = 1,
        **hyperparameters: Any,
    ) -> None:
        if not isinstance(space, Space):
            raise SpecError(f"expected a space, for instance nl.spaces.NASBench201.laptop(), got {space!r:.200}")
        self.space, self.task = space, task
        self._seed, self._device, self._threads = seed, device, threads
        self.recipe = Recipe().but(**{"held_out": HELD_OUT, **hyperparameters})
        if not self.recipe.held_out:
            raise SpecError("held_out must be above 0: a search that chooses by test images has none left to test on")

    def __call__(self, architecture: Architecture) -> float:
        with seeded(self._seed, "training", "weights"):
            network = self.space.build(architecture, self.task)
        report = fit(
            network,
            self.task,
            recipe=self.recipe,
            seed=self._seed,
            device=self._device,
            threads=self._threads,
            progress=False,
        )
        accuracy = report.best.valid_accuracy
        assert accuracy is not None  # held_out is above 0
        return accuracy

    def spec(self) -> dict[str, Any]:
        return {
            "estimator": self.name,
            "space": self.space.spec(),
            "task": self.task.spec(),
            "seed": self._seed,
            "device": self._device,
            "threads": self._threads,
            "recipe": dataclasses.asdict(self.recipe),
        }

    def fingerprint(self) -> str:
        """Of the data and of how it is trained on."""
        told = json.dumps([self.task.fingerprint(), self.spec()], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()

    @classmethod
    def from_spec(cls, spec: dict[str, Any], task: Any = None) -> Training:
        return cls(
            spaces.from_spec(spec["space"]),
            tasks.from_spec(spec["task"], task),
            seed=spec["seed"],
            device=spec["device"],
            threads=spec["threads"],
            **spec["recipe"],
        )
