from types import SimpleNamespace

import numpy as np
import pytest
import torch

import naslab as nl
from naslab.searchers import shared_weights
from naslab.searchers.gradient import optimizers
from naslab.threads import torch_threads


@pytest.fixture(autouse=True)
def one_thread():
    """As in the steps of a searcher: another number of threads rounds otherwise."""
    with torch_threads(1):
        yield


@pytest.fixture(autouse=True)
def default_descent(monkeypatch):
    """The SGD of PyTorch's default, as in the plain loops: the fused one rounds otherwise (`operations/descent.py`)."""
    for module in (optimizers, shared_weights):
        monkeypatch.setattr(module, "sgd", torch.optim.SGD)


@pytest.fixture(scope="session")
def digits():
    return nl.tasks.Digits()


@pytest.fixture
def batches(monkeypatch):
    """Every mini-batch that a search was given, in the order of asking."""
    seen, batch = [], nl.tasks.Images.batch

    def spy(task, *args, **given):
        seen.append(batch(task, *args, **given))
        return seen[-1]

    monkeypatch.setattr(nl.tasks.Images, "batch", spy)
    return seen


class Drawn:
    """The random numbers that a controller drew, once more: all of one architecture, then all of the next.

    A controller draws decision by decision for several architectures at once, where a plain one draws architecture by
    architecture.
    """

    def __init__(self) -> None:
        self.numbers: list[float] = []

    def by(self, controller, monkeypatch):
        """Watch a controller, in a space where all architectures are asked the same choices."""
        draw = controller.draw

        def watched(count, rng):
            blocks = []

            def random(shape):
                blocks.append(rng.random(shape))
                return blocks[-1]

            drawn = draw(count, SimpleNamespace(random=random))
            self.numbers += np.concatenate(blocks, axis=1).ravel().tolist()
            return drawn

        monkeypatch.setattr(controller, "draw", watched)
        return self

    def random(self):
        return self.numbers.pop(0)


@pytest.fixture
def drawn():
    return Drawn()


class Learnt:
    """The weights of a policy, as those of `naslab.reference.controller` are named."""

    def __init__(self, policy, choices):
        self._policy, self._choices = policy, choices

    def __call__(self):
        policy, weights = self._policy, self._policy.weights
        if not hasattr(policy, "cell"):
            walk = policy.begin(1)
            return {f"scores.{choice.name}": walk.scores({choice: [0]})[choice][0] for choice in self._choices}
        found = {"begin": weights("begin", policy.units)}
        for kind in ("embedding", "head"):
            found |= {f"{kind}.{choice.name}": weights.rows(kind, choice, policy.units) for choice in self._choices}
        for layer in range(policy.layers):
            names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            found |= {f"lstm.{n}_l{layer}": w for n, w in zip(names, policy.cell(layer), strict=True)}
        return found


@pytest.fixture
def learnt():
    return Learnt
