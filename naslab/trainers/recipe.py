"""How a network is trained: everything but the network, the data and the seed."""

from __future__ import annotations

import dataclasses
import math
import numbers
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from naslab.errors import SpecError, unknown, whole
from naslab.fields import settle

OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("cosine", "constant")
PRECISIONS = ("no", "bf16", "fp16")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Hyperparameters of a training.

    The defaults are those with which DARTS retrains a cell on CIFAR-10 (Liu et al. 2019, Sec. A.2 and the authors'
    code), but for what is meant for its 600 epochs: drop path, the auxiliary head and cutout are asked for by name.
    """

    epochs: int = 5
    """Passes over the training data; DARTS 600."""
    batch_size: int = 96
    """Images in a mini-batch, over all processes together; DARTS 96."""
    optimizer: str = "sgd"
    """"sgd", "adam" or "adamw"."""
    learning_rate: float = 0.025
    """The highest learning rate; DARTS 0.025 for SGD. For Adam 0.001 is a usual value."""
    learning_rate_min: float = 0.0
    """Where the cosine ends; DARTS 0."""
    momentum: float = 0.9
    """Of SGD, not of Nesterov's kind; DARTS 0.9."""
    weight_decay: float = 3e-4
    """DARTS 3e-4."""
    schedule: str = "cosine"
    """"cosine" or "constant". The cosine moves each step; in DARTS it moves each epoch."""
    schedule_epochs: int = 0
    """Epochs that the learning rate (and the drop path) is planned over; 0: as many as `epochs`. With more, the
    training is the first `epochs` epochs of a longer one, and a checkpoint of it can be trained on."""
    warmup_epochs: float = 0.0
    """Epochs in which the learning rate first grows linearly from 0; DARTS 0."""
    gradient_clipping: float = 5.0
    """Largest Euclidean norm of the whole gradient; DARTS 5. 0: no clipping."""
    label_smoothing: float = 0.0
    """Part of each label that is shared out over all classes; DARTS 0 on CIFAR-10, 0.1 on ImageNet."""
    auxiliary_weight: float = 0.4
    """Weight of the auxiliary head's loss, for a network that has the head; DARTS 0.4."""
    drop_path: float | None = None
    """Probability of drop path that is approached linearly from 0 in the first epoch, by a network that has
    `drop_path_probability`; DARTS 0.2. None: the network is left as it was built."""
    augment: bool = True
    """Whether training images are augmented as the task says."""
    held_out: float = 0.0
    """Part of the training images that is kept to choose the best epoch, whose weights the network ends with.
    0: all images are trained on, and the last epoch counts."""
    patience: int = 0
    """Epochs without a better held-out accuracy after which the training stops; 0: never. Needs `held_out`."""
    precision: str = "no"
    """"no" (float32), "bf16", or "fp16" with loss scaling (CUDA only)."""
    channels_last: bool = False
    """Whether weights and images lie in memory with the channels last, which is faster on most GPUs."""
    compile: bool = False
    """Whether the network goes through `torch.compile`: minutes of compilation, then faster steps on a GPU."""
    sync_batch_norm: bool = False
    """Whether batch norm sees the mini-batch of all processes (several GPUs only), not each its own part."""

    def __post_init__(self) -> None:
        settle(self)
        for name, known in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES), ("precision", PRECISIONS)):
            if getattr(self, name) not in known:
                raise SpecError(unknown(name, getattr(self, name), known))
        for name, low in (("epochs", 1), ("batch_size", 1), ("schedule_epochs", 0), ("patience", 0)):
            object.__setattr__(self, name, whole(name, getattr(self, name), low))
        for name, high in (
            ("learning_rate", math.inf),
            ("learning_rate_min", math.inf),
            ("momentum", 1),
            ("weight_decay", math.inf),
            ("warmup_epochs", math.inf),
            ("gradient_clipping", math.inf),
            ("label_smoothing", 1),
            ("auxiliary_weight", math.inf),
            ("drop_path", 1),
            ("held_out", 1),
        ):
            value = getattr(self, name)
            if value is None and name == "drop_path":
                continue
            if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= float(value) < high:
                below = "" if high == math.inf else f" and below {high}"
                raise SpecError(f"{name} must be a finite number from 0 up{below}, not {value!r}")
            if type(value) not in (int, float):  # NumPy's, which JSON does not know
                object.__setattr__(self, name, float(value))
        if 0 < self.schedule_epochs < self.epochs:
            raise SpecError(
                f"schedule_epochs={self.schedule_epochs} ends before the training of {self.epochs} epochs does; give "
                "as many epochs as the longest training has, or 0"
            )
        if self.warmup_epochs > self.planned_epochs:
            raise SpecError(
                f"warmup_epochs={self.warmup_epochs} is longer than the training of {self.planned_epochs} epochs"
            )
        if self.patience and not self.held_out:
            raise SpecError("patience needs held-out images to judge by: give held_out=0.1, for instance")

    @property
    def planned_epochs(self) -> int:
        """Epochs after which the cosine ends."""
        return self.schedule_epochs or self.epochs

    @property
    def prolongable(self) -> bool:
        """Whether a training of fewer epochs is the beginning of one of more."""
        return self.schedule_epochs > 0 or (self.schedule == "constant" and self.drop_path is None)

    def but(self, **changes: Any) -> Recipe:
        """The same recipe with some values changed; `SpecError` names what it does not know."""
        for name in changes:
            if name not in (known := [field.name for field in dataclasses.fields(self)]):
                raise SpecError(unknown("hyperparameter", name, known))
        return dataclasses.replace(self, **changes)

    def learning_rate_at(self, step: int, epoch_steps: int) -> float:
        """Learning rate of the step that follows `step` steps, in epochs of `epoch_steps` steps.

        Linear in the warm-up, then lr_min + (lr - lr_min) (1 + cos(pi t)) / 2 with t from 0 to 1.
        """
        warmup, total = round(self.warmup_epochs * epoch_steps), self.planned_epochs * epoch_steps
        if step < warmup:
            return self.learning_rate * (step + 1) / warmup
        if self.schedule == "constant":
            return self.learning_rate
        t = (step - warmup) / max(1, total - warmup)
        return self.learning_rate_min + (self.learning_rate - self.learning_rate_min) * (1 + math.cos(math.pi * t)) / 2

    def make_optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        if not parameters:
            raise SpecError("the network has no parameter that can be trained")
        if self.optimizer == "sgd":
            return torch.optim.SGD(
                parameters, lr=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay
            )
        kind = torch.optim.Adam if self.optimizer == "adam" else torch.optim.AdamW
        return kind(parameters, lr=self.learning_rate, weight_decay=self.weight_decay)
