"""Sampling: what of the mixture a step computes, and how its gradient reaches the alphas.

Below, p is the mixing rule's distribution, g are Gumbel numbers, and t is the temperature.

`FullMixture`      w = p                                                        DARTS
`Concrete`        w = softmax((log p + g) / t)                                 SNAS, Eq. 4
`StraightThrough` w = one-hot of the largest log p + g; the gradient is that
                  of softmax((log p + g) / t) at the operation chosen          GDAS, Eq. 7
`BinaryGates`     two paths drawn from p, one of them open:
                  dL/dalpha_i = sum over the two of dL/dw_j p_j (d_ij - p_i)   ProxylessNAS, Eq. 4 and Sec. 3.2.1
`Reinforce`       w = one-hot drawn from p;
                  gradient of -(reward - baseline) log p(w)                    ProxylessNAS, Sec. 3.3.2
`Dirichlet`       w ~ Dir(elu(alpha) + 1), differentiated along its path       DrNAS, Eq. 4

A `hard` sample computes the operations that it chose and no other: only they are in memory. The largest of log p + g
is a draw from p, the two largest are two draws without replacement.
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
from naslab.networks.mixture import Mixture, as_mixture
from naslab.randomness import seeded
from naslab.searchers.gradient.mixing import Simplexes, softmax
from naslab.searchers.gradient.schedule import Schedule, positive, share

COLDEST = 1e-3
"""The lowest temperature: below, float32 rounds the gradient away."""


@dataclass(frozen=True)
class Drawn:
    """The weights of a part for one step."""

    weights: Tensor
    """[E, O]."""
    used: Tensor | None = None
    """[E, O], True for the operations to be computed; None: all that a gradient or a weight asks for."""
    log_probability: Tensor | None = None
    """Of the draw, where the gradient goes by way of it."""

    def mixture(self) -> Mixture:
        """The same for a supernet that takes a `Mixture`."""
        return as_mixture(self.weights) if self.used is None else Mixture(self.weights, self.used.tolist())

    def only(self, allowed: Tensor) -> Drawn:
        """With no weight for what is not allowed [E, O], which is not computed either."""
        weights = torch.where(allowed, self.weights, torch.zeros_like(self.weights))
        used = allowed if self.used is None else self.used & allowed
        return Drawn(weights, used, self.log_probability)

    def with_edges(self, shares: Tensor) -> Drawn:
        """Every edge weighed by a share [E] of its own."""
        return Drawn(self.weights * shares.unsqueeze(1), self.used, self.log_probability)


def gumbel(like: Tensor, noise: torch.Generator) -> Tensor:
    """Standard Gumbel numbers in the shape of a tensor."""
    return -torch.empty(like.shape).exponential_(generator=noise).log().to(like)


def log_softmax(x: Tensor) -> Tensor:
    return x.log_softmax(dim=-1)


def largest(x: Tensor) -> Tensor:
    """[S, n] -> one-hot of the largest of each row."""
    return F.one_hot(x.argmax(dim=-1), x.shape[-1]).to(x)


class Sampling(ABC):
    """A way of sampling."""

    hard: ClassVar[bool] = False
    """Whether only sampled operations are computed."""
    pathwise: ClassVar[bool] = True
    """Whether the gradient goes through the weights; else it goes by way of the probability of the draw."""
    twice: ClassVar[bool] = True
    """Whether that can be differentiated once more."""

    @abstractmethod
    def draw(
        self, alpha: Tensor, simplexes: Simplexes, noise: torch.Generator, rates: Mapping[str, float], half: str
    ) -> Drawn:
        """The weights of one part for a step of the "weights" or of the "architecture"."""

    def mean(self, alpha: Tensor, simplexes: Simplexes) -> Tensor:
        """[E, O]: what the weights are on average, or nearly so; the search is judged by it."""
        return simplexes.weights(alpha)

    def strengths(self, alpha: Tensor, simplexes: Simplexes) -> Tensor:
        """[E, O]: what the cell is derived from."""
        return self.mean(alpha, simplexes)

    def schedules(self) -> dict[str, Schedule]:
        """What of it may be turned."""
        return {}


@dataclass(frozen=True)
class FullMixture(Sampling):
    """No sampling: every operation, weighed by the mixing rule."""

    def draw(
        self, alpha: Tensor, simplexes: Simplexes, noise: torch.Generator, rates: Mapping[str, float], half: str
    ) -> Drawn:
        return Drawn(simplexes.weights(alpha))


@dataclass(frozen=True, kw_only=True)
class _Tempered(Sampling):
    """What has a temperature."""

    temperature: float
    temperature_end: float
    arrives: ClassVar[bool] = False

    def __post_init__(self) -> None:
        settle(self)
        for name in ("temperature", "temperature_end"):
            value = positive(name, getattr(self, name))
            if value < COLDEST:
                raise SpecError(
                    f"{name} must be at least {COLDEST:g}, not {value!r}: at zero the gradient is zero or infinite"
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
    """A sample that is soft, the less so the colder. Defaults are those of SNAS."""

    temperature: float = 1.0
    """At the start; falls in equal steps, epoch by epoch."""
    temperature_end: float = 0.03
    """Where it would be after the last epoch."""

    def draw(
        self, alpha: Tensor, simplexes: Simplexes, noise: torch.Generator, rates: Mapping[str, float], half: str
    ) -> Drawn:
        scores = simplexes.map(log_softmax, alpha) + gumbel(alpha, noise)
        return Drawn(simplexes.map(softmax, scores / rates["temperature"]))


@dataclass(frozen=True, kw_only=True)
class StraightThrough(_Tempered):
    """One operation, with the gradient of the soft sample. Defaults are those of GDAS."""

    temperature: float = 10.0
    """At the start; falls in equal steps, epoch by epoch."""
    temperature_end: float = 0.1
    """In the last epoch."""
    arrives: ClassVar[bool] = True
    hard: ClassVar[bool] = True
    twice: ClassVar[bool] = False

    def draw(
        self, alpha: Tensor, simplexes: Simplexes, noise: torch.Generator, rates: Mapping[str, float], half: str
    ) -> Drawn:
        scores = simplexes.map(log_softmax, alpha) + gumbel(alpha, noise)
        soft = simplexes.map(softmax, scores / rates["temperature"])
        chosen = simplexes.map(largest, scores.detach())
        return Drawn(chosen + chosen * (soft - soft.detach()), chosen > 0)


def _drawn_one(alpha: Tensor, simplexes: Simplexes, noise: torch.Generator) -> Tensor:
    """One-hot [E, O]: one operation of each simplex, drawn from p."""
    return simplexes.map(largest, (simplexes.map(log_softmax, alpha) + gumbel(alpha, noise)).detach())


@dataclass(frozen=True)
class BinaryGates(Sampling):
    """Two paths, one open: the architecture learns which of the two is better, and nothing of the others."""

    hard: ClassVar[bool] = True
    twice: ClassVar[bool] = False

    def draw(
        self, alpha: Tensor, simplexes: Simplexes, noise: torch.Generator, rates: Mapping[str, float], half: str
    ) -> Drawn:
        if half == "weights":
            chosen = _drawn_one(alpha, simplexes, noise)
            return Drawn(chosen, chosen > 0)
        scores = (simplexes.map(log_softmax, alpha) + gumbel(alpha, noise)).detach()
        pair = (simplexes.map(_two_largest, scores) > 0) & scores.isfinite()
        between = simplexes.map(softmax, alpha.masked_fill(~pair, -torch.inf))
        open_one = simplexes.map(largest, between.detach().log() + gumbel(alpha, noise))
        return Drawn(open_one + (between - between.detach()), pair)

    def settled(self, before: Tensor, after: Tensor, drawn: Drawn, simplexes: Simplexes) -> Tensor:
        """The alphas [E, O] after a step from `before` to `after`: the two paths share what probability they had, so
        that those of all others stay."""
        assert drawn.used is not None
        closed = ~drawn.used
        risen = simplexes.map(
            lambda new, old: (new.logsumexp(-1, keepdim=True) - old.logsumexp(-1, keepdim=True)).expand_as(new),
            after.masked_fill(closed, -torch.inf),
            before.masked_fill(closed, -torch.inf),
        )
        return torch.where(closed, after, after - risen)


def _two_largest(x: Tensor) -> Tensor:
    """[S, n] -> ones at the two largest of each row."""
    return torch.zeros_like(x).scatter_(-1, x.topk(min(2, x.shape[-1]), dim=-1).indices, 1.0)


@dataclass(frozen=True, kw_only=True)
class Reinforce(Sampling):
    """One path; the reward is the accuracy on the mini-batch."""

    baseline_decay: float = 0.99
    """Memory of the moving average of the reward, which is taken off it."""
    hard: ClassVar[bool] = True
    pathwise: ClassVar[bool] = False
    twice: ClassVar[bool] = False

    def __post_init__(self) -> None:
        settle(self)
        object.__setattr__(self, "baseline_decay", share("baseline_decay", self.baseline_decay))

    def schedules(self) -> dict[str, Schedule]:
        described = "Memory of the moving average of the reward: high, it changes slowly."
        knob = Schedule(start=self.baseline_decay, low=0.0, high=0.9999, log=False, description=described)
        return {"baseline_decay": knob}

    def draw(
        self, alpha: Tensor, simplexes: Simplexes, noise: torch.Generator, rates: Mapping[str, float], half: str
    ) -> Drawn:
        chosen = _drawn_one(alpha, simplexes, noise)
        return Drawn(chosen, chosen > 0, torch.where(chosen > 0, simplexes.map(log_softmax, alpha), 0.0).sum())


@dataclass(frozen=True, kw_only=True)
class Dirichlet(Sampling):
    """Weights that are themselves drawn: the flatter, the smaller the concentrations."""

    derivation: str = "mean"
    """What the cell is derived from: "mean", that of the distribution, or "softmax", of the alphas."""
    twice: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.derivation not in ("mean", "softmax"):
            raise SpecError(f'derivation must be "mean" or "softmax", not {self.derivation!r}')

    def draw(
        self, alpha: Tensor, simplexes: Simplexes, noise: torch.Generator, rates: Mapping[str, float], half: str
    ) -> Drawn:
        with seeded("dirichlet", noise.initial_seed()):  # torch's distributions take no generator
            return Drawn(simplexes.map(_from_dirichlet, concentration(alpha)))

    def mean(self, alpha: Tensor, simplexes: Simplexes) -> Tensor:
        return simplexes.map(lambda c: c / c.sum(dim=-1, keepdim=True), concentration(alpha))

    def strengths(self, alpha: Tensor, simplexes: Simplexes) -> Tensor:
        return simplexes.map(softmax, alpha) if self.derivation == "softmax" else self.mean(alpha, simplexes)


def concentration(alpha: Tensor) -> Tensor:
    """elu(alpha) + 1, positive; kept off zero, where nothing can be drawn. 0 for minus infinity, which is no option."""
    found = (F.elu(alpha) + 1).clamp_min(1e-6)
    forbidden = alpha.isneginf()
    return found.masked_fill(forbidden, 0.0) if bool(forbidden.any()) else found


def _from_dirichlet(c: Tensor) -> Tensor:
    """[S, n], drawn for concentrations [S, n]; those that are 0 are no options, and get exactly 0."""
    if bool((c > 0).all()):
        return torch.distributions.Dirichlet(c).rsample()
    rows = []
    for row in c:
        options = row.nonzero()[:, 0]
        rows.append(torch.zeros_like(row).index_put((options,), torch.distributions.Dirichlet(row[options]).rsample()))
    return torch.stack(rows)


SAMPLINGS: dict[str, type[Sampling]] = {
    "everything": FullMixture,
    "concrete": Concrete,
    "straight_through": StraightThrough,
    "binary_gates": BinaryGates,
    "reinforce": Reinforce,
    "dirichlet": Dirichlet,
}
"""Name in a run folder -> the way of sampling."""
