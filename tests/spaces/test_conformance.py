"""What every space promises, tested once for all of them. A new space adds one line to `CASES`."""

import dataclasses
import functools
import itertools
import json
import math
import pickle
from dataclasses import dataclass
from types import SimpleNamespace

import networkx as nx
import numpy as np
import pytest
import torch
from torch import nn

from naslab.architecture import Architecture, Choice
from naslab.errors import SpecError
from naslab.estimators import Training
from naslab.modes import evaluation_mode
from naslab.randomness import numpy_generator, seeded
from naslab.spaces import (
    SPACES,
    ChainSkips,
    DartsCell,
    DartsCellAllEdges,
    DrawnSupernet,
    EnasMacro,
    EnasMicro,
    FlexiBERT,
    Hierarchical,
    LargeScaleEvolutionSpace,
    MetaQNN,
    MnasNet,
    MobileChain,
    NASBench101,
    NASBench201,
    NASBenchMacro,
    NASBenchMR,
    NASBenchNLP,
    NASNetCell,
    NetworkMorphism,
    RecurrentCell,
    Space,
    SupernetSpace,
    from_spec,
)
from naslab.tasks import Field, Head, Images, LanguageModel, Signature

TASK = SimpleNamespace(input_shape=(1, 8, 8), classes=3)
TEXT = Signature(Field((None,), "int64", 3), {"logits": Head("sequence", 3)})
"""Of a text of three words, each of which is followed by one."""


def reads_text(space):
    return space.gives == {"sequence"}


def task_of(space):
    """A task that the space can serve."""
    return TEXT if reads_text(space) else TASK


def scores(space, network, *weights):
    """The logits [B, 3] of four examples, of the last word for a text."""
    if reads_text(space):
        tokens = torch.randint(3, (4, 5), generator=torch.Generator().manual_seed(0))
        return network((tokens, None), *weights).logits[:, -1]
    return network(torch.randn(4, 1, 8, 8), *weights)


@dataclass(frozen=True)
class Grow(Space):
    """A space whose later choices depend on earlier ones: a depth, then so many widths; shallow ones may stop."""

    name = "grow"
    depths: tuple[int, ...] = (1, 2, 3)

    def next_choice(self, prefix):
        if not prefix:
            return Choice("depth", self.depths)
        if len(prefix) <= prefix[0]:
            return Choice(f"width_{len(prefix)}", (8, 16, 32) if len(prefix) == 1 else (8, 16))
        return None

    def build(self, architecture, task):
        widths = [math.prod(task.input_shape), *self.check(architecture).choices[1:]]
        layers = [nn.Linear(a, b) for a, b in itertools.pairwise(widths)]
        return nn.Sequential(nn.Flatten(), *layers, nn.Linear(widths[-1], task.classes))

    def graph(self, architecture):
        graph = nx.DiGraph()
        for layer, width in enumerate(self.check(architecture).choices[1:]):
            graph.add_node(f"chain/{layer}", part="chain", label=str(width), role="node", op=f"linear_{width}")
            if layer:
                graph.add_edge(f"chain/{layer - 1}", f"chain/{layer}")
        return graph


@dataclass(frozen=True)
class Case:
    space: Space
    """Of ordinary size."""
    size: int
    """Of `space`, in closed form."""
    small: Space | None
    """So small that all of it can be enumerated, where there is one."""


def darts_size(nodes: int, operations: int) -> int:
    """(prod over nodes of (i + 2 choose 2) times operations squared), for each of two cells."""
    return math.prod(math.comb(node + 2, 2) * operations**2 for node in range(nodes)) ** 2


def chain_size(layers: int, room: int, pool: bool = False) -> int:
    """How a chain may go on from its second layer: a stop, a convolution with one of 3 x 3 kernels and filters and a
    stride that leaves room, or one of two kinds of pooling after a convolution. The first layer is a convolution."""
    if layers == 0:
        return 1
    convolutions = sum(9 * chain_size(layers - 1, room // stride, True) for stride in (1, 2) if stride <= room)
    poolings = sum(2 * chain_size(layers - 1, room // stride) for stride in (2, 2, 3) if pool and stride <= room)
    return convolutions + poolings + (layers < 6)


CASES = {
    "darts_cell": Case(DartsCell(channels=2, cells=3), darts_size(4, 7), DartsCell(nodes=1, channels=2, cells=2)),
    "darts_cell laptop": Case(
        DartsCell.laptop(), darts_size(3, 5), DartsCell(nodes=2, operations=("skip_connect", "dil_conv_3x3"))
    ),
    "darts_cell_all_edges": Case(
        DartsCellAllEdges(nodes=3, channels=2, cells=3),
        8 ** (2 * (2 + 3 + 4)),
        DartsCellAllEdges(nodes=1, operations=("none", "skip_connect", "max_pool_3x3")),
    ),
    "nasbench101": Case(NASBench101.laptop(), 1_293_208, NASBench101(vertices=5)),
    "nasbench201": Case(NASBench201(channels=2, cells=1), 5**6, NASBench201()),
    "nasbench_macro": Case(NASBenchMacro(channels=2), 3**8, NASBenchMacro()),
    "nasbench_mr": Case(NASBenchMR(), 16**13 * 4**14, None),
    "nasbench_nlp": Case(
        NASBenchNLP(nodes=6, embedding=8, hidden=8, layers=2),
        Space.__dict__["size"].func(NASBenchNLP(nodes=6)),  # counted choice by choice
        NASBenchNLP(nodes=2),
    ),
    "recurrent_cell": Case(
        RecurrentCell(nodes=5, hidden=6), math.factorial(5) * 4**5, RecurrentCell(nodes=2, operations=("none", "relu"))
    ),
    "flexibert": Case(FlexiBERT(shrink=16), 2 * (48**2 + 48**4), None),
    "chain": Case(MetaQNN.laptop(), chain_size(6, 4), MetaQNN(layers=3, kernels=(1, 3), filters=(1, 2))),
    "chain_skips": Case(
        ChainSkips.laptop(),
        sum((3 * 3 * 3 * 2) ** depth * 2 ** math.comb(depth, 2) for depth in range(1, 7)),
        ChainSkips(layers=3, kernels=(1, 3), filters=(1, 2), merge="sum"),
    ),
    "segments": Case(MnasNet.laptop(), 432**2 * 288, MnasNet(segments=1)),
    "mobile_chain": Case(MobileChain.laptop(), (6 * 7) ** 3, MobileChain(stages=1, layers=2)),
    "nasnet_cell": Case(
        NASNetCell(channels=2, cells=3), math.prod((n + 2) ** 2 * 13**2 * 2 for n in range(5)) ** 2, None
    ),
    "hierarchical": Case(Hierarchical.laptop(), 7**9 * 4**6, Hierarchical(motifs=1, nodes=2, cell_nodes=3)),
    "hierarchical sum": Case(
        Hierarchical(channels=2, merge="sum"), 7 ** (6 * 6) * 7**10, Hierarchical(motifs=2, nodes=2, cell_nodes=2)
    ),
    "enas_macro": Case(EnasMacro.laptop(), 6**6 * 2**15, EnasMacro(layers=3)),
    "enas_micro": Case(
        EnasMicro(channels=2), math.prod((n + 2) ** 2 * 5**2 for n in range(5)) ** 2, EnasMicro(nodes=1)
    ),
    "morphing": Case(
        NetworkMorphism.laptop(),
        sum((2 * 5 * 2) ** depth * 3 ** math.comb(depth - 1, 2) for depth in range(1, 7)),
        NetworkMorphism(layers=3, kernels=(1, 3), filters=(4, 8), strides=(1,)),
    ),
    "evolving": Case(
        LargeScaleEvolutionSpace(layers=5, filters=(1, 3), channels=(4, 6, 8)),
        7 * sum((2 * 2 * 3 * 2 * 2) ** depth * 2 ** math.comb(depth, 2) for depth in range(6)),
        LargeScaleEvolutionSpace(layers=2, filters=(1, 3), channels=(4, 8), strides=(1,), learning_rates=(0.1, 0.2)),
    ),
    "grow": Case(Grow((1, 2, 3, 4)), 3 * (1 + 2 + 4 + 8), Grow((2, 3))),
}

case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
space = pytest.mark.parametrize("space", [case.space for case in CASES.values()], ids=CASES.keys())
supernet_space = pytest.mark.parametrize(
    "space",
    [case.space for case in CASES.values() if isinstance(case.space, SupernetSpace)],
    ids=[name for name, case in CASES.items() if isinstance(case.space, SupernetSpace)],
)


def samples(space, count=30, name="samples"):
    rng = numpy_generator(name)
    return [space.sample(rng) for _ in range(count)]


def test_every_registered_space_is_tested():
    assert {type(case.space) for case in CASES.values()} >= set(SPACES.values())
    assert all(SPACES[name].name == name for name in SPACES)


# --- choices ---------------------------------------------------------------------------------------


@space
def test_samples_are_legal_varied_and_repeatable(space):
    drawn = samples(space)
    assert all(architecture in space for architecture in drawn)
    assert len(set(drawn)) > 15
    assert drawn == samples(space)


@space
def test_sampling_reaches_every_option_of_the_first_choices(space):
    first = [next(iter(space.answers(a).items())) for a in samples(space, 300)]
    assert {value for _, value in first} == set(space.next_choice(()).options)


@space
def test_choices_have_different_names(space):
    for architecture in samples(space):
        names = [choice.name for choice, _ in space.walk(architecture.choices)]
        assert len(set(names)) == len(names) == len(space.answers(architecture))


@space
def test_a_mutation_is_another_legal_architecture(space):
    rng = numpy_generator("mutation")
    for architecture in samples(space):
        child = space.mutate(architecture, rng)
        assert child in space
        assert space.distance(architecture, child) >= 1


@space
def test_a_mutation_of_each_choice_is_another_legal_architecture(space):
    rng = numpy_generator("each")
    for architecture in samples(space):
        for rate in (1e-6, 0.3, 1.0):
            child = space.mutate_each(architecture, rate, rng)
            assert child in space
            assert child != architecture
            if space.fixed_choices is not None:
                changed = sum(one != other for one, other in zip(child.choices, architecture.choices, strict=True))
                open_choices = sum(len(choice.options) > 1 for choice in space.fixed_choices)
                assert changed == {1e-6: 1, 1.0: open_choices}.get(rate, changed)


def up_to_the_first_change(old, new):
    pairs = enumerate(itertools.zip_longest(old.choices, new.choices), start=1)
    return new.choices[: next(position for position, (a, b) in pairs if a != b)]


@space
def test_mutation_can_reach_every_neighbour(space):
    architecture = samples(space, 1)[0]
    rng = numpy_generator("neighbours")
    neighbours = set(space.neighbours(architecture))
    reached = {space.mutate(architecture, rng) for _ in range(80 * len(neighbours))}
    first_change = functools.partial(up_to_the_first_change, architecture)
    assert set(map(first_change, neighbours)) <= set(map(first_change, reached))
    if space.fixed_choices is not None:  # else what no longer fits is drawn anew, and seldom as the neighbour has it
        assert neighbours <= reached
    assert architecture not in neighbours
    assert all(neighbour in space for neighbour in neighbours)


@space
def test_neighbours_come_once_and_in_full(space):
    for architecture in samples(space, 5):
        neighbours = list(space.neighbours(architecture))
        other_options = sum(len(choice.options) - 1 for choice, _ in space.walk(architecture.choices))
        assert len(set(neighbours)) == len(neighbours) == other_options


@space
def test_a_child_of_two_is_legal_and_has_nothing_of_its_own(space):
    rng = numpy_generator("crossover")
    for first, second in itertools.pairwise(samples(space)):
        child = space.crossover(first, second, rng)
        assert child in space
        parents = space.answers(first), space.answers(second)
        for choice, value in space.walk(child.choices):
            given = [parent[choice.name] for parent in parents if choice.name in parent]
            legal = [option for option in given if option in choice.options]
            assert not legal or value in legal
        assert space.crossover(first, first, rng) == first


@case
def test_size(case):
    assert case.space.size == case.size
    if case.small is None:
        return
    enumerated = list(case.small.enumerate())
    assert case.small.size == len(enumerated) == len(set(enumerated))
    assert all(architecture in case.small for architecture in enumerated[:200])


# --- codes and distances ---------------------------------------------------------------------------


@space
def test_json_round_trip(space):
    for architecture in samples(space):
        assert space.from_json(architecture.to_json()) == architecture


@space
def test_encode_tells_architectures_apart(space):
    drawn = set(samples(space, 100))
    codes = {space.encode(architecture).tobytes() for architecture in drawn}
    assert len(codes) == len(drawn)
    for architecture in list(drawn)[:5]:
        code = space.encode(architecture)
        assert code.dtype == np.float32
        assert code.sum() == len(architecture.choices)


@space
def test_distance_is_a_metric(space):
    drawn = samples(space, 10)
    for a, b in itertools.product(drawn, repeat=2):
        assert (space.distance(a, b) == 0) == (a == b)
        assert space.distance(a, b) == space.distance(b, a)
    for a, b, c in itertools.product(drawn, repeat=3):
        assert space.distance(a, c) <= space.distance(a, b) + space.distance(b, c)


# --- graphs and networks ---------------------------------------------------------------------------


@space
def test_the_graph_is_a_labelled_dag(space):
    for architecture in samples(space, 5):
        graph = space.graph(architecture)
        assert nx.is_directed_acyclic_graph(graph)
        for node, attributes in graph.nodes(data=True):
            assert isinstance(node, str)
            assert node.startswith(f"{attributes['part']}/")
            assert attributes["role"] in ("input", "node", "output")
            assert isinstance(attributes["label"], str)


@space
def test_a_built_network_gives_logits_and_learns(space):
    network = space.build(samples(space, 1)[0], task_of(space))
    logits = scores(space, network)
    assert logits.shape == (4, 3)
    logits.logsumexp(dim=1).sum().backward()
    assert any(parameter.grad is not None for parameter in network.parameters())


@space
def test_its_networks_are_trained_as_candidates(space):
    """With what the architecture itself says of the training."""
    y = torch.arange(24) % 3
    x = torch.rand(24, 1, 8, 8, generator=torch.Generator().manual_seed(0)) + y[:, None, None, None]
    task = Images.from_arrays(x.numpy(), y.numpy())
    if isinstance(space, Grow):
        pytest.skip("it has no networks for images")
    if reads_text(space):
        task = LanguageModel.from_text("abcde\n" * 400, unit="characters")
    found = Training(space, task, epochs=1, batch_size=9, learning_rate=0.01)(samples(space, 1)[0])
    assert found.fitness < 0 if reads_text(space) else 0 <= found.fitness <= 1
    assert math.isfinite(found.figures["train_loss"])


# --- fewer options ---------------------------------------------------------------------------------


def masks(space, count=2):
    """Some masks that leave something of every choice, each with what it forbids of some architectures."""
    rng, found = numpy_generator("masks"), []
    for held in samples(space, 40, "held"):
        names = [name for name, options in space.offered.items() if len(options) > 1 and name in space.answers(held)]
        chosen = [names[place] for place in rng.permutation(len(names))[:2]]
        forbidden = {name: [space.answers(held)[name]] for name in chosen}
        try:
            found.append((held, forbidden, space.without(forbidden)))
        except SpecError:
            continue  # elsewhere one of them is all there is
        if len(found) == count:
            break
    assert found
    return found


def obeys(forbidden, space, architecture):
    answers = space.answers(architecture)
    return not any(answers.get(name) in options for name, options in forbidden.items())


@space
def test_what_is_forbidden_is_never_drawn(space):
    rng = numpy_generator("without")
    for held, forbidden, fewer in masks(space):
        assert fewer.name == space.name
        parents = [held, *samples(space, 4, "parents"), *samples(fewer, 3)]
        drawn = samples(fewer, 20)
        for one, other in itertools.pairwise(parents):
            drawn += [
                fewer.mutate(one, rng),
                fewer.mutate_node_first(one, rng),
                fewer.mutate_each(one, 0.5, rng),
                fewer.crossover(one, other, rng),
                fewer.repaired(one, rng),
                *itertools.islice(fewer.neighbours(one), 10),
            ]
        for architecture in drawn:
            assert obeys(forbidden, space, architecture)
            assert architecture in space
            assert architecture in fewer
            assert fewer.allows(architecture)
        if space.fixed_choices is not None:
            for choice in fewer.fixed_choices:
                assert set(choice.options).isdisjoint(forbidden.get(choice.name, ()))
        assert held not in fewer
        assert samples(fewer, 20) == drawn[:20]


@space
def test_a_parent_is_repaired_where_it_must_be_and_nowhere_else(space):
    rng = numpy_generator("repair")
    for held, forbidden, fewer in masks(space):
        repaired = fewer.repaired(held, rng)
        old, new = space.answers(held), space.answers(repaired)
        assert any(new.get(name) != old[name] for name in forbidden)
        if space.fixed_choices is not None:
            assert {name for name in old if old[name] != new[name]} == set(forbidden)
        assert fewer.repaired(repaired, rng) is repaired
        assert next(iter(fewer.neighbours(held))) == fewer.repaired(held)
        child = fewer.mutate(repaired, rng)
        assert child != repaired
        assert fewer.mutate_each(held, 0.0, rng) != held


@space
def test_fewer_options_change_no_name_code_or_picture(space):
    for held, forbidden, fewer in masks(space):
        for architecture in (held, *samples(fewer, 3)):
            assert fewer.from_json(architecture.to_json()) == architecture
            assert fewer.answers(architecture) == space.answers(architecture)
            assert np.array_equal(fewer.encode(architecture), space.encode(architecture))
            assert fewer.distance(held, architecture) == space.distance(held, architecture)
            assert nx.utils.graphs_equal(fewer.graph(architecture), space.graph(architecture))
        assert isinstance(fewer, SupernetSpace) == isinstance(space, SupernetSpace)
        assert pickle.loads(pickle.dumps(fewer)) == fewer
        assert space.without({}) is space
        assert space.without({name: [] for name in forbidden}) is space
        assert fewer.without(forbidden) == fewer
        if space.name in SPACES:
            again = from_spec(json.loads(json.dumps(fewer.spec())))
            assert again == fewer
            assert samples(again, 5) == samples(fewer, 5)


@case
def test_the_size_with_fewer_options(case):
    if case.small is None or case.small.size > 700:
        return
    whole = list(case.small.enumerate())
    for _, forbidden, fewer in masks(case.small, 1):
        assert list(fewer.enumerate()) == [one for one in whole if obeys(forbidden, case.small, one)]
        assert fewer.size == len(list(fewer.enumerate()))


@space
def test_a_mask_that_makes_no_sense_is_refused(space):
    name, options = next((name, options) for name, options in space.offered.items() if len(options) > 1)
    for bad, said in (
        ([name], "is a dictionary"),
        ({"no such choice": [options[0]]}, "unknown choice 'no such choice'"),
        ({3: [options[0]]}, "unknown choice 3"),
        ({name: ["no such option"]}, "unknown option 'no such option'"),
        ({name: options[0]}, "expected a list of options" if isinstance(options[0], str) else "list of options"),
        ({name: list(options)}, f"nothing would be left of the choice {name!r}"),
    ):
        with pytest.raises(SpecError, match=said):
            space.without(bad)


@supernet_space
def test_derivation_takes_nothing_that_is_forbidden(space):
    for held, forbidden, fewer in masks(space):
        derived = fewer.discretize(space.one_hot(held))
        assert obeys(forbidden, space, derived)
        free = samples(fewer, 1)[0]
        assert fewer.discretize(space.one_hot(free)) == free


# --- bad input -------------------------------------------------------------------------------------


@space
def test_bad_architectures_are_refused(space):
    good = samples(space, 1)[0]
    bad = {
        "unknown option": Architecture(space.name, (*good.choices[:-1], "no such option")),
        "too few": Architecture(space.name, good.choices[:-1]),
        "too many": Architecture(space.name, (*good.choices, good.choices[-1])),
        "none at all": Architecture(space.name, ()),
        "foreign": Architecture("elsewhere", good.choices),
    }
    rng = numpy_generator("bad")
    for what, architecture in bad.items():
        assert architecture not in space, what
        for use in (
            space.check,
            space.encode,
            space.graph,
            space.answers,
            lambda a: space.build(a, task_of(space)),
            lambda a: space.mutate(a, rng),
            lambda a: list(space.neighbours(a)),
            lambda a: space.distance(good, a),
            lambda a: space.crossover(good, a, rng),
            lambda a: space.from_json(a.to_json()),
        ):
            with pytest.raises(SpecError):
                use(architecture)
    assert "architecture" not in space


@space
def test_the_sentence_names_the_choice_and_the_options(space):
    good = samples(space, 1)[0]
    last = list(space.answers(good))[-1]
    with pytest.raises(SpecError, match=rf"{last}.*unknown option 'no such option'"):
        space.architecture((*good.choices[:-1], "no such option"))
    with pytest.raises(SpecError, match=rf"too few.*{last}"):
        space.architecture(good.choices[:-1])


# --- from JSON -------------------------------------------------------------------------------------

registered = pytest.mark.parametrize(
    "space", [c.space for c in CASES.values() if c.space.name in SPACES], ids=[n for n in CASES if n != "grow"]
)


@registered
def test_a_space_is_made_again_from_its_spec(space):
    assert from_spec(json.loads(json.dumps(space.spec()))) == space
    assert hash(from_spec(space.spec())) == hash(space)
    assert from_spec({"space": space.name}) == type(space)()


@registered
def test_bad_parameters_are_refused(space):
    for field in dataclasses.fields(space):
        with pytest.raises(SpecError, match=f"did you mean '{field.name}'"):
            from_spec({**space.spec(), field.name[:-1]: 3})
        for value in (None, -1, 0, True, 2.5, "three", [], {}, float("nan")):
            with pytest.raises(SpecError):
                from_spec({**space.spec(), field.name: value})


@pytest.mark.parametrize("spec", [None, [], {}, {"space": "dart_cell"}, {"space": ["darts_cell"]}, "darts_cell"])
def test_bad_specs_are_refused(spec):
    with pytest.raises(SpecError, match="darts_cell"):
        from_spec(spec)


# --- spaces that draw all of it --------------------------------------------------------------------

drawn_supernet = pytest.mark.parametrize(
    "space",
    [case.space for case in CASES.values() if isinstance(case.space, DrawnSupernet)],
    ids=[name for name, case in CASES.items() if isinstance(case.space, DrawnSupernet)],
)


@drawn_supernet
def test_every_architecture_lies_in_the_supergraph_and_all_of_it_is_reached(space):
    supergraph = space.supergraph()
    assert nx.is_directed_acyclic_graph(supergraph)
    taken: dict[str, set] = {}
    reached = set()
    for architecture in samples(space, 400):
        graph = space.graph(architecture)
        assert set(graph.edges) <= set(supergraph.edges)
        reached |= set(graph.edges)
        for node, data in graph.nodes(data=True):
            assert {key: data[key] for key in ("part", "label", "role")} == {
                key: supergraph.nodes[node][key] for key in ("part", "label", "role")
            }
            if "op" in data:
                taken.setdefault(node, set()).add(data["op"])
    assert reached == set(supergraph.edges)
    candidates = {node: set(ops) for node, ops in supergraph.nodes(data="ops") if ops}
    assert candidates == taken


# --- spaces with a supernet ------------------------------------------------------------------------


@supernet_space
def test_deriving_from_an_architecture_s_own_operations_gives_it_back(space):
    for architecture in samples(space, 100):
        one_hot = space.one_hot(architecture)
        assert {part: matrix.shape for part, matrix in one_hot.items()} == {
            part: (edges, len(space.operations)) for part, edges in space.edges().items()
        }
        assert all(matrix.dtype == np.float32 and set(np.unique(matrix)) <= {0, 1} for matrix in one_hot.values())
        assert space.discretize(one_hot) == architecture
        softened = {part: matrix + np.float32(0.1) for part, matrix in one_hot.items()}
        assert space.discretize(softened) == architecture


@supernet_space
def test_derive_refuses_what_is_no_weight(space):
    good = space.one_hot(samples(space, 1)[0])
    part = next(iter(good))
    for bad in (
        {},
        {**good, "more": good[part]},
        {**good, part: good[part][:-1]},
        {**good, part: np.full_like(good[part], np.nan)},
        {**good, part: np.full_like(good[part], np.inf)},
    ):
        with pytest.raises(SpecError):
            space.discretize(bad)


@supernet_space
def test_the_supergraph_has_every_edge_once_and_holds_every_architecture(space):
    supergraph = space.supergraph()
    assert nx.is_directed_acyclic_graph(supergraph)
    for part, edges in space.edges().items():
        rows = [r for _, v, r in supergraph.edges(data="row") if supergraph.nodes[v]["part"] == part and r is not None]
        assert sorted(rows) == list(range(edges))
    for architecture in samples(space, 5):
        graph = space.graph(architecture)
        assert dict(graph.nodes(data=True)) == dict(supergraph.nodes(data=True))
        one_hot = space.one_hot(architecture)
        for source, target, attributes in graph.edges(data=True):
            assert supergraph.edges[source, target].get("row") == attributes.get("row")
            if "row" in attributes:
                part = graph.nodes[target]["part"]
                assert one_hot[part][attributes["row"], space.operations.index(attributes["op"])] == 1


@supernet_space
def test_the_supernet_runs_on_the_weights_of_an_architecture(space):
    sizes = {"hidden": 4} if reads_text(space) else {"channels": 2, "cells": 2}
    network = space.supernet(task_of(space), **sizes)
    weights = {part: torch.from_numpy(matrix) for part, matrix in space.one_hot(samples(space, 1)[0]).items()}
    assert scores(space, network, weights).shape == (4, 3)


# --- tasks -----------------------------------------------------------------------------------------

TWO_HEADS = Signature(Field((3, 32, 32)), {"kind": Head("vector", 4), "age": Head("vector", 1)})


@space
def test_a_network_has_a_head_for_each_that_the_task_wants(space):
    if reads_text(space):
        pytest.skip("its networks say the next word")
    if type(space) is Grow:
        pytest.skip("made from a shape and a number of classes")
    architecture = space.sample(0)
    with seeded(0):
        network = space.build(architecture, TWO_HEADS)
    with evaluation_mode(network), torch.no_grad():
        outputs = network(torch.zeros(2, 3, 32, 32))
    assert {name: tuple(one.shape) for name, one in outputs.items()} == {"kind": (2, 4), "age": (2, 1)}
    one = Signature(Field((3, 32, 32)), {"logits": Head("vector", 4)})
    with seeded(0):
        first = space.build(architecture, one).state_dict()
    with seeded(0):
        shaped = space.build(architecture, SimpleNamespace(input_shape=(3, 32, 32), classes=4)).state_dict()
    assert all(torch.equal(first[name], tensor) for name, tensor in shaped.items())


@supernet_space
def test_a_supernet_has_a_head_for_each_that_the_task_wants(space):
    if reads_text(space):
        pytest.skip("its networks say the next word")
    supernet = space.supernet(TWO_HEADS)
    weights = {part: torch.ones(edges, len(space.operations)) for part, edges in space.edges().items()}
    with torch.no_grad():
        outputs = supernet(torch.zeros(2, 3, 32, 32), weights)
    assert {name: tuple(one.shape) for name, one in outputs.items()} == {"kind": (2, 4), "age": (2, 1)}


@space
def test_a_task_that_the_space_cannot_serve_is_refused(space):
    with pytest.raises(SpecError, match="the head 'words' of the task reads a pyramid"):
        space.build(space.sample(0), Signature(Field((3, 32, 32)), {"words": Head("pyramid", 5)}))
    with pytest.raises(SpecError, match="has a signature"):
        space.build(space.sample(0), object())
    for make in ("supernet", "shared_weights"):
        if hasattr(space, make):
            with pytest.raises(SpecError, match="reads a pyramid"):
                getattr(space, make)(Signature(Field((3, 32, 32)), {"words": Head("pyramid", 5)}))
