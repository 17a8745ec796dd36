"""How a network is trained: everything but the network, the data and the seed."""

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
from naslab.precision import SHORT_NAMES, full_name

OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("cosine", "linear", "constant")
PRECISIONS = ("float32", "bfloat16", "float16")
LATER = ("evaluation_batch_size", "scale_rate", "betas", "nonmonotone_interval")
"""Fields that recipes once did not have. At their defaults they are not written, so that the fingerprint of a training
is what it was."""
RECURRENT_WEIGHT_DECAY = {"penn_treebank": 8e-7, "wikitext2": 5e-7}
"""Of the published retraining of a recurrent cell."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Hyperparameters of a training.

    The defaults are those with which DARTS retrains a cell on CIFAR-10 (Liu et al. 2019, Sec. A.2 and the authors'
    code), but for what is meant for its 600 epochs: drop path, the auxiliary head and cutout are asked for by name.
    """

    epochs: int = 5
    """Passes over the training data; DARTS 600."""
    batch_size: int = 96
    """Examples in a mini-batch (of text: columns), over all processes together; DARTS 96."""
    evaluation_batch_size: int = 0
    """The same in evaluation; 0: twice `batch_size`, or as many where a state is carried from one to the next."""
    optimizer: str = "sgd"
    """"sgd", "adam" or "adamw"."""
    learning_rate: float = 0.025
    """The highest learning rate; DARTS 0.025 for SGD. For Adam 0.001 is a usual value."""
    learning_rate_min: float = 0.0
    """Where the cosine or the line ends; DARTS 0."""
    scale_rate: bool = False
    """Whether the learning rate of a step is multiplied by the size of its mini-batch over the nominal one: of text, by
    the length of the chunk over its usual length (Merity et al. 2018)."""
    momentum: float = 0.9
    """Of SGD, not of Nesterov's kind; DARTS 0.9."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Of Adam and AdamW: how much of the running means of the gradient and of its square is kept at a step."""
    weight_decay: float = 3e-4
    """DARTS 3e-4."""
    schedule: str = "cosine"
    """"cosine", "linear" or "constant". They move each step; in DARTS the cosine moves each epoch."""
    nonmonotone_interval: int = 0
    """Epochs n of NT-ASGD (Merity et al. 2018): after an epoch whose held-out loss is above the lowest of all but the n
    epochs before it, SGD goes on as averaged SGD (Polyak & Juditsky 1992), and the average of the weights since then is
    what is evaluated and kept. 0: never. Needs "sgd" and held-out data; 5 as published."""
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
    """Whether training examples are augmented as the task says."""
    held_out: float = 0.0
    """Part of the training data that is kept to choose the best epoch, whose weights the network ends with; a task with
    validation data of its own gives that, whatever the part. 0: all training data is trained on, and the last epoch
    counts, unless the task has a validation split apart from it, such as a text has."""
    patience: int = 0
    """Epochs without a better held-out accuracy after which the training stops; 0: never. Needs `held_out`."""
    precision: str = "float32"
    """"float32", "bfloat16", or "float16" with loss scaling (CUDA only); also accepted: "no", "bf16", "fp16"."""
    channels_last: bool = False
    """Whether the weights of convolutions, and images, lie in memory with the channels last, which is faster on most
    GPUs."""
    compile: bool = False
    """Whether the network goes through `torch.compile`: minutes of compilation, then faster steps on a GPU."""
    sync_batch_norm: bool = False
    """Whether batch norm sees the mini-batch of all processes (several GPUs only), not each its own part."""

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
            if type(value) not in (int, float):  # NumPy's, which JSON does not know
                object.__setattr__(self, name, float(value))
        self._check_betas()
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
        """The recipe with which DARTS retrains a recurrent cell as a language model (Liu et al. 2019, Sec. A.3 and the
        authors' code, after Merity et al. 2018): averaged SGD at a learning rate of 20, for up to 8,000 epochs.

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
        """Epochs after which the cosine or the line ends."""
        return self.schedule_epochs or self.epochs

    @property
    def prolongable(self) -> bool:
        """Whether a training of fewer epochs is the beginning of one of more."""
        return self.schedule_epochs > 0 or (self.schedule == "constant" and self.drop_path is None)

    def to_json(self) -> dict[str, Any]:
        """JSON from which `Recipe(**...)` is this one, the same as before there were the fields of `LATER`."""
        found = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name not in LATER or value != field.default:
                found[field.name] = list(value) if isinstance(value, tuple) else value
        found["precision"] = SHORT_NAMES[self.precision]  # as in the run folders and fingerprints of earlier versions
        return found

    def but(self, **changes: Any) -> Recipe:
        """The same recipe with some values changed; `SpecError` names what it does not know."""
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
        """Whether averaged SGD takes over, at the latest after the last of the epochs with these held-out losses."""
        n = self.nonmonotone_interval
        return n > 0 and any(loss > min(losses[: epoch - n]) for epoch, loss in enumerate(losses) if epoch > n)

    def make_optimizer(self, network: nn.Module, *, averaged: bool = False) -> torch.optim.Optimizer:
        """The optimizer, or averaged SGD in its place.

        The latter is torch's ASGD(t0=0, lambd=0), as published: its first step is one of SGD, and each step goes at the
        learning rate that was set for the step before it, which matters with `scale_rate` alone.
        """
        parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        if not parameters:
            raise SpecError("the network has no parameter that can be trained")
        if averaged:
            return torch.optim.ASGD(parameters, lr=self.learning_rate, t0=0, lambd=0.0, weight_decay=self.weight_decay)
        if self.optimizer == "sgd":
            return torch.optim.SGD(
                parameters, lr=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay
            )
        kind = torch.optim.Adam if self.optimizer == "adam" else torch.optim.AdamW
        return kind(parameters, lr=self.learning_rate, betas=self.betas, weight_decay=self.weight_decay)
