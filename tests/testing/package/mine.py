"""A package that naslab has never heard of: a task with a metric, a space, a searcher and an estimator."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import networkx as nx
import torch
import torch.nn.functional as F
from torch import nn

from naslab.architecture import Architecture, Choice
from naslab.errors import DataError, SpecError
from naslab.estimators import Objective
from naslab.networks.heads import head_for
from naslab.randomness import seeded
from naslab.searchers import Sampler, Slider, Suggestion
from naslab.spaces import FixedSpace, from_spec
from naslab.spaces.requirements import requirements_of
from naslab.tasks import Exchangeable, Field, Head, Mean, Metric, Signature, Task


class Worst(Metric):
    """The largest error that was seen."""

    def __init__(self):
        super().__init__("min", "lux", every="pass")

    def update(self, state, outputs, batch):
        return max(-math.inf if state is None else state, float((outputs - batch[1]).abs().max()))

    def merge(self, states):
        return max(states)

    def compute(self, state):
        return state


class Brightness(Task):
    """How bright a picture is: regression, judged by the worst error."""

    name = "mine_brightness"
    units = "pictures"
    objective = "worst"
    signature = Signature(Field((1, 6, 6)), {"brightness": Head("vector", 1)})

    def __init__(self, count=64, seed=0):
        self.count, self.seed = count, seed
        self.x = torch.rand(count, 1, 6, 6, generator=torch.Generator().manual_seed(seed))

    def stream(self, split):
        if split != "train":
            raise DataError(f"there is no {split} data; there is train")
        return Exchangeable(range(self.count))

    def parts(self, seed, fraction=0.5):
        order = torch.randperm(self.count, generator=torch.Generator().manual_seed(seed))
        cut = round(self.count * fraction)
        return Exchangeable(order[:cut]), Exchangeable(order[cut:])

    def batch(self, where, *, split="train", augment=None, device="cpu", rows=slice(None), view=None):
        x = self.x[where]
        if augment is not None:
            x = x + 0.01 * torch.randn(x.shape, generator=augment)
        x = x[rows].to(device)
        return x, x.flatten(1).mean(1, keepdim=True)

    def loss(self, outputs, batch, *, smoothing=0.0):
        return F.mse_loss(outputs, batch[1])

    def metrics(self):
        loss = Mean(lambda outputs, batch: float(self.loss(outputs, batch)), self.size, direction="min")
        return {"loss": loss, "worst": Worst()}

    def spec(self):
        return {"task": self.name, "count": self.count, "seed": self.seed, "fingerprint": self.fingerprint()}

    def fingerprint(self):
        return hashlib.sha256(self.x.numpy().tobytes()).hexdigest()

    @classmethod
    def from_spec(cls, spec):
        return cls(spec["count"], spec["seed"])


@dataclass(frozen=True)
class Stack(FixedSpace):
    """Linear layers, each of some width and with some activation."""

    name = "mine_stack"
    layers: int = 3
    widths: tuple[int, ...] = (4, 8, 16)

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "widths", tuple(self.widths))
        if self.layers < 1:
            raise SpecError(f"layers must be a whole number from 1 up, not {self.layers!r}")

    def each_choice(self) -> Iterable[Choice]:
        for layer in range(self.layers):
            yield Choice(f"stack/{layer}/width", self.widths)
            yield Choice(f"stack/{layer}/activation", ("relu", "tanh"))

    def _layers(self, architecture):
        choices = self.check(architecture).choices
        return list(zip(choices[::2], choices[1::2], strict=True))

    def build(self, architecture, task):
        (shape, outputs), modules = requirements_of(task), [nn.Flatten()]
        size = math.prod(shape)
        for width, activation in self._layers(architecture):
            modules += [nn.Linear(size, width), nn.ReLU() if activation == "relu" else nn.Tanh()]
            size = width
        return nn.Sequential(*modules, head_for(size, outputs))

    def graph(self, architecture):
        graph = nx.DiGraph()
        for number, (width, activation) in enumerate(self._layers(architecture)):
            graph.add_node(f"stack/{number}", part="stack", label=str(width), role="node", op=activation)
            if number:
                graph.add_edge(f"stack/{number - 1}", f"stack/{number}")
        return graph


@dataclass(frozen=True)
class ClimberHyperparameters:
    chance: float = 0.5
    """Probability that the fittest candidate is mutated."""

    def __post_init__(self):
        if not isinstance(self.chance, float) or not 0 <= self.chance <= 1:
            raise SpecError(f"chance is a probability, from 0 to 1, not {self.chance!r}")


class Climber(Sampler):
    """Mutates the fittest candidate so far, and at times draws another one."""

    name = "mine_climber"
    Hyperparameters = ClimberHyperparameters

    def begin(self):
        self._chance = self.hyperparameters.chance
        self._fittest = None

    @property
    def settings(self):
        about = "Probability that the fittest candidate is mutated."
        return {
            **super().settings,
            "chance": Slider(value=self._chance, low=0.0, high=1.0, log=False, description=about),
        }

    def apply_setting(self, name, value):
        if name == "chance":
            self._chance = value
        else:
            super().apply_setting(name, value)

    def propose(self):
        if self._fittest is None or self.rng.random() >= self._chance:
            return Suggestion(self.space.sample(self.rng), "random")
        number, choices, _ = self._fittest
        parent = Architecture(self.space.name, tuple(choices))
        return Suggestion(self.space.mutate(parent, self.rng), "mutation", (number,))

    def learn(self, trial, fitness, metrics):
        if fitness is not None and (self._fittest is None or fitness > self._fittest[2]):
            self._fittest = [trial.number, list(trial.architecture.choices), fitness]

    def algorithm_state(self):
        return [self._chance, self._fittest]

    def load_algorithm_state(self, state):
        self._chance, self._fittest = state


class Slim:
    """The fewer parameters, the fitter."""

    name = "mine_slim"
    objectives = (Objective("parameters", "min"),)

    def __init__(self, space, inputs=36):
        self.space, self.inputs = space, inputs

    def __call__(self, architecture):
        task = Signature(Field((self.inputs,)), {"value": Head("vector", 1)})
        with seeded(0):
            network = self.space.build(architecture, task)
        return -float(sum(parameter.numel() for parameter in network.parameters()))

    def spec(self):
        return {"estimator": self.name, "space": self.space.spec(), "inputs": self.inputs}

    def fingerprint(self):
        return hashlib.sha256(json.dumps(self.spec(), sort_keys=True).encode()).hexdigest()

    @classmethod
    def from_spec(cls, spec: Mapping, task=None):
        return cls(from_spec(spec["space"]), spec["inputs"])
