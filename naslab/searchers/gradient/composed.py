"""One step of a search by gradients, composed of `Parts`.

    draw the weights of the operations                              (mixing, sampling)
    alpha <- alpha - Adam(gradient of the level + penalties)        (level, cures)
    draw the weights of the operations again
    w <- w - SGD(grad_w L_train), at those weights, or at perturbed ones

Everything random is drawn from (seed, what for, step): the two losses of second order see the same sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from naslab.analysis.hessian import dominant_eigenvalue
from naslab.analysis.memory import peak
from naslab.events import SupernetStep
from naslab.networks.batch_norm import enough_to_normalise, frozen_statistics
from naslab.networks.frozen import frozen
from naslab.networks.mixture import as_mixture
from naslab.randomness import torch_generator
from naslab.searchers.bilevel import gradients, standing_at
from naslab.searchers.gradient.cures import Perturbation, SkipDropout
from naslab.searchers.gradient.frame import Batch, Frame
from naslab.searchers.gradient.level import Problem, Single
from naslab.searchers.gradient.optimisers import must_be_finite
from naslab.searchers.gradient.sampling import BinaryGates, Drawn, Reinforce
from naslab.threads import torch_threads


class Composed(Frame):
    """A search by gradients: a preset says by `compose` what it is made of."""

    def advance(self) -> SupernetStep:
        """One step: the architecture on its batch, then the weights on theirs."""
        if self._step == 0:
            self._must_fit()
        epoch = self._step // self._steps_per_epoch
        rates = {name: self._at(name, epoch) for name in self._schedules}
        with torch_threads(self.threads), self._naming_the_step():
            for part, alpha in self.alphas.items():
                must_be_finite(f"alphas ({part})", alpha)
            self.network.train()
            train = self._batch("weights")
            single = isinstance(self.parts.level, Single)
            valid = train if single else self._batch("architecture")
            if epoch < rates.get("warmup", 0.0) * self.hyperparameters.epochs:
                valid_logits, gap = self._look(valid, rates)
                train_logits = self._weight_step(train, rates)
            elif single:
                train_logits, gap = self._joint_step(train, rates)
                valid_logits = train_logits
            else:
                valid_logits, gap = self._alpha_step(train, valid, rates)
                train_logits = self._weight_step(train, rates)
        self._step += 1
        valid_accuracy = self.task.accuracy(valid_logits, valid[1])
        self._watching.see(valid_accuracy, self, end_of_epoch=self._step % self._steps_per_epoch == 0)
        probabilities = self.probabilities()
        best = self.best
        return SupernetStep(
            step=self._step,
            epoch=epoch,
            metrics={
                "train/loss": float(self.task.loss(train_logits, train[1])),
                "train/accuracy": self.task.accuracy(train_logits, train[1]),
                "valid/loss": float(self.task.loss(valid_logits, valid[1])),
                "valid/accuracy": valid_accuracy,
                "entropy": _mean_entropy(probabilities),
                "discretisation_gap": gap,
                "count/skip_connect": sum(value == "skip_connect" for value in best.choices),
            },
            probabilities=probabilities,
            best=best,
            settings=rates,
        )

    def _alpha_step(self, train: Batch, valid: Batch, rates: Mapping[str, float]) -> tuple[Tensor, float]:
        """Moves the architecture; gives back the validation logits [B, classes] and the discretisation gap."""
        seen: dict[str, Tensor] = {}

        def loss(half: str, batch: Batch) -> Tensor:
            drawn = self._draw("architecture", rates)
            with torch.set_grad_enabled(self.parts.sampling.pathwise):
                seen[half] = self._forward(batch[0], drawn, "architecture", rates)
            return self._objective(seen[half], batch[1], drawn)

        with frozen_statistics(self.network):
            problem = Problem(
                train_loss=lambda: loss("train", train),
                valid_loss=lambda: loss("valid", valid),
                weights=self._weights,
                alphas=self._learnt(),
                step=self._optimisers.inner_step(rates["w_lr"]),
            )
            found = self.parts.level.gradients(problem, rates)
            logits = seen["valid"].detach()
            with standing_at(self._weights, found.moved) if found.moved else nullcontext():
                gap = self._discretisation_gap(logits, valid)
        self._move_alphas(self._with_penalties(found.gradients, rates), rates)
        if isinstance(self.parts.sampling, Reinforce):
            reward, decay = self.task.accuracy(logits, valid[1]), rates["baseline_decay"]
            self._baseline = reward if self._baseline is None else decay * self._baseline + (1 - decay) * reward
        return logits, gap

    def _joint_step(self, batch: Batch, rates: Mapping[str, float]) -> tuple[Tensor, float]:
        """Moves the architecture and the weights by one backward pass."""
        logits = self._forward(batch[0], self._draw("architecture", rates), "architecture", rates)
        loss = self.task.loss(logits, batch[1])
        must_be_finite("training loss", loss)
        learnt = self._learnt()
        found = torch.autograd.grad(loss, [*learnt, *self._weights], allow_unused=True)
        with frozen_statistics(self.network):
            gap = self._discretisation_gap(logits.detach(), batch)
        of_alphas = [torch.zeros_like(a) if g is None else g for a, g in zip(learnt, found, strict=False)]
        self._move_alphas(self._with_penalties(of_alphas, rates), rates)
        for w, gradient in zip(self._weights, found[len(learnt) :], strict=True):
            w.grad = gradient
        self._optimisers.move_weights(rates["w_lr"])
        return logits.detach(), gap

    def _weight_step(self, train: Batch, rates: Mapping[str, float]) -> Tensor:
        """Moves the weights; gives back the logits [B, classes] from before the step."""
        with torch.no_grad():
            drawn = self._draw("weights", rates)
        perturbation = self._cures.get(Perturbation)
        if isinstance(perturbation, Perturbation):
            drawn = self._perturbed(perturbation, drawn, train, rates)
        logits = self._forward(train[0], drawn, "weights", rates)
        loss = self.task.loss(logits, train[1])
        must_be_finite("training loss", loss)
        self._optimisers.sgd.zero_grad()
        loss.backward()
        self._optimisers.move_weights(rates["w_lr"])
        return logits.detach()

    def _look(self, valid: Batch, rates: Mapping[str, float]) -> tuple[Tensor, float]:
        """What an alpha step gives back, without one."""
        with torch.no_grad(), frozen_statistics(self.network):
            logits = self._forward(valid[0], self._draw("architecture", rates), "architecture", rates)
            return logits, self._discretisation_gap(logits, valid)

    def _draw(self, half: str, rates: Mapping[str, float]) -> dict[str, Drawn]:
        """Part -> the weights of its operations for this step of the "weights" or of the "architecture"."""
        drawn = {}
        for part, alpha in self.alphas.items():
            noise = torch_generator(self.seed, "sample", half, part, self._step)
            drawn[part] = self.parts.sampling.draw(alpha, self._simplexes[part], noise, rates, half)
        return {part: one.with_edges(self._edge_shares(part)) for part, one in drawn.items()} if self.edges else drawn

    def _forward(self, images: Tensor, drawn: Mapping[str, Drawn], half: str, rates: Mapping[str, float]) -> Tensor:
        weights = {part: one.mixture() if self._takes_mixtures else one.weights for part, one in drawn.items()}
        if isinstance(dropout := self._cures.get(SkipDropout), SkipDropout):
            masks = dropout.masks(rates, (self.seed, "skip", half, self._step))
            weights = {part: replace(as_mixture(given), masks=masks) for part, given in weights.items()}
        return self.network(images, weights)

    def _objective(self, logits: Tensor, labels: Tensor, drawn: Mapping[str, Drawn]) -> Tensor:
        """What the architecture goes down by; for REINFORCE, its gradient is that of the expected reward."""
        if self.parts.sampling.pathwise:
            return self.task.loss(logits, labels)
        reward = self.task.accuracy(logits, labels)
        advantage = reward - (reward if self._baseline is None else self._baseline)
        return -advantage * torch.stack([one.log_probability for one in drawn.values()]).sum()  # type: ignore[arg-type]

    def _perturbed(
        self, perturbation: Perturbation, drawn: Mapping[str, Drawn], train: Batch, rates: Mapping[str, float]
    ) -> dict[str, Drawn]:
        def loss(weights: Mapping[str, Tensor]) -> Tensor:
            shaken = {part: Drawn(w) for part, w in weights.items()}
            return self.task.loss(self._forward(train[0], shaken, "weights", rates), train[1])

        noise = torch_generator(self.seed, "perturbation", self._step)
        with frozen_statistics(self.network), frozen(self._weights):
            weights = perturbation.perturbed({part: one.weights for part, one in drawn.items()}, loss, noise, rates)
        return {part: Drawn(w) for part, w in weights.items()}

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
            self._optimisers.move_alphas(found, rates["alpha_lr"])
            for part, alpha in self.alphas.items():
                if gates:
                    alpha.copy_(gates.settled(before[part], alpha, drawn[part], self._simplexes[part]))
                must_be_finite(f"alphas ({part})", alpha)

    def _learnt(self) -> list[Tensor]:
        """The architecture, as Adam has it."""
        return [*self.alphas.values(), *self.edges.values()]

    def _logits(self, images: Tensor) -> Tensor:
        """Of the mean mixture."""
        return self.network(images, self._mean())

    def _discretisation_gap(self, mixture_logits: Tensor, valid: Batch) -> float:
        """Validation loss of the cell that would be derived, less that of the mixture, at the same weights."""
        kept = self.space.one_hot(self._derived())  # type: ignore[attr-defined]
        one_hot = {part: torch.from_numpy(matrix).to(self.device) for part, matrix in kept.items()}
        with torch.no_grad():
            loss = self.task.loss(self.network(valid[0], one_hot), valid[1])
            return float(loss - self.task.loss(mixture_logits, valid[1]))

    def measure(self, name: str = "alpha_hessian_eigenvalue") -> float:
        """`alpha_hessian_eigenvalue`: the dominant eigenvalue of grad^2_alpha L_val on the next validation batch.

        `step_memory`: megabytes of the tensors alive at most during a first-order step, beyond what lasts. Both of the
        mean mixture, where the search samples.
        """
        if name == "step_memory":
            with torch_threads(self.threads):
                of_weights = peak(self._try, self.device)
                with frozen(self._weights):
                    return max(of_weights, peak(partial(self._try, search=True), self.device)) / 1e6
        if name != "alpha_hessian_eigenvalue":
            return super().measure(name)
        images, labels = self._batch("architecture")
        few = enough_to_normalise(len(images))
        with torch_threads(self.threads), frozen_statistics(self.network), frozen(self._weights), few:
            self.network.train()
            return dominant_eigenvalue(self.task.loss(self._logits(images), labels), list(self.alphas.values()))


def _mean_entropy(probabilities: Mapping[str, np.ndarray]) -> float:
    rows = np.concatenate(list(probabilities.values())).astype(np.float64)
    return float(-(rows * np.log(np.maximum(rows, 1e-300))).sum(axis=1).mean())
