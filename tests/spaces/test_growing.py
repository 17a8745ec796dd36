"""Spaces that grow: the mutations of Real et al. 2017, what is inherited, and the edit distance of Jin et al. 2019."""

from collections import Counter
from itertools import permutations
from types import SimpleNamespace

import networkx as nx
import pytest
import torch

from naslab.errors import SpecError
from naslab.networks.evolving import Evolved, like, relatives
from naslab.randomness import numpy_generator, seeded
from naslab.spaces import DartsCell, LargeScaleEvolutionSpace, NetworkMorphism, growing
from naslab.spaces.edit_distance import edit_distance, layers_distance, skips_distance
from naslab.spaces.large_scale_evolution import MOVES, inserted, removed

TASK = SimpleNamespace(input_shape=(1, 8, 8), classes=3)
SPACE = LargeScaleEvolutionSpace.laptop()


def layer(channels=4, skips=(), kernel=(3, 3), stride=1, nonlinear=True):
    return Evolved(kernel, channels, stride, nonlinear, skips)


def samples(count, name="samples"):
    rng = numpy_generator(name)
    return [SPACE.sample(rng) for _ in range(count)]


def test_it_begins_with_a_linear_model_and_a_learning_rate_of_a_tenth():
    start = SPACE.start()
    network = SPACE.build(start, TASK)
    with seeded("x"):
        x, y = torch.randn(2, 5, 1, 8, 8)
    torch.testing.assert_close(network(x + y) + network(0 * x), network(x) + network(y))
    assert SPACE.recipe(start) == {"learning_rate": 0.1}


def test_layers_there_and_back():
    for architecture in samples(50):
        assert SPACE.of_layers(architecture.choices[0], SPACE.layers_of(architecture)) == architecture


@pytest.mark.parametrize("name", MOVES)
def test_each_mutation_changes_what_it_says(name):
    """And nothing else; and is possible whenever it should be."""
    rng = numpy_generator("mutations", name)
    field = {"alter_stride": "stride", "alter_channels": "channels", "add_skip": "skips", "remove_skip": "skips"}
    changed = 0
    for architecture in samples(150):
        child = SPACE.move(architecture, name, rng)
        old, rate = SPACE.layers_of(architecture), architecture.choices[0]
        if child is None:
            assert name != "alter_learning_rate"
            continue
        new, changed = SPACE.layers_of(child), changed + 1
        assert child != architecture
        assert (child.choices[0] != rate) == (name == "alter_learning_rate")
        if name == "alter_learning_rate":
            assert 0.5 <= child.choices[0] / rate <= 2
            assert new == old
        elif name == "insert_convolution":
            assert any(removed(new, place) == old for place in range(len(new)))
        elif name == "remove_convolution":
            assert any(removed(old, place) == new for place in range(len(old)))
        else:
            ((before, after),) = [pair for pair in zip(old, new, strict=True) if pair[0] != pair[1]]
            differing = {key for key in Evolved._fields if getattr(before, key) != getattr(after, key)}
            kernel = {"alter_filter_height": 1, "alter_filter_width": 0}
            if name in kernel:
                assert differing == {"kernel"}
                assert before.kernel[kernel[name]] == after.kernel[kernel[name]]
            elif name.endswith("nonlinearity"):
                assert differing == {"nonlinear"}
                assert after.nonlinear == (name == "insert_nonlinearity")
            else:
                assert differing == {field[name]}
            if name == "alter_channels":
                assert 0.5 <= after.channels / before.channels <= 2
            if name.endswith("skip"):
                assert len(after.skips) - len(before.skips) == (1 if name == "add_skip" else -1)
    assert changed > 15
    if name != "insert_convolution":
        assert (SPACE.move(SPACE.start(), name, rng) is None) == (name != "alter_learning_rate")


def test_an_inserted_convolution_is_three_by_three_and_as_wide_as_what_comes_in():
    rng = numpy_generator("insert")
    old = [layer(8, kernel=(5, 5)), layer(23, kernel=(5, 5)), layer(6, kernel=(5, 5))]
    seen = Counter()
    for _ in range(300):
        new = SPACE.layers_of(SPACE.move(SPACE.of_layers(0.1, old), "insert_convolution", rng))
        (place,) = (place for place in range(4) if removed(new, place) == old)
        assert new[place].kernel == (3, 3)
        assert new[place].channels == (4, 8, 23, 6)[place]
        seen[place, new[place].stride, new[place].nonlinear] += 1
    assert {stride for _, stride, _ in seen} == {1, 2}
    assert {nonlinear for *_, nonlinear in seen} == {True, False}
    assert {place for place, *_ in seen} == {0, 1, 2, 3}


def test_skips_stay_where_they_were_when_layers_come_and_go():
    old = [layer(4), layer(6), layer(8, (0, 1)), layer(11, (0, 2))]
    assert inserted(old, 1, layer(16)) == [layer(4), layer(16), layer(6), layer(8, (0, 1)), layer(11, (0, 3))]
    assert inserted(old, 0, layer(16))[3:] == [layer(8, (0, 2)), layer(11, (0, 3))]
    assert removed(inserted(old, 2, layer(16)), 2) == old
    assert removed(old, 0) == [layer(6), layer(8, (0,)), layer(11, (0, 1))]
    assert removed(old, 1) == [layer(4), layer(8, (0,)), layer(11, (0,))], "a skip over nothing is gone"


def test_skips_take_the_shape_of_where_they_lead():
    state = torch.arange(2 * 16.0).view(1, 2, 4, 4)
    smaller = like(state, torch.zeros(1, 3, 2, 2))
    assert smaller.shape == (1, 3, 2, 2)
    assert torch.equal(smaller[:, :2], state[:, :, ::2, ::2])
    assert not smaller[:, 2].any()
    assert torch.equal(like(state, torch.zeros(1, 1, 4, 4)), state[:, :1])


def test_a_skip_is_added_to_what_comes_in():
    plain, skipping = (SPACE.of_layers(0.1, [layer(4), layer(4), layer(4, skips)]) for skips in ((), (1,)))
    one, other = (SPACE.build(architecture, TASK).eval() for architecture in (plain, skipping))
    other.load_state_dict(one.state_dict())
    x = torch.ones(2, 1, 8, 8)
    first = one.layers[0](x)
    expected = one.classifier(one.layers[2](one.layers[1](first) + first).flatten(1))
    torch.testing.assert_close(other(x), expected)
    assert not torch.allclose(one(x), expected)


def test_layers_inherit_from_those_that_they_come_from():
    a, b, c, new = layer(4), layer(6), layer(8), layer(6, stride=2)
    assert relatives([a, b, c], [a, layer(11), c]) == {0: 0, 1: 1, 2: 2}
    assert relatives([a, new, b, c], [a, b, c]) == {0: 0, 2: 1, 3: 2}
    assert relatives([new, a], [a]) == {1: 0}
    assert relatives([a, new], [a]) == {0: 0}
    assert relatives([a, c], [a, b, c]) == {0: 0, 1: 2}
    assert relatives([], [a]) == relatives([a], []) == {}


def test_an_insertion_shifts_the_weights_and_an_unchanged_child_computes_the_same():
    old, added = [layer(4), layer(6), layer(8, (0,))], layer(4, stride=1)
    parent, child = SPACE.of_layers(0.1, old), SPACE.of_layers(0.1, inserted(old, 1, added))
    with seeded("networks"):
        one, other = SPACE.build(parent, TASK), SPACE.build(child, TASK)
    drawn = {name: value.clone() for name, value in other.layers[1].state_dict().items()}
    SPACE.inherit(other, child, parent, one.state_dict())
    for mine, his in ((0, 0), (2, 1), (3, 2)):
        for name, value in one.layers[his].state_dict().items():
            assert value.equal(other.layers[mine].state_dict()[name]), (mine, name)
    assert all(value.equal(other.layers[1].state_dict()[name]) for name, value in drawn.items())
    assert other.classifier.weight.equal(one.classifier.weight)
    faster = SPACE.of_layers(0.2, old)
    with seeded("another"):
        twin = SPACE.build(faster, TASK)
    SPACE.inherit(twin, faster, parent, one.state_dict())
    x = torch.ones(2, 1, 8, 8)
    assert torch.equal(one.eval()(x), twin.eval()(x))


def test_the_learning_rate_of_an_architecture_is_the_one_it_is_trained_with(monkeypatch):
    import naslab as nl

    used = []
    monkeypatch.setattr(
        nl.estimators.training,
        "fit",
        lambda *args, recipe, **rest: used.append(recipe) or (_ for _ in ()).throw(SpecError("seen")),
    )
    estimator = nl.estimators.Training(SPACE, nl.tasks.Digits(), learning_rate=0.5, epochs=3)
    for rate in SPACE.learning_rates:
        with pytest.raises(SpecError, match="seen"):
            estimator(SPACE.of_layers(rate, []))
    assert [recipe.learning_rate for recipe in used] == list(SPACE.learning_rates)
    assert {recipe.epochs for recipe in used} == {3}


@pytest.mark.parametrize("rates", [0.1, "fast", [], [0.1, 0.1], [0.2, 0.1], [0, 0.1], [0.1, float("inf")], [True]])
def test_learning_rates_that_are_none(rates):
    with pytest.raises(SpecError, match="learning_rates"):
        LargeScaleEvolutionSpace(learning_rates=rates)


def test_unknown_moves_are_named():
    for space in (SPACE, NetworkMorphism.laptop()):
        with pytest.raises(SpecError, match="unknown move"):
            space.move(space.start(), "fly", numpy_generator())


def test_a_space_without_moves_begins_at_random_and_mutates():
    space, rng = DartsCell.laptop(), numpy_generator("any")
    first = growing.start(space, rng)
    assert growing.moves(space) == ("mutation",)
    assert growing.move(space, first, "mutation", rng) in set(space.neighbours(first))
    assert isinstance(SPACE, growing.Growing)


# --- edit distance ------------------------------------------------------------------------------------


def test_the_layers_distance_of_equal_or_endless_widths_is_that_of_words():
    """With widths that are as good as different, a change costs as much as it does in a word."""
    assert layers_distance([8, 8, 8], [8, 8]) == 1
    assert layers_distance([8, 16], [8, 16]) == 0
    assert layers_distance([8], [16]) == 0.5
    assert layers_distance([8, 16, 32], [16, 32]) == 1
    assert layers_distance([4, 8], [8, 4]) == pytest.approx(1.0)
    far = {letter: 10.0 ** (9 * place) for place, letter in enumerate("kitensg")}
    kitten, sitting = ([far[letter] for letter in word] for word in ("kitten", "sitting"))
    assert layers_distance(kitten, sitting) == pytest.approx(3, abs=1e-6)


def test_the_skips_distance_is_the_cheapest_matching():
    rng = numpy_generator("skips")
    for _ in range(20):
        one, other = (
            [(begin := int(rng.integers(1, 6)), begin + int(rng.integers(2, 5))) for _ in range(count)]
            for count in rng.integers(1, 5, size=2)
        )
        fewer, more = sorted((one, other), key=len)

        def cost(a, b):
            apart = abs(a[0] - b[0]) + abs((a[1] - a[0]) - (b[1] - b[0]))
            return apart / (max(a[0], b[0]) + max(a[1] - a[0], b[1] - b[0]))

        every = (sum(map(cost, fewer, chosen)) for chosen in permutations(more, len(fewer)))
        assert skips_distance(one, other) == pytest.approx(min(every) + len(more) - len(fewer))
    assert skips_distance([], [(1, 3)]) == skips_distance([(1, 3)], []) == 1
    assert edit_distance([8], [8, 8], [], [(1, 3)], skips=0.25) == 1.25


def test_the_edit_distance_of_architectures():
    space, rng = NetworkMorphism.laptop(), numpy_generator("edit")
    drawn = [space.sample(rng) for _ in range(8)]
    for one in drawn:
        assert space.edit_distance(one, one) == 0
        for other in drawn:
            assert space.edit_distance(one, other) == pytest.approx(space.edit_distance(other, one))
    start = space.start()
    assert space.edit_distance(start, space.move(start, "deepen", rng)) == 1
    assert space.edit_distance(start, space.move(start, "add", rng), skips=0.3) == 0.3
    assert nx.is_directed_acyclic_graph(space.graph(space.move(start, "concat", rng)))
