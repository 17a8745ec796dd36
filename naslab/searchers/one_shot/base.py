"""One-shot search: paths are trained with shared weights, then evolution evaluates children with these weights.

A step is one mini-batch for one path in the first phase, and the evaluation of one child in the second.
"""

from __future__ import annotations

import json
import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import nn

from naslab.architecture import Architecture
from naslab.errors import Diverged
from naslab.events import ChildTrained, Evaluated, Event, Phase
from naslab.networks.batch_norm import enough_to_normalise
from naslab.networks.cost import Cost, cost
from naslab.searchers.batch_size import BatchSize
from naslab.searchers.one_shot.evolution import Evolution, Excess
from naslab.searchers.one_shot.paths import Paths
from naslab.searchers.one_shot.training import OneShotHyperparameters
from naslab.searchers.overrides import WEIGHTS, Overrides, decay, freezing
from naslab.searchers.settings import Setting, Slider, values_of
from naslab.searchers.shared_weights import DECAY, SharedWeights, WeightSharing
from naslab.searchers.signatures import attribute_docstrings
from naslab.searchers.stretch import Stretch
from naslab.snapshot import State
from naslab.threads import torch_threads
from naslab.trees import detached

KNOBS = {"w_lr": (1e-5, 10.0), "mutation_rate": (1e-3, 1.0)}
"""Name -> lowest, highest."""


class OneShot(WeightSharing):
    """Base of the one-shot searchers. A subclass is one method: its `sampled` returns the paths that are trained."""

    Hyperparameters: ClassVar[type[OneShotHyperparameters]]

    @abstractmethod
    def sampled(self) -> Paths:
        """Returns the sampler of paths, made from `space`, `seed` and `hyperparameters`."""

    def begin(self, network: nn.Module) -> None:
        given = self.hyperparameters
        self.paths = self.sampled()
        self._costs: dict[Architecture, Cost] = {}
        self.evolution = Evolution(self.space, self.seed, given, self._excess)
        self._w_factor = 1.0
        batches = BatchSize([self._feed], given.epochs, lambda feed, epoch: feed.timetable.total(epoch))
        described = attribute_docstrings(OneShotHyperparameters)[DECAY]
        self.overrides = Overrides(
            batches, {DECAY: decay(given.w_weight_decay, described), WEIGHTS: freezing("weights")}
        )
        self.weights = SharedWeights(
            network,
            rate=given.w_lr,
            momentum=given.w_momentum,
            clip=given.gradient_clipping,
            weight_decay=given.w_weight_decay,
            nesterov=False,
        )

    # --- a step ------------------------------------------------------------------------------------

    @property
    def _updates(self) -> int:
        return self._feed.timetable.total(self.hyperparameters.epochs)

    def _done(self, step: int) -> int:
        return min(-(-step // self.paths.together), self._updates)

    def _place(self, step: int) -> int:
        return min(step // self.paths.together, self._updates - 1)

    @property
    def training_steps(self) -> int:
        """Steps of the first phase."""
        return self._updates * self.paths.together

    def advance(self) -> ChildTrained | Evaluated:
        """Train a path on a mini-batch, or evaluate a child."""
        with torch_threads(self.threads):
            return self._train_path() if self._step < self.training_steps else self._judge_child()

    def _train_path(self) -> ChildTrained:
        given, knobs = self.hyperparameters, self._values()
        path = self.paths.path(self._step)
        update, position = divmod(self._step, self.paths.together)
        batch, inputs = self._feed.take(update)
        self.weights.network.train()
        few = enough_to_normalise(self._feed.timetable.size(update), units=self.task.units)
        with few, self._layer_noise.seeded_by("weights", self._step), self._weights_or_still():
            outputs = self.weights.network(inputs, self._layers(path))
        loss = self.task.loss(outputs, batch, smoothing=given.label_smoothing)
        # Gradients of the paths of one update add up in `.grad`, and SGD moves by their sum (FairNAS, Alg. 1).
        last = position + 1 == self.paths.together
        metrics = self._learn(loss, outputs, batch, knobs["w_lr"] if last else None)
        if last:  # the paths of an update begin with the same state, and the last one carries its own on
            self._feed.keep(detached(outputs))
        self._step += 1
        return ChildTrained(
            step=self._step,
            epoch=self._feed.timetable.epoch(update),
            architecture=path,
            metrics=metrics,
            best=self.best,
            settings={**knobs, **self._in_force},
        )

    def _judge_child(self) -> Evaluated:
        given, evolution, knobs = self.hyperparameters, self.evolution, self._values()
        child, generation = evolution.next, evolution.generation
        architecture = Architecture(self.space.name, child.choices)
        value = self._inherited(
            architecture,
            given.batch_norm,
            min(given.valid_images, self._examples),
            [self.task.objective],
            given.recalibration_images,
        )[self.task.objective]
        fitness = self.task.fitness_of(value)
        if math.isnan(fitness):  # in no order with the other children; an infinite one is the worst
            raise Diverged(
                f"step {self._step + 1}: the {self.task.objective} of {architecture} is not a number, so that it can "
                "be in no order with other children; the step was not kept. Mend the metric, or go back with "
                "search.rewind(step) and lower w_lr with search.set('w_lr', value)"
            )
        self._step += 1
        evolution.update(self._step, fitness)
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
            settings={**knobs, **self._in_force},
            candidate=self._step,
            figures=self._figures(architecture),
            **self._worth(self.task.objective if fitness == value else f"-{self.task.objective}", fitness),
            details={"generation": float(generation), "exhausted": float(evolution.ended)},
        )

    def measure_child(
        self,
        child: Architecture,
        *,
        batch_norm: str = "batch",
        examples: int | None = None,
        metrics: Sequence[str] | None = None,
    ) -> dict[str, float]:
        """Returns metrics of a child; recalibration, if asked for, uses at most `recalibration_images`."""
        few = self.hyperparameters.recalibration_images
        return self._inherited(self.space.check(child), batch_norm, examples, metrics, few)

    def beside(self) -> list[Event]:
        """Returns a `Phase` with the first child of the evolution, and at the end of an epoch of training the metrics
        that need all of the data."""
        if self._step == self.training_steps + 1:
            given = self.hyperparameters
            settings = {"weights": "held", "population": given.population, "generations": given.generations}
            return [Phase(step=self._step, name="evolution", settings=settings)]
        update, position = divmod(self._step, self.paths.together)
        ended = 0 < self._step <= self.training_steps and position == 0 and self._feed.timetable.ends_epoch(update - 1)
        return self._after_a_pass() if ended else []

    # --- costs of children ---------------------------------------------------------------------------

    @cached_property
    def _limits(self) -> dict[str, float]:
        limits = {"multiply_adds": self.hyperparameters.max_flops, "parameters": self.hyperparameters.max_parameters}
        return {name: limit for name, limit in limits.items() if limit is not None}

    def _cost(self, architecture: Architecture) -> Cost:
        if architecture not in self._costs:
            with torch.device("meta"):  # shapes without memory are enough to count
                network = self.space.build(architecture, self.task)  # type: ignore[arg-type]
            self._costs[architecture] = cost(network, self.task)
        return self._costs[architecture]

    def _excess(self, architecture: Architecture) -> Excess:
        """Returns (cost / limit, explanation) for the limit of which the architecture uses the largest share."""
        shares = [(0.0, "")]
        for name, limit in self._limits.items():
            found = getattr(self._cost(architecture), name)
            shares.append((found / limit, f"{found:,} {name.replace('_', '-')}, and may have {limit:,.0f}"))
        return max(shares)

    def _figures(self, architecture: Architecture) -> Mapping[str, float]:
        """Returns parameters and multiply-adds of a child if there is a limit; counting takes time, so else nothing."""
        if not self._limits:
            return {}
        found = self._cost(architecture)
        return {"parameters": float(found.parameters), "flops": float(found.multiply_adds)}

    # --- knobs -------------------------------------------------------------------------------------

    def _scheduled(self, step: int | None = None) -> float:
        """Returns the learning rate of the update that a step is in, without the user's factor.

        Progress is counted in updates. Once the batch size has changed, it is counted in epochs, which it keeps.
        """
        updates, timetable = self._updates, self._feed.timetable
        update = min((self._step if step is None else step) // self.paths.together, updates - 1)
        if not self.overrides.batches.changed:
            return self.hyperparameters.rate(update / updates)
        epoch, position = timetable.locate(update)
        length = timetable.total(epoch + 1) - timetable.total(epoch)
        return self.hyperparameters.rate((epoch + position / length) / self.hyperparameters.epochs)

    def _values(self) -> dict[str, float]:
        own = values_of(self.paths.settings)
        return {"w_lr": self._w_factor * self._scheduled(), "mutation_rate": self.evolution.mutation_rate, **own}

    @property
    def settings(self) -> Mapping[str, Setting]:
        about = {**attribute_docstrings(OneShotHyperparameters), **attribute_docstrings(self.Hyperparameters)}
        values = self._values()
        common = {
            name: Slider(value=values[name], low=min(low, values[name]), high=max(high, values[name]))
            for name, (low, high) in KNOBS.items()
        }
        own = {**common, **self.paths.settings}
        described = {name: replace(setting, description=about[name]) for name, setting in own.items()}
        led = {"base": self._w_factor * self.hyperparameters.w_lr, "schedule": self.hyperparameters.schedule}
        described["w_lr"] = replace(described["w_lr"], **led)
        return {**described, **super().settings}

    def apply_setting(self, name: str, value: Any) -> None:
        """A new w_lr scales the whole schedule from here on."""
        if name == "w_lr":
            self._w_factor = value / self._scheduled()
        elif name == "mutation_rate":
            self.evolution.mutation_rate = value
        elif name in self.paths.settings:
            self.paths.apply_setting(name, value)
        else:
            super().apply_setting(name, value)

    def planned(self, values: Mapping[str, Any]) -> int:
        timetable = self.overrides.batches.epochs_of(values, self._done(self._step))
        return self.total + (timetable.total(self.hyperparameters.epochs) - self._updates) * self.paths.together

    @property
    def end_of_epoch(self) -> int:
        """In the second phase, the end of a generation."""
        if self._step >= self.training_steps:
            return self._step + self.evolution.coming
        timetable = self._feed.timetable
        return timetable.total(timetable.epoch(self._step // self.paths.together) + 1) * self.paths.together

    @property
    def begin_of_epoch(self) -> int:
        """In the second phase, the beginning of the last epoch of training: its mini-batches are the last ones."""
        timetable, update = self._feed.timetable, min(self._step // self.paths.together, self._updates - 1)
        return timetable.total(timetable.epoch(update)) * self.paths.together

    def remasked(self) -> None:
        self.paths.offer(self.space)
        self.evolution.offer(self.space)

    # --- progress and state --------------------------------------------------------------------------

    @property
    def total(self) -> int:
        """Steps in the whole search; fewer once no further new child can be found."""
        return self.training_steps + len(self.evolution.judged) + self.evolution.left

    def ahead(self) -> list[Stretch]:
        """Returns the remaining steps by kind: paths to train, and children to evaluate."""
        paths, children = max(0, self.training_steps - self._step), self.evolution.left
        found = []
        if paths:
            together = self.paths.together
            found.append(Stretch("paths", paths, self._step, paths, together=together, moves=("w_lr",)))
        if children:
            found.append(Stretch("children", children, max(self._step, self.training_steps), children, of_epochs=False))
        return found

    def epochs_ahead(self) -> float:
        return self.hyperparameters.epochs * max(0, self.training_steps - self._step) / self.training_steps

    @property
    def best(self) -> Architecture:
        """The best child so far; before any is evaluated, the first that will be."""
        best = self.evolution.best
        return Architecture(self.space.name, self.evolution.next.choices if best is None else best.choices)

    def state_dict(self) -> State:
        memory = [self._w_factor, self.paths.state_dict(), self.evolution.state_dict()]
        held = {**self._mask_state(), **self._feed.state(), **self.overrides.state(), **self.weights.state()}
        return {"step": self._step, "memory": json.dumps(memory), **held}

    def load_state_dict(self, state: State) -> None:
        self._step = int(state["step"])  # type: ignore[arg-type]
        self._feed.load(state)
        self.overrides.load(state)
        self.obey()
        self._load_mask(state)
        self._w_factor, paths, evolution = json.loads(str(state["memory"]))
        self.paths.load_state_dict(paths)
        self.evolution.load_state_dict(evolution)
        self.weights.load(state)
