"""Two tasks that the library has never heard of: outputs by name with a loss each, and a metric that is no mean."""

import dataclasses
import functools
import hashlib

import torch
import torch.nn.functional as F

import naslab as nl
from naslab.errors import DataError
from naslab.tasks import Collected, Exchangeable, Field, Head, Mean, Signature, Task


@functools.cache
def digits():
    return nl.tasks.Digits()


@dataclasses.dataclass(frozen=True, eq=False)
class OnDigits(Task):
    """Small pictures of handwritten digits, of which something else is asked than usual."""

    count: int = 96
    """Pictures to train on; a third as many to test."""

    @property
    def data(self):
        found = digits()
        return {
            "train": found.batch(torch.arange(self.count)),
            "test": found.batch(torch.arange(self.count // 3), split="test"),
        }

    def stream(self, split):
        if split not in self.data:
            raise DataError(f"there is no {split} data; there is train and test")
        return Exchangeable(torch.arange(len(self.data[split][0])), split)

    def parts(self, seed, fraction=0.5):
        cut = round(self.count * fraction)
        order = torch.randperm(self.count, generator=torch.Generator().manual_seed(seed))
        return Exchangeable(order[:cut]), Exchangeable(order[cut:])

    def spec(self):
        return {"task": self.name, "count": self.count, "fingerprint": self.fingerprint()}

    def fingerprint(self):
        told = f"{self.name} {self.count} {float(self.data['train'][0].double().sum())!r}"
        return hashlib.sha256(told.encode()).hexdigest()

    @classmethod
    def from_spec(cls, spec):
        return cls(spec["count"])


def ink(x):
    """[B, 1]: how much is written, around 0."""
    return 3 * (x.flatten(1).mean(1, keepdim=True) - 0.3)


class DigitAndInk(OnDigits):
    """Which digit, and how much ink: a batch, the outputs and the losses by name; one network with two heads."""

    name = "digit_and_ink"
    units = "pictures"

    @property
    def signature(self):
        heads = {"digit": Head("vector", 10), "ink": Head("vector", 1)}
        return Signature(Field((1, 8, 8)), heads)

    def batch(self, where, *, split="train", augment=None, device="cpu", rows=slice(None), view=None):
        x, y = self.data[split]
        x, y = x[where][rows].to(device), y[where][rows].to(device)
        return {"picture": x, "answers": {"digit": y, "ink": ink(x)}}

    def inputs(self, batch, carry=None):
        return batch["picture"]

    def losses(self, outputs, batch, smoothing=0.0):
        answers = batch["answers"]
        return {
            "digit": F.cross_entropy(outputs["digit"], answers["digit"], label_smoothing=smoothing),
            "ink": F.mse_loss(outputs["ink"], answers["ink"]),
        }

    def loss(self, outputs, batch, *, smoothing=0.0):
        return torch.stack(list(self.losses(outputs, batch, smoothing).values())).sum()

    @property
    def objective(self):
        return "digit_accuracy"

    def metrics(self):
        def right(outputs, batch):
            return float((outputs["digit"].argmax(1) == batch["answers"]["digit"]).float().mean())

        def of_ink(outputs, batch):
            return float(self.losses(outputs, batch)["ink"])

        return {
            "loss": Mean(lambda outputs, batch: float(self.loss(outputs, batch)), self.size, direction="min"),
            "digit_accuracy": Mean(right, self.size, direction="max", unit="%"),
            "ink_loss": Mean(of_ink, self.size, direction="min"),
        }


class MedianInk(OnDigits):
    """How much ink, judged by the median of the errors: less is better, and it is the mean of nothing."""

    name = "median_ink"

    @property
    def signature(self):
        return Signature(Field((1, 8, 8)), {"ink": Head("vector", 1)})

    def batch(self, where, *, split="train", augment=None, device="cpu", rows=slice(None), view=None):
        x = self.data[split][0][where][rows].to(device)
        return x, ink(x)

    def loss(self, outputs, batch, *, smoothing=0.0):
        return F.mse_loss(outputs, batch[1])

    @property
    def objective(self):
        return "median_error"

    def metrics(self):
        return {
            "loss": Mean(lambda outputs, batch: float(self.loss(outputs, batch)), self.size, direction="min"),
            "median_error": Collected(
                lambda outputs, batch: (outputs - batch[1]).abs().flatten().cpu(),
                lambda seen: float(torch.cat(list(seen)).median()),
                direction="min",
                unit="drops",
            ),
        }


GUESTS = {"two heads": DigitAndInk, "a median": MedianInk}
