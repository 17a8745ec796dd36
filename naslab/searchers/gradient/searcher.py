"""One step of a search by gradients, composed of `Parts`.

    draw the weights of the operations                              (mixing, sampling)
    alpha <- alpha - Adam(gradient of the level + penalties)        (level, regularizers)
    draw the weights of the operations again
    w <- w - SGD(grad_w L_train), at those weights, or at perturbed ones

Everything random is drawn from (seed, what for, step): the two losses of second order see the same sample, and the
same dropout. A step reads what is carried into it once, for everything that it computes on a mini-batch, and writes
what is carried on once: for the validation stream from the outputs whose loss moved the architecture (in second order,
at the moved weights), for the training stream from the outputs whose loss moved the weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from naslab.analysis.collapse import EIGENVALUE
from naslab.analysis.hessian import dominant_eigenvalue
from naslab.events import Event, Phase, SupernetStep
from naslab.networks.batch_norm import enough_to_normalise, frozen_statistics
from naslab.networks.frozen import frozen
from naslab.networks.mixture import as_mixture
from naslab.networks.skip_dropout import SkipMasks
from naslab.networks.step_memory import peak
from naslab.randomness import torch_generator
from naslab.searchers.feed import Taken
from naslab.searchers.gradient.base import GradientSearcherBase
from naslab.searchers.gradient.bilevel import gradients, standing_at
from naslab.searchers.gradient.objective import FirstOrSecondOrder, Problem, SearchObjective, SingleLevel
from naslab.searchers.gradient.optimizers import must_be_finite
from naslab.searchers.gradient.regularizers import PERTURBATION, SKIP_DROPOUT, Perturbation, SkipDropout
from naslab.searchers.gradient.sampling import BinaryGates, Drawn, Reinforce
from naslab.searchers.turned import ALPHAS, WEIGHTS
from naslab.threads import torch_threads
from naslab.trees import detached

STEP_MEMORY = "step_memory"
"""What `measure` calls it."""


class Seen(NamedTuple):
    """What a step keeps of a forward pass."""

    outputs: Any
    """Of the network, without a history."""
    loss: float
    """Of the task, without its regularisation."""


class GradientSearcher(GradientSearcherBase):
    """A search by gradients: a preset says by `compose` what it is made of."""

    measurable = (EIGENVALUE, STEP_MEMORY)

    def advance(self) -> SupernetStep:
        """One step: the architecture on its batch, then the weights on theirs."""
        if self._step == 0:
            self._must_fit()
        epoch = self._timetable.epoch(self._step)
        rates = {name: self._at(name, epoch) for name in self._schedules}
        with torch_threads(self.threads), self._naming_the_step():
            for part, alpha in self.alphas.items():
                must_be_finite(f"alphas ({part})", alpha)
            self.network.train()
            train = self._feeds["weights"].take(self._step)
            single = isinstance(self.parts.level, SingleLevel)
            valid = train if single else self._feeds["architecture"].take(self._step)
            alone = self._warms_up(self._step)
            self._note_phase(alone, rates)
            held = alone or self._turned[ALPHAS]
            if held:
                seen, gap = self._look(valid, rates)
                trained = self._weight_step(train, rates)
            elif single:
                trained, gap = self._joint_step(train, rates)
                seen = trained
            else:
                seen, gap = self._alpha_step(train, valid, rates)
                trained = self._weight_step(train, rates)
        self._feeds["weights"].keep(trained.outputs)
        if not single:
            self._feeds["architecture"].keep(seen.outputs)
        self._step += 1
        self._watching.see(seen.outputs, valid.batch, self, self._timetable.ends_epoch(self._step - 1))
        probabilities = self.probabilities()
        best = self.best
        of_train = self.task.measured(trained.outputs, train.batch, loss=trained.loss)
        of_valid = of_train if seen is trained else self.task.measured(seen.outputs, valid.batch, loss=seen.loss)
        return SupernetStep(
            step=self._step,
            epoch=epoch,
            metrics={
                **{f"train/{name}": value for name, value in of_train.items()},
                **{f"valid/{name}": value for name, value in of_valid.items()},
                "entropy": _mean_entropy(probabilities),
                "discretisation_gap": gap,
                **{f"count/{name}": best.choices.count(name) for name in self._counted},
            },
            probabilities=probabilities,
            best=best,
            settings={**rates, **self._turned.in_force(self._step - 1), **self._masks.values},
        )

    def beside(self) -> list[Event]:
        """Where the weights begin to move alone, or no longer do, a `Phase`; at the end of an epoch, what needs all of
        the data."""
        measured = self._after_a_pass() if self._step and self._timetable.ends_epoch(self._step - 1) else []
        return [*self._begun, *measured]

    def _note_phase(self, alone: bool, rates: Mapping[str, float]) -> None:
        """Note what begins with this step, if anything does: a warm-up of the weights, or the search after one."""
        if alone != self._alone:
            settings = {"alphas": "held", "epochs": rates["warmup"] * self.hyperparameters.epochs} if alone else {}
            self._begun = [Phase(step=self._step + 1, name="warm-up" if alone else "search", settings=settings)]
        else:
            self._begun = []
        self._alone = alone

    def _w_rate(self, batch: Any, rates: Mapping[str, float]) -> float:
        """How far the weights move by a mini-batch."""
        rate = rates["w_lr"]
        if self.hyperparameters.scale_rate:
            rate *= self.task.size(batch) / self.task.nominal_size(self._batch_size)
        return rate

    @property
    def _level(self) -> SearchObjective:
        """The level, which sees no step of the weights where they are frozen: there is none to look through."""
        level = self.parts.level
        return replace(level, order=1) if self._turned[WEIGHTS] and isinstance(level, FirstOrSecondOrder) else level

    def _alpha_step(self, train: Taken, valid: Taken, rates: Mapping[str, float]) -> tuple[Seen, float]:
        """Moves the architecture; gives back what was seen of the validation batch, and the discretisation gap.

        Both losses begin with what is carried into this step of their own stream, the training loss of second order
        each time that it is asked for.
        """
        outputs: dict[str, Any] = {}

        def loss(half: str, taken: Taken) -> Tensor:
            drawn = self._draw("architecture", rates)
            with torch.set_grad_enabled(self.parts.sampling.pathwise):
                outputs[half] = self._forward(taken.inputs, drawn, "architecture", rates)
            return self._objective(outputs[half], taken.batch, drawn)

        with frozen_statistics(self.network):
            problem = Problem(
                train_loss=lambda: loss("train", train),
                valid_loss=lambda: loss("valid", valid),
                weights=self._weights,
                alphas=self._learnt(),
                step=self._optimisers.inner_step(self._w_rate(train.batch, rates), clipped=self._level.inner_clip),
            )
            found = self._level.gradients(problem, rates)
            seen = self._seen(outputs["valid"], valid.batch)
            with standing_at(self._weights, found.moved) if found.moved else nullcontext():
                gap = self._discretisation_gap(seen, valid)
        self._move_alphas(self._with_penalties(found.gradients, rates), rates)
        if isinstance(self.parts.sampling, Reinforce):
            reward, decay = self.task.reward_of(seen.outputs, valid.batch), rates["baseline_decay"]
            self._baseline = reward if self._baseline is None else decay * self._baseline + (1 - decay) * reward
        return seen, gap

    def _joint_step(self, train: Taken, rates: Mapping[str, float]) -> tuple[Seen, float]:
        """Moves the architecture and the weights by one backward pass; by two where the task adds to the loss of the
        weights something that the architecture does not go down by.
        """
        frozen_weights: bool = self._turned[WEIGHTS]
        with frozen_statistics(self.network) if frozen_weights else nullcontext():
            outputs = self._forward(train.inputs, self._draw("architecture", rates), "architecture", rates)
        loss = self.task.loss(outputs, train.batch)
        must_be_finite("training loss", loss)
        learnt = self._learnt()
        extra = self.task.regularisation(outputs, train.batch)
        if frozen_weights:
            found = torch.autograd.grad(loss, learnt, allow_unused=True)
        elif extra is None:
            found = torch.autograd.grad(loss, [*learnt, *self._weights], allow_unused=True)
        else:
            found = torch.autograd.grad(loss, learnt, allow_unused=True, retain_graph=True)
            found += torch.autograd.grad(loss + extra, self._weights, allow_unused=True)
        seen = self._seen(outputs, train.batch, loss)
        with frozen_statistics(self.network):
            gap = self._discretisation_gap(seen, train)
        of_alphas = [torch.zeros_like(a) if g is None else g for a, g in zip(learnt, found, strict=False)]
        self._move_alphas(self._with_penalties(of_alphas, rates), rates)
        if not frozen_weights:
            for w, gradient in zip(self._weights, found[len(learnt) :], strict=True):
                w.grad = gradient
            self._optimisers.move_weights(self._w_rate(train.batch, rates))
        return seen, gap

    def _weight_step(self, train: Taken, rates: Mapping[str, float]) -> Seen:
        """Moves the weights, unless they are frozen; gives back what was seen before the step."""
        with torch.no_grad():
            drawn = self._draw("weights", rates)
        if self._turned[WEIGHTS]:
            with torch.no_grad(), frozen_statistics(self.network):
                outputs = self._forward(train.inputs, drawn, "weights", rates)
                loss = self.task.loss(outputs, train.batch)
            must_be_finite("training loss", loss)
            return self._seen(outputs, train.batch, loss)
        perturbation = self._regularizers.get(Perturbation)
        if isinstance(perturbation, Perturbation):
            drawn = self._perturbed(perturbation, drawn, train, rates)
        elif radius := self._late(PERTURBATION):
            drawn = self._perturbed(Perturbation(), drawn, train, {**rates, PERTURBATION: radius})
        outputs = self._forward(train.inputs, drawn, "weights", rates)
        loss = self.task.loss(outputs, train.batch)
        must_be_finite("training loss", loss)
        self._optimisers.sgd.zero_grad()
        extra = self.task.regularisation(outputs, train.batch)
        (loss if extra is None else loss + extra).backward()
        self._optimisers.move_weights(self._w_rate(train.batch, rates))
        return self._seen(outputs, train.batch, loss)

    def _look(self, valid: Taken, rates: Mapping[str, float]) -> tuple[Seen, float]:
        """What an alpha step gives back, without one."""
        with torch.no_grad(), frozen_statistics(self.network):
            outputs = self._forward(valid.inputs, self._draw("architecture", rates), "architecture", rates)
            seen = self._seen(outputs, valid.batch)
            return seen, self._discretisation_gap(seen, valid)

    def _seen(self, outputs: Any, batch: Any, loss: Tensor | None = None) -> Seen:
        """What a step keeps of a forward pass, whose loss may be known."""
        outputs = detached(outputs)
        return Seen(outputs, float(self.task.loss(outputs, batch) if loss is None else loss.detach()))

    def _draw(self, half: str, rates: Mapping[str, float]) -> dict[str, Drawn]:
        """Part -> the weights of its operations for this step of the "weights" or of the "architecture"."""
        drawn = {}
        for part in self.alphas:
            noise = torch_generator(self.seed, "sample", half, part, self._step)
            one = self.parts.sampling.draw(self._offered(part), self._simplexes[part], noise, rates, half)
            if (allowed := self._masks.allowed(part)) is not None:
                one = one.only(allowed)
            drawn[part] = one
        return {part: one.with_edges(self._edge_shares(part)) for part, one in drawn.items()} if self.edges else drawn

    def _forward(self, inputs: Any, drawn: Mapping[str, Drawn], half: str, rates: Mapping[str, float]) -> Any:
        weights = self._mixed(drawn)
        if (masks := self._skip_masks(half, rates)) is not None:
            weights = {part: replace(as_mixture(given), masks=masks) for part, given in weights.items()}
        with self._dice.cast(half, self._step):
            return self.network(inputs, weights)

    def _skip_masks(self, half: str, rates: Mapping[str, float]) -> SkipMasks | None:
        """What is dropped behind skip connections; whoever is a regularizer has asked whether the supernet can drop
        there.
        """
        words = (self.seed, "skip", half, self._step)
        if isinstance(dropout := self._regularizers.get(SkipDropout), SkipDropout):
            return dropout.masks(rates, words)
        rate = self._late(SKIP_DROPOUT)
        return SkipDropout().masks({SKIP_DROPOUT: rate}, words) if rate else None

    def _late(self, name: str) -> float:
        """The size of a regularizer that the search was made without; 0 where it has none."""
        if name not in self._turned:
            return 0.0
        return self._turned[name]

    def _objective(self, outputs: Any, batch: Any, drawn: Mapping[str, Drawn]) -> Tensor:
        """What the architecture goes down by; for REINFORCE, its gradient is that of the expected reward."""
        if self.parts.sampling.pathwise:
            return self.task.loss(outputs, batch)
        reward = self.task.reward_of(outputs, batch)
        advantage = reward - (reward if self._baseline is None else self._baseline)
        return -advantage * torch.stack([one.log_probability for one in drawn.values()]).sum()  # type: ignore[arg-type]

    def _perturbed(
        self, perturbation: Perturbation, drawn: Mapping[str, Drawn], train: Taken, rates: Mapping[str, float]
    ) -> dict[str, Drawn]:
        allowed = {part: self._masks.allowed(part) for part in drawn}

        def loss(weights: Mapping[str, Tensor]) -> Tensor:
            shaken = {part: Drawn(w, allowed[part]) for part, w in weights.items()}
            return self.task.loss(self._forward(train.inputs, shaken, "weights", rates), train.batch)

        noise = torch_generator(self.seed, "perturbation", self._step)
        with frozen_statistics(self.network), frozen(self._weights):
            weights = perturbation.perturbed(
                {part: one.weights for part, one in drawn.items()}, loss, noise, rates, allowed
            )
        return {part: Drawn(w, allowed[part]) for part, w in weights.items()}

    def _with_penalties(self, found: list[Tensor], rates: Mapping[str, float]) -> list[Tensor]:
        penalties = [penalty for penalty in self._penalties if any(rates[name] for name in penalty.schedules())]
        if not penalties:
            return found
        mean = self._mean()
        terms = torch.stack([penalty.term(mean, self._costs, rates) for penalty in penalties]).sum()
        return [g + p for g, p in zip(found, gradients(terms, self._learnt()), strict=True)]

    def _move_alphas(self, found: list[Tensor], rates: Mapping[str, float]) -> None:
        gates = self.parts.sampling if isinstance(self.parts.sampling, BinaryGates) else None
        with torch.no_grad():
            before = {part: alpha.clone() for part, alpha in self.alphas.items()}
            drawn = self._draw("architecture", rates) if gates else {}
            self._optimisers.move_alphas(found, rates["alpha_lr"], self._masks.still(self.alphas, self.edges))
            for part, alpha in self.alphas.items():
                if gates:
                    alpha.copy_(gates.settled(before[part], alpha, drawn[part], self._simplexes[part]))
                must_be_finite(f"alphas ({part})", alpha)

    def _learnt(self) -> list[Tensor]:
        """The architecture, as Adam has it."""
        return [*self.alphas.values(), *self.edges.values()]

    def _of_the_mean(self, inputs: Any) -> Any:
        """Outputs of the mean mixture."""
        return self.network(inputs, self._mixed({part: Drawn(mean) for part, mean in self._mean().items()}))

    def _discretisation_gap(self, seen: Seen, valid: Taken) -> float:
        """Validation loss of the cell that would be derived, less that of the mixture: at the same weights, for the
        same inputs (what is carried into the step among them), and with the same dropout.
        """
        one_hot = self._one_hot(self._derived())
        with torch.no_grad(), self._dice.cast("architecture", self._step):
            loss = self.task.loss(self.network(valid.inputs, one_hot), valid.batch)
            return float(loss - self.task.loss(seen.outputs, valid.batch))

    def measure(self, name: str = EIGENVALUE) -> float:
        """`alpha_hessian_eigenvalue`: the dominant eigenvalue of grad^2_alpha L_val on the next validation batch,
        without dropout and with no state carried into it.

        `step_memory`: megabytes of the tensors alive at most during a first-order step, beyond what lasts. Both of the
        mean mixture, where the search samples.
        """
        if name == STEP_MEMORY:
            with torch_threads(self.threads):
                of_weights = peak(self._try, self.device)
                with frozen(self._weights):
                    return max(of_weights, peak(partial(self._try, search=True), self.device)) / 1e6
        if name != EIGENVALUE:
            return super().measure(name)
        batch = self._batch("architecture")
        few = enough_to_normalise(self._batch_size, units=self.task.units)
        with torch_threads(self.threads), frozen_statistics(self.network), frozen(self._weights), few:
            self.network.train()
            with self._dice.off():
                loss = self.task.loss(self._of_the_mean(self.task.inputs(batch)), batch)
                return dominant_eigenvalue(loss, list(self.alphas.values()))


def _mean_entropy(probabilities: Mapping[str, np.ndarray]) -> float:
    rows = np.concatenate(list(probabilities.values())).astype(np.float64)
    return float(-(rows * np.log(np.maximum(rows, 1e-300))).sum(axis=1).mean())
