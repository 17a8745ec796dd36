"""Regularizers of gradient-based search, against expensive cells, indecision, and collapse to skip connections.

Penalties, added to the loss of the architecture:
    `Resource`        expected cost of a cell (SNAS, Sec. 2.3; ProxylessNAS, Eq. 7)
    `Entropy`         entropy of the operations of an edge
In the update of the weights:
    `Perturbation`    perturbed weights of the operations (SDARTS, Chen & Hsieh 2020, Eq. 3 and 4)
    `SkipDropout`     dropout behind skip connections (P-DARTS, Chen et al. 2019, Sec. 3.3)
Stopping criteria, at the end of each epoch:
    `EigenvalueStop`  stop before the minimum becomes sharp (RobustDARTS, Zela et al. 2020, Sec. 4.3)
    `SizeTracking`    record the best cell of every size (MiLeNAS, He et al. 2020), and stop when none gets better

Letters in shapes: E edges of a part, O candidate operations.
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
from naslab.lazy import attach, keep_old_hooks
from naslab.networks.mixture import operations_of
from naslab.networks.operation_costs import COSTS
from naslab.networks.skip_dropout import SkipMasks
from naslab.searchers.gradient.bilevel import gradients
from naslab.searchers.gradient.schedule import Schedule, at_least_zero, positive, share
from naslab.tasks.task import Task
from naslab.transfer import to_device

Weights = Mapping[str, Tensor]
"""Part -> a number for each operation, [E, O]."""


SKIP_DROPOUT, PERTURBATION = "skip_dropout", "perturbation"
"""Names of two settings: the rate of `SkipDropout` and the radius of `Perturbation`."""


class Regularizer(ABC):
    """A change to the search that keeps it from degenerate architectures: a penalty, noise, or a stopping criterion."""

    @abstractmethod
    def schedules(self) -> dict[str, Schedule]:
        """Returns its settings that can change during the search, by name."""

    def check(self, network: nn.Module, searcher: str) -> None:
        """Raises `SpecError` for a supernet on which it would have no effect.

        Args:
            network: the supernet.
            searcher: name of the search algorithm, for the message.
        """
        return


class Penalty(Regularizer):
    """A term added to the loss of the architecture."""

    @abstractmethod
    def term(self, mean: Weights, costs: Weights, values: Mapping[str, float]) -> Tensor:
        """Returns the term, a scalar that is differentiable in the alphas.

        Args:
            mean: expected weights of the operations, part -> [E, O].
            costs: cost of each operation, part -> [E, O], as a share of the most expensive cell.
            values: the values of the scheduled settings in this epoch, by name.
        """


@dataclass(frozen=True, kw_only=True)
class Resource(Penalty):
    """The expected cost of the network, as a share of the cost with the most expensive operation on every edge."""

    weight: float = 0.1
    """Weight of the penalty: the most expensive cell adds this much to the loss."""
    what: str = "multiply_adds"
    """The cost: "multiply_adds", "parameters" or "table"."""
    table: Mapping[str, Sequence[Sequence[float]]] | None = None
    """Costs for `what="table"`: part -> [E, O], in any unit, for instance measured latencies."""

    def __post_init__(self) -> None:
        settle(self)
        object.__setattr__(self, "weight", at_least_zero("weight", self.weight))
        if not among(self.what, (*COSTS, "table")):
            raise SpecError(unknown("cost", self.what, [*COSTS, "table"]))
        if (self.table is None) == (self.what == "table"):
            raise SpecError("give a table of costs with what='table', and with no other what")

    def schedules(self) -> dict[str, Schedule]:
        described = (
            "Weight of the cost: the most expensive cell adds this much to the loss. Higher gives cheaper cells."
        )
        return {"resource_weight": Schedule(start=self.weight, low=0.0, high=100.0, log=False, description=described)}

    def costs(self, network: nn.Module, task: Task, shapes: Mapping[str, tuple[int, int]]) -> Weights:
        """Returns part -> cost of each operation, [E, O], scaled so that the largest costs of all edges sum to one.

        Args:
            network: the supernet, whose operations are counted.
            task: gives the shape of the inputs.
            shapes: part -> (E, O).

        Raises:
            SpecError: the operations cannot be counted, or the table has wrong shapes, negative costs, or no cost.
        """
        if self.what == "table":
            found = {part: torch.as_tensor(rows, dtype=torch.float32) for part, rows in (self.table or {}).items()}
        else:
            try:
                found = COSTS[self.what](network, task, shapes)
            except SpecError as error:
                raise SpecError(f"what={self.what!r}: {error}; or give what='table' and a table of costs") from None
        if {part: tuple(matrix.shape) for part, matrix in found.items()} != dict(shapes):
            raise SpecError(f"the table of costs must have the parts and shapes (edges, operations) {dict(shapes)}")
        if not all(bool((torch.isfinite(matrix) & (matrix >= 0)).all()) for matrix in found.values()):
            raise SpecError("a cost must be a finite number from 0 up")
        most_expensive = sum(float(matrix.max(dim=1).values.sum()) for matrix in found.values())
        if most_expensive == 0:
            raise SpecError("all operations cost 0, so there is nothing to penalise; give a table with positive costs")
        return {part: matrix / most_expensive for part, matrix in found.items()}

    def term(self, mean: Weights, costs: Weights, values: Mapping[str, float]) -> Tensor:
        return values["resource_weight"] * torch.stack([(mean[part] * costs[part]).sum() for part in mean]).sum()


@dataclass(frozen=True, kw_only=True)
class Entropy(Penalty):
    """The mean entropy of an edge's operations, in nats. A positive weight hurries decisions, a negative one delays."""

    weight: float = 0.01
    """Loss that one nat of entropy adds."""

    def __post_init__(self) -> None:
        settle(self)

    def schedules(self) -> dict[str, Schedule]:
        described = "Loss that one nat of entropy adds: above 0 it hurries decisions, below 0 it delays them."
        return {"entropy_weight": Schedule(start=self.weight, low=-10.0, high=10.0, log=False, description=described)}

    def term(self, mean: Weights, costs: Weights, values: Mapping[str, float]) -> Tensor:
        # xlogy(0, .) is 0, and the clamp keeps its gradient, log p + 1, finite where p is 0
        rows = torch.cat(list(mean.values()))
        return values["entropy_weight"] * -torch.special.xlogy(rows, rows.clamp_min(1e-30)).sum(dim=1).mean()


@dataclass(frozen=True, kw_only=True)
class Perturbation(Regularizer):
    """The weights are updated at perturbed weights of the operations, each off by at most a radius.

    "random" draws the perturbation uniformly (SDARTS-RS). "adversarial" maximises the training loss by projected
    gradient ascent along the sign of the gradient (SDARTS-ADV). Afterwards the weights of an edge are clipped to [0, 1]
    and scaled to their sum before the perturbation.
    """

    kind: str = "random"
    """"random" or "adversarial"."""
    radius: float = 0.03
    """Radius in the first epoch."""
    radius_end: float = 0.3
    """Radius in the epoch after the last; it grows in equal steps, epoch by epoch."""
    steps: int = 7
    """Adversarial only: ascent steps in each update of the weights."""

    def __post_init__(self) -> None:
        settle(self)
        if self.kind not in ("random", "adversarial"):
            raise SpecError(f"a perturbation is random or adversarial, not {self.kind!r}")
        for name in ("radius", "radius_end"):
            object.__setattr__(self, name, at_least_zero(name, getattr(self, name)))
        object.__setattr__(self, "steps", whole("steps", self.steps, 1))

    def schedules(self) -> dict[str, Schedule]:
        described = "Largest change to the weights of the operations when the network's weights are updated."
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
        values: Mapping[str, float],
        allowed: Mapping[str, Tensor | None] = MappingProxyType({}),
    ) -> Weights:
        """Returns the perturbed weights, part -> [E, O].

        Args:
            weights: weights of the operations, part -> [E, O].
            loss: training loss at such weights, which the adversary maximises.
            noise: source of the random start.
            values: the values of the scheduled settings in this epoch.
            allowed: part -> mask [E, O] of the operations that are not forbidden; the others keep weight 0.
        """
        radius = values[PERTURBATION]
        # uniform in [-radius, radius]; it is also the random start of the adversary
        noises = {part: torch.rand(w.shape, generator=noise).to(w.dtype) for part, w in weights.items()}
        noises = to_device(noises, next(iter(weights.values())).device)
        now = {part: w + radius * (2 * noises[part] - 1) for part, w in weights.items()}
        now = {part: _as_before(w, weights[part], allowed.get(part)) for part, w in now.items()}
        for _ in range(self.steps if self.kind == "adversarial" else 0):
            climbing = {part: w.detach().requires_grad_() for part, w in now.items()}
            found = gradients(loss(climbing), list(climbing.values()))  # a network of one cell has one part of two
            for (part, w), gradient in zip(climbing.items(), found, strict=True):
                # all steps together are twice the radius long, so that they can cross the box from any start
                moved = w.detach() + 2 * radius / self.steps * gradient.sign()
                clipped = weights[part] + (moved - weights[part]).clamp(-radius, radius)
                now[part] = _as_before(clipped, weights[part], allowed.get(part))
        return now


def _as_before(moved: Tensor, before: Tensor, allowed: Tensor | None) -> Tensor:
    """Returns weights [E, O] clipped to [0, 1], each row scaled to the sum that it had before."""
    # With edge normalisation a row sums to the share of its edge, not to one.
    if allowed is not None:
        moved = moved.masked_fill(~allowed, -torch.inf)
    kept = moved.clamp(0, 1)
    # where clipping leaves nothing of a row, its largest weight gets the whole sum
    largest = F.one_hot(moved.argmax(dim=1), moved.shape[1]).to(moved)
    kept = torch.where((kept > 0).any(dim=1, keepdim=True), kept, largest)
    return kept * (before.sum(dim=1) / kept.sum(dim=1)).unsqueeze(1)


@dataclass(frozen=True, kw_only=True)
class SkipDropout(Regularizer):
    """Dropout on the outputs of skip connections, at a rate that decays during the search.

    `SkipDropout.published()` is that of the authors of P-DARTS: behind the identity only (not behind the factorized
    reduction of a reduction cell), with a mask of its own for every edge, and with their schedule. The default drops
    behind both, uses one mask for all edges that leave one state, and decays exponentially.
    """

    rate: float = 0.3
    """Share of the pixels that are dropped in the first epoch."""
    rate_end: float = 0.01
    """Rate in the epoch after the last; it falls by equal ratios, epoch by epoch. Unused by the authors' schedule."""
    schedule: str = "exponential"
    """"exponential", or "p-darts": rate (E - e - 1) / E in the first ten epochs e = 0, ..., 9 of E, then
    rate exp(-0.2 (e - 10))."""
    identity_only: bool = False
    """Whether skip connections that halve the image are left without dropout."""
    each_edge: bool = False
    """Whether edges that leave one state have separate masks."""

    @classmethod
    def published(cls, rate: float = 0.3) -> SkipDropout:
        """Returns the dropout of the authors' code (chenxin061/pdarts, model_search.py and train_search.py)."""
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
        """Raises `SpecError` for a supernet that has no skip connection, or none that can be found."""
        found = operations_of(network).values()
        if not any(operations.drops_skips(identity_only=self.identity_only) for operations in found):
            why = "it has no 'skip_connect'" if found else "it is not made of naslab.networks.mixture.Operations"
            raise SpecError(
                f"{searcher}: SkipDropout needs skip connections, and none can be found in the supernet, a "
                f"{type(network).__name__}: {why}; leave SkipDropout out"
            )

    def masks(self, values: Mapping[str, float], words: Sequence[int | str]) -> SkipMasks:
        """Returns the masks of one forward pass; they are a function of `words`, seed and step among them."""
        return SkipMasks(values[SKIP_DROPOUT], words, identity_only=self.identity_only, each_edge=self.each_edge)


# --- stopping criteria ---------------------------------------------------------------------------

FITNESS = "fitness"
Record = Mapping[str, Any]
"""Record of an epoch: "choices" of the derived architecture; the mixture's validation metric (under its name, such as
"valid_accuracy", see `EpochHistory`); the same as a "fitness", where higher is better; the criteria's metrics."""


class StoppingCriterion(Regularizer):
    """An early-stopping criterion: it examines each epoch at its end, and may end the search."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        keep_old_hooks(cls, {"figures": "metrics", "verdict": "stop"})

    def schedules(self) -> dict[str, Schedule]:
        return {}

    @abstractmethod
    def metrics(self, search: Any) -> dict[str, float]:
        """Returns the metrics to record of the epoch that has just ended, by name; `search` is the searcher."""

    @abstractmethod
    def stop(self, records: Sequence[Record]) -> int | None:
        """Returns the epoch, counted from 0, whose architecture is the result if the search stops now; None to go on.

        Args:
            records: one record for each epoch so far.
        """


@dataclass(frozen=True, kw_only=True)
class EigenvalueStop(StoppingCriterion):
    """Stop when the dominant eigenvalue of the alpha Hessian, averaged over a window, rises too fast.

    A large eigenvalue is a sharp minimum, where discretising the cell costs much accuracy. The result is the cell from
    before the rise.
    """

    window: int = 5
    """Epochs in the average, and also the number of epochs between the two averages."""
    ratio: float = 0.75
    """Stop when the earlier window's mean is below `ratio` times the latest window's mean."""

    def __post_init__(self) -> None:
        settle(self)
        object.__setattr__(self, "window", whole("window", self.window, 1))
        object.__setattr__(self, "ratio", positive("ratio", self.ratio))

    def metrics(self, search: Any) -> dict[str, float]:
        return {"eigenvalue": search.measure("alpha_hessian_eigenvalue")}

    def stop(self, records: Sequence[Record]) -> int | None:
        values = [abs(record["eigenvalue"]) for record in records]
        last, then = len(values) - 1, len(values) - 1 - self.window
        if then < self.window - 1:  # the earlier window is not full yet
            return None

        def average(epoch: int) -> float:
            return sum(values[epoch - self.window + 1 : epoch + 1]) / self.window

        return then if average(then) < self.ratio * average(last) else None


@dataclass(frozen=True, kw_only=True)
class SizeTracking(StoppingCriterion):
    """Record the best cell of every size (`EpochHistory.by_size`), and stop when no cell gets better."""

    patience: int = 0
    """Epochs without a better validation objective after which the search stops; 0: never."""

    def __post_init__(self) -> None:
        settle(self)
        object.__setattr__(self, "patience", whole("patience", self.patience, 0))

    def metrics(self, search: Any) -> dict[str, float]:
        with torch.device("meta"):  # parameters without memory: only their number is asked for
            network = search.space.build(search.best, search.task)
        return {"parameters": sum(parameter.numel() for parameter in network.parameters())}

    def stop(self, records: Sequence[Record]) -> int | None:
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
"""Name in a run folder -> the class."""


__getattr__, __dir__ = attach(__name__, deprecated={"Watch": "StoppingCriterion"})
