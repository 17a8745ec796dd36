"""Every space of naslab passes the checks of `naslab.testing`. A new space adds one line to `CASES`."""

import dataclasses
import itertools
import math
from dataclasses import dataclass
from types import SimpleNamespace

import networkx as nx
import pytest
import torch
from torch import nn

from naslab.architecture import Choice
from naslab.errors import SpecError
from naslab.networks.heads import head_for
from naslab.randomness import seeded
from naslab.spaces import (
    SPACES,
    ChainSkips,
    DartsCell,
    DartsCellAllEdges,
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
    from_spec,
)
from naslab.spaces.requirements import requirements_of
from naslab.tasks import Field, Head, Signature
from naslab.testing import SpaceCase


@dataclass(frozen=True)
class Grow(Space):
    """A space whose later choices depend on earlier ones: a depth, then so many widths; shallow ones may stop."""

    name = "grow"
    depths: tuple[int, ...] = (1, 2, 3)

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "depths", tuple(self.depths))

    def next_choice(self, prefix):
        if not prefix:
            return Choice("depth", self.depths)
        if len(prefix) <= prefix[0]:
            return Choice(f"width_{len(prefix)}", (8, 16, 32) if len(prefix) == 1 else (8, 16))
        return None

    def build(self, architecture, task):
        shape, outputs = requirements_of(task)
        widths = [math.prod(shape), *self.check(architecture).choices[1:]]
        layers = [nn.Linear(a, b) for a, b in itertools.pairwise(widths)]
        return nn.Sequential(nn.Flatten(), *layers, head_for(widths[-1], outputs))

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


def pytest_generate_tests(metafunc):
    """Each check of a space runs with the cases that it applies to."""
    if metafunc.cls is TestSpaces:
        kind = getattr(metafunc.function, "needs", object)
        names = [name for name, case in CASES.items() if isinstance(case.space, kind)]
        metafunc.parametrize("case", [CASES[name] for name in names], ids=names)


class TestSpaces(SpaceCase):
    @pytest.fixture(autouse=True)
    def _of(self, case):
        self.case = case

    def make(self):
        return self.case.space

    def small(self):
        return self.case.small

    @property
    def expected_size(self):
        return self.case.size

    @property
    def supernet_sizes(self):
        return {"hidden": 4} if self.space.gives == {"sequence"} else {"channels": 2}

    def signature(self):
        return Signature(Field((3, 32, 32)), {"logits": Head("vector", 4)})

    def test_a_shape_and_a_number_of_classes_are_a_task(self):
        """As they were before there were signatures."""
        if self.space.gives == {"sequence"}:
            pytest.skip("its networks say the next word")
        states = []
        for task in (SimpleNamespace(input_shape=(3, 32, 32), classes=4), self.signature()):
            with seeded(0):
                states.append(self.space.build(self.space.sample(0), task).state_dict())
        assert all(torch.equal(states[0][name], tensor) for name, tensor in states[1].items())


def test_every_registered_space_is_tested():
    assert {type(case.space) for case in CASES.values()} >= set(SPACES.values())
    assert all(SPACES[name].name == name for name in SPACES)


# --- from JSON -------------------------------------------------------------------------------------

registered = pytest.mark.parametrize(
    "space", [c.space for c in CASES.values() if c.space.name in SPACES], ids=[n for n in CASES if n != "grow"]
)


@registered
def test_bad_parameters_are_refused(space):
    for field in dataclasses.fields(space):
        for value in (None, -1, 0, True, 2.5, "three", [], {}, float("nan")):
            try:
                from_spec({**space.spec(), field.name: value})
            except SpecError:
                continue
            pytest.fail(f"{field.name}={value!r} is taken, expected a SpecError; see naslab.networks.sizes")


@pytest.mark.parametrize("spec", [None, [], {}, {"space": "dart_cell"}, {"space": ["darts_cell"]}, "darts_cell"])
def test_bad_specs_are_refused(spec):
    with pytest.raises(SpecError, match="darts_cell"):
        from_spec(spec)
