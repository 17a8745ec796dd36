"""Tasks that are no image classification, and a space that serves them, as a user would write them."""

from dataclasses import dataclass

import networkx as nx
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import naslab as nl
from naslab.architecture import Choice
from naslab.tasks.metrics import Collected, Ratio
from naslab.tasks.sequence import RecurrentOutputs
from naslab.tasks.signature import Field, Head, Signature
from naslab.tasks.streams import Exchangeable

FUNCTIONS = {"tanh": torch.tanh, "relu": torch.relu, "identity": lambda x: x}


class Pairs(nl.tasks.Task):
    """From two vectors to a class and a number: inputs and outputs are dictionaries, and less error is better."""

    name = "pairs"
    units = "pairs"
    objective = "error"
    signature = Signature({"x": Field((4,)), "z": Field((2,))}, {"kind": Head("vector", 3), "size": Head("vector", 1)})

    def __init__(self, count=64):
        generator = torch.Generator().manual_seed(1)
        self.x = torch.randn(count, 4, generator=generator)
        self.z = torch.randn(count, 2, generator=generator)
        self.kind = self.x[:, :3].argmax(dim=1)
        self.amount = self.x.sum(dim=1) * self.z[:, 0].tanh()

    def parts(self, seed, fraction=0.5):
        order = torch.randperm(len(self.x), generator=nl.randomness.torch_generator(seed, "parts"))
        return Exchangeable(order[: len(order) // 2]), Exchangeable(order[len(order) // 2 :])

    def stream(self, split):
        if split != "train":
            raise nl.errors.DataError(f"there is no {split}")
        return Exchangeable(torch.arange(len(self.x)))

    def batch(self, where, *, split="train", augment=None, device="cpu", rows=slice(None), view=None):
        some = where[rows]
        found = {"x": self.x[some], "z": self.z[some], "kind": self.kind[some], "size": self.amount[some]}
        return {name: tensor.to(device) for name, tensor in found.items()}

    def inputs(self, batch, carry=None):
        assert carry is None
        return {"x": batch["x"], "z": batch["z"]}

    def loss(self, outputs, batch, *, smoothing=0.0):
        kinds = F.cross_entropy(outputs["kind"], batch["kind"], label_smoothing=smoothing)
        return kinds + (outputs["size"][:, 0] - batch["size"]).square().mean()

    def metrics(self):
        def error(outputs, batch):
            return float((outputs["size"][:, 0] - batch["size"]).abs().sum()), len(batch["size"])

        def loss(outputs, batch):
            return float(self.loss(outputs, batch)) * len(batch["size"]), len(batch["size"])

        def kept(outputs, batch):
            return (outputs["size"][:, 0] - batch["size"]).tolist()

        return {
            "loss": Ratio(loss, direction="min"),
            "error": Ratio(error, direction="min", unit="m"),
            "worst": Collected(
                kept, lambda all_of_it: max(abs(e) for part in all_of_it for e in part), direction="min"
            ),
        }

    def size(self, batch):
        return len(batch["x"])

    def spec(self):
        return {"task": self.name, "fingerprint": self.fingerprint()}

    @classmethod
    def from_spec(cls, spec):
        return cls()

    def fingerprint(self):
        return f"{len(self.x):032x}"


@dataclass(frozen=True)
class Ladder(nl.spaces.FixedSpace):
    """Two functions, one after the other; of vectors, or of the states of a recurrent network."""

    name = "ladder"
    reads = None
    gives = frozenset({"vector", "sequence"})
    operations = tuple(FUNCTIONS)
    rate: float = 0.2

    def each_choice(self):
        return [Choice(f"cell/{rung}/op", self.operations) for rung in range(2)]

    def edges(self):
        return {"cell": 2}

    def graph(self, architecture):
        graph = self.supergraph()
        for (_, _, about), op in zip(graph.edges(data=True), architecture.choices, strict=True):
            about["op"] = op
        return graph

    def supergraph(self):
        graph = nx.DiGraph()
        for number, role in enumerate(("input", "node", "output")):
            graph.add_node(number, part="cell", label=str(number), role=role)
        graph.add_edge(0, 1, row=0)
        graph.add_edge(1, 2, row=1)
        return graph

    def discretize(self, weights):
        return self.architecture([self.operations[column] for column in weights["cell"].argmax(axis=1)])

    def one_hot(self, architecture):
        matrix = np.zeros((2, len(self.operations)), dtype=np.float32)
        for rung, op in enumerate(architecture.choices):
            matrix[rung, self.operations.index(op)] = 1
        return {"cell": matrix}

    def supernet(self, task):
        return (Steps if _reads_text(task) else Rungs)(task, self.rate)

    def shared_weights(self, task):
        return OnePath(self.supernet(task))

    def layers_of(self, architecture):
        return {part: torch.from_numpy(matrix) for part, matrix in self.one_hot(architecture).items()}

    def build(self, architecture, task):
        return Alone(self.supernet(task), self.layers_of(architecture))


def _reads_text(task):
    return isinstance(task.signature.inputs, Field)


def mixed(x, row):
    return torch.stack([w * function(x) for w, function in zip(row, FUNCTIONS.values(), strict=True)]).sum(dim=0)


class Rungs(nn.Module):
    """Vectors by name -> heads by name."""

    def __init__(self, task, rate):
        super().__init__()
        self.first, self.second = nn.Linear(6, 8), nn.Linear(8, 8)
        self.dropout = nn.Dropout(rate)
        self.heads = nn.ModuleDict({name: nn.Linear(8, head.outputs) for name, head in task.signature.heads.items()})

    def forward(self, inputs, weights):
        rows = weights["cell"]
        h = mixed(self.first(torch.cat([inputs["x"], inputs["z"]], dim=1)), rows[0])
        h = self.dropout(mixed(self.second(h), rows[1]))
        return {name: head(h) for name, head in self.heads.items()}


class Steps(nn.Module):
    """(tokens [B, T], state or None) -> `RecurrentOutputs`, with the decoder tied to the embedding."""

    def __init__(self, task, rate):
        super().__init__()
        self.embedding = nn.Embedding(task.signature.field.vocabulary, 8)
        self.recurrent, self.second = nn.Linear(16, 8), nn.Linear(8, 8)
        self.dropout = nn.Dropout(rate)
        self.decoder = nn.Linear(8, task.signature.field.vocabulary)
        self.decoder.weight = self.embedding.weight

    def forward(self, inputs, weights):
        tokens, state = inputs
        h = torch.zeros(len(tokens), 8) if state is None else state
        states = []
        for token in self.embedding(tokens).unbind(dim=1):
            h = mixed(self.recurrent(torch.cat([token, h], dim=1)), weights["cell"][0])
            h = torch.tanh(mixed(self.second(h), weights["cell"][1]))
            states.append(h)
        raw = torch.stack(states, dim=1)
        dropped = self.dropout(raw)
        return RecurrentOutputs(self.decoder(dropped), raw, dropped, h)


class OnePath(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, inputs, child):
        return self.network(inputs, child)


class Alone(nn.Module):
    def __init__(self, network, weights):
        super().__init__()
        self.network, self.weights = network, weights

    def forward(self, inputs):
        return self.network(inputs, self.weights)


def text(**options):
    """Words without much sense, in chunks of varying length."""
    rng = np.random.default_rng(0)
    written = "\n".join("".join(rng.choice(list("abcde"), size=40)) for _ in range(20)) + "\n"
    return nl.tasks.LanguageModel.from_text(
        written, valid=0.3, test=0.1, name="letters", **{"bptt": 6, "short_share": 0.3, **options}
    )
