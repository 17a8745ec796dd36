"""GDAS: search by a differentiable sampler (Dong & Yang 2019, https://arxiv.org/abs/1910.04465, Eq. 5 to 7).

    repeat, a mini-batch of each half of the training data at a time:
        on each edge: s <- softmax((log p + Gumbel numbers) / t), p = softmax(alpha); compute its largest operation only
        alpha <- alpha - Adam(grad_alpha L_val): forward with the one-hot of s, backward with the gradient of s (Eq. 7)
        w <- w - SGD(grad_w L_train), with a sample of its own
    t falls in equal steps from 10 in the first epoch to 0.1 in the last

The temperatures are those of the authors' code (https://github.com/D-X-Y/AutoDL-Projects, scripts-search/algos/GDAS.sh:
`--tau_max 10 --tau_min 0.1`; exps/algos/GDAS.py: `tau_max - (tau_max - tau_min) * epoch / (total_epoch - 1)`), epochs,
batch size and rates those of configs/search-opts/GDAS-NASNet-CIFAR.config there.

Differences from the authors' code: there the weights move before the alphas, by Nesterov's momentum. It gives the
operations that were not chosen a share in the gradient by adding their (zero) weights to the output; here the gradient
goes through the chosen one alone, as the paper has it. Momentum and decay go on for an operation that was not chosen if
it was on another edge that leaves the same state.
"""

from __future__ import annotations

from dataclasses import dataclass

from naslab.searchers.gradient import GradientSearcher, Parts, StraightThrough, Training


@dataclass(frozen=True, kw_only=True)
class GDASHyperparameters(Training):
    """Defaults are those of the authors' search on CIFAR-10."""

    epochs: int = 250
    """Passes over the half of the training data that trains the weights."""
    batch_size: int = 256
    """Images in a mini-batch of either half."""
    w_weight_decay: float = 5e-4
    """Weight decay of the weights."""
    temperature: float = 10.0
    """Temperature of the samples in the first epoch; falls in equal steps, epoch by epoch."""
    temperature_end: float = 0.1
    """Temperature in the last epoch."""


class GDAS(GradientSearcher):
    """GDAS on any space with a supernet."""

    name = "gdas"
    Hyperparameters = GDASHyperparameters

    @classmethod
    def compose(cls, hyper: GDASHyperparameters) -> Parts:
        return Parts(sampling=StraightThrough(temperature=hyper.temperature, temperature_end=hyper.temperature_end))
