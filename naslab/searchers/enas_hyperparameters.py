"""Hyperparameters and settings of ENAS (Pham et al. 2018, https://arxiv.org/abs/1802.03268).

Defaults are those of the authors' search for whole networks on CIFAR-10 (https://github.com/melodyguan/enas,
scripts/cifar10_macro_search.sh), `MICRO` has those of their search for cells. Where a value comes from elsewhere, or
the paper has another, the docstring of the attribute says so.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from naslab.errors import SpecError, whole
from naslab.fields import settle
from naslab.searchers.rewards import between

KNOBS = {
    "w_lr": (1e-5, 1.0, True),
    "controller_lr": (1e-6, 0.1, True),
    "entropy_weight": (0.0, 1.0, False),
    "skip_weight": (0.0, 10.0, False),
}
"""Name -> lowest, highest, logarithmic."""

MICRO: Mapping[str, Any] = MappingProxyType(
    {
        "epochs": 150,
        "batch_size": 160,
        "w_l2": 1e-4,
        "controller_steps": 30,
        "children": 10,
        "controller_lr": 0.0035,
        "tanh_constant": 1.1,
        "op_tanh_reduce": 2.5,
    }
)
"""Where `scripts/cifar10_micro_search.sh` differs from the defaults: `Enas(nl.spaces.EnasMicro(), task, **MICRO)`."""
LAPTOP: Mapping[str, Any] = MappingProxyType(
    {
        "epochs": 6,
        "batch_size": 64,
        "train_portion": 0.8,
        "controller_steps": 25,
        "children": 10,
        "controller_lr": 0.01,
        "entropy_weight": 0.002,
        "skip_weight": 0.02,
        "baseline_momentum": 0.9,
        "tanh_constant": 2.5,
    }
)
"""For a few thousand images and a minute or two: `Enas(space, task, **LAPTOP)`.

Rewards of children differ by a few hundredths here, and their mean rises by a tenth an epoch. So the baseline forgets
fast, or all children of an epoch would seem good; the pull to the prior of the skip connections is as small as the
rewards' differences, or it alone would decide; the bound of the paper lets decisions become clear; and a little entropy
is worth something, so that they do not become so in the first epoch, when the weights know nothing yet."""


@dataclass(frozen=True, kw_only=True)
class EnasHyperparameters:
    """Defaults are those of the authors' `cifar10_macro_search.sh`, or of its `main.py` where said so."""

    RENAMED: ClassVar[Mapping[str, str]] = {"w_clip": "gradient_clipping"}

    epochs: int = 310
    """Passes over the training part, each followed by the controller's steps."""
    batch_size: int = 128
    """Images in a mini-batch of either part."""
    train_portion: float = 0.9
    """Share of the training data that trains the weights (45,000 of 50,000); the rest gives the rewards."""
    w_lr: float = 0.05
    """Learning rate of the shared weights at the start of each cosine."""
    w_lr_min: float = 0.0005
    """Learning rate of the shared weights that each cosine falls to (paper: 0.001)."""
    restart: int = 10
    """Epochs of the first cosine."""
    restart_growth: int = 2
    """Length of each cosine as a multiple of the one before."""
    w_momentum: float = 0.9
    """Nesterov momentum of the shared weights (paper, Sec. 3.2)."""
    w_l2: float = 2.5e-4
    """L2 penalty: weight of the squared norm of a child's weights in the loss (paper: 1e-4). Half the weight decay."""
    gradient_clipping: float = 5.0
    """Largest Euclidean norm of the gradient of the shared weights (main.py; see `enas`)."""
    controller_steps: int = 50
    """Updates of the controller in an epoch."""
    children: int = 20
    """Children for each update of the controller, each with a validation mini-batch of its own."""
    controller_lr: float = 1e-3
    """Learning rate of the controller (Adam; paper: 3.5e-4)."""
    entropy_weight: float = 1e-4
    """Weight of the policy's entropy, in nats; a larger one keeps it exploring."""
    skip_weight: float = 0.8
    """Weight of the divergence, in nats, of the skip connections from their prior."""
    skip_prior: float = 0.4
    """Prior probability of a skip connection; see `skip_penalty`."""
    skip_penalty: str = "drawn"
    """Distribution whose divergence from the prior is penalised: "drawn", that from which skip connections are drawn,
    so that 0.4 is the probability of one; "score", that of sigmoid(score) where they are drawn from sigmoid(2 score),
    as in the authors' code: the penalty with 0.4 is then least at a probability of 0.308, and a quarter as strong."""
    baseline_momentum: float = 0.99
    """Decay of the baseline, a moving average of the rewards (main.py)."""
    tanh_constant: float = 1.5
    """Bound of the scores of options, tanh_constant * tanh(score); 0: no bound (paper: 2.5)."""
    op_tanh_reduce: float = 1.0
    """Divisor of that bound for the scores of operations (micro_controller.py; 2.5 in the search for cells)."""
    temperature: float = 1.0
    """Divisor of the scores before the bound (main.py: none; paper: 5)."""
    units: int = 64
    """Hidden units of the LSTM (main.py)."""
    layers: int = 1
    """Layers of the LSTM (main.py)."""
    reach: float = 0.1
    """Bound of the controller's initial weights, uniform between minus and plus this (general_controller.py)."""
    derived: int = 10
    """Children drawn at the end of an epoch, of which the best is the result so far (main.py)."""
    derived_images: int = 512
    """Validation images on which they are compared, or as many as there are."""

    def __post_init__(self) -> None:
        settle(self)
        for field in dataclasses.fields(self):
            if isinstance(field.default, int):
                object.__setattr__(self, field.name, whole(field.name, getattr(self, field.name), 1))
        below_one = math.nextafter(1, 0)
        for name, low, high, low_too in (
            ("train_portion", 0, below_one, False),
            ("w_lr", 0, 100, False),
            ("w_lr_min", 0, 1, True),
            ("w_momentum", 0, below_one, True),
            ("w_l2", 0, 1, True),
            ("gradient_clipping", 0, 1e9, False),
            ("controller_lr", 0, 0.1, False),
            ("entropy_weight", 0, 1, True),
            ("skip_weight", 0, 10, True),
            ("skip_prior", 0, below_one, False),
            ("baseline_momentum", 0, below_one, True),
            ("tanh_constant", 0, 100, True),
            ("op_tanh_reduce", 1e-3, 1e3, True),
            ("temperature", 1e-3, 1e3, True),
            ("reach", 0, 10, False),
        ):
            object.__setattr__(self, name, between(name, getattr(self, name), low, high, low_too=low_too))
        if self.skip_penalty not in ("drawn", "score"):
            raise SpecError(f'skip_penalty must be "drawn" or "score", not {self.skip_penalty!r}')


def restarted_cosine(epoch: int, *, high: float, low: float, first: int, growth: int) -> float:
    """Returns the learning rate of an epoch under warm restarts.

    It goes from `high` towards `low` along half a cosine, over `first` epochs, then again over `growth` times as many,
    and so on (SGDR, Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983, Eq. 5, epoch by epoch).
    """
    since, cycle = epoch, first
    while since >= cycle:
        since, cycle = since - cycle, cycle * growth
    return low + 0.5 * (high - low) * (1 + math.cos(math.pi * since / cycle))
