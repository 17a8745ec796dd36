"""What ENAS can be told, and what may be turned on the way (Pham et al. 2018, https://arxiv.org/abs/1802.03268).

Defaults are those of the authors' search for whole networks on CIFAR-10 (https://github.com/melodyguan/enas,
scripts/cifar10_macro_search.sh), `MICRO` has those of their search for cells; where they come from elsewhere, or the
paper says otherwise, the attribute does.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

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
    """Defaults as in the authors' `cifar10_macro_search.sh`, or in its `main.py` (said so)."""

    epochs: int = 310
    """Passes over the training part, each followed by the controller's steps."""
    batch_size: int = 128
    """Images in a mini-batch of either part."""
    train_portion: float = 0.9
    """Share of the training data that moves the weights (45,000 of 50,000); the rest gives the rewards."""
    w_lr: float = 0.05
    """Learning rate of the shared weights at the start of each cosine."""
    w_lr_min: float = 0.0005
    """Learning rate of the shared weights that each cosine falls to (paper: 0.001)."""
    restart: int = 10
    """Epochs of the first cosine."""
    restart_growth: int = 2
    """Each cosine lasts so many times as long as the one before."""
    w_momentum: float = 0.9
    """Nesterov momentum of the shared weights (paper, Sec. 3.2)."""
    w_l2: float = 2.5e-4
    """What a unit of the squared norm of a child's weights costs (paper: 1e-4)."""
    w_clip: float = 5.0
    """The gradient of the shared weights is scaled down to this norm (main.py; see `enas`)."""
    controller_steps: int = 50
    """Steps of the controller in an epoch."""
    children: int = 20
    """Children that make a step of the controller, a validation mini-batch each."""
    controller_lr: float = 1e-3
    """How far each step moves the controller (Adam; paper: 3.5e-4)."""
    entropy_weight: float = 1e-4
    """What a nat of the policy's entropy is worth; more keeps it exploring."""
    skip_weight: float = 0.8
    """What a nat costs by which the skip connections leave their prior."""
    skip_prior: float = 0.4
    """The probability of a skip connection to which they are pulled; see `skip_penalty`."""
    skip_penalty: str = "drawn"
    """Whose divergence from the prior is penalised: "drawn", that of the distribution of the skip connections, so that
    0.4 is the probability of one; "score", that of sigmoid(score) where they are drawn from sigmoid(2 score), as in the
    authors' code: the penalty with 0.4 is then least at a probability of 0.308, and pulls a quarter as hard."""
    baseline_momentum: float = 0.99
    """How slowly the baseline, a moving average of the rewards, forgets (main.py)."""
    tanh_constant: float = 1.5
    """Scores of the options stay within plus and minus this; 0: no bound (paper: 2.5)."""
    op_tanh_reduce: float = 1.0
    """Between operations they stay within so many times less (micro_controller.py; 2.5 in the search for cells)."""
    temperature: float = 1.0
    """Scores are first divided by this (main.py: not at all; paper: 5)."""
    units: int = 64
    """Hidden units of the LSTM (main.py)."""
    layers: int = 1
    """Layers of the LSTM (main.py)."""
    reach: float = 0.1
    """The controller's weights start uniformly between minus and plus this (general_controller.py)."""
    derived: int = 10
    """Children of which the best is the result so far (main.py)."""
    derived_images: int = 512
    """Validation images that they are compared on, or as many as there are."""

    def __post_init__(self) -> None:
        settle(self)
        for field in dataclasses.fields(self):
            if isinstance(field.default, int):
                object.__setattr__(self, field.name, whole(field.name, getattr(self, field.name), 1))
        below_one = math.nextafter(1, 0)
        for name, low, high, low_too in (
            ("train_portion", 0, below_one, False),
            ("w_lr", 0, 1, False),
            ("w_lr_min", 0, 1, True),
            ("w_momentum", 0, below_one, True),
            ("w_l2", 0, 1, True),
            ("w_clip", 0, 1e9, False),
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
    """From `high` towards `low` along half a cosine, over `first` epochs, then again over `growth` times as many, ...

    (SGDR, Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983, Eq. 5, epoch by epoch.)
    """
    since, cycle = epoch, first
    while since >= cycle:
        since, cycle = since - cycle, cycle * growth
    return low + 0.5 * (high - low) * (1 + math.cos(math.pi * since / cycle))
