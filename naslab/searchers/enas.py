"""Efficient neural architecture search (ENAS, Pham et al. 2018, https://arxiv.org/abs/1802.03268, Sec. 2.2).

    each epoch:
      for each training mini-batch:     a child from the controller;  its weights <- SGD on the mini-batch
      for each update of the controller:
        m children, each with its reward: the accuracy on one validation mini-batch, with the shared weights
        the controller <- Adam, ascending  mean of (R - b) log P + entropy - KL(skips || prior)
        b <- moving average of R
      several children from the controller; the one with the best validation accuracy is the result so far

A plain version of this loop is `naslab.reference.enas`.

All children share their weights (`naslab.networks.enas_supernet` for whole networks, `enas_micro_supernet` for cells),
so that none is trained from scratch, and a step costs as much as a step of one child. A step is one mini-batch, of
either phase.

Defaults are those of the authors' search on CIFAR-10 for whole networks (`enas_hyperparameters`), `MICRO` has those of
their search for cells, `LAPTOP` smaller ones for either.

Differences from the authors' code:
- Weights that a child does not have do not change: no decay, no momentum.
- The bonus for entropy is its exact gradient, not a part of the reward.
- The KL is that of the distribution that skip connections are drawn from, as in the paper. Theirs is that of sigmoid(q)
  while sigmoid(2 q) is drawn from, so that their prior of 0.4 and weight of 0.8 act as 0.308 and about 0.2 would here:
  `skip_penalty="score"` does as their code does.
- The baseline is corrected for its start, as Adam's moments are.
- Operations of different layers have embeddings and scores of their own; what the LSTM reads after a layer is the sum
  of the states that were joined (see `policies`). The inputs of a node of a cell are options like any other, not found
  by attention over the nodes before, and the convolutions have no head start over the other operations of a cell (a
  bias of 10 inside the tanh, and in the normal cell 0.5 outside).
- Adam has its usual constants, not beta_1 = 0 and epsilon = 1e-3.
- The gradient of the shared weights is clipped by its whole norm. Their utils.py clips that of each tensor, to the same
  norm, but then uses the gradients as they were before.
- Batch normalisation uses the statistics of the mini-batch for rewards, too; the running ones are those of no child.
- The result is the best of ten children on 512 validation images, not on a mini-batch; no dropout, no auxiliary heads.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from naslab.architecture import Architecture, Prefix
from naslab.events import ChildTrained, Evaluated, Event
from naslab.networks.batch_norm import enough_to_normalise, frozen_statistics
from naslab.randomness import numpy_generator
from naslab.searchers.batch_size import BatchSize
from naslab.searchers.controller import Controller, make_policy
from naslab.searchers.enas_controller import Flattened, judge, objective
from naslab.searchers.enas_hyperparameters import KNOBS, EnasHyperparameters, restarted_cosine
from naslab.searchers.enas_hyperparameters import LAPTOP as LAPTOP
from naslab.searchers.enas_hyperparameters import MICRO as MICRO
from naslab.searchers.feed import Feed
from naslab.searchers.overrides import CONTROLLER, WEIGHTS, Overrides, decay, freezing
from naslab.searchers.policies import skip_ends
from naslab.searchers.rewards import Baseline
from naslab.searchers.settings import Setting, Slider
from naslab.searchers.shared_weights import DECAY, SharedWeights, WeightSharing, below
from naslab.searchers.signatures import attribute_docstrings
from naslab.searchers.stretch import Stretch
from naslab.snapshot import State
from naslab.tasks.streams import Timetable
from naslab.threads import torch_threads
from naslab.transfer import numbers
from naslab.trees import detached


class Enas(WeightSharing):
    """ENAS: updates of the shared weights and of a controller in turn, on any space with shared weights.

    Args:
        space: a space whose networks share weights, for instance `naslab.spaces.EnasMacro.laptop()`.
        task: for instance `naslab.tasks.FashionMNIST()`.
        seed: seed of the weights, the controller, the split of the data, its order and augmentation, and all children.
        device: device of the shared weights, for instance "cuda". If left out, CUDA if there is a GPU, else the CPU.
        threads: CPU threads of each step; a search is repeatable with the same number.
        **hyperparameters: see `EnasHyperparameters`.
    """

    name = "enas"
    Hyperparameters = EnasHyperparameters

    def begin(self, network: nn.Module) -> None:
        given, seed, space = self.hyperparameters, self.seed, self.space
        self._controller_steps = given.controller_steps * given.children
        self._ends = self._ends_of(self._feed.timetable)
        """Number of steps at the end of each epoch."""
        self._rewards = Feed(
            self.task, self._valid, given.batch_size, seed, "controller", device=self.device, augmented=False
        )
        """Validation mini-batches that give the rewards."""
        self.weights = SharedWeights(
            network,
            rate=given.w_lr,
            momentum=given.w_momentum,
            clip=given.gradient_clipping,
            weight_decay=2 * given.w_l2,  # the gradient of w_l2 |w|^2
            nesterov=True,
        )
        batches = BatchSize([self._feed, self._rewards], given.epochs, self._begin_of)
        described = "Weight decay of the shared weights: twice the `w_l2` of the hyperparameters."
        frozen = {WEIGHTS: freezing("weights"), CONTROLLER: freezing("weights of the controller")}
        self.overrides = Overrides(batches, {DECAY: decay(2 * given.w_l2, described), **frozen})
        sizes = {"units": given.units, "layers": given.layers, "reach": given.reach}
        policy = Flattened(
            make_policy("lstm", seed=seed, **sizes),
            temperature=given.temperature,
            tanh_constant=given.tanh_constant,
            op_tanh_reduce=given.op_tanh_reduce,
        )
        self._skips = space.fixed_choices is None or any(map(skip_ends, space.fixed_choices))
        self.controller = Controller(
            policy, self.whole.next_choice, children=given.children, learning_rate=given.controller_lr
        )
        self.baseline = Baseline(given.baseline_momentum)
        self.entropy_weight, self.skip_weight, self._w_factor = given.entropy_weight, given.skip_weight, 1.0
        self._told: list[tuple[Prefix, float]] = []
        """Children since the controller's last update, each with its advantage R - b."""
        self._found: dict[str, float] = {}
        """Diagnostics of the controller's last update."""
        self._best: tuple[Prefix, float] | None = None
        """The child derived at the end of the last epoch, and its score."""
        self._drawn: tuple[int, list[Prefix]] | None = None
        """Step of the first child of a group, and the group. A cache: the current policy would draw the same again."""

    def _ends_of(self, timetable: Timetable) -> list[int]:
        ends = [timetable.total(epoch) for epoch in range(1, self.hyperparameters.epochs + 1)]
        return [steps + epoch * self._controller_steps for epoch, steps in enumerate(ends, start=1)]

    def _begin_of(self, feed: Feed, epoch: int) -> int:
        """The first mini-batch of a feed in an epoch."""
        return self._feed.timetable.total(epoch) if feed is self._feed else epoch * self._controller_steps

    def _done(self, step: int) -> int:
        epoch, position, weight_steps = self._stands(min(step, self.total - 1))
        return self._feed.timetable.total(epoch) + min(position, weight_steps)

    def _place(self, step: int) -> int:
        epoch, position, weight_steps = self._stands(min(step, self.total - 1))
        return self._feed.timetable.total(epoch) + min(position, weight_steps - 1)

    # --- a step ------------------------------------------------------------------------------------

    def advance(self) -> ChildTrained | Evaluated:
        """Train a child on a training mini-batch, or reward one on a validation mini-batch."""
        epoch, position, weight_steps = self._stands(self._step)
        with torch_threads(self.threads):
            if not self.weights.network.training:
                self.weights.network.train()  # only if needed: it visits all modules, and a child uses few of them
            if position < weight_steps:
                return self._train_child(epoch, position, weight_steps)
            return self._reward_child(epoch, position - weight_steps)

    def _stands(self, step: int) -> tuple[int, int, int]:
        """Returns the epoch of a step, its position there, and how many of the epoch's steps train the weights."""
        epoch = bisect_right(self._ends, step)
        begin = self._ends[epoch - 1] if epoch else 0
        return epoch, step - begin, self._ends[epoch] - begin - self._controller_steps

    def _train_child(self, epoch: int, position: int, weight_steps: int) -> ChildTrained:
        child = self._child(position, weight_steps)
        knobs = self._values()
        batch, inputs = self._feed.take(self._feed.timetable.total(epoch) + position)
        few = enough_to_normalise(self._batch_size, units=self.task.units)
        with few, self._layer_noise.seeded_by("weights", self._step), self._weights_or_still():
            outputs = self.weights.network(inputs, self._layers(child))
        self.weights.forget()
        metrics = self._learn(self.task.loss(outputs, batch), outputs, batch, knobs["w_lr"])
        self._feed.keep(detached(outputs))
        self._step += 1
        return ChildTrained(
            step=self._step,
            epoch=epoch,
            architecture=child,
            metrics=metrics,
            best=self.best,
            settings={**knobs, **self._in_force},
        )

    def _reward_child(self, epoch: int, position: int) -> Evaluated:
        child = self._child(position, self._controller_steps)
        knobs = self._values()
        reward, loss = self._judged(child, self._rewards.batch(epoch * self._controller_steps + position))
        self.baseline.update(reward)
        # the baseline has this reward in it already, as in the authors' code: the first advantage is 0
        self._told.append((child.choices, reward - float(self.baseline.value or 0.0)))
        if len(self._told) == self.hyperparameters.children:
            self._improve()
        if position + 1 == self._controller_steps:
            self._best = self._derive()
        self._step += 1
        return Evaluated(
            step=self._step,
            number=self._step,
            architecture=child,
            origin="policy",
            parents=(),
            status="done",
            fitness=reward,
            message="",
            best=self.best,
            best_fitness=None if self._best is None else self._best[1],
            settings={**knobs, **self._in_force},
            candidate=self._step,
            **self._worth(self.task.reward, reward),
            details={
                "reward": reward,
                "baseline": float(self.baseline.value or 0.0),
                "valid_loss": loss,
                **self.controller.diagnostics,
                **self._found,
                "skipped": float(self.controller.skipped),
            },
            probabilities=self.controller.greedy,
        )

    def _improve(self) -> None:
        """Update the controller with the rewarded children (REINFORCE, Sec. 2.2)."""
        children, advantages = zip(*self._told, strict=True)
        self._told = []
        if self.overrides[CONTROLLER]:
            return
        given = self.hyperparameters
        judged = judge(
            self.controller.policy,
            self.whole.next_choice,
            children,
            given.skip_prior,
            given.skip_penalty,
            self.controller.forbidden,
        )
        weights = {"entropy_weight": self.entropy_weight, "skip_weight": self.skip_weight}
        goal = objective(judged, torch.tensor(advantages, dtype=torch.float32), **weights)
        if self.controller.ascend(goal):
            divergence = float(judged.skip_divergence.detach().mean())
            self._found = {"loss": -float(goal.detach()), "skip_divergence": divergence}
        self._drawn = None  # the policy has changed, so the rest of a group would be another

    def _derive(self) -> tuple[Prefix, float]:
        """Returns the best of `derived` sampled children, of equals the first, and its reward on `derived_images`."""
        given = self.hyperparameters
        drawn = self.controller.draw(given.derived, numpy_generator(self.seed, "derived", self._step))
        children = [Architecture(self.space.name, choices) for choices in dict.fromkeys(drawn.answers)]
        name = self.task.reward.removeprefix("-")
        sign = -1 if self.task.reward.startswith("-") else 1
        judged = [(child.choices, sign * self.measure_child(child, metrics=[name])[name]) for child in children]
        return max(judged, key=lambda each: each[1])

    def measure_child(
        self,
        child: Architecture,
        *,
        batch_norm: str = "batch",
        examples: int | None = None,
        metrics: Sequence[str] | None = None,
    ) -> dict[str, float]:
        """Returns metrics of a child; by default on the examples on which children are compared (`derived_images`)."""
        few = min(self.hyperparameters.derived_images, self._examples) if examples is None else examples
        return self._inherited(self.space.check(child), batch_norm, few, metrics)

    def _judged(self, child: Architecture, batch: Any) -> tuple[float, float]:
        """Returns reward and loss of a child on a mini-batch, without dropout and without a carry."""
        frozen = frozen_statistics(self.weights.network)
        few = enough_to_normalise(self._batch_size, units=self.task.units)
        with torch.no_grad(), frozen, few, self._layer_noise.off():
            outputs = self.weights.network(self.task.inputs(batch), self._layers(child))
        loss, reward = numbers([self.task.loss(outputs, batch), self.task.pending_reward(outputs, batch)])
        self._must_be_finite("validation loss", loss)
        self._must_be_finite(f"reward of a child ({self.task.reward})", reward)
        return reward, loss

    def beside(self) -> list[Event]:
        """Returns, at the end of an epoch, the metrics that need all of the data."""
        return self._after_a_pass() if self._step in self._ends else []

    def _child(self, position: int, phase: int) -> Architecture:
        """Returns the child of this step; children are drawn in groups, as many as one update of the controller has."""
        many = self.hyperparameters.children
        place = position % many
        first = self._step - place
        if self._drawn is None or self._drawn[0] != first:
            drawn = self.controller.draw(
                min(many, phase - position + place), numpy_generator(self.seed, "child", first)
            )
            self.controller.entropy = float(drawn.entropy.mean())
            self._drawn = first, drawn.answers
        return Architecture(self.space.name, self._drawn[1][place])

    # --- knobs -------------------------------------------------------------------------------------

    def _scheduled(self, step: int | None = None) -> float:
        """Returns the learning rate of the epoch that a step is in, without the user's factor."""
        given = self.hyperparameters
        epoch, _, _ = self._stands(min(self._step if step is None else step, self.total - 1))
        ends = {"high": given.w_lr, "low": given.w_lr_min}
        return restarted_cosine(epoch, **ends, first=given.restart, growth=given.restart_growth)

    def _values(self) -> dict[str, float]:
        values = {
            "w_lr": self._w_factor * self._scheduled(),
            "controller_lr": self.controller.learning_rate,
            "entropy_weight": self.entropy_weight,
            "skip_weight": self.skip_weight,
        }
        return values if self._skips else {name: values[name] for name in values if name != "skip_weight"}

    @property
    def settings(self) -> Mapping[str, Setting]:
        about, values = attribute_docstrings(EnasHyperparameters), self._values()
        sliders = {
            name: Slider(
                value=value,
                low=min(KNOBS[name][0], value),
                high=max(KNOBS[name][1], value),
                log=KNOBS[name][2],
                description=about[name],
            )
            for name, value in values.items()
        }
        base = self._w_factor * self.hyperparameters.w_lr
        sliders["w_lr"] = replace(sliders["w_lr"], base=base, schedule="cosine, restarted")
        return {**sliders, **super().settings}

    def apply_setting(self, name: str, value: Any) -> None:
        """A new w_lr scales the whole schedule from here on."""
        if name == "w_lr":
            self._w_factor = value / self._scheduled()
        elif name == "controller_lr":
            self.controller.learning_rate = value
        elif name in KNOBS:
            setattr(self, name, value)
        else:
            super().apply_setting(name, value)

    def obey(self) -> None:
        super().obey()
        self._ends = self._ends_of(self._feed.timetable)

    def planned(self, values: Mapping[str, Any]) -> int:
        return self._ends_of(self.overrides.batches.epochs_of(values, self._done(self._step)))[-1]

    @property
    def end_of_epoch(self) -> int:
        return self._ends[self._stands(min(self._step, self.total - 1))[0]]

    @property
    def begin_of_epoch(self) -> int:
        epoch = self._stands(min(self._step, self.total - 1))[0]
        return self._ends[epoch - 1] if epoch else 0

    def remasked(self) -> None:
        self.controller.forbid(self.forbidden)
        self._drawn = None

    # --- progress, spec and state ------------------------------------------------------------------

    @property
    def total(self) -> int:
        return self._ends[-1]

    def ahead(self) -> list[Stretch]:
        """Returns the remaining steps by kind: for the weights, for the controller, and the last of each epoch, which
        also compares children."""
        children = self.hyperparameters.children
        kinds = {"weights": {"moves": ("w_lr",)}, "controller": {"together": children}, "derivation": {}}
        found: dict[str, Stretch] = {}
        begin = self._step
        while begin < self.total:
            end = self._ends[self._stands(begin)[0]]
            turn = max(begin, end - self._controller_steps)
            for (name, about), at, until in zip(
                kinds.items(), (begin, turn, end - 1), (turn, end - 1, end), strict=True
            ):
                if until > at:
                    known = found.get(name, Stretch(name, 0, at, until - at, **about))  # type: ignore[arg-type]
                    found[name] = known._replace(count=known.count + until - at)
            begin = end
        return list(found.values())

    def epochs_ahead(self) -> float:
        return self.hyperparameters.epochs * (self.total - self._step) / self.total

    @property
    def best(self) -> Architecture:
        """The child derived at the end of the last epoch; in the first epoch, the policy's most likely decisions."""
        if self._best is not None and self.space.allows(Architecture(self.space.name, self._best[0])):
            return Architecture(self.space.name, self._best[0])
        choices: Prefix = ()
        while (choice := self.whole.next_choice(choices)) is not None:
            choices = (*choices, choice.options[int(self.controller.greedy[choice.name].argmax())])
        return Architecture(self.space.name, choices)

    def state_dict(self) -> State:
        baseline = [self.baseline.total, self.baseline.weight]
        slider_values = [self._w_factor, self.entropy_weight, self.skip_weight]
        memory = [baseline, slider_values, self._told, self._found, self._best, self.controller.state_dict()]
        state: State = {"step": self._step, "memory": json.dumps(memory), **self._feed.state(), **self.weights.state()}
        state |= {**self._mask_state(), **self._rewards.state(), **self.overrides.state()}
        return state | {f"controller/{name}": tensor for name, tensor in self.controller.tensors().items()}

    def load_state_dict(self, state: State) -> None:
        self._step = int(state["step"])  # type: ignore[arg-type]
        self._load_mask(state)
        baseline, slider_values, told, self._found, best, controller = json.loads(str(state["memory"]))
        self.baseline.total, self.baseline.weight = baseline
        self._w_factor, self.entropy_weight, self.skip_weight = slider_values
        self._told = [(tuple(choices), advantage) for choices, advantage in told]
        self._best = None if best is None else (tuple(best[0]), best[1])
        self._drawn = None
        self._feed.load(state)
        self._rewards.load(state)
        self.overrides.load(state)
        self.obey()
        self.weights.load(state)
        self.controller.load_state_dict(controller)
        self.controller.load_tensors(dict(below("controller/", state)))
