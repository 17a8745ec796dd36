"""ProxylessNAS: binarised paths (Cai, Zhu & Han 2019, https://arxiv.org/abs/1812.00332, Eq. 3 to 7).

    for a share of the epochs: w alone, on one path for each edge drawn from p = softmax(alpha)
    then, a mini-batch of each half of the training data at a time:
        "gradient":  draw two paths for each edge, open one of them; dL/dalpha_i = sum over the two of
                     dL/dg_j p_j (d_ij - p_i), with g the gates (Eq. 4); then shift the two alphas so that all others
                     keep their probability
        "reinforce": draw one path for each edge; alpha <- alpha + Adam((accuracy - baseline) grad log p(paths))
        w <- w - SGD(grad_w L_train), on one path for each edge

Only the paths that were drawn are in memory: two of O in the step of the architecture, one in that of the weights.

Differences from the paper: the expected cost joins the loss by a sum for either rule (Eq. 7; its REINFORCE rule takes
the cost into the reward), in units of the dearest network; costs are counted multiply-adds or parameters, or a table of
measured latencies by way of `GradientSearch`. The paths are edges of a cell, where the paper's are blocks of a chain.

Differences from the authors' code (https://github.com/mit-han-lab/proxylessnas, search/imagenet_arch_search.py and
nas_manager.py): there the warm-up is 40 epochs with a cosine of its own from 0.05, then come 120; the alphas move once
in five steps; the gradient rule is by default that of all paths (`--grad_binary_mode two` is the paper's), and the cost
multiplies the loss (`add#linear`, with 0.1, is Eq. 7). A step of REINFORCE has ten paths there, and the baseline is
nearly their mean, as it moves 0.99 of the way. The gradient of the two paths is dropped there where the open one is a
"none", which gives out zeros without a graph; here it is kept, as Eq. 4 has it. Momentum is Nesterov's, labels are
smoothed, no gradient is clipped.
"""

from __future__ import annotations

from dataclasses import dataclass

from naslab.errors import SpecError
from naslab.searchers.gradient import BinaryGates, GradientSearcher, Parts, Reinforce, Resource, Training


@dataclass(frozen=True, kw_only=True)
class ProxylessNASHyperparameters(Training):
    """Defaults are those of the authors' search on ImageNet; what is not given here is as for DARTS."""

    epochs: int = 160
    """Passes over the half of the training data that trains the weights."""
    batch_size: int = 256
    """Images in a mini-batch of either half."""
    w_lr_min: float = 0.0
    """Learning rate of the weights at the end of the cosine."""
    w_weight_decay: float = 4e-5
    """Weight decay of the weights."""
    alpha_lr: float = 1e-3
    """Learning rate of the architecture (Adam)."""
    alpha_beta1: float = 0.0
    """Adam's decay of the mean gradient of the architecture. 0: a path that was not drawn in a step keeps its alpha."""
    alpha_weight_decay: float = 0.0
    """Weight decay of the architecture."""
    rule: str = "gradient"
    """Gradient estimator of the architecture: "gradient" (Sec. 3.2) or "reinforce" (Sec. 3.3.2)."""
    warmup: float = 0.25
    """Share of the epochs, at the start, in which only the weights are trained."""
    baseline_decay: float = 0.99
    """REINFORCE only: decay of the moving average of the reward (ours, for one path a step)."""
    resource_weight: float = 0.1
    """Weight of the resource penalty: the most expensive cell adds this much to the loss. 0 disables it."""
    resource: str = "multiply_adds"
    """Cost that is penalised: "multiply_adds" or "parameters"."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rule not in ("gradient", "reinforce"):
            raise SpecError(f'rule must be "gradient" or "reinforce", not {self.rule!r}')


class ProxylessNAS(GradientSearcher):
    """ProxylessNAS on any space with a supernet."""

    name = "proxylessnas"
    Hyperparameters = ProxylessNASHyperparameters

    @classmethod
    def compose(cls, hyper: ProxylessNASHyperparameters) -> Parts:
        resource = Resource(weight=hyper.resource_weight, what=hyper.resource)
        reinforce = Reinforce(baseline_decay=hyper.baseline_decay)
        return Parts(
            sampling=BinaryGates() if hyper.rule == "gradient" else reinforce,
            regularizers=(resource,),
            warmup=hyper.warmup,
        )
