import contextlib
import csv
import gzip
import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import naslab.data
from naslab.errors import SpecError
from naslab.networks.cost import Cost, cost
from naslab.networks.nasbench201 import NASBench201Network
from naslab.randomness import numpy_generator
from naslab.spaces import NASBench201
from naslab.spaces.nasbench201 import OPERATIONS, official_order

SPACE = NASBench201()
CIFAR10 = SimpleNamespace(input_shape=(3, 32, 32), classes=10)
BIAS_ADDITIONS = CIFAR10.classes
"""The benchmark's FLOPs are the multiply-adds of convolutions and of the linear layer (640), and 10 for its bias."""


@pytest.fixture(scope="module")
def table() -> list[dict[str, str]]:
    text = gzip.decompress(naslab.data.read("nasbench201.csv.gz")).decode()
    return list(csv.DictReader(io.StringIO(text)))


def measured(operations) -> Cost:
    """Cost of a network that is really built, on the meta device."""
    with torch.device("meta"):
        network = NASBench201Network(operations, CIFAR10.input_shape, CIFAR10.classes, channels=16, cells=5)
    return cost(network, CIFAR10.input_shape)


def test_the_table_is_the_space(table):
    assert [int(row["index"]) for row in table] == list(range(15_625))
    assert {SPACE.parse(row["arch_str"]) for row in table} == set(SPACE.enumerate())


def test_strings_and_numbers_round_trip():
    for index, text in enumerate(official_order()):
        architecture = SPACE.parse(text)
        assert SPACE.format(architecture) == text
        assert SPACE.index(architecture) == index
    for index in (0, 11, 284, 1835, 6111, 15_624):
        assert SPACE.index(SPACE.at(index)) == index


@pytest.mark.parametrize(
    ("index", "text"),
    [
        (0, "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"),
        (1835, "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|"),
    ],
)
def test_official_numbers(index, text):
    assert SPACE.index(SPACE.parse(text)) == index
    assert SPACE.format(SPACE.at(index)) == text


@pytest.mark.parametrize(
    ("index", "parameters", "flops"),
    [(0, 129_306, 15_647_370), (11, 802_426, 113_951_370), (284, 101_306, 11_715_210)],
)
def test_published_costs(index, parameters, flops):
    network = SPACE.build(SPACE.at(index), CIFAR10)
    assert cost(network, CIFAR10.input_shape) == Cost(parameters, flops - BIAS_ADDITIONS)


@pytest.mark.slow
def test_costs_of_all_cells_to_the_last_digit(table):
    """Every operation on every edge is measured in a built network; the cost of a cell is the sum of its edges'."""
    nothing = measured(["none"] * 6)
    parameters, multiply_adds = np.zeros((2, 6, len(OPERATIONS)), dtype=np.int64)
    for edge in range(6):
        for column, operation in enumerate(OPERATIONS):
            alone = measured(["none"] * edge + [operation] + ["none"] * (5 - edge))
            parameters[edge, column] = alone.parameters - nothing.parameters
            multiply_adds[edge, column] = alone.multiply_adds - nothing.multiply_adds
    choices = [[OPERATIONS.index(str(c)) for c in SPACE.parse(row["arch_str"]).choices] for row in table]
    edges = np.arange(6)
    assert (nothing.parameters + parameters[edges, choices].sum(axis=1)).tolist() == [int(r["params"]) for r in table]
    flops = nothing.multiply_adds + multiply_adds[edges, choices].sum(axis=1) + BIAS_ADDITIONS
    assert flops.tolist() == [int(row["flops"]) for row in table]


@pytest.mark.slow
def test_costs_of_complete_networks(table):
    for index in numpy_generator("complete networks").choice(15_625, size=30, replace=False):
        row = table[index]
        complete = measured(SPACE.at(int(index)).choices)
        assert complete == Cost(int(row["params"]), int(row["flops"]) - BIAS_ADDITIONS), row["arch_str"]


# --- isomorphism -----------------------------------------------------------------------------------


def test_classes_up_to_isomorphism():
    assert len({SPACE.canonical(architecture) for architecture in SPACE.enumerate()}) == 6_466


def same(first: str, second: str) -> bool:
    return SPACE.canonical(SPACE.parse(first)) == SPACE.canonical(SPACE.parse(second))


@pytest.mark.slow
def test_isomorphic_cells_are_the_same_function():
    """Two cells of a class give the same output when the operations that correspond share their weights; here all
    weights are 1 and all shifts 0, so that they do."""

    def output(architecture) -> torch.Tensor:
        network = SPACE.build(architecture, CIFAR10, channels=2, cells=1).double().eval()
        cell = network.layers[0]
        for name, parameter in cell.named_parameters():
            torch.nn.init.constant_(parameter, 0.0 if name.endswith("bias") else 1.0)
        x = torch.arange(2 * 25, dtype=torch.float64).reshape(1, 2, 5, 5).sin()
        return cell(x)

    classes: dict[str, list] = {}
    for architecture in SPACE.enumerate():
        classes.setdefault(SPACE.canonical(architecture), []).append(architecture)
    several = [members for members in classes.values() if len(members) > 1]
    for position in numpy_generator("classes").choice(len(several), size=60, replace=False):
        members = several[position]
        for member in members[1:5]:
            torch.testing.assert_close(output(member), output(members[0]))


def test_what_the_rule_identifies_and_what_not():
    # a skip connection hands on what came in: through node 1 or past it
    assert same(
        "|skip_connect~0|+|nor_conv_3x3~0|none~1|+|none~0|none~1|skip_connect~2|",
        "|skip_connect~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|skip_connect~2|",
    )
    # after a node 1 that is zero, any operation is none
    assert same(
        "|none~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|skip_connect~0|none~1|none~2|",
        "|none~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|skip_connect~1|none~2|",
    )
    # other operations are told apart
    assert not same(
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|",
        "|nor_conv_1x1~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|",
    )
    # the published rule does not see that a node 2 of nothing but zeros is zero
    assert not same(
        "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|",
        "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|",
    )


# --- derivation and what is refused ----------------------------------------------------------------


def test_derive_takes_the_strongest_operation_none_included():
    matrix = np.zeros((6, 5), dtype=np.float32)
    matrix[1, 3], matrix[2, 2], matrix[4, [1, 4]] = 1, 1, 0.5
    derived = SPACE.discretize({"cell": matrix})
    assert SPACE.format(derived) == "|none~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|none~0|skip_connect~1|none~2|"


def test_a_string_may_have_been_broken_into_lines():
    text = SPACE.format(SPACE.at(5))
    for form in (f" {text}\n", text.replace("+", " +\n  "), text.replace("|", " | ")):
        assert SPACE.parse(form) == SPACE.at(5)


def test_rows_are_edges_in_the_order_of_the_string():
    rows = {(u, v): row for u, v, row in SPACE.supergraph().edges(data="row")}
    assert [rows[f"cell/{source}", f"cell/{node}"] for node in (1, 2, 3) for source in range(node)] == list(range(6))


@given(st.text(alphabet="|~+0123 nor_conv_3x3", max_size=120))
def test_only_spec_error_comes_out_of_text(text):
    with contextlib.suppress(SpecError):
        SPACE.parse(text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "expected 3 nodes"),
        ("|none~0|+|none~0|none~1|", "expected 3 nodes"),
        ("|none~0|+|none~0|none~0|+|none~0|none~1|none~2|", "expected node 2"),
        ("|none~0|+|none~1|none~0|+|none~0|none~1|none~2|", "expected node 2"),
        ("|none|+|none~0|none~1|+|none~0|none~1|none~2|", "expected node 1"),
        ("none~0+none~0+none~0", "expected node 1"),
        ("|nor_conv3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|", "did you mean 'nor_conv_3x3'"),
        ("|" * 2000, "of the form"),
        (None, "of the form"),
    ],
)
def test_bad_strings(text, sentence):
    with pytest.raises(SpecError) as caught:
        SPACE.parse(text)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("index", [-1, 15_625, 1.0, "0", True, None])
def test_bad_numbers(index):
    with pytest.raises(SpecError, match="numbered from 0 to 15624"):
        SPACE.at(index)


def test_an_edge_without_operation_is_not_drawn():
    drawn = SPACE.graph(SPACE.parse("|none~0|+|nor_conv_3x3~0|none~1|+|none~0|none~1|skip_connect~2|"))
    assert set(drawn.edges) == {("cell/0", "cell/2"), ("cell/2", "cell/3")}
    assert len(drawn) == 4


def test_numbers_of_numpy_are_numbers():
    space = NASBench201()
    assert space.index(space.at(np.int64(6111))) == 6111
    with pytest.raises(SpecError, match="numbered from 0"):
        space.at(np.int64(15_625))


def test_what_is_no_architecture_is_refused():
    for something in ("|none~0|", None, ("none",) * 6):
        with pytest.raises(SpecError, match="expected an architecture of 'nasbench201'"):
            NASBench201().check(something)  # type: ignore[arg-type]
