"""What the package has to do to be checked."""

import torch
from mine import Brightness, Climber, Slim, Stack, Worst

from naslab.testing import EstimatorCase, MetricCase, SearcherCase, SpaceCase, TaskCase


class TestBrightness(TaskCase):
    def make(self):
        return Brightness(48)

    def other(self):
        return Brightness(48, seed=1)


class TestWorst(MetricCase):
    def make(self):
        return Worst()

    def batches(self):
        draw = torch.Generator().manual_seed(0)
        return [(torch.rand(n, 1, generator=draw), (None, torch.rand(n, 1, generator=draw))) for n in (5, 3, 4)]

    def perfect(self):
        return torch.ones(2, 1), (None, torch.ones(2, 1))


class TestStack(SpaceCase):
    expected_size = 6**3

    def make(self):
        return Stack()


class TestClimber(SearcherCase):
    other = {"chance": 0.25}  # noqa: RUF012
    nonsense = ({"seed": -1}, {"chance": 2.0}, {"chance": "high"})

    def make(self, **given):
        return Climber(Stack(), **given)


class TestSlim(EstimatorCase):
    def make(self):
        return Slim(Stack())

    def other(self):
        return Slim(Stack(), inputs=37)
