"""Training hyperparameters: everything but the network, the data and the seed."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from naslab.errors import SpecError, among, listed, real, unknown, whole
from naslab.fields import settle
from naslab.numerics import checked_deterministic
from naslab.operations.descent import sgd
from naslab.precision import full_name, short_name

OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("cosine", "linear", "constant")
PRECISIONS = ("float32", "tf32", "bfloat16", "float16")
LATER = ("evaluation_batch_size", "scale_rate", "betas", "nonmonotone_interval", "deterministic")
"""Fields that were added later. They are not written at their defaults, so that fingerprints of earlier trainings stay
valid."""
RECURRENT_WEIGHT_DECAY = {"penn_treebank": 8e-7, "wikitext2": 5e-7}
"""Weight decay with which DARTS retrains a recurrent cell, by data set."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Hyperparameters of a training.

    The defaults are those with which DARTS retrains a cell on CIFAR-10 (Liu et al. 2019, Sec. A.2 and the authors'
    code), except for what is meant for its 600 epochs: drop path, the auxiliary head and cutout have to be requested.
    """

    epochs: int = 5
    """Passes over the training data; DARTS 600."""
    batch_size: int = 96
    """Examples in a mini-batch (of text: columns), over all processes together; DARTS 96."""
    evaluation_batch_size: int = 0
    """Examples in a mini-batch of evaluation; 0: twice `batch_size`, or `batch_size` if a hidden state is carried."""
    optimizer: str = "sgd"
    """"sgd", "adam" or "adamw"."""
    learning_rate: float = 0.025
    """The highest learning rate; DARTS 0.025 for SGD. For Adam 0.001 is a usual value."""
    learning_rate_min: float = 0.0
    """Learning rate at the end of the cosine or linear schedule; DARTS 0."""
    scale_rate: bool = False
    """Whether the learning rate of a step is multiplied by (size of its mini-batch / nominal size): for texts, by the
    length of the chunk over its usual length (Merity et al. 2018)."""
    momentum: float = 0.9
    """Momentum of SGD (classical, not Nesterov); DARTS 0.9."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay rates of the running means of the gradient and of its square, in Adam and AdamW."""
    weight_decay: float = 3e-4
    """Weight decay (L2; decoupled for "adamw"); DARTS 3e-4."""
    schedule: str = "cosine"
    """"cosine", "linear" or "constant". They move each step; in DARTS the cosine moves each epoch."""
    nonmonotone_interval: int = 0
    """Epochs n of NT-ASGD (Merity et al. 2018): after an epoch whose held-out loss is above the lowest of all but the n
    epochs before it, SGD goes on as averaged SGD (Polyak & Juditsky 1992), and the average of the weights since then is
    what is evaluated and kept. 0: never. Needs "sgd" and held-out data; 5 as published."""
    schedule_epochs: int = 0
    """Length in epochs of the schedules of learning rate and drop path; 0: `epochs`. If larger, the training is the
    first `epochs` epochs of a longer one, and can be continued from its checkpoint."""
    warmup_epochs: float = 0.0
    """Epochs in which the learning rate first grows linearly from 0; DARTS 0."""
    gradient_clipping: float = 5.0
    """Largest Euclidean norm of the whole gradient; DARTS 5. 0: no clipping."""
    label_smoothing: float = 0.0
    """Probability mass of each label that is spread evenly over all classes; DARTS 0 on CIFAR-10, 0.1 on ImageNet."""
    auxiliary_weight: float = 0.4
    """Weight of the auxiliary head's loss, for a network that has the head; DARTS 0.4."""
    drop_path: float | None = None
    """Final probability of drop path, which grows linearly from 0 in the first epoch; DARTS 0.2. Needs a network with
    `drop_path_probability`. None: the network stays as it was built."""
    augment: bool = True
    """Whether training examples are augmented, in the way that the task defines."""
    held_out: float = 0.0
    """Share of the training data that is held out to select the best epoch, whose weights the network ends with. A task
    with its own validation data uses those, whatever the share. 0: all training data are trained on, and the last
    epoch counts, unless the task has a separate validation split, as texts do."""
    patience: int = 0
    """Epochs without a better held-out accuracy after which the training stops; 0: never. Needs `held_out`."""
    precision: str = "float32"
    """"float32"; "tf32", which on a GPU rounds the operands of products to 10 bits, and elsewhere is float32;
    "bfloat16"; or "float16" with loss scaling (CUDA only); also accepted: "no", "bf16", "fp16"."""
    deterministic: bool | str | None = True
    """Whether a GPU computes the same bits twice, as far as its libraries allow: True; "strict", which asks torch for
    deterministic algorithms everywhere and warns where it has none; False, which is faster. None: as torch is set in
    this process. A CPU always computes the same bits."""
    channels_last: bool | None = None
    """Whether images and convolution weights use the channels-last memory format, which is faster on most GPUs. None:
    on a CPU, where it is faster and as accurate (`naslab/operations/layout.py`); from a checkpoint, as it was begun."""
    compile: bool = False
    """Whether the network goes through `torch.compile`: minutes of compilation, then faster steps on a GPU."""
    sync_batch_norm: bool = False
    """Whether batch norm uses statistics over the processes of all GPUs instead of each process's part of the batch."""

    def __post_init__(self) -> None:
        settle(self)
        object.__setattr__(self, "precision", full_name(self.precision))
        for name, known in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES), ("precision", PRECISIONS)):
            if getattr(self, name) not in known:
                raise SpecError(unknown(name, getattr(self, name), known))
        for name, low in (
            ("epochs", 1),
            ("batch_size", 1),
            ("schedule_epochs", 0),
            ("patience", 0),
            ("evaluation_batch_size", 0),
            ("nonmonotone_interval", 0),
        ):
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
            if type(value) not in (int, float):  # a NumPy scalar, which JSON cannot encode
                object.__setattr__(self, name, float(value))
        self._check_betas()
        checked_deterministic(self.deterministic)
        if self.nonmonotone_interval and self.optimizer != "sgd":
            raise SpecError(
                f"nonmonotone_interval={self.nonmonotone_interval} averages SGD, and the optimizer is "
                f"{self.optimizer!r}; take optimizer='sgd', or leave nonmonotone_interval at 0"
            )
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
            raise SpecError("patience needs held-out data to judge by: give held_out=0.1, for instance")

    @classmethod
    def recurrent(cls, data: str = "penn_treebank", **changes: Any) -> Recipe:
        """Returns the recipe with which DARTS retrains a recurrent cell as a language model (Liu et al. 2019, Sec. A.3
        and the authors' code, after Merity et al. 2018): averaged SGD at a learning rate of 20, for up to 8,000 epochs.

        The rest of it belongs to the network (its widths and dropouts, which for WikiText-2 are 700 units and 0.15 for
        the hidden state) and to the task: `LanguageModel.with_options(length_deviation=5, tar=1e-3)`. As published
        the test text is read in one column; here in as many as the validation text.

        Args:
            data: "penn_treebank" or "wikitext2", which differ in the weight decay.
            changes: to the recipe, by name.
        """
        if not among(data, RECURRENT_WEIGHT_DECAY):
            raise SpecError(unknown("data", data, RECURRENT_WEIGHT_DECAY))
        return cls(
            epochs=8000,
            batch_size=64,
            evaluation_batch_size=10,
            optimizer="sgd",
            learning_rate=20.0,
            momentum=0.0,
            weight_decay=RECURRENT_WEIGHT_DECAY[data],
            schedule="constant",
            scale_rate=True,
            gradient_clipping=0.25,
            nonmonotone_interval=5,
        ).but(**changes)

    def _check_betas(self) -> None:
        betas = tuple(real("a beta of Adam", beta) for beta in self.betas) if listed(self.betas) else ()
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise SpecError(
                f"betas are two numbers from 0 up and below 1, such as (0.9, 0.999), not {self.betas!r:.200}"
            )
        object.__setattr__(self, "betas", betas)

    @property
    def planned_epochs(self) -> int:
        """Epochs after which the cosine or linear schedule ends."""
        return self.schedule_epochs or self.epochs

    @property
    def prolongable(self) -> bool:
        """True if a shorter training with this recipe is a prefix of a longer one."""
        return self.schedule_epochs > 0 or (self.schedule == "constant" and self.drop_path is None)

    def to_json(self) -> dict[str, Any]:
        """Returns JSON that `Recipe(**...)` takes. Fields of `LATER` at their defaults are left out."""
        found = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name not in LATER or value != field.default:
                found[field.name] = list(value) if isinstance(value, tuple) else value
        found["precision"] = short_name(self.precision)  # as in the run folders and fingerprints of earlier versions
        return found

    def but(self, **changes: Any) -> Recipe:
        """Returns a copy with some values changed. Raises `SpecError` for an unknown name."""
        for name in changes:
            if name not in (known := [field.name for field in dataclasses.fields(self)]):
                raise SpecError(unknown("hyperparameter", name, known))
        return dataclasses.replace(self, **changes)

    def learning_rate_at(self, step: int, epoch_steps: int) -> float:
        """Learning rate of the step that follows `step` steps, in epochs of `epoch_steps` steps.

        Linear in the warm-up; then lr_min + (lr - lr_min) (1 + cos(pi t)) / 2 with t from 0 to 1, or
        lr_min + (lr - lr_min) (1 - t) where the schedule is linear.
        """
        warmup, total = round(self.warmup_epochs * epoch_steps), self.planned_epochs * epoch_steps
        if step < warmup:
            return self.learning_rate * (step + 1) / warmup
        if self.schedule == "constant":
            return self.learning_rate
        t = (step - warmup) / max(1, total - warmup)
        if self.schedule == "linear":
            return self.learning_rate_min + (self.learning_rate - self.learning_rate_min) * (1 - t)
        return self.learning_rate_min + (self.learning_rate - self.learning_rate_min) * (1 + math.cos(math.pi * t)) / 2

    def averages_after(self, losses: Sequence[float]) -> bool:
        """True if averaged SGD is active after epochs with these held-out losses (NT-ASGD, Merity et al. 2018)."""
        n = self.nonmonotone_interval
        return n > 0 and any(loss > min(losses[: epoch - n]) for epoch, loss in enumerate(losses) if epoch > n)

    def make_optimizer(self, network: nn.Module, *, averaged: bool = False) -> torch.optim.Optimizer:
        """Returns the optimizer, or averaged SGD if `averaged`.

        Averaged SGD is torch's ASGD(t0=0, lambd=0), as published: its first step is a plain SGD step, and each step
        uses the learning rate that was set for the previous one, which differs only with `scale_rate`.
        """
        parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        if not parameters:
            raise SpecError("the network has no parameter that can be trained")
        if averaged:
            return torch.optim.ASGD(parameters, lr=self.learning_rate, t0=0, lambd=0.0, weight_decay=self.weight_decay)
        if self.optimizer == "sgd":
            return sgd(parameters, lr=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay)
        kind = torch.optim.Adam if self.optimizer == "adam" else torch.optim.AdamW
        return kind(parameters, lr=self.learning_rate, betas=self.betas, weight_decay=self.weight_decay)
