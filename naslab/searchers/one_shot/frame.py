"""A one-shot search: first paths are trained, all with the same weights, then children are judged by those weights.

A step is one mini-batch for one path in the first phase, one child in the second.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import ClassVar

import torch
from torch import nn

from naslab.architecture import Architecture
from naslab.events import ChildTrained, Evaluated
from naslab.networks.batch_norm import enough_to_normalise
from naslab.networks.cost import Cost, cost
from naslab.randomness import torch_generator
from naslab.searchers.one_shot.evolution import Evolution, Excess
from naslab.searchers.one_shot.paths import Paths
from naslab.searchers.one_shot.training import OneShotHyperparameters
from naslab.searchers.searcher import Knob, State
from naslab.searchers.shared_weights import SharedWeights, WeightSharing
from naslab.searchers.signatures import attribute_docstrings
from naslab.tasks.order import batch_indices, epoch_length
from naslab.threads import torch_threads

KNOBS = {"w_lr": (1e-5, 10.0), "mutation_rate": (1e-3, 1.0)}
"""Name -> lowest, highest."""


class OneShot(WeightSharing):
    """What the papers make their steps in; they say which paths are trained."""

    Hyperparameters: ClassVar[type[OneShotHyperparameters]]

    @abstractmethod
    def sampled(self) -> Paths:
        """The paths, from `space`, `seed` and `hyperparameters`."""

    def begin(self, network: nn.Module) -> None:
        given = self.hyperparameters
        self.paths = self.sampled()
        self._costs: dict[Architecture, Cost] = {}
        self.evolution = Evolution(self.space, self.seed, given, self._excess)
        self._updates = epoch_length(len(self._train), given.batch_size)
        self._w_factor = 1.0
        self.weights = SharedWeights(
            network,
            rate=given.w_lr,
            momentum=given.w_momentum,
            clip=given.w_clip,
            weight_decay=given.w_weight_decay,
            nesterov=False,
        )

    # --- a step ------------------------------------------------------------------------------------

    @property
    def training_steps(self) -> int:
        """Steps of the first phase."""
        return self.hyperparameters.epochs * self._updates * self.paths.together

    def advance(self) -> ChildTrained | Evaluated:
        """A mini-batch for the weights of a path, or the judgement of a child."""
        with torch_threads(self.threads):
            return self._train_path() if self._step < self.training_steps else self._judge_child()

    def _train_path(self) -> ChildTrained:
        given, knobs = self.hyperparameters, self._values()
        path = self.paths.path(self._step)
        update, position = divmod(self._step, self.paths.together)
        chosen = batch_indices(self._train, given.batch_size, update, self.seed, "weights")
        augment = torch_generator(self.seed, "augment", "weights", update)
        images, labels = self.task.batch(chosen, augment=augment, device=self.device)
        self.weights.network.train()
        with enough_to_normalise(len(images)):
            logits = self.weights.network(images, self._layers(path))
        loss = self.task.loss(logits, labels, smoothing=given.label_smoothing)
        self._must_be_finite("training loss", loss)
        loss.backward()
        if position + 1 == self.paths.together:
            self._must_be_finite("gradient of the shared weights", self.weights.step(knobs["w_lr"]))
        self._step += 1
        return ChildTrained(
            step=self._step,
            epoch=update // self._updates,
            architecture=path,
            metrics={
                "train/loss": float(loss.detach()),
                "train/accuracy": self.task.accuracy(logits.detach(), labels),
            },
            best=self.best,
            settings=knobs,
        )

    def _judge_child(self) -> Evaluated:
        given, evolution, knobs = self.hyperparameters, self.evolution, self._values()
        child, generation = evolution.next, evolution.generation
        architecture = Architecture(self.space.name, child.choices)
        images = min(given.valid_images, len(self._valid))
        few = self._train[: given.recalibration_images]
        fitness = self._inherited(architecture, few, given.batch_norm, images)
        self._step += 1
        evolution.hear(self._step, fitness)
        best = evolution.best
        return Evaluated(
            step=self._step,
            number=self._step,
            architecture=architecture,
            origin=child.origin,
            parents=child.parents,
            status="done",
            fitness=fitness,
            message="",
            best=self.best,
            best_fitness=None if best is None else -best.loss,
            settings=knobs,
            candidate=self._step,
            figures=self._figures(architecture),
            details={"generation": float(generation), "exhausted": float(evolution.ended)},
        )

    def accuracy(self, child: Architecture, *, batch_norm: str = "batch", images: int | None = None) -> float:
        """Recalibrated on at most `recalibration_images`."""
        few = self._train[: self.hyperparameters.recalibration_images]
        return self._inherited(self.space.check(child), few, batch_norm, images)

    # --- what a child costs --------------------------------------------------------------------------

    @cached_property
    def _limits(self) -> dict[str, float]:
        limits = {"multiply_adds": self.hyperparameters.max_flops, "parameters": self.hyperparameters.max_parameters}
        return {name: limit for name, limit in limits.items() if limit is not None}

    def _cost(self, architecture: Architecture) -> Cost:
        if architecture not in self._costs:
            with torch.device("meta"):
                network = self.space.build(architecture, self.task)
            self._costs[architecture] = cost(network, self.task.input_shape)
        return self._costs[architecture]

    def _excess(self, architecture: Architecture) -> Excess:
        """The limit that it comes nearest to, or is furthest beyond."""
        shares = [(0.0, "")]
        for name, limit in self._limits.items():
            found = getattr(self._cost(architecture), name)
            shares.append((found / limit, f"{found:,} {name.replace('_', '-')}, and may have {limit:,.0f}"))
        return max(shares)

    def _figures(self, architecture: Architecture) -> Mapping[str, float]:
        """What a child costs, where that matters."""
        if not self._limits:
            return {}
        found = self._cost(architecture)
        return {"parameters": float(found.parameters), "flops": float(found.multiply_adds)}

    # --- knobs -------------------------------------------------------------------------------------

    def _scheduled(self) -> float:
        """The learning rate of this update, if nobody has turned it."""
        updates = self.hyperparameters.epochs * self._updates
        return self.hyperparameters.rate(min(self._step // self.paths.together, updates - 1) / updates)

    def _values(self) -> dict[str, float]:
        own = {name: knob.value for name, knob in self.paths.knobs.items()}
        return {"w_lr": self._w_factor * self._scheduled(), "mutation_rate": self.evolution.mutation_rate, **own}

    @property
    def knobs(self) -> Mapping[str, Knob]:
        about = {**attribute_docstrings(OneShotHyperparameters), **attribute_docstrings(self.Hyperparameters)}
        values = self._values()
        common = {
            name: Knob(value=values[name], low=min(low, values[name]), high=max(high, values[name]))
            for name, (low, high) in KNOBS.items()
        }
        knobs = {**common, **self.paths.knobs}
        return {name: replace(knob, description=about[name]) for name, knob in knobs.items()}

    def turn(self, name: str, value: float) -> None:
        """A new w_lr scales the whole schedule from here on."""
        value = self.check_knob(name, value)
        if name == "w_lr":
            self._w_factor = value / self._scheduled()
        elif name == "mutation_rate":
            self.evolution.mutation_rate = value
        else:
            self.paths.turn(name, value)

    # --- where it stands, and state ------------------------------------------------------------------

    @property
    def total(self) -> int:
        """Steps in the whole search; fewer once it is known that there are no more children to be found."""
        return self.training_steps + len(self.evolution.judged) + self.evolution.left

    @property
    def best(self) -> Architecture:
        """The best child so far; before one is judged, the first that will be."""
        best = self.evolution.best
        return Architecture(self.space.name, self.evolution.next.choices if best is None else best.choices)

    def state_dict(self) -> State:
        memory = [self._w_factor, self.paths.memory(), self.evolution.memory()]
        return {"step": self._step, "memory": json.dumps(memory), **self.weights.state()}

    def load_state_dict(self, state: State) -> None:
        self._step = int(state["step"])  # type: ignore[arg-type]
        self._w_factor, paths, evolution = json.loads(str(state["memory"]))
        self.paths.remember(paths)
        self.evolution.remember(evolution)
        self.weights.load(state)
