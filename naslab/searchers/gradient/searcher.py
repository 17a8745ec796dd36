"""The update step of gradient-based search, composed of `Parts`.

    sample the weights of the operations                            (mixing, sampling)
    alpha <- alpha - Adam(gradient of the objective + penalties)    (level, regularizers)
    sample the weights of the operations again, from the new alphas
    w <- w - SGD(grad_w L_train), at these weights of the operations, or at perturbed ones

All randomness is a function of (seed, purpose, step), so that the two losses of second order see the same sample and
the same dropout. For data with a state that is carried from one mini-batch to the next (`Feed`), a step reads the carry
once, for everything that it computes on a mini-batch, and writes it once: for the validation stream from the outputs
whose loss updated the architecture (in second order, at w'), for the training stream from those whose loss updated the
weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from naslab.analysis.collapse import EIGENVALUE
from naslab.analysis.hessian import dominant_eigenvalue
from naslab.errors import SpecError
from naslab.events import Event, Phase, SupernetStep
from naslab.networks.batch_norm import enough_to_normalise, frozen_statistics
from naslab.networks.frozen import frozen
from naslab.networks.mixture import as_mixture
from naslab.networks.skip_dropout import SkipMasks
from naslab.randomness import torch_generator
from naslab.searchers.feed import Seen, Taken
from naslab.searchers.gradient.base import GradientSearcherBase
from naslab.searchers.gradient.bilevel import gradients, weights_at
from naslab.searchers.gradient.objective import FirstOrSecondOrder, Problem, SearchObjective, SingleLevel
from naslab.searchers.gradient.regularizers import PERTURBATION, SKIP_DROPOUT, Perturbation, SkipDropout
from naslab.searchers.gradient.sampling import BinaryGates, Drawn, Reinforce
from naslab.searchers.overrides import ALPHAS, WEIGHTS
from naslab.threads import torch_threads
from naslab.trees import detached

STEP_MEMORY = "step_memory"
"""Name of the measurement, for `measure`."""


class GradientSearcher(GradientSearcherBase):
    """Gradient-based search. A subclass is one method: its `compose` returns the components."""

    measurable = (EIGENVALUE, STEP_MEMORY)

    def advance(self) -> SupernetStep:
        """Update the architecture on a validation mini-batch, then the weights on a training mini-batch.

        Raises:
            Diverged: a loss, gradient or parameter is NaN or infinite. The state is then not to be kept.
            SpecError: before the first step, if there is too little memory for one.
        """
        if self._step == 0:
            self._must_fit()
        epoch = self._timetable.epoch(self._step)
        values = {name: self._value_at(name, epoch) for name in self._schedules}
        with torch_threads(self.threads), self._naming_the_step():
            self._on_host.begin()
            self._check_alphas()
            self.network.train()
            self._passes.begin()
            # Both mini-batches are taken before anything moves: the inner step of second order needs the same training
            # mini-batch as the step of the weights that it anticipates (DARTS, Alg. 1).
            train = self._feeds["weights"].take(self._step)
            single = isinstance(self.parts.level, SingleLevel)
            valid = train if single else self._feeds["architecture"].take(self._step)
            alone = self._warms_up(self._step)
            self._note_phase(alone, values)
            held = alone or self._overrides[ALPHAS]
            if held:
                # before the step of the weights, as the alpha step is, so that events compare like with like
                seen, gap = self._evaluate(valid, values)
                trained = self._weight_step(train, values)
            elif single:
                trained, gap = self._joint_step(train, values)
                seen = trained
            else:
                # the architecture first: its second-order gradient is taken at the weights before their step
                seen, gap = self._alpha_step(train, valid, values)
                trained = self._weight_step(train, values)
            metrics = self._read(train, trained, valid, seen, gap)
        # The carries are written last: until here, a repeated pass over the mini-batch begins with the same state.
        self._feeds["weights"].keep(trained.outputs)
        if not single:
            self._feeds["architecture"].keep(seen.outputs)
        self._step += 1
        self._history.update(seen.outputs, valid.batch, self, self._timetable.ends_epoch(self._step - 1))
        probabilities = self.probabilities()
        best = self.best
        return SupernetStep(
            step=self._step,
            epoch=epoch,
            metrics={
                **metrics,
                "entropy": _mean_entropy(probabilities),
                **{f"count/{name}": best.choices.count(name) for name in self._counted},
            },
            probabilities=probabilities,
            best=best,
            settings={**values, **self._overrides.in_force(self._step - 1), **self._masks.values},
        )

    def _check_alphas(self) -> None:
        """Have the alphas checked at the next read."""
        for part, alpha in self.alphas.items():
            self._on_host.check(f"alphas ({part})", alpha)

    def _read(self, train: Taken, trained: Seen, valid: Taken, seen: Seen, gap: Tensor) -> dict[str, float]:
        """Returns the metrics of the step by name.

        They are read from the device in one copy, together with the checks of the step and the new alphas.

        Raises:
            Diverged: something that was to be checked is not finite.
        """
        of_train = self.task.pending_metrics(trained.outputs, train.batch, loss=trained.loss)
        of_valid = of_train
        if seen is not trained:
            of_valid = self.task.pending_metrics(seen.outputs, valid.batch, loss=seen.loss)
        named = {
            **{f"train/{name}": value for name, value in of_train.items()},
            **{f"valid/{name}": value for name, value in of_valid.items()},
            "discretisation_gap": gap,
        }
        return dict(zip(named, self._on_host.numbers(named.values()), strict=True))

    def beside(self) -> list[Event]:
        """Returns a `Phase` if a warm-up began or ended with the last step, and at the end of an epoch the metrics that
        need all of the data."""
        measured = self._after_a_pass() if self._step and self._timetable.ends_epoch(self._step - 1) else []
        return [*self._new_phases, *measured]

    def _note_phase(self, alone: bool, values: Mapping[str, float]) -> None:
        """Record the phase that begins with this step, if any: a warm-up of the weights, or the search after it."""
        if alone != self._warming_up:
            settings = {"alphas": "held", "epochs": values["warmup"] * self.hyperparameters.epochs} if alone else {}
            self._new_phases = [Phase(step=self._step + 1, name="warm-up" if alone else "search", settings=settings)]
        else:
            self._new_phases = []
        self._warming_up = alone

    def _w_rate(self, batch: Any, values: Mapping[str, float]) -> float:
        """Returns the learning rate of the weights for a mini-batch (see `Training.scale_rate`)."""
        rate = values["w_lr"]
        if self.hyperparameters.scale_rate:
            rate *= self.task.size(batch) / self.task.nominal_size(self._batch_size)
        return rate

    @property
    def _level(self) -> SearchObjective:
        """The objective; of first order while the weights are frozen, since there is no inner step to differentiate."""
        level = self.parts.level
        return replace(level, order=1) if self._overrides[WEIGHTS] and isinstance(level, FirstOrSecondOrder) else level

    def _alpha_step(self, train: Taken, valid: Taken, values: Mapping[str, float]) -> tuple[Seen, Tensor]:
        """Update the architecture. Returns outputs and loss on the validation mini-batch, and the discretisation gap.

        Each evaluation of a loss begins with the carry of its own stream, as it was before this step; second order
        evaluates the training loss up to three times.
        """
        outputs: dict[str, Any] = {}

        def loss(half: str, taken: Taken) -> Tensor:
            # Drawn anew for each loss, since each needs a graph of its own from the alphas; the noise is that of the
            # step, so all of them see the same sample.
            drawn = self._draw("architecture", values)
            # without a pathwise gradient (REINFORCE), only the log-probability is differentiated, not the network
            with torch.set_grad_enabled(self.parts.sampling.pathwise):
                outputs[half] = self._forward(taken.inputs, drawn, "architecture", values)
            return self._objective(outputs[half], taken.batch, drawn)

        # Running statistics of batch normalisation follow the step of the weights alone; here there may be four passes.
        with frozen_statistics(self.network):
            problem = Problem(
                train_loss=lambda: loss("train", train),
                valid_loss=lambda: loss("valid", valid),
                weights=self._weights,
                alphas=self._architecture_parameters(),
                step=self._optimizers.inner_step(self._w_rate(train.batch, values), clipped=self._level.inner_clip),
                in_float32=lambda: self.execution.in_float32(self.network),
                reuses_memory=self._passes.graphs,
            )
            found = self._level.gradients(problem, values)
            seen = self._seen(outputs["valid"], valid.batch)  # the last validation outputs: in second order, at w'
            # the gap compares two losses at the same weights, so the derived cell is evaluated at w' too
            with weights_at(self._weights, found.moved) if found.moved else nullcontext():
                gap = self._discretisation_gap(seen, valid)
        self._move_alphas(self._with_penalties(found.gradients, values), values)
        # After the update: a baseline that contained the reward of its own sample would bias the gradient.
        if isinstance(self.parts.sampling, Reinforce):
            reward, decay = self._reward, values["baseline_decay"]
            self._baseline = reward if self._baseline is None else decay * self._baseline + (1 - decay) * reward
        return seen, gap

    def _joint_step(self, train: Taken, values: Mapping[str, float]) -> tuple[Seen, Tensor]:
        """Update architecture and weights by one backward pass (single level, SNAS); returns as `_alpha_step` does.

        There are two backward passes if the task regularises the weights: the architecture does not minimise that term.
        """
        frozen_weights: bool = self._overrides[WEIGHTS]
        with frozen_statistics(self.network) if frozen_weights else nullcontext():
            outputs = self._forward(train.inputs, self._draw("architecture", values), "architecture", values)
        loss = self.task.loss(outputs, train.batch)
        self._on_host.check("training loss", loss)
        learnt = self._architecture_parameters()
        extra = self.task.regularisation(outputs, train.batch)
        if frozen_weights:
            found = torch.autograd.grad(loss, learnt, allow_unused=True)
        elif extra is None:
            found = torch.autograd.grad(loss, [*learnt, *self._weights], allow_unused=True)
        elif self._passes.graphs:
            raise SpecError(
                f"{self.name} with compile={self.execution.compile!r}: the task regularises the weights alone, which "
                "takes two backward passes after one forward pass, and a graph has one; leave compile out"
            )
        else:
            found = torch.autograd.grad(loss, learnt, allow_unused=True, retain_graph=True)
            found += torch.autograd.grad(loss + extra, self._weights, allow_unused=True)
        seen = self._seen(outputs, train.batch, loss)
        # The gap comes before either update: the mixture's loss was taken at these weights and alphas.
        with frozen_statistics(self.network):
            gap = self._discretisation_gap(seen, train)
        of_alphas = [torch.zeros_like(a) if g is None else g for a, g in zip(learnt, found, strict=False)]
        self._move_alphas(self._with_penalties(of_alphas, values), values)
        if not frozen_weights:
            for w, gradient in zip(self._weights, found[len(learnt) :], strict=True):
                w.grad = gradient
            self._optimizers.move_weights(self._w_rate(train.batch, values))
        return seen, gap

    def _weight_step(self, train: Taken, values: Mapping[str, float]) -> Seen:
        """Update the weights, unless they are frozen. Returns outputs and loss on the mini-batch before the update."""
        with torch.no_grad():  # the alphas get no gradient from this step
            drawn = self._draw("weights", values)
        if self._overrides[WEIGHTS]:
            with torch.no_grad(), frozen_statistics(self.network):
                outputs = self._forward(train.inputs, drawn, "weights", values)
                loss = self.task.loss(outputs, train.batch)
            self._on_host.check("training loss", loss)
            return self._seen(outputs, train.batch, loss)
        perturbation = self._regularizers.get(Perturbation)
        if isinstance(perturbation, Perturbation):
            drawn = self._perturbed(perturbation, drawn, train, values)
        elif radius := self._late_value(PERTURBATION):
            drawn = self._perturbed(Perturbation(), drawn, train, {**values, PERTURBATION: radius})
        outputs = self._forward(train.inputs, drawn, "weights", values)
        loss = self.task.loss(outputs, train.batch)
        self._on_host.check("training loss", loss)
        self._optimizers.sgd.zero_grad()
        extra = self.task.regularisation(outputs, train.batch)
        (loss if extra is None else loss + extra).backward()  # the event reports `loss`, without the regularisation
        self._optimizers.move_weights(self._w_rate(train.batch, values))
        return self._seen(outputs, train.batch, loss)

    def _evaluate(self, valid: Taken, values: Mapping[str, float]) -> tuple[Seen, Tensor]:
        """Returns what `_alpha_step` returns, without updating the architecture."""
        with torch.no_grad(), frozen_statistics(self.network):
            outputs = self._forward(valid.inputs, self._draw("architecture", values), "architecture", values)
            seen = self._seen(outputs, valid.batch)
            return seen, self._discretisation_gap(seen, valid)

    def _seen(self, outputs: Any, batch: Any, loss: Tensor | None = None) -> Seen:
        """Returns outputs and loss for the event; the loss is computed if it is not given."""
        outputs = detached(outputs)
        return Seen(outputs, (self.task.loss(outputs, batch) if loss is None else loss).detach())

    def _draw(self, half: str, values: Mapping[str, float]) -> dict[str, Drawn]:
        """Returns part -> the weights of its operations, for the update of the "weights" or of the "architecture".

        Repeated calls in one step return the same sample: the noise is a function of (seed, half, part, step).
        """
        drawn = {}
        for part, alpha in self.alphas.items():
            noise = torch_generator(self.seed, "sample", half, part, self._step)
            known = {}
            if self._chooses_on_host:
                known["on_host"] = self._masked_alphas(part, self._on_host.copies()[part])
            one = self.parts.sampling.draw(
                self._masked_alphas(part, alpha), self._simplexes[part], noise, values, half, **known
            )
            if (allowed := self._masks.allowed(part)) is not None:
                one = one.only(allowed, self._masks.allowed(part, on_host=True))  # type: ignore[arg-type]
            drawn[part] = one
        if not self.edges:
            return drawn
        return {part: one.with_edges(self._edge_shares(part, self.edges[part])) for part, one in drawn.items()}

    def _forward(self, inputs: Any, drawn: Mapping[str, Drawn], half: str, values: Mapping[str, float]) -> Any:
        """Returns the outputs of the supernet; dropout is the same whenever it is called for this step and half."""
        weights, compute = self._mixed(drawn, every=self._passes.graphs), self._passes
        if (masks := self._skip_masks(half, values)) is not None:
            weights = {part: replace(as_mixture(given), masks=masks) for part, given in weights.items()}
            compute = self.network  # masks are drawn between the operations, which no graph can do
        with self._layer_noise.seeded_by(half, self._step):
            return compute(inputs, weights)

    def _skip_masks(self, half: str, values: Mapping[str, float]) -> SkipMasks | None:
        """Returns the dropout masks of skip connections, or None if nothing is dropped.

        That the supernet can drop there was checked before: by `Regularizer.check`, or when the setting was offered.
        """
        words = (self.seed, "skip", half, self._step)
        if isinstance(dropout := self._regularizers.get(SkipDropout), SkipDropout):
            return dropout.masks(values, words)
        rate = self._late_value(SKIP_DROPOUT)
        return SkipDropout().masks({SKIP_DROPOUT: rate}, words) if rate else None

    def _late_value(self, name: str) -> float:
        """Returns the strength of a regularizer that was switched on during the search; 0 if it was not."""
        if name not in self._overrides:
            return 0.0
        return self._overrides[name]

    def _objective(self, outputs: Any, batch: Any, drawn: Mapping[str, Drawn]) -> Tensor:
        """Returns the loss of the architecture; for REINFORCE, a surrogate with the gradient of -(expected reward)."""
        if self.parts.sampling.pathwise:
            return self.task.loss(outputs, batch)
        # gradient of -(R - b) log p (Williams 1992); the first reward is its own baseline, so nothing moves by it
        reward = self._reward = self.task.reward_of(outputs, batch)
        advantage = reward - (reward if self._baseline is None else self._baseline)
        return -advantage * torch.stack([one.log_probability for one in drawn.values()]).sum()  # type: ignore[arg-type]

    def _perturbed(
        self, perturbation: Perturbation, drawn: Mapping[str, Drawn], train: Taken, values: Mapping[str, float]
    ) -> dict[str, Drawn]:
        """Returns the weights of the operations, perturbed, for the update of the weights (SDARTS, Eq. 3 and 4)."""
        allowed = {part: self._masks.allowed(part) for part in drawn}
        used = {part: self._masks.allowed(part, on_host=True) for part in drawn}

        def loss(weights: Mapping[str, Tensor]) -> Tensor:
            shaken = {part: Drawn(w, used[part]) for part, w in weights.items()}
            return self.task.loss(self._forward(train.inputs, shaken, "weights", values), train.batch)

        noise = torch_generator(self.seed, "perturbation", self._step)
        # the adversary's gradients are with respect to the weights of the operations, and leave no trace in the network
        with frozen_statistics(self.network), frozen(self._weights):
            weights = perturbation.perturbed(
                {part: one.weights for part, one in drawn.items()}, loss, noise, values, allowed
            )
        return {part: Drawn(w, used[part]) for part, w in weights.items()}

    def _with_penalties(self, found: list[Tensor], values: Mapping[str, float]) -> list[Tensor]:
        """Returns the gradients of the architecture plus those of the penalties.

        A penalty is a function of the expected weights, so its gradient is exact where the search samples, too.
        """
        penalties = [penalty for penalty in self._penalties if any(values[name] for name in penalty.schedules())]
        if not penalties:
            return found
        mean = self._mean()
        terms = torch.stack([penalty.term(mean, self._costs, values) for penalty in penalties]).sum()
        return [g + p for g, p in zip(found, gradients(terms, self._architecture_parameters()), strict=True)]

    def _move_alphas(self, found: list[Tensor], values: Mapping[str, float]) -> None:
        """Update the alphas by Adam, except those that are forbidden; check that they are finite.

        Args:
            found: the gradient of each architecture parameter.
            values: the values of the scheduled settings.
        """
        gates = self.parts.sampling if isinstance(self.parts.sampling, BinaryGates) else None
        with torch.no_grad():
            before = {part: alpha.clone() for part, alpha in self.alphas.items()}
            drawn = self._draw("architecture", values) if gates else {}  # the same pair as in the gradient
            frozen_entries = self._masks.frozen_entries(self.alphas, self.edges)
            self._optimizers.move_alphas(found, values["alpha_lr"], frozen_entries)
            for part, alpha in self.alphas.items():
                if gates:
                    alpha.copy_(gates.rescaled(before[part], alpha, drawn[part], self._simplexes[part]))
            self._on_host.changed()
            self._check_alphas()

    def _architecture_parameters(self) -> list[Tensor]:
        """Returns the tensors that the architecture learns, in the order in which Adam has them."""
        return [*self.alphas.values(), *self.edges.values()]

    def _mean_outputs(self, inputs: Any) -> Any:
        """Returns the outputs of the mixture with the expected weights of the operations."""
        return self.network(inputs, self._mixed({part: Drawn(mean) for part, mean in self._mean().items()}))

    def _discretisation_gap(self, seen: Seen, valid: Taken) -> Tensor:
        """Returns the validation loss of the architecture that would be derived now, minus that of the mixture.

        Both at the same weights, for the same inputs (the carry among them), and with the same dropout.
        """
        one_hot = self._one_hot(self._derived())
        with torch.no_grad(), self._layer_noise.seeded_by("architecture", self._step):
            loss = self.task.loss(self.network(valid.inputs, one_hot), valid.batch)
            return loss - self.task.loss(seen.outputs, valid.batch)

    def measure(self, name: str = EIGENVALUE) -> float:
        """Returns a measurement that is too expensive for every step. Where the search samples, of the mean mixture.

        Args:
            name: "alpha_hessian_eigenvalue", the dominant eigenvalue of grad^2_alpha L_val on the next validation
                mini-batch, without dropout and with no carry (Zela et al. 2020); or "step_memory", megabytes of the
                tensors alive at most during a first-order step, without those that outlive it.
        """
        if name == STEP_MEMORY:
            with torch_threads(self.threads):
                return self._trial_memory() / 1e6
        if name != EIGENVALUE:
            return super().measure(name)
        batch = self._batch("architecture")
        few = enough_to_normalise(self._batch_size, units=self.task.units)
        with torch_threads(self.threads), frozen_statistics(self.network), frozen(self._weights), few:
            self.network.train()
            with self._layer_noise.off():
                loss = self.task.loss(self._mean_outputs(self.task.inputs(batch)), batch)
                return dominant_eigenvalue(loss, list(self.alphas.values()))


def _mean_entropy(probabilities: Mapping[str, np.ndarray]) -> float:
    """Returns the mean over all rows [O] of -sum p log p, in nats."""
    rows = np.concatenate(list(probabilities.values())).astype(np.float64)
    return float(-(rows * np.log(np.maximum(rows, 1e-300))).sum(axis=1).mean())
