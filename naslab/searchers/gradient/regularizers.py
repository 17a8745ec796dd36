"""Regularizers for what ails a search by gradients: dear cells, indecision, the collapse to skip connections.

Penalties, on the architecture alone:
    `Resource`        what a cell costs on average (SNAS, Sec. 2.3; ProxylessNAS, Eq. 7)
    `Entropy`         how undecided it is
On the step of the weights:
    `Perturbation`    the weights of the operations are shaken (SDARTS, Chen & Hsieh 2020, Eq. 3 and 4)
    `SkipDropout`     dropout behind skip connections (P-DARTS, Chen et al. 2019, Sec. 3.3)
Watches, at the end of each epoch:
    `EigenvalueStop`  stop before the loss turns sharp (RobustDARTS, Zela et al. 2020, Sec. 4.3)
    `SizeTracking`    remember the best cell of every size (MiLeNAS, He et al. 2020), and stop when none gets better
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from naslab.errors import SpecError, among, unknown, whole
from naslab.fields import settle
from naslab.networks.mixture import operations_of
from naslab.networks.operation_costs import COSTS
from naslab.networks.skip_dropout import SkipMasks
from naslab.searchers.gradient.schedule import Schedule, at_least_zero, positive, share
from naslab.tasks.task import Task

Weights = Mapping[str, Tensor]
"""Part -> [E, O]."""


SKIP_DROPOUT, PERTURBATION = "skip_dropout", "perturbation"
"""What `set` calls the rate and the radius."""


class Regularizer(ABC):
    """A regularizer."""

    @abstractmethod
    def schedules(self) -> dict[str, Schedule]:
        """What of it may be turned."""

    def check(self, network: nn.Module, searcher: str) -> None:
        """`SpecError` for a supernet to which it could do nothing; `searcher` is who asks."""
        return


class Penalty(Regularizer):
    """A term that is added to the loss of the architecture."""

    @abstractmethod
    def term(self, mean: Weights, costs: Weights, rates: Mapping[str, float]) -> Tensor:
        """From the mean weights of the operations, and what each costs (of the whole of the dearest cell)."""


@dataclass(frozen=True, kw_only=True)
class Resource(Penalty):
    """The expected cost of the network, in units of that with the dearest operation on every edge."""

    weight: float = 0.1
    """Loss that the dearest cell is worth."""
    what: str = "multiply_adds"
    """Or "parameters", or "table"."""
    table: Mapping[str, Sequence[Sequence[float]]] | None = None
    """For "table": part -> [E, O], for instance measured latencies, in any unit."""

    def __post_init__(self) -> None:
        settle(self)
        object.__setattr__(self, "weight", at_least_zero("weight", self.weight))
        if not among(self.what, (*COSTS, "table")):
            raise SpecError(unknown("cost", self.what, [*COSTS, "table"]))
        if (self.table is None) == (self.what == "table"):
            raise SpecError("a table of costs goes with what='table', and what='table' with a table")

    def schedules(self) -> dict[str, Schedule]:
        described = "Loss that the dearest cell is worth: higher, cheaper cells."
        return {"resource_weight": Schedule(start=self.weight, low=0.0, high=100.0, log=False, description=described)}

    def costs(self, network: nn.Module, task: Task, shapes: Mapping[str, tuple[int, int]]) -> Weights:
        """Part -> [E, O], so that the dearest operations sum to one."""
        if self.what == "table":
            found = {part: torch.as_tensor(rows, dtype=torch.float32) for part, rows in (self.table or {}).items()}
        else:
            try:
                found = COSTS[self.what](network, task, shapes)
            except SpecError as error:
                raise SpecError(f"what={self.what!r}: {error}; or give what='table' and a table of costs") from None
        if {part: tuple(matrix.shape) for part, matrix in found.items()} != dict(shapes):
            raise SpecError(f"the table of costs must hold {dict(shapes)}")
        if not all(bool((torch.isfinite(matrix) & (matrix >= 0)).all()) for matrix in found.values()):
            raise SpecError("a cost must be a finite number from 0 up")
        dearest = sum(float(matrix.max(dim=1).values.sum()) for matrix in found.values())
        if dearest == 0:
            raise SpecError("all operations cost nothing: there is nothing to weigh")
        return {part: matrix / dearest for part, matrix in found.items()}

    def term(self, mean: Weights, costs: Weights, rates: Mapping[str, float]) -> Tensor:
        return rates["resource_weight"] * torch.stack([(mean[part] * costs[part]).sum() for part in mean]).sum()


@dataclass(frozen=True, kw_only=True)
class Entropy(Penalty):
    """The mean entropy of an edge, in nats: a positive weight hurries the decision, a negative one delays it."""

    weight: float = 0.01
    """Loss that a nat is worth."""

    def __post_init__(self) -> None:
        settle(self)

    def schedules(self) -> dict[str, Schedule]:
        described = "Loss that a nat of indecision is worth."
        return {"entropy_weight": Schedule(start=self.weight, low=-10.0, high=10.0, log=False, description=described)}

    def term(self, mean: Weights, costs: Weights, rates: Mapping[str, float]) -> Tensor:
        rows = torch.cat(list(mean.values()))
        return rates["entropy_weight"] * -torch.special.xlogy(rows, rows.clamp_min(1e-30)).sum(dim=1).mean()


@dataclass(frozen=True, kw_only=True)
class Perturbation(Regularizer):
    """The step of the weights is made at weights of the operations that are off by up to a radius.

    "random" draws what they are off by; "adversarial" climbs the training loss, by projected steps of the sign of its
    gradient. Rows are brought back to weights from 0 to 1 that sum to what they did.
    """

    kind: str = "random"
    """Or "adversarial"."""
    radius: float = 0.03
    """At the start."""
    radius_end: float = 0.3
    """At the end; the radius grows in equal steps, epoch by epoch."""
    steps: int = 7
    """Adversarial only: gradients a step of the weights."""

    def __post_init__(self) -> None:
        settle(self)
        if self.kind not in ("random", "adversarial"):
            raise SpecError(f"a perturbation is random or adversarial, not {self.kind!r}")
        for name in ("radius", "radius_end"):
            object.__setattr__(self, name, at_least_zero(name, getattr(self, name)))
        object.__setattr__(self, "steps", whole("steps", self.steps, 1))

    def schedules(self) -> dict[str, Schedule]:
        described = "How far the weights of the operations are off in the step of the weights."
        return {
            PERTURBATION: Schedule(
                start=self.radius, end=self.radius_end, low=0.0, high=1.0, log=False, description=described
            )
        }

    def perturbed(
        self,
        weights: Weights,
        loss: Callable[[Weights], Tensor],
        noise: torch.Generator,
        rates: Mapping[str, float],
        allowed: Mapping[str, Tensor | None] = MappingProxyType({}),
    ) -> Weights:
        """The weights [E, O] of each part, off by at most the radius; what is not allowed keeps none."""
        radius = rates[PERTURBATION]
        now = {part: w + radius * (2 * torch.rand(w.shape, generator=noise).to(w) - 1) for part, w in weights.items()}
        now = {part: _as_before(w, weights[part], allowed.get(part)) for part, w in now.items()}
        for _ in range(self.steps if self.kind == "adversarial" else 0):
            climbing = {part: w.detach().requires_grad_() for part, w in now.items()}
            found = torch.autograd.grad(loss(climbing), list(climbing.values()))
            for (part, w), gradient in zip(climbing.items(), found, strict=True):
                moved = w.detach() + 2 * radius / self.steps * gradient.sign()
                clipped = weights[part] + (moved - weights[part]).clamp(-radius, radius)
                now[part] = _as_before(clipped, weights[part], allowed.get(part))
        return now


def _as_before(moved: Tensor, before: Tensor, allowed: Tensor | None) -> Tensor:
    """From 0 to 1, with the sum of each row as before; where nothing is left of it, the largest weight has it all."""
    if allowed is not None:
        moved = moved.masked_fill(~allowed, -torch.inf)
    kept = moved.clamp(0, 1)
    largest = F.one_hot(moved.argmax(dim=1), moved.shape[1]).to(moved)
    kept = torch.where((kept > 0).any(dim=1, keepdim=True), kept, largest)
    return kept * (before.sum(dim=1) / kept.sum(dim=1)).unsqueeze(1)


@dataclass(frozen=True, kw_only=True)
class SkipDropout(Regularizer):
    """What comes through a skip connection is dropped, with a rate that decays as the search goes.

    `SkipDropout.published()` is that of the authors of P-DARTS: behind the identity only (not behind the factorized
    reduction of a reduction cell), every edge with a mask of its own, and with their schedule. The default drops behind
    both, gives all edges that leave one state the same mask, and falls by equal ratios.
    """

    rate: float = 0.3
    """At the start."""
    rate_end: float = 0.01
    """At the end; the rate falls by equal ratios, epoch by epoch. Without a meaning in the authors' schedule."""
    schedule: str = "exponential"
    """Or "p-darts": rate (E - e - 1) / E in the first ten epochs e = 0, ..., 9 of E, then rate exp(-0.2 (e - 10))."""
    identity_only: bool = False
    """Whether the skip connections that halve the image are left alone."""
    each_edge: bool = False
    """Whether edges that leave one state have masks of their own."""

    @classmethod
    def published(cls, rate: float = 0.3) -> SkipDropout:
        """As in the authors' code (chenxin061/pdarts, model_search.py and train_search.py)."""
        return cls(rate=rate, schedule="p-darts", identity_only=True, each_edge=True)

    def __post_init__(self) -> None:
        settle(self)
        for name in ("rate", "rate_end"):
            object.__setattr__(self, name, share(name, positive(name, getattr(self, name))))
        if self.schedule not in ("exponential", "p-darts"):
            raise SpecError(unknown("schedule", self.schedule, ("exponential", "p-darts")))
        for name in ("identity_only", "each_edge"):
            if not isinstance(getattr(self, name), bool):
                raise SpecError(f"{name} must be True or False, not {getattr(self, name)!r}")

    def schedules(self) -> dict[str, Schedule]:
        return {
            SKIP_DROPOUT: Schedule(
                start=self.rate,
                end=0.0 if self.schedule == "p-darts" else self.rate_end,
                shape=self.schedule,
                low=0.0,
                high=0.99,
                log=False,
                description="Share of the pixels that are dropped behind a skip connection.",
            )
        }

    def check(self, network: nn.Module, searcher: str) -> None:
        """`SpecError` for a supernet that has no skip connection to drop behind, or none that can be found."""
        found = operations_of(network).values()
        if not any(operations.drops_skips(identity_only=self.identity_only) for operations in found):
            why = (
                "its operations hold no 'skip_connect'"
                if found
                else "it is not made of naslab.networks.mixture.Operations"
            )
            raise SpecError(
                f"{searcher}: SkipDropout drops behind skip connections, and in the supernet, a "
                f"{type(network).__name__}, there are none to be found: {why}; leave it out"
            )

    def masks(self, rates: Mapping[str, float], words: Sequence[int | str]) -> SkipMasks:
        """What is dropped in one forward pass; `words` name it."""
        return SkipMasks(rates[SKIP_DROPOUT], words, identity_only=self.identity_only, each_edge=self.each_edge)


# --- watches -------------------------------------------------------------------------------------

FITNESS = "fitness"
Record = Mapping[str, Any]
"""What is remembered of an epoch: "choices" of the cell derived, what its mixture came to (by the name of the metric,
"valid_accuracy", see `Watching`), that as a "fitness", of which more is better, and a watch's figures."""


class Watch(Regularizer):
    """Looks at each epoch when it is over, and may end the search."""

    def schedules(self) -> dict[str, Schedule]:
        return {}

    @abstractmethod
    def figures(self, search: Any) -> dict[str, float]:
        """What it wants remembered of the epoch."""

    @abstractmethod
    def verdict(self, records: Sequence[Record]) -> int | None:
        """When it is time to stop: the epoch, counted from 0, whose cell is to be the result."""


@dataclass(frozen=True, kw_only=True)
class EigenvalueStop(Watch):
    """Stop when the dominant eigenvalue of the alpha Hessian, averaged over a window, has risen too fast; the result is
    the cell from before the rise."""

    window: int = 5
    """Epochs that are averaged, and epochs that are looked back."""
    ratio: float = 0.75
    """It is time when the average then is less than this share of the average now."""

    def __post_init__(self) -> None:
        settle(self)
        object.__setattr__(self, "window", whole("window", self.window, 1))
        object.__setattr__(self, "ratio", positive("ratio", self.ratio))

    def figures(self, search: Any) -> dict[str, float]:
        return {"eigenvalue": search.measure("alpha_hessian_eigenvalue")}

    def verdict(self, records: Sequence[Record]) -> int | None:
        values = [abs(record["eigenvalue"]) for record in records]
        last, then = len(values) - 1, len(values) - 1 - self.window
        if then < self.window - 1:
            return None

        def average(epoch: int) -> float:
            return sum(values[epoch - self.window + 1 : epoch + 1]) / self.window

        return then if average(then) < self.ratio * average(last) else None


@dataclass(frozen=True, kw_only=True)
class SizeTracking(Watch):
    """Remember the best cell of every size."""

    patience: int = 0
    """Stop after so many epochs without a better value of the task's objective on validation data; 0: never."""

    def __post_init__(self) -> None:
        settle(self)
        object.__setattr__(self, "patience", whole("patience", self.patience, 0))

    def figures(self, search: Any) -> dict[str, float]:
        with torch.device("meta"):
            network = search.space.build(search.best, search.task)
        return {"parameters": sum(parameter.numel() for parameter in network.parameters())}

    def verdict(self, records: Sequence[Record]) -> int | None:
        values = [record[FITNESS] for record in records]
        best = max(range(len(values)), key=lambda epoch: values[epoch])
        return best if self.patience and len(values) - 1 - best >= self.patience else None


REGULARIZERS: dict[str, type[Regularizer]] = {
    "resource": Resource,
    "entropy": Entropy,
    PERTURBATION: Perturbation,
    SKIP_DROPOUT: SkipDropout,
    "eigenvalue_stop": EigenvalueStop,
    "size_tracking": SizeTracking,
}
"""Name in a run folder -> the regularizer."""
