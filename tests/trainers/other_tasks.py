"""Small tasks that are no image classification, and networks for them."""

import dataclasses

import torch
import torch.nn.functional as F
from torch import nn

import naslab as nl
from naslab.randomness import seeded
from naslab.tasks import Exchangeable, Field, Head, Mean, Signature, Task
from naslab.tasks.language_model import LanguageModel
from naslab.tasks.text_streams import Columns, Lengths

TEXT = "the cat sat on the mat and the dog sat on the log\nthe cat and the dog ran to the tree and sat\n" * 4


def text(cls=LanguageModel, **options):
    """Characters: 343 to train, 21 to validate, 20 to test."""
    return cls.from_text(TEXT, valid=0.1, test=0.1, **{"bptt": 5, "short_share": 0.3, **options})


class Recurrent(nn.Module):
    """The least language model that carries a state on."""

    def __init__(self, vocabulary, hidden=6, dropout=0.0, seed=0):
        super().__init__()
        with seeded(seed, "recurrent"):
            self.embedding = nn.Embedding(vocabulary, hidden)
            self.cell = nn.RNN(hidden, hidden, batch_first=True)
            self.decoder = nn.Linear(hidden, vocabulary)
        self.decoder.weight = self.embedding.weight  # tied
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs):
        tokens, state = inputs
        raw, state = self.cell(self.embedding(tokens), state)
        return {"logits": self.decoder(self.dropout(raw)), "raw": raw, "state": state}


def recurrent(task, **options):
    return Recurrent(len(task.vocabulary), **options)


class Endless(LanguageModel):
    """A text whose state is carried from one pass to the next, too."""

    def stream(self, split):
        return _Endless(len(self.numbers[split]), Lengths(self.bptt, self.short_share), split)


class _Endless(Columns):
    def resets(self, position):
        return False


@dataclasses.dataclass(frozen=True, eq=False)
class Numbers(Task):
    """Regression: no accuracy, and less is better. It has no test data."""

    name = "numbers"
    x: torch.Tensor
    y: torch.Tensor

    @classmethod
    def drawn(cls, count=48, seed=0):
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(count, 3, generator=generator)
        noise = torch.randn(count, 1, generator=generator)
        return cls(x, x @ torch.tensor([[1.0], [-2.0], [0.5]]) + 0.3 * noise)

    @property
    def signature(self):
        return Signature(Field((3,)), {"value": Head("vector", 1)})

    @property
    def objective(self):
        return "error"

    def stream(self, split):
        if split != "train":
            raise nl.errors.DataError(f"there is no {split} data")
        return Exchangeable(torch.arange(len(self.x)))

    def parts(self, seed, fraction=0.5):
        first = round(len(self.x) * fraction)
        return Exchangeable(torch.arange(first)), Exchangeable(torch.arange(first, len(self.x)))

    def batch(self, where, *, split="train", augment=None, device="cpu", rows=slice(None), view=None):
        return self.x[where[rows]], self.y[where[rows]]

    def counted(self, batch):
        """Which examples count: all of them here."""
        return torch.ones(len(batch[0]), dtype=torch.bool)

    def size(self, batch):
        return int(self.counted(batch).sum())

    def loss(self, outputs, batch, *, smoothing=0.0):
        return (outputs - batch[1])[self.counted(batch)].square().mean()

    def metrics(self):
        return {
            "loss": Mean(lambda outputs, batch: float(self.loss(outputs, batch)), self.size, direction="min"),
            "error": Mean(
                lambda outputs, batch: float((outputs - batch[1])[self.counted(batch)].abs().mean()),
                self.size,
                direction="min",
                unit="m",
            ),
        }

    def spec(self):
        return {"task": self.name, "fingerprint": self.fingerprint()}

    def fingerprint(self):
        return f"numbers {len(self.x)} {float(self.x.sum())}"


class TwoHeads(Numbers):
    """Outputs and targets by name, a loss each; their sum is gone down by."""

    name = "two heads"

    def batch(self, where, **options):
        x, y = super().batch(where, **options)
        return {"x": x, "targets": {"value": y, "sign": (y > 0).long()[:, 0]}}

    @property
    def signature(self):
        return Signature(Field((3,)), {"value": Head("vector", 1), "sign": Head("vector", 2)})

    def inputs(self, batch, carry=None):
        return batch["x"]

    def counted(self, batch):
        return torch.ones(len(batch["x"]), dtype=torch.bool)

    def losses(self, outputs, batch):
        targets = batch["targets"]
        return F.mse_loss(outputs["value"], targets["value"]), F.cross_entropy(outputs["sign"], targets["sign"])

    def loss(self, outputs, batch, *, smoothing=0.0):
        return torch.stack(self.losses(outputs, batch)).sum()

    @property
    def objective(self):
        return "sign_accuracy"

    def metrics(self):
        right = lambda outputs, batch: float((outputs["sign"].argmax(1) == batch["targets"]["sign"]).float().mean())  # noqa: E731
        return {
            "loss": Mean(lambda outputs, batch: float(self.loss(outputs, batch)), self.size, direction="min"),
            "value_loss": Mean(lambda o, b: float(self.losses(o, b)[0]), self.size, direction="min"),
            "sign_accuracy": Mean(right, self.size, direction="max", unit="%"),
        }


class TwoOutputs(nn.Module):
    def __init__(self):
        super().__init__()
        with seeded(0):
            self.value, self.sign = nn.Linear(3, 1), nn.Linear(3, 2)

    def forward(self, x):
        return {"value": self.value(x), "sign": self.sign(x)}


def line(seed=0):
    with seeded(seed):
        return nn.Linear(3, 1)
