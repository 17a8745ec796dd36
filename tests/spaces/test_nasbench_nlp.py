"""Recipes are read whatever their nodes are called; the networks have the parameters that were published."""

import gzip
import json
import math
import random
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import naslab as nl
from naslab.errors import SpecError
from naslab.networks.recurrent_recipe import RecipeCell, RecurrentRecipeNetwork
from naslab.tasks import Field, Head, Signature

RNN = {
    "f": {"op": "linear", "input": ["x", "h_prev_0"]},
    "h_new_0": {"op": "activation_tanh", "input": ["f"]},
}
WORDS = 33278


@pytest.fixture(scope="module")
def records():
    return json.loads(gzip.decompress(nl.data.read("nasbench_nlp.json.gz")))


@pytest.fixture(scope="module")
def space():
    return nl.spaces.NASBenchNLP()


def test_parameters_to_the_last_digit(space, records):
    with torch.device("meta"):
        for record in records[::4]:
            recipe = space.to_recipe(space.from_recipe(record["recipe"]))
            network = RecurrentRecipeNetwork(
                recipe, (35,), WORDS, vocabulary=WORDS, embedding=400, hidden=600, layers=3
            )
            tied = WORDS * 400  # the embedding is the classifier's matrix
            assert sum(p.numel() for p in network.parameters()) - tied == record["num_params"], record["id"]


def test_names_and_order_do_not_matter(space, records):
    shuffle = random.Random(0)
    for record in records[::7]:
        recipe = record["recipe"]
        inner = [name for name in recipe if not name.startswith("h_new_") or not name[6:].isdigit()]
        others = shuffle.sample([f"n{number}" for number in range(len(inner))], len(inner))
        called = dict(zip(inner, others, strict=True))
        steps = [
            (called.get(name, name), {"op": step["op"], "input": [called.get(s, s) for s in step["input"]]})
            for name, step in recipe.items()
        ]
        shuffle.shuffle(steps)
        assert space.from_recipe(dict(steps)) == space.from_recipe(recipe)


def test_round_trip(space, records):
    for record in records:
        architecture = space.from_recipe(record["recipe"])
        assert space.from_recipe(space.to_recipe(architecture)) == architecture


def test_a_recipe_computes_what_it_says():
    """The recipe of a plain RNN against torch's."""
    torch.manual_seed(0)
    theirs = nn.RNN(5, 7, batch_first=True)
    ours = RecipeCell(RNN, 5, 7)
    with torch.no_grad():
        ours.linear["f"].weight.copy_(torch.cat([theirs.weight_ih_l0, theirs.weight_hh_l0], dim=1))
        ours.linear["f"].bias.copy_(theirs.bias_ih_l0 + theirs.bias_hh_l0)
        x, states = torch.randn(3, 4, 5), [torch.zeros(3, 7)]
        expected, _ = theirs(x)
        for step in range(4):
            states = ours(x[:, step], states)
            torch.testing.assert_close(states[0], expected[:, step])


def test_blend_is_a_gate():
    recipe = {
        "g": {"op": "linear", "input": ["x", "h_prev_0"]},
        "h": {"op": "activation_sigm", "input": ["g"]},
        "h_new_0": {"op": "blend", "input": ["h", "h_prev_0", "g"]},
    }
    cell = RecipeCell(recipe, 2, 3)
    x, state = torch.randn(4, 2), torch.randn(4, 3)
    linear = cell.linear["g"](torch.cat([x, state], dim=1))
    gate = torch.sigmoid(linear)
    torch.testing.assert_close(cell(x, [state])[0], gate * state + (1 - gate) * linear)


def test_a_language_model_and_a_row_reader(space):
    architecture = space.from_recipe(RNN)
    words = SimpleNamespace(input_shape=(6,), classes=11, vocabulary=13)
    network = space.build(architecture, words, embedding=4, hidden=5, layers=2)
    assert network(torch.randint(13, (2, 6))).shape == (2, 11)


def test_measured_values_are_read_one_after_the_other(space):
    """The first layer sees w x_t + b at step t, so that values and their embeddings give the same numbers."""
    row = Signature(Field((6,)), {"level": Head("vector", 2)})
    network = space.build(space.from_recipe(RNN), row, embedding=4, hidden=5, layers=2)
    x = torch.randn(3, 6)
    assert network(x).shape == (3, 2)
    linear = network.embedding.linear
    torch.testing.assert_close(network.embedding(x)[1, 4], linear.weight[:, 0] * x[1, 4] + linear.bias)
    turned = network(x.flip(1))
    assert not torch.allclose(turned, network(x)), "the order of the values counts"


def test_sizes_in_closed_form():
    """By hand: one node, one state: linear of x and the state, or one of three activations of the state."""
    assert nl.spaces.NASBenchNLP(nodes=1).size == 4
    two = 4 * (3 + 1 + 6 + 2) * 2 + (3 + 1 + 6 + 2) * (6 + 4 + 9 + 6 + 6) * 2
    assert nl.spaces.NASBenchNLP(nodes=2).size == 4 + two
    assert 83 < math.log10(nl.spaces.NASBenchNLP().size) < 84


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (None, "a recipe is an object"),
        ({}, "a recipe is an object"),
        ([RNN], "a recipe is an object"),
        ({"f": RNN["f"]}, "h_new_0"),
        ({**RNN, "h_new_2": RNN["h_new_0"]}, "h_new_0, h_new_1"),
        ({**RNN, "f": {"op": "linear"}}, "expected {'op'"),
        ({**RNN, "f": {"op": "conv", "input": ["x", "h_prev_0"]}}, "unknown operation"),
        ({**RNN, "f": {"op": ["linear"], "input": ["x", "h_prev_0"]}}, "unknown operation"),
        ({**RNN, "f": {"op": "linear", "input": ["x", "y"]}}, "unknown input"),
        ({**RNN, "f": {"op": "linear", "input": ["x", ["x"]]}}, "unknown input"),
        ({**RNN, "f": {"op": "linear", "input": ["x"]}}, "2 or 3 inputs, not 1"),
        ({**RNN, "f": {"op": "linear", "input": ["x", "x"]}}, "unknown option"),
        ({**RNN, "f": {"op": "linear", "input": ["x", "h_prev_1"]}}, "unknown option"),
        ({**RNN, "f": {"op": "linear", "input": ["x", "h_new_0"]}}, "in a circle"),
        ({**RNN, "f": {"op": "activation_tanh", "input": ["x"]}}, "unknown option"),
        ({f"n{n}": RNN["f"] for n in range(25)}, "at most 24"),
    ],
)
def test_what_is_no_recipe(space, recipe, message):
    with pytest.raises(SpecError, match=message):
        space.from_recipe(recipe)
