"""Tasks of naslab, and guests that it does not know, pass the checks of `naslab.testing`."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import naslab as nl
from naslab.testing import MetricCase, TaskCase

sys.path.append(str(Path(__file__).parents[1] / "guests"))
import guest_tasks

TEXT = "to be or not to be, that is the question:\nwhether it is nobler in the mind to suffer\n" * 9


def arrays(seed=0):
    draw = torch.Generator().manual_seed(seed)
    return nl.tasks.Images.from_arrays(torch.rand(60, 3, 6, 6, generator=draw), torch.arange(60) % 3)


def entities(count=60):
    return nl.tasks.Entities.bundled("wnut17").subset(count, 12, 9)


class Tagger(nn.Module):
    """Scores each word by itself."""

    def __init__(self, task):
        super().__init__()
        self.embedding = nn.Embedding(task.signature.inputs["words"].vocabulary, len(task.tags))
        self.transitions = nn.Parameter(torch.zeros(len(task.tags) + 2, len(task.tags)))

    def forward(self, inputs):
        return {"logits": self.embedding(inputs["words"]), "transitions": self.transitions}


def joint(count=60):
    return nl.tasks.Joint({"digit": nl.tasks.Digits().subset(count, 9), "ink": guest_tasks.DigitAndInk(36)})


TASKS = {  # name -> the task, another with other data, whether it is found again without its data
    "digits": (lambda: nl.tasks.Digits().subset(60, 9), lambda: nl.tasks.Digits().subset(50, 9), True),
    "own arrays": (arrays, lambda: arrays(1), False),
    "augmented": (lambda: arrays().augmented(padding=2, flip=True, cutout=3), None, False),
    "text": (lambda: nl.tasks.LanguageModel.from_text(TEXT), lambda: nl.tasks.LanguageModel.from_text(TEXT * 2), False),
    "joint": (joint, lambda: joint(50), True),
    "entities": (lambda: entities(), lambda: entities(50), True),
    "two heads": (lambda: guest_tasks.DigitAndInk(60), lambda: guest_tasks.DigitAndInk(61), True),
    "a median": (lambda: guest_tasks.MedianInk(60), lambda: guest_tasks.MedianInk(61), True),
}


class TestTasks(TaskCase):
    @pytest.fixture(autouse=True, params=TASKS)
    def _of(self, request):
        self._make, self._other, self.remade = TASKS[request.param]

    def make(self):
        return self._make()

    def other(self):
        return self._other and self._other()

    def network(self):
        return Tagger(self.task) if isinstance(self.task, nl.tasks.Entities) else super().network()


def right(logits, labels):
    return float((logits.argmax(1) == labels).float().sum()), len(labels)


class Largest:
    """As objects of the package torchmetrics are."""

    higher_is_better = True

    def __init__(self):
        self.seen = []

    def update(self, logits, labels):
        self.seen.append(right(logits, labels))

    def compute(self):
        hits, count = map(sum, zip(*self.seen, strict=True))
        return torch.tensor(hits / count)


METRICS = {
    "ratio": lambda: nl.tasks.Ratio(right, direction="max", unit="%"),
    "mean": lambda: nl.tasks.Mean(lambda a, b: right(a, b)[0] / len(b), len, direction="max"),
    "collected": lambda: nl.tasks.Collected(
        lambda a, b: (a.argmax(1) == b).float(), lambda seen: float(torch.cat(list(seen)).mean()), direction="max"
    ),
    "torchmetric": lambda: nl.tasks.Torchmetric(Largest, lambda a, b: (a, b)),
}


class TestMetrics(MetricCase):
    @pytest.fixture(autouse=True, params=METRICS)
    def _of(self, request):
        self._make = METRICS[request.param]

    def make(self):
        return self._make()

    def batches(self):
        draw = torch.Generator().manual_seed(0)
        return [(torch.randn(n, 3, generator=draw), torch.randint(3, (n,), generator=draw)) for n in (6, 1, 4)]

    def perfect(self):
        labels = torch.arange(3)
        return torch.eye(3), labels
