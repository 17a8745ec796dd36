"""Sampling: the operations of the mixture that a step computes, and how the gradient reaches the alphas.

Below, p is the distribution given by the mixing rule, w are the weights that operations get in this step, g are
standard Gumbel numbers, and t is the temperature.

`FullMixture`     w = p                                                        DARTS
`Concrete`        w = softmax((log p + g) / t)                                 SNAS, Eq. 4
`StraightThrough` w = one-hot of the largest log p + g; the gradient is that
                  of softmax((log p + g) / t) at the operation chosen          GDAS, Eq. 7
`BinaryGates`     two paths drawn from p, one of them open:
                  dL/dalpha_i = sum over the two of dL/dw_j p_j (d_ij - p_i)   ProxylessNAS, Eq. 4 and Sec. 3.2.1
`Reinforce`       w = one-hot drawn from p;
                  gradient of -(reward - baseline) log p(w)                    ProxylessNAS, Sec. 3.3.2
`Dirichlet`       w ~ Dir(elu(alpha) + 1), differentiated along its path       DrNAS, Eq. 4

A `hard` sample computes the chosen operations alone, so that only they take memory. The index of the largest log p + g
is a draw from p (the Gumbel-max trick); those of the two largest are two draws without replacement.

Letters in shapes: E edges of a part, O candidate operations, S simplexes of n operations each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from naslab.errors import SpecError
from naslab.fields import settle
from naslab.operations.indexing import index_on
from naslab.randomness import seeded
from naslab.searchers.gradient.mixing import Simplexes, softmax
from naslab.searchers.gradient.schedule import Schedule, positive, share
from naslab.transfer import to_device, to_host

COLDEST = 1e-3
"""The lowest temperature. Below it, softmax(x / t) is 0 or 1 in float32, and its gradient is rounded to zero."""


@dataclass(frozen=True)
class Drawn:
    """The weights that the operations of a part have in one step."""

    weights: Tensor
    """Weights, [E, O]."""
    used: Tensor | None = None
    """[E, O] bool, True for the operations to compute; on the CPU if the host chose them. None: those with a weight,
    and those whose alpha needs a gradient."""
    log_probability: Tensor | None = None
    """Log-probability of the sample, a scalar, if the gradient estimator needs it (`Reinforce`)."""

    def computed(self, *, every: bool = False) -> Tensor:
        """Returns the operations to compute, [E, O] bool.

        Args:
            every: where `used` is None, compute operations with a weight of 0, too, so that all samples compute alike.
        """
        if self.used is not None:
            return self.used
        if every or self.weights.requires_grad or self.weights.is_meta:
            return torch.ones(self.weights.shape, dtype=torch.bool, device="cpu")
        return self.weights != 0

    def only(self, allowed: Tensor, on_host: Tensor) -> Drawn:
        """Returns the weights with 0 for operations that are not allowed; these are not computed.

        Args:
            allowed: mask [E, O], on the device of the weights.
            on_host: the same mask on the CPU.
        """
        weights = torch.where(allowed, self.weights, torch.zeros_like(self.weights))
        used = on_host if self.used is None else self.used & (on_host if self.used.is_cpu else allowed)
        return Drawn(weights, used, self.log_probability)

    def with_edges(self, shares: Tensor) -> Drawn:
        """Returns the weights of each edge times its share, [E] (edge normalisation, PC-DARTS, Eq. 4)."""
        return Drawn(self.weights * shares.unsqueeze(1), self.used, self.log_probability)


def gumbel(like: Tensor, noise: torch.Generator) -> Tensor:
    """Returns standard Gumbel numbers in the shape, dtype and device of a tensor."""
    # -log of an exponential number is a Gumbel number. Drawn on the CPU, so that all devices see the same numbers.
    return to_device(-torch.empty(like.shape).exponential_(generator=noise).log().to(like.dtype), like.device)


def log_softmax(x: Tensor) -> Tensor:
    return x.log_softmax(dim=-1)


def largest(x: Tensor) -> Tensor:
    """Returns the one-hot [S, n] of the largest number in each row of [S, n]."""
    return F.one_hot(x.argmax(dim=-1), x.shape[-1]).to(x)


class Sampling(ABC):
    """A sampling method: how the weights of operations for one step are drawn."""

    hard: ClassVar[bool] = False
    """True if only the sampled operations are computed."""
    pathwise: ClassVar[bool] = True
    """True if the gradient flows through the weights; False if it is estimated by the score function (REINFORCE)."""
    twice: ClassVar[bool] = True
    """True if the weights can be differentiated twice, as the exact Hessian product needs."""

    @abstractmethod
    def draw(
        self, alpha: Tensor, simplexes: Simplexes, noise: torch.Generator, values: Mapping[str, float], half: str
    ) -> Drawn:
        """Returns the weights of one part for one step.

        A method with one more argument, `on_host`, gets the same alphas on the CPU, detached, and can choose operations
        without waiting for the device.

        Args:
            alpha: [E, O]; minus infinity for operations that are forbidden.
            simplexes: the groups of operations that are weighed against each other.
            noise: source of all randomness; its state belongs to this part and step alone.
            values: the values of the scheduled settings in this epoch, such as "temperature".
            half: "weights" or "architecture", whichever the step updates.
        """

    def mean(self, alpha: Tensor, simplexes: Simplexes) -> Tensor:
        """Returns the expected weights, [E, O], exactly or nearly; events report them as `probabilities`."""
        return simplexes.weights(alpha)

    def strengths(self, alpha: Tensor, simplexes: Simplexes) -> Tensor:
        """Returns the strengths of the operations, [E, O], by which the space derives the architecture."""
        return self.mean(alpha, simplexes)

    def schedules(self) -> dict[str, Schedule]:
        """Returns its settings that can change during the search, by name."""
        return {}


@dataclass(frozen=True)
class FullMixture(Sampling):
    """No sampling: every operation is computed, with the weight that the mixing rule gives."""

    def draw(
        self, alpha: Tensor, simplexes: Simplexes, noise: torch.Generator, values: Mapping[str, float], half: str
    ) -> Drawn:
        return Drawn(simplexes.weights(alpha))


@dataclass(frozen=True, kw_only=True)
class _Tempered(Sampling):
    """Base of the relaxations that have a temperature."""

    temperature: float
    temperature_end: float
    arrives: ClassVar[bool] = False

    def __post_init__(self) -> None:
        settle(self)
        for name in ("temperature", "temperature_end"):
            value = positive(name, getattr(self, name))
            if value < COLDEST:
                raise SpecError(
                    f"{name} must be at least {COLDEST:g}, not {value!r}: near zero the gradient is zero or infinite"
                )
            object.__setattr__(self, name, value)

    def schedules(self) -> dict[str, Schedule]:
        return {
            "temperature": Schedule(
                start=self.temperature,
                end=self.temperature_end,
                arrives=self.arrives,
                low=COLDEST,
                high=100.0,
                description="How soft a sample is: high, all operations alike; low, one of them alone.",
            )
        }


@dataclass(frozen=True, kw_only=True)
class Concrete(_Tempered):
    """A soft sample (concrete distribution), closer to one-hot the lower the temperature. Defaults are SNAS's."""

    temperature: float = 1.0
    """Temperature in the first epoch; falls in equal steps, epoch by epoch."""
    temperature_end: float = 0.03
    """Temperature in the epoch after the last."""

    def draw(
        self, alpha: Tensor, simplexes: Simplexes, noise: torch.Generator, values: Mapping[str, float], half: str
    ) -> Drawn:
        scores = simplexes.map(log_softmax, alpha) + gumbel(alpha, noise)
        return Drawn(simplexes.map(softmax, scores / values["temperature"]))


@dataclass(frozen=True, kw_only=True)
class StraightThrough(_Tempered):
    """One operation a simplex, with the gradient of the soft sample. Defaults are those of GDAS."""

    temperature: float = 10.0
    """Temperature in the first epoch; falls in equal steps, epoch by epoch."""
    temperature_end: float = 0.1
    """Temperature in the last epoch."""
    arrives: ClassVar[bool] = True
    hard: ClassVar[bool] = True
    twice: ClassVar[bool] = False

    def draw(
        self,
        alpha: Tensor,
        simplexes: Simplexes,
        noise: torch.Generator,
        values: Mapping[str, float],
        half: str,
        on_host: Tensor | None = None,
    ) -> Drawn:
        scores, known = _scores(alpha, simplexes, noise, on_host)
        soft = simplexes.map(softmax, scores / values["temperature"])
        used = simplexes.map(largest, known)
        chosen = to_device(used, alpha.device)
        # Forward: one-hot, since soft - soft is 0. Backward: the gradient of soft, at the chosen operation alone, whose
        # output is the only one there is (Eq. 7). Written as a product rather than `chosen + soft - soft.detach()`,
        # which would ask for the outputs of all operations.
        return Drawn(chosen + chosen * (soft - soft.detach()), used > 0)


def _scores(
    alpha: Tensor, simplexes: Simplexes, noise: torch.Generator, on_host: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Returns log p + g, [E, O]: differentiable in the alphas; and detached on the CPU, where operations are chosen.

    Args:
        alpha: alphas, [E, O].
        simplexes: the groups of operations that are weighed against each other.
        noise: source of the Gumbel numbers g.
        on_host: the alphas on the CPU; copied there if left out.
    """
    if alpha.device.type == "cpu":
        scores = simplexes.map(log_softmax, alpha) + gumbel(alpha, noise)
        return scores, scores.detach()
    here = to_host([alpha])[0] if on_host is None else on_host
    g = gumbel(here, noise)
    return simplexes.map(log_softmax, alpha) + to_device(g, alpha.device), simplexes.map(log_softmax, here) + g


@dataclass(frozen=True)
class BinaryGates(Sampling):
    """Two sampled paths, one of them open: a step compares the two, and leaves the others as they are."""

    hard: ClassVar[bool] = True
    twice: ClassVar[bool] = False

    def draw(
        self,
        alpha: Tensor,
        simplexes: Simplexes,
        noise: torch.Generator,
        values: Mapping[str, float],
        half: str,
        on_host: Tensor | None = None,
    ) -> Drawn:
        _, scores = _scores(alpha.detach(), simplexes, noise, on_host)
        if half == "weights":
            used = simplexes.map(largest, scores)
            return Drawn(to_device(used, alpha.device), used > 0)
        # a forbidden operation has a score of minus infinity: where only one is left, there is no second path
        used = (simplexes.map(_two_largest, scores) > 0) & scores.isfinite()
        pair = to_device(used, alpha.device)
        # p renormalised over the pair (Sec. 3.2.1); its softmax has the gradient p_j (d_ij - p_i) of Eq. 4
        between = simplexes.map(softmax, alpha.masked_fill(~pair, -torch.inf))
        open_one = simplexes.map(largest, between.detach().log() + gumbel(alpha, noise))
        # Forward: the open path weighs 1, the closed one 0. Backward: dL/dg_j of both gates, which is why the closed
        # path is computed too.
        return Drawn(open_one + (between - between.detach()), used)

    def rescaled(self, before: Tensor, after: Tensor, drawn: Drawn, simplexes: Simplexes) -> Tensor:
        """Returns the alphas [E, O] after an update, rescaled so that only the two sampled paths change probability.

        The update moves the alphas of the two paths, which would change the probabilities of all others through the
        softmax. The paper shifts the two by a common number, so that the sum of their exp(alpha) is what it was (Sec.
        3.2.1): then the probabilities of the others stay.

        Args:
            before: alphas before the update, [E, O].
            after: alphas after it, [E, O].
            drawn: the sample of the step; `used` marks the two paths.
            simplexes: the groups of operations that are weighed against each other.
        """
        assert drawn.used is not None
        closed = ~to_device(drawn.used, after.device)
        risen = simplexes.map(
            lambda new, old: (new.logsumexp(-1, keepdim=True) - old.logsumexp(-1, keepdim=True)).expand_as(new),
            after.masked_fill(closed, -torch.inf),
            before.masked_fill(closed, -torch.inf),
        )
        return torch.where(closed, after, after - risen)


def _two_largest(x: Tensor) -> Tensor:
    """Returns ones at the two largest numbers of each row of [S, n], zeros elsewhere."""
    return torch.zeros_like(x).scatter_(-1, x.topk(min(2, x.shape[-1]), dim=-1).indices, 1.0)


@dataclass(frozen=True, kw_only=True)
class Reinforce(Sampling):
    """One path, and the score-function gradient; the reward is the task's own, such as accuracy, on the mini-batch."""

    baseline_decay: float = 0.99
    """Decay of the moving average of the reward, the baseline that is subtracted from it."""
    hard: ClassVar[bool] = True
    pathwise: ClassVar[bool] = False
    twice: ClassVar[bool] = False

    def __post_init__(self) -> None:
        settle(self)
        object.__setattr__(self, "baseline_decay", share("baseline_decay", self.baseline_decay))

    def schedules(self) -> dict[str, Schedule]:
        described = "Decay of the moving average of the reward: high, it changes slowly."
        knob = Schedule(start=self.baseline_decay, low=0.0, high=0.9999, log=False, description=described)
        return {"baseline_decay": knob}

    def draw(
        self,
        alpha: Tensor,
        simplexes: Simplexes,
        noise: torch.Generator,
        values: Mapping[str, float],
        half: str,
        on_host: Tensor | None = None,
    ) -> Drawn:
        used = simplexes.map(largest, _scores(alpha.detach(), simplexes, noise, on_host)[1])
        chosen = to_device(used, alpha.device)
        # `where`, not a product: a forbidden operation has log p = -inf, and 0 * -inf would be NaN
        log_probability = torch.where(chosen > 0, simplexes.map(log_softmax, alpha), 0.0).sum()
        return Drawn(chosen, used > 0, log_probability)


@dataclass(frozen=True, kw_only=True)
class Dirichlet(Sampling):
    """Weights drawn from a Dirichlet distribution, closer to one-hot the smaller the concentrations."""

    derivation: str = "mean"
    """Strengths from which the cell is derived: "mean", of the distribution, or "softmax", of the alphas."""
    twice: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.derivation not in ("mean", "softmax"):
            raise SpecError(f'derivation must be "mean" or "softmax", not {self.derivation!r}')

    def draw(
        self,
        alpha: Tensor,
        simplexes: Simplexes,
        noise: torch.Generator,
        values: Mapping[str, float],
        half: str,
        on_host: Tensor | None = None,
    ) -> Drawn:
        allowed = ~(to_host([alpha.detach()])[0] if on_host is None else on_host).isneginf()
        with seeded("dirichlet", noise.initial_seed(), device=alpha.device):  # torch's distributions take no generator
            return Drawn(simplexes.map(_from_dirichlet, concentration(alpha), allowed))

    def mean(self, alpha: Tensor, simplexes: Simplexes) -> Tensor:
        return simplexes.map(lambda c: c / c.sum(dim=-1, keepdim=True), concentration(alpha))

    def strengths(self, alpha: Tensor, simplexes: Simplexes) -> Tensor:
        return simplexes.map(softmax, alpha) if self.derivation == "softmax" else self.mean(alpha, simplexes)


def concentration(alpha: Tensor) -> Tensor:
    """Returns the concentrations elu(alpha) + 1, at least 1e-6 (at 0 nothing can be drawn); 0 for minus infinity.

    Minus infinity marks a forbidden operation.
    """
    return (F.elu(alpha) + 1).clamp_min(1e-6).masked_fill(alpha.isneginf(), 0.0)


def _from_dirichlet(c: Tensor, allowed: Tensor) -> Tensor:
    """Returns weights [S, n] drawn for concentrations [S, n]; 0 for what is not allowed, a mask [S, n] on the CPU."""
    # `rsample` is differentiable in the concentrations (implicit reparameterisation), as DrNAS, Eq. 4, needs. It does
    # not look whether they are positive, which would wait for the device.
    if bool(allowed.all()):
        return _rsample(c)
    # nothing can be drawn for a concentration of 0, so each row is drawn over its own options
    rows = []
    for row, some in zip(c, allowed, strict=True):
        options = index_on(tuple(some.nonzero()[:, 0].tolist()), c.device)
        rows.append(torch.zeros_like(row).index_put((options,), _rsample(row[options])))
    return torch.stack(rows)


def _rsample(c: Tensor) -> Tensor:
    """Returns weights drawn for positive concentrations; on the CPU for a Mac's GPU, which has no kernel for it."""
    there = c.cpu() if c.device.type == "mps" else c
    return torch.distributions.Dirichlet(there, validate_args=False).rsample().to(c.device)


SAMPLINGS: dict[str, type[Sampling]] = {
    "everything": FullMixture,
    "concrete": Concrete,
    "straight_through": StraightThrough,
    "binary_gates": BinaryGates,
    "reinforce": Reinforce,
    "dirichlet": Dirichlet,
}
"""Name in a run folder -> the class."""
