"""Graphs, networks and supernets of a space."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import networkx as nx
import numpy as np
import torch
from torch import Tensor, nn

from naslab.estimators import Training
from naslab.modes import evaluation_mode
from naslab.randomness import seeded
from naslab.spaces import DrawnSupernet, Mixable, Shared
from naslab.tasks.signature import READS, Head, Signature, signature_of
from naslab.testing.case import needs, refused, skip
from naslab.testing.space_choices import SpaceChecks
from naslab.trees import tensors

ROLES = ("input", "node", "output")


class NetworkChecks(SpaceChecks):
    """Checks of what is built and drawn of an architecture."""

    supernet_sizes: Mapping[str, Any] = {}
    """Keyword arguments with which `supernet` and `shared_weights` are small."""

    def signature(self) -> Signature:
        """Inputs for which networks with several heads are built; by default those of the task."""
        return signature_of(self.given_task())

    def given_task(self) -> Any:
        """The task; the check is skipped where there is none."""
        if (task := self.task()) is None:
            skip("task() gives None: networks are not checked")
        return task

    # --- graphs ----------------------------------------------------------------------------------------------

    def test_the_graph_is_a_labelled_dag(self) -> None:
        for architecture in self.samples(5):
            graph = self.space.graph(architecture)
            assert nx.is_directed_acyclic_graph(graph), f"the graph of {architecture} is no directed acyclic graph"
            for node, attributes in graph.nodes(data=True):
                missing = {"part", "label", "role"} - attributes.keys()
                assert not missing, f"the node {node!r} of the graph lacks {sorted(missing)}; it has {attributes}"
                part, label, role = attributes["part"], attributes["label"], attributes["role"]
                assert isinstance(node, str), f"the node {node!r} of the graph is no text"
                assert node.startswith(f"{part}/"), f"the node {node!r} of the part {part!r} is not called '{part}/...'"
                assert role in ROLES, f"the role of the node {node!r} is {role!r}, expected one of {ROLES}"
                assert isinstance(label, str), f"the label of the node {node!r} is {label!r}, expected a text"

    # --- networks --------------------------------------------------------------------------------------------

    def test_a_built_network_gives_what_the_heads_are_to_give_and_learns(self) -> None:
        task = self.given_task()
        network = self.space.build(self.samples(1)[0], task)
        _check_learning(network, network(task.inputs(batch := task.example(4))), task, batch, "the built network")

    def test_its_networks_are_trained_as_candidates(self) -> None:
        """With what the architecture itself says of the training."""
        task = self.given_task()
        training = Training(self.space, task, epochs=1, batch_size=9, learning_rate=0.01)
        found = training(self.samples(1)[0])
        assert math.isfinite(found.fitness), f"the fitness after an epoch is {found.fitness}, expected a finite number"
        less = task.quantities[task.objective].direction == "min"
        assert found.fitness <= 0 or not less, f"the fitness {found.fitness} is no negative of {task.objective!r}"
        loss = found.metrics["train_loss"]
        assert math.isfinite(loss), f"the training loss after an epoch is {loss}, expected a finite number"

    def _several_heads(self) -> tuple[Signature, dict[str, int]]:
        """A signature with two heads of vectors, and what each is to give; skips spaces that give none."""
        signature = self.signature()
        if "vector" not in self.space.gives or isinstance(signature.inputs, Mapping):
            skip("networks of this space have no heads that read a vector")
        return Signature(signature.inputs, {"kind": Head("vector", 4), "age": Head("vector", 1)}), {"kind": 4, "age": 1}

    def test_a_network_has_a_head_for_each_that_the_task_wants(self) -> None:
        signature, expected = self._several_heads()
        architecture = self.space.sample(0)
        with seeded(0):
            network = self.space.build(architecture, signature)
        with evaluation_mode(network), torch.no_grad():
            _check_heads(network(torch.zeros(2, *signature.field.shape)), expected, "the built network")  # type: ignore[arg-type]
        with seeded(0):
            again = self.space.build(architecture, signature).state_dict()
        for name, tensor in network.state_dict().items():
            assert torch.equal(again[name], tensor), (
                f"two networks of one seed differ in {name!r}; draw initial weights from torch's generator alone"
            )

    def test_a_task_that_the_space_cannot_serve_is_refused(self) -> None:
        space = self.space
        inputs = self.signature().inputs
        for reads in READS:
            if reads in space.gives:
                continue
            other = Signature(inputs, {"words": Head(reads, 5)})
            for make in ("build", "supernet", "shared_weights"):
                if hasattr(space, make):
                    arguments = (space.sample(0), other) if make == "build" else (other,)
                    with refused(
                        f"{make} for a head that reads a {reads}", f"head 'words' of the task reads a {reads}"
                    ):
                        getattr(space, make)(*arguments)
        with refused("build for an object that is no task", "has a signature"):
            space.build(space.sample(0), object())

    # --- all architectures in one graph ----------------------------------------------------------------------

    @needs(DrawnSupernet)
    def test_every_architecture_lies_in_the_supergraph_and_all_of_it_is_reached(self) -> None:
        space, supergraph = self.space, self.space.supergraph()
        assert nx.is_directed_acyclic_graph(supergraph), "the supergraph is no directed acyclic graph"
        taken: dict[str, set[Any]] = {}
        reached: set[Any] = set()
        for architecture in self.samples(400):
            graph = space.graph(architecture)
            more = set(graph.edges) - set(supergraph.edges)
            assert not more, f"the graph of {architecture} has the edges {more}, which the supergraph has not"
            reached |= set(graph.edges)
            for node, data in graph.nodes(data=True):
                for key in ("part", "label", "role"):
                    came, expected = data[key], supergraph.nodes[node][key]
                    assert came == expected, f"{key} of {node!r} is {came!r}, and {expected!r} in the supergraph"
                if "op" in data:
                    taken.setdefault(node, set()).add(data["op"])
        never = set(supergraph.edges) - reached
        assert not never, f"the edges {never} of the supergraph are in no graph of 400 architectures"
        candidates = {node: set(ops) for node, ops in supergraph.nodes(data="ops") if ops}
        assert candidates == taken, (
            f"operations at the nodes, {taken}, are not the `ops` of the supergraph, {candidates}"
        )

    # --- mixtures --------------------------------------------------------------------------------------------

    @needs(Mixable)
    def test_deriving_from_an_architecture_s_own_operations_gives_it_back(self) -> None:
        space = self.space
        expected = {part: (edges, len(space.operations)) for part, edges in space.edges().items()}
        for architecture in self.samples(100):
            one_hot = space.one_hot(architecture)
            shapes = {part: matrix.shape for part, matrix in one_hot.items()}
            assert shapes == expected, f"one_hot gives matrices of the shapes {shapes}, expected {expected}"
            for part, matrix in one_hot.items():
                assert matrix.dtype == np.float32, f"one_hot of {part!r} is {matrix.dtype}, expected float32"
                assert set(np.unique(matrix)) <= {0, 1}, f"one_hot of {part!r} holds {np.unique(matrix)}, not 0 and 1"
            softened = {part: matrix + np.float32(0.1) for part, matrix in one_hot.items()}
            for weights in (one_hot, softened):
                derived = space.discretize(weights)
                assert derived == architecture, (
                    f"discretize(one_hot(architecture)) is {derived}, expected {architecture}; every choice of a space "
                    "with a supernet is the operation or an input of an edge: make others fields of the space"
                )

    @needs(Mixable)
    def test_discretize_refuses_what_is_no_weight(self) -> None:
        good = self.space.one_hot(self.samples(1)[0])
        part = next(iter(good))
        for what, bad in {
            "no matrix": {},
            "a matrix of a part that is not there": {**good, "more": good[part]},
            "a matrix that lacks a row": {**good, part: good[part][:-1]},
            "a matrix of nan": {**good, part: np.full_like(good[part], np.nan)},
            "a matrix of inf": {**good, part: np.full_like(good[part], np.inf)},
        }.items():
            with refused(f"discretize of {what} (begin with naslab.spaces.weight_sharing.weight_matrices)"):
                self.space.discretize(bad)

    @needs(Mixable)
    def test_the_supergraph_has_every_edge_once_and_holds_every_architecture(self) -> None:
        space, supergraph = self.space, self.space.supergraph()
        assert nx.is_directed_acyclic_graph(supergraph), "the supergraph is no directed acyclic graph"
        for part, edges in space.edges().items():
            rows = [
                row
                for _, target, row in supergraph.edges(data="row")
                if supergraph.nodes[target]["part"] == part and row is not None
            ]
            assert sorted(rows) == list(range(edges)), (
                f"the edges into {part!r} carry the rows {sorted(rows)}, expected each of 0 to {edges - 1} once"
            )
        for architecture in self.samples(5):
            graph, one_hot = space.graph(architecture), space.one_hot(architecture)
            assert dict(graph.nodes(data=True)) == dict(supergraph.nodes(data=True)), (
                f"the nodes of the graph, {dict(graph.nodes(data=True))!r:.300}, are not those of the supergraph, "
                f"{dict(supergraph.nodes(data=True))!r:.300}"
            )
            for source, target, attributes in graph.edges(data=True):
                assert supergraph.has_edge(source, target), (
                    f"the edge {source!r} -> {target!r} is not in the supergraph"
                )
                row, expected = attributes.get("row"), supergraph.edges[source, target].get("row")
                assert row == expected, f"{source!r} -> {target!r} has the row {row}, and {expected} in the supergraph"
                if row is None:
                    continue
                column = space.operations.index(attributes["op"])
                kept = one_hot[graph.nodes[target]["part"]][row, column]
                assert kept == 1, f"{attributes['op']!r} stands at {source!r} -> {target!r}, and not in one_hot"

    @needs(Mixable)
    def test_the_supernet_runs_on_the_weights_of_an_architecture(self) -> None:
        space, task = self.space, self.given_task()
        network = space.supernet(task, **self.supernet_sizes)
        weights = {part: torch.from_numpy(matrix) for part, matrix in space.one_hot(self.samples(1)[0]).items()}
        _check_learning(network, network(task.inputs(batch := task.example(4)), weights), task, batch, "the supernet")

    @needs(Mixable)
    def test_a_supernet_has_a_head_for_each_that_the_task_wants(self) -> None:
        signature, expected = self._several_heads()
        supernet = self.space.supernet(signature)
        weights = {
            part: torch.ones(edges, len(self.space.operations), requires_grad=True)
            for part, edges in self.space.edges().items()
        }
        outputs = supernet(torch.zeros(2, *signature.field.shape), weights)  # type: ignore[arg-type]
        _check_heads(outputs, expected, "the supernet")

    # --- shared weights --------------------------------------------------------------------------------------

    @needs(Shared)
    def test_one_network_at_a_time_is_computed_of_the_shared_weights(self) -> None:
        space, task = self.space, self.given_task()
        with seeded(0):
            shared = space.shared_weights(task, **self.supernet_sizes)
        batch = task.example(4)
        one, other = (space.layers_of(architecture) for architecture in self.samples(2))
        _check_learning(shared, shared(task.inputs(batch), one), task, batch, "the shared weights")
        with evaluation_mode(shared), torch.no_grad():
            first = tensors(shared(task.inputs(batch), one))
            shared(task.inputs(batch), other)
            again = tensors(shared(task.inputs(batch), one))
        for before, after in zip(first, again, strict=True):
            assert torch.equal(before, after), "a network gives other outputs after another one was computed"


def _check_heads(outputs: Any, expected: Mapping[str, int], what: str) -> None:
    assert isinstance(outputs, Mapping), f"{what} gives {type(outputs).__name__} for two heads, expected a dictionary"
    shapes, wanted = {n: tuple(one.shape) for n, one in outputs.items()}, {n: (2, k) for n, k in expected.items()}
    assert shapes == wanted, f"{what} gives {shapes} for two examples, expected {wanted}"


def _check_learning(network: nn.Module, outputs: Any, task: Any, batch: Any, what: str) -> None:
    """The outputs have the shape that the task's only head wants, and their loss a gradient."""
    heads = signature_of(task).heads
    values = getattr(outputs, "logits", outputs)
    if len(heads) == 1 and isinstance(values, Tensor):
        (head,) = heads.values()
        count, numbers = len(tensors(task.inputs(batch))[0]), values.shape[-1]
        assert numbers == head.outputs, f"{what} gives {numbers} numbers, expected {head.outputs}, as the head has"
        shape, expected = tuple(values.shape), (count, head.outputs)
        assert head.reads != "vector" or shape == expected, f"{what} gives {shape}, expected {expected}"
    loss = task.loss(outputs, batch)
    assert torch.isfinite(loss), f"the loss of {what} is {float(loss)}, expected a finite number"
    loss.backward()
    learns = any(parameter.grad is not None for parameter in network.parameters())
    assert learns, f"no parameter of {what} has a gradient of the loss"
