"""Recurrent cells of NAS-Bench-NLP (Klyuchnikov et al. 2020, https://arxiv.org/abs/2006.07116).

A cell has one to three hidden states and at most 24 nodes. It is published as a recipe, a mapping from the name of each
node to its operation and inputs:

    {"f": {"op": "linear", "input": ["x", "h_prev_0"]}, "h_new_0": {"op": "activation_tanh", "input": ["f"]}}

The choices are: the number of states; the number of nodes; for each node its operation, for "linear" the number of
inputs, and the inputs, among x, the states and the earlier nodes; for each state the node that becomes its new value.
Only "linear" reads x, whose size may differ from that of a state. Where the order of inputs does not matter they are
chosen in ascending order, so that no node has two descriptions.

Difference from the benchmark: a node that no other node reads is allowed; it has no effect.
"""

from __future__ import annotations

import hashlib
import heapq
import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from naslab.architecture import Architecture, Choice, Option, Prefix
from naslab.errors import SpecError, unknown
from naslab.networks import sizes
from naslab.networks.recurrent_recipe import ELEMENTWISE, Recipe, RecurrentRecipeNetwork, Step, topological_order
from naslab.spaces.requirements import requirements_of, vocabulary_of
from naslab.spaces.space import Space
from naslab.tasks.signature import TaskLike

if TYPE_CHECKING:
    import networkx as nx

PART = "cell"
STATES = 3
NODES = 24
INPUTS: dict[str, tuple[int, ...]] = {
    "linear": (2, 3),
    "activation_tanh": (1,),
    "activation_sigm": (1,),
    "activation_leaky_relu": (1,),
    "elementwise_sum": (2,),
    "elementwise_prod": (2,),
    "blend": (3,),
}
"""Operation -> the numbers of inputs that it may have. "blend" is gate * a + (1 - gate) * b, so its order matters."""
assert INPUTS.keys() == {"linear", *ELEMENTWISE}


def sources(op: str, states: int, node: int) -> list[str]:
    """Returns the names that a node may read, in the order in which inputs ascend."""
    first = ["x"] if op == "linear" else []
    return first + [f"h_prev_{state}" for state in range(states)] + [f"node_{earlier}" for earlier in range(node)]


class PartialRecipe(NamedTuple):
    """An incomplete cell: a state machine that says which choice follows a prefix. 0 and "" mean "not chosen yet"."""

    states: int = 0
    """Number of hidden states."""
    nodes: int = 0
    """Number of nodes."""
    node: int = 0
    """Number of the node whose choices are being made."""
    op: str = ""
    """Operation of that node."""
    inputs: int = 0
    """Number of inputs of that node."""
    read: tuple[str, ...] = ()
    """Inputs of that node so far."""
    new: tuple[str, ...] = ()
    """Nodes chosen as new states so far."""

    def extended(self, answer: Any) -> PartialRecipe:
        """Returns the cell after one more answer."""
        if not self.states:
            return self._replace(states=answer)
        if not self.nodes:
            return self._replace(nodes=answer)
        if self.node == self.nodes:
            return self._replace(new=(*self.new, answer))
        if not self.op:
            return self._replace(op=answer, inputs=INPUTS[answer][0] if len(INPUTS[answer]) == 1 else 0)
        if not self.inputs:
            return self._replace(inputs=answer)
        if len(self.read) + 1 < self.inputs:
            return self._replace(read=(*self.read, answer))
        return self._replace(node=self.node + 1, op="", inputs=0, read=())

    def choice(self, max_nodes: int) -> Choice | None:
        """Returns the next choice in a space of at most `max_nodes` nodes; None if the cell is complete."""
        if not self.states:
            return Choice("states", tuple(range(1, min(STATES, max_nodes) + 1)))
        if not self.nodes:
            return Choice("nodes", tuple(range(self.states, max_nodes + 1)))
        if self.node == self.nodes:
            if len(self.new) == self.states:
                return None
            free = [name for name in (f"node_{node}" for node in range(self.nodes)) if name not in self.new]
            return Choice(f"h_new_{len(self.new)}", tuple(free))
        name = f"node_{self.node}"
        if not self.op:
            fit = (op for op, counts in INPUTS.items() if len(sources(op, self.states, self.node)) >= counts[0])
            return Choice(f"{name}/op", tuple(fit))
        known = sources(self.op, self.states, self.node)
        if not self.inputs:
            return Choice(f"{name}/inputs", tuple(count for count in INPUTS[self.op] if count <= len(known)))
        offered = [source for source in known if source not in self.read]
        if self.op != "blend" and self.read:  # inputs ascend
            offered = known[known.index(self.read[-1]) + 1 :]
        if self.op != "blend":  # and leave enough larger ones for the inputs that follow
            offered = offered[: len(offered) - (self.inputs - len(self.read) - 1)]
        return Choice(f"{name}/input_{len(self.read) + 1}", tuple(offered))


@lru_cache(maxsize=65536)  # recursive over prefixes, so that each further choice costs one step
def _partial(prefix: Prefix) -> PartialRecipe:
    return _partial(prefix[:-1]).extended(prefix[-1]) if prefix else PartialRecipe()


@lru_cache(maxsize=65536)
def _choice(partial: PartialRecipe, max_nodes: int) -> Choice | None:
    return partial.choice(max_nodes)


@dataclass(frozen=True)
class NASBenchNLP(Space):
    """Recurrent cells, each described by a recipe."""

    name: ClassVar[str] = "nasbench_nlp"
    reads = frozenset({"image", "tokens", "row"})

    nodes: int = NODES
    """Maximal number of nodes."""
    embedding: int = 400
    """Size of the embedding and of the states of the last layer."""
    hidden: int = 600
    """Size of the states of all other layers."""
    layers: int = 3
    """Number of stacked recurrent layers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes.positives(self, "nodes", "embedding", "hidden", "layers")
        if self.nodes > NODES:
            raise SpecError(f"a cell has at most {NODES} nodes, not {self.nodes}")

    @classmethod
    def paper(cls) -> NASBenchNLP:
        """Returns the space of the benchmark."""
        return cls()

    @classmethod
    def laptop(cls) -> NASBenchNLP:
        """Returns a space whose cells can be trained in seconds."""
        return cls(nodes=10, embedding=32, hidden=32, layers=1)

    # --- choices ---------------------------------------------------------------------------------

    def next_choice(self, prefix: Prefix) -> Choice | None:
        return _choice(_partial(prefix), self.nodes)

    def future(self, prefix: Prefix) -> Hashable:
        """Returns the partial cell without what no later choice depends on.

        Of the inputs so far only the last one matters, or for "blend" their number; of the new states only the number.
        """
        partial = _partial(prefix)
        read = (len(partial.read), partial.read[-1] if partial.read and partial.op != "blend" else "")
        return (*partial[:5], read, len(partial.new))

    @cached_property
    def size(self) -> int:
        """Exact number of architectures, 6.8e83 with 24 nodes: a product over the nodes, in closed form."""

        def node(h: int) -> int:
            """Returns the number of possible nodes behind h states and nodes."""
            # linear: 2 or 3 of x and the h others; then 3 functions of one, sum and product of two, blend of three
            linear = math.comb(h + 1, 2) + math.comb(h + 1, 3)
            return linear + 3 * h + 2 * math.comb(h, 2) + math.perm(h, 3)

        return sum(
            math.prod(node(states + earlier) for earlier in range(nodes)) * math.perm(nodes, states)
            for states in range(1, min(STATES, self.nodes) + 1)
            for nodes in range(states, self.nodes + 1)
        )

    # --- the published form ----------------------------------------------------------------------

    def from_recipe(self, recipe: Any) -> Architecture:
        """Reads a published recipe. Recipes that differ only in names or order of nodes give the same architecture.

        Raises `SpecError` on anything that is no recipe of this space.
        """
        steps = _checked(recipe)
        states = sorted(name for name in steps if _state(name, "h_new_") is not None)
        if states != [f"h_new_{number}" for number in range(len(states))] or not states:
            raise SpecError(f"a recipe has the nodes h_new_0, h_new_1, ...; this one has {', '.join(states) or 'none'}")
        order = _canonical_order(steps)
        called = {name: f"node_{number}" for number, name in enumerate(order)}  # name in the recipe -> name here
        choices: list[Option] = [len(states), len(order)]
        for node, name in enumerate(order):
            op = steps[name]["op"]
            read = [called.get(source, source) for source in steps[name]["input"]]
            if op != "blend":
                known = sources(op, len(states), node)
                read.sort(key=lambda source, known=known: known.index(source) if source in known else -1)
            choices += [op, *([len(read)] if len(INPUTS[op]) > 1 else []), *read]
        return self.architecture([*choices, *(called[name] for name in states)])

    def to_recipe(self, architecture: Architecture) -> dict[str, Step]:
        """Returns the recipe, with nodes named `node_0`, `node_1`, ... and `h_new_0`, ..."""
        architecture = self.check(architecture)
        partial = _partial(())
        steps: dict[str, Step] = {}
        for answer in architecture.choices:
            before, partial = partial, partial.extended(answer)
            if partial.node > before.node:
                steps[f"node_{before.node}"] = {"op": before.op, "input": [*before.read, str(answer)]}
        called = {node: f"h_new_{number}" for number, node in enumerate(partial.new)}
        return {
            called.get(name, name): {
                "op": step["op"],
                "input": [called.get(source, source) for source in step["input"]],
            }
            for name, step in steps.items()
        }

    # --- graph and network -----------------------------------------------------------------------

    def graph(self, architecture: Architecture) -> nx.DiGraph:
        """Returns the graph, with the operations at its nodes; the new states lead to the output."""
        import networkx as nx

        recipe = self.to_recipe(architecture)
        graph = nx.DiGraph()
        for source in sources("linear", int(architecture.choices[0]), 0):
            graph.add_node(f"{PART}/{source}", part=PART, label=source, role="input")
        for name, step in recipe.items():
            graph.add_node(f"{PART}/{name}", part=PART, label=name, role="node", op=step["op"])
        graph.add_node(f"{PART}/output", part=PART, label="output", role="output")
        for name, step in recipe.items():
            graph.add_edges_from((f"{PART}/{source}", f"{PART}/{name}") for source in step["input"])
            if name.startswith("h_new_"):
                graph.add_edge(f"{PART}/{name}", f"{PART}/output")
        return graph

    def build(
        self,
        architecture: Architecture,
        task: TaskLike,
        *,
        embedding: int | None = None,
        hidden: int | None = None,
        layers: int | None = None,
    ) -> RecurrentRecipeNetwork:
        """Returns a network of stacked layers of the cell, for tokens (a task with a `vocabulary`) or image rows."""
        return RecurrentRecipeNetwork(
            self.to_recipe(architecture),
            *requirements_of(task),
            vocabulary=vocabulary_of(task),
            embedding=self.embedding if embedding is None else embedding,
            hidden=self.hidden if hidden is None else hidden,
            layers=self.layers if layers is None else layers,
        )


def _state(name: str, prefix: str) -> int | None:
    """Returns the number of the state in a name such as "h_new_0"; None if the name is of another form."""
    number = name.removeprefix(prefix)
    return (
        int(number) if name.startswith(prefix) and number.isascii() and number.isdigit() and len(number) < 3 else None
    )


def _checked(recipe: Any) -> Recipe:
    """Returns the recipe if its form, operations and numbers of inputs are right. Raises `SpecError` otherwise."""
    if not isinstance(recipe, Mapping) or not 0 < len(recipe) <= NODES or not all(isinstance(n, str) for n in recipe):
        raise SpecError(f"a recipe is an object of at most {NODES} nodes by name, got {recipe!r:.200}")
    known = {"x", *recipe, *(f"h_prev_{state}" for state in range(STATES))}
    for name, step in recipe.items():
        if not isinstance(step, Mapping) or set(step) != {"op", "input"} or not isinstance(step["input"], list):
            raise SpecError(f"node {name!r}: expected {{'op': name, 'input': [names]}}, got {step!r:.200}")
        if not isinstance(step["op"], str) or step["op"] not in INPUTS:
            raise SpecError(f"node {name!r}: {unknown('operation', step['op'], INPUTS)}")
        for source in step["input"]:
            if not isinstance(source, str) or source not in known:
                raise SpecError(f"node {name!r}: {unknown('input', source, sorted(known))}")
        if len(step["input"]) not in INPUTS[step["op"]]:
            counts = " or ".join(map(str, INPUTS[step["op"]]))
            raise SpecError(f"node {name!r}: {step['op']} has {counts} inputs, not {len(step['input'])}")
    return recipe


def _canonical_order(recipe: Recipe) -> list[str]:
    """Returns a topological order of the nodes that depends on names as little as possible.

    Among nodes that could come next, the order is that of a digest of what they compute (the expression of their
    inputs) and of what reads them, and only for equal digests that of their names.
    """
    order = topological_order(recipe)
    computes: dict[str, str] = {}
    for name in order:
        step = recipe[name]
        read = [computes.get(source, source) for source in step["input"]]
        state = name if _state(name, "h_new_") is not None else ""
        computes[name] = _digest(step["op"], state, *(read if step["op"] == "blend" else sorted(read)))
    readers: dict[str, list[str]] = {name: [] for name in order}
    keys = {}
    for name in reversed(order):  # so that all readers of a node are finished before it
        keys[name] = (_digest(computes[name], *sorted(readers[name])), len(name), name)
        step = recipe[name]
        for place, source in enumerate(step["input"]):
            if source in readers:
                readers[source].append(_digest(keys[name][0], str(place) if step["op"] == "blend" else ""))
    # Kahn's algorithm, with a heap in place of the queue.
    waiting = {name: {source for source in step["input"] if source in recipe} for name, step in recipe.items()}
    ready = [keys[name] for name, read in waiting.items() if not read]
    heapq.heapify(ready)
    ordered = []
    while ready:
        _, _, done = heapq.heappop(ready)
        ordered.append(done)
        for name, read in waiting.items():
            if done in read:
                read.discard(done)
                if not read:
                    heapq.heappush(ready, keys[name])
    return ordered


def _digest(*parts: str) -> str:
    return hashlib.sha256("|".join(parts).encode()).hexdigest()
