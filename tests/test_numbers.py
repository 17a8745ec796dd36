"""Numbers and options of NumPy, torch and pandas are taken wherever a number is; True and NaN are none."""

import dataclasses
import json
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

import networkx as nx
import numpy as np
import pytest
import torch

import naslab as nl
from naslab.architecture import Choice
from naslab.errors import NaslabError, RunError, SpecError, listed, plain, real, whole
from naslab.searchers import Slider
from naslab.searchers.gradient import objective, parts, regularizers, sampling
from naslab.spaces import FixedSpace, Space
from naslab.tasks.augmentation import Augmentation


class NAType:
    """As pandas' NA: whoever compares with it, or asks whether it is true, gets an error."""

    def __eq__(self, other):
        return self

    def __bool__(self):
        raise TypeError("boolean value of NA is ambiguous")

    __hash__ = None


NO_NUMBERS = (True, np.True_, torch.tensor(True), float("nan"), np.float32("nan"), "x", b"1", np.arange(2), NAType())


def same(number):
    """The number as other libraries have it."""
    if isinstance(number, int):
        return np.int64(number), np.int32(number), torch.tensor(number), np.array(number)
    return np.float64(number), torch.tensor(number, dtype=torch.float64), np.array(number)


SEARCHERS = [searcher.Hyperparameters for searcher in nl.searchers.SEARCHERS.values()]
SPACES = list(nl.spaces.SPACES.values())
PARTS = [
    *sampling.SAMPLINGS.values(),
    *objective.LEVELS.values(),
    *(regularizer for regularizer in regularizers.REGULARIZERS.values() if regularizer is not regularizers.Resource),
    regularizers.Resource,
    parts.PartialChannels,
]


@pytest.mark.parametrize(
    "kind", [*SEARCHERS, *SPACES, *PARTS, nl.trainers.Recipe, Augmentation], ids=lambda k: k.__name__
)
def test_each_number_of_a_dataclass_may_come_from_any_library(kind):
    for field in dataclasses.fields(kind):
        default = field.default
        if type(default) not in (int, float):
            continue
        for number in same(default):
            kept = getattr(kind(**{field.name: number}), field.name)
            assert kept == default, (field.name, number)
            assert type(kept) in (int, float), (field.name, number)
            json.dumps(kept)
        for other in NO_NUMBERS:
            with pytest.raises(NaslabError):
                kind(**{field.name: other})


def test_a_bool_may_come_from_numpy_and_a_number_is_none():
    kept = nl.trainers.Recipe(augment=np.False_).augment
    assert kept is False
    assert nl.trainers.Recipe(augment=torch.tensor(True)).augment is True
    with pytest.raises(SpecError, match="augment is True or False, not 1"):
        nl.trainers.Recipe(augment=1)


def test_lists_of_numbers_may_be_arrays():
    assert nl.spaces.MetaQNN(kernels=np.array([1, 3])) == nl.spaces.MetaQNN(kernels=(1, 3))
    assert nl.spaces.MetaQNN(kernels=(np.int64(1), torch.tensor(3))).spec() == nl.spaces.MetaQNN(kernels=(1, 3)).spec()
    with pytest.raises(SpecError, match="different"):
        nl.spaces.MetaQNN(kernels=(3, np.int64(3)))
    with pytest.raises(SpecError):
        nl.spaces.DartsCell(operations=("none", "none"))


def test_whole_and_real_say_what_they_take():
    assert [whole("n", n) for n in (3, np.uint8(3), torch.tensor(3), np.array(3))] == [3] * 4
    assert [real("x", x) for x in (0.5, np.float16(0.5), torch.tensor(0.5), Decimal("0.5"))] == [0.5] * 4
    assert type(whole("n", torch.tensor(3))) is int
    assert type(real("x", np.float64(3))) is float
    for value in (3.0, "3", None, np.arange(1), -1):
        with pytest.raises(SpecError, match="n must be a whole number from 0 up"):
            whole("n", value)
    assert real("x", float("inf")) == float("inf")
    for value in (*NO_NUMBERS, None, 1j, 10**400):
        with pytest.raises(SpecError, match="x must be a number"):
            real("x", value)
    assert plain(np.str_("a")) == "a"
    assert type(plain(np.str_("a"))) is str


@pytest.mark.parametrize("number", [np.array(2), torch.tensor(2)], ids=["NumPy", "torch"])
def test_an_array_without_axes_is_a_number_and_no_list(number):
    table = nl.benchmarks.NASBench201("cifar10")
    assert not any(map(listed, (number, "ab", b"ab", 2, None)))
    assert all(map(listed, ([2], np.array([2]), torch.tensor([2]), range(2), iter(()))))
    assert (
        nl.LiveRanking(table, number, every=number).known.architectures == nl.LiveRanking(table, 2).known.architectures
    )
    for refused in (
        lambda: nl.Race({"random": nl.searchers.RandomSearch}, table, seeds=number),
        lambda: nl.trainers.compare({"a": number}, table.space, None),
        lambda: nl.analysis.motifs(number, table.space),
        lambda: Choice("a", number),
        lambda: nl.Architecture("a", number),
        lambda: table.space.architecture(number),
    ):
        with pytest.raises(SpecError):
            refused()


# --- options --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", nl.spaces.SPACES)
def test_an_option_that_equals_one_of_the_space_becomes_it(name):
    space = nl.spaces.SPACES[name]()
    one = space.sample(np.random.default_rng(3))
    as_floats = [float(choice) if isinstance(choice, int) else choice for choice in one.choices]
    ways = {
        "floats": as_floats,
        "NumPy": [np.float64(c) if isinstance(c, float) else np.array(c)[()] for c in one.choices],
        "torch": [c if isinstance(c, str) else torch.tensor(c, dtype=torch.float64) for c in one.choices],
        "by name": space.answers(one),
        "in another order": dict(reversed(space.answers(one).items())),
        "an architecture": one,
    }
    for way, choices in ways.items():
        found = space.architecture(choices)
        assert found.to_json() == one.to_json(), way
        assert list(map(type, found.choices)) == list(map(type, one.choices)), way
    given = nl.Architecture(space.name, tuple(as_floats))  # made without the space
    assert space.check(given).to_json() == one.to_json()
    assert space.answers(given) == space.answers(one)
    for made, as_before in (
        (space.mutate(given, 1), space.mutate(one, 1)),
        (space.crossover(given, given, 1), one),
        (next(iter(space.neighbours(given))), next(iter(space.neighbours(one)))),
    ):
        assert made.to_json() == as_before.to_json()


def test_what_a_row_of_a_table_has_for_a_choice_that_is_not_asked_is_left_alone():
    space = nl.spaces.MetaQNN()
    one = next(a for a in map(space.sample, range(50)) if len(a.choices) < 20)
    row = {**{f"layer_{n}/kernel": float("nan") for n in range(90, 99)}, **space.answers(one), "x": None, "y": NAType()}
    assert space.architecture(row) == one
    with pytest.raises(SpecError, match="unknown choice 'x'"):
        space.architecture({**row, "x": 3})


@pytest.mark.parametrize(
    "given", [None, 5, 5.0, True, "none", b"none", {}, {"a": 1}, {1: "none"}, {"none"}, object(), torch.tensor(1)]
)
def test_what_are_no_choices_is_said_in_a_sentence(given):
    with pytest.raises(SpecError):
        nl.spaces.NASBench201().architecture(given)


@pytest.mark.parametrize("value", [True, np.True_, NAType(), None, float("nan"), [3], np.arange(2)])
def test_what_is_no_option_is_said_in_a_sentence(value):
    space = nl.spaces.FlexiBERT()
    for choices in ([value, *space.sample(0).choices[1:]], {**space.answers(space.sample(0)), "hidden_size": value}):
        with pytest.raises(SpecError):
            space.architecture(choices)


def own_space(*choices):
    @dataclass(frozen=True)
    class Own(FixedSpace):
        name: ClassVar[str] = "own"
        width: int = 1

        def each_choice(self):
            return [Choice(*choice) for choice in choices]

        def build(self, architecture, task, **sizes):
            raise NotImplementedError

        def graph(self, architecture):
            return nx.DiGraph()

    return Own


@pytest.mark.parametrize(
    "options",
    [("a", "a"), (1, 1.0), (0.0, -0.0), (np.int64(1), 1), (True, "b"), (float("nan"),), "ab", (), (None,), ([1],)],
)
def test_options_must_be_different(options):
    with pytest.raises(SpecError):
        _ = own_space(("c", options))().size


def test_names_of_choices_must_be_different():
    space = own_space(("c", ("a", "b")), ("c", ("x", "y")))()
    for use in (lambda: space.size, lambda: space.sample(0), lambda: space.architecture(["a", "x"])):
        with pytest.raises(SpecError, match="two choices named 'c'"):
            use()

    class Growing(own_space()):  # asks one after the other
        next_choice = lambda self, prefix: Choice("c", ("a", "b")) if len(prefix) < 2 else None  # noqa: E731
        sample, mutate, fixed_choices = Space.sample, Space.mutate, None

    for use in (lambda: Growing().sample(0), lambda: Growing().architecture(["a", "a"])):
        with pytest.raises(SpecError, match="two choices named 'c'"):
            use()


def test_a_space_of_ones_own_takes_numbers_and_options_of_numpy():
    space = own_space(("c", (np.int64(1), np.int64(2))), ("d", np.array(["x", "y"])))(width=np.int64(3))
    assert space.spec() == {"space": "own", "width": 3}
    assert type(space.width) is int
    assert json.loads(space.sample(0).to_json())["choices"][0] in (1, 2)
    assert nl.Architecture("own", [np.int64(1), np.str_("x")]).to_json() == '{"space": "own", "choices": [1, "x"]}'


# --- seeds, steps, devices ------------------------------------------------------------------------


@pytest.mark.parametrize("space", [nl.spaces.NASBench201(), nl.spaces.NASBench101(), nl.spaces.Hierarchical()])
def test_a_seed_stands_for_the_generator_of_numpy(space):
    a, b = (space.sample(np.random.default_rng(seed)) for seed in (0, 1))
    for seed in (5, np.int64(5), torch.tensor(5)):
        for draw in (
            lambda rng: space.sample(rng),
            lambda rng: space.mutate(a, rng),
            lambda rng: space.mutate_each(a, 0.5, rng),
            lambda rng: space.crossover(a, b, rng),
        ):
            assert draw(seed) == draw(np.random.default_rng(5))
            for other in (None, True, 0.5, -1, "0", np.random, np.random.RandomState(0), torch.Generator()):
                with pytest.raises(SpecError, match=r"default_rng\(0\)"):
                    draw(other)


def test_moves_and_listed_spaces_take_seeds_too():
    for space in (nl.spaces.LargeScaleEvolutionSpace(), nl.spaces.NetworkMorphism()):
        for name in space.moves:
            assert space.move(space.start(), name, 3) == space.move(space.start(), name, np.random.default_rng(3))
    whole_space = nl.spaces.NASBench201()
    rows = [whole_space.at(number).choices for number in range(0, 200, 10)]
    space = nl.spaces.Subset(whole_space, rows, nearest=np.int64(3))
    assert type(space.spec()["nearest"]) is int
    first, second = space.sample(0), space.sample(1)
    assert space.mutate(first, 2) == space.mutate(first, np.random.default_rng(2))
    assert space.crossover(first, second, 2) == space.crossover(first, second, np.random.default_rng(2))


@pytest.mark.parametrize("three", [np.int64(3), np.uint8(3), torch.tensor(3)])
def test_steps_may_be_numbers_of_any_library(three, tmp_path):
    search = nl.Search(
        nl.searchers.RandomSearch(nl.spaces.NASBench201(), seed=three), estimator=lambda a: 1.0, budget=2 * three
    )
    events = list(search)
    assert search.fork(step=three).step == 3
    assert type(search.fork(step=three).step) is int
    search.rewind(three)
    assert search.step == 3
    assert len(events) == 6
    for step in (True, 3.0, -1, 7, "3", None, float("nan")):
        with pytest.raises(RunError, match="step must be one that is done"):
            search.rewind(step)


def test_numbers_of_a_table_may_be_of_any_library():
    table = nl.benchmarks.NASBench201("cifar10")
    record = table.query(1459)
    for number in (np.int64(1459), np.uint16(1459), torch.tensor(1459)):
        assert table.query(number) == record
        assert table.space.at(number) == record.architecture
    expected = table.column("test_accuracy")[[1, 5]].tolist()
    for numbers in ([1, 5], np.array([1, 5]), torch.tensor([1, 5]), [np.int64(1), torch.tensor(5)], (1, table.at(5))):
        assert table.query_many(numbers, metric="test_accuracy").tolist() == expected
    assert table.query_many([1], epochs=np.int64(200)) == table.query_many([1], epochs=200)
    for number in (True, 1.0, -1, 15_625, "1", None):
        with pytest.raises(SpecError):
            table.query(number)
        with pytest.raises(SpecError):
            table.space.at(number)
        with pytest.raises(SpecError):
            table.query_many(number)


def test_a_knob_takes_numbers_of_any_library():
    knob = Slider(value=0.1, low=1e-3, high=1.0)
    for value in (np.float32(0.5), torch.tensor(0.5), np.array(0.5)):
        kept = knob.check("w_lr", value)
        assert kept == 0.5
        assert type(kept) is float
    for value in NO_NUMBERS:
        with pytest.raises(SpecError, match="w_lr must be a number"):
            knob.check("w_lr", value)


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu")])
def test_a_device_may_be_torchs_and_a_spec_keeps_its_name(device, tmp_path):
    task, space = nl.tasks.Digits().subset(64, 20), nl.spaces.NASBench201(channels=4, cells=1)
    proxies = nl.estimators.ZeroCost(space, task, "synflow", batch_size=16, device=device)
    training = nl.estimators.Training(space, task, device=device, batch_size=16)
    darts = nl.searchers.Darts(space, task, batch_size=16, device=device)
    spos = nl.searchers.SPOS(space, task, batch_size=3, device=device)
    for one in (proxies, training, darts, spos):
        assert json.loads(json.dumps(one.spec()))["device"] == "cpu"
    next(nl.Search(nl.searchers.RandomSearch(space), estimator=proxies, budget=1, run=tmp_path / "run"))
    for wrong in (0, True, None, b"cpu", "cpuu"):
        if wrong is not None:
            with pytest.raises(SpecError, match="there is no device"):
                nl.estimators.ZeroCost(space, task, "synflow", batch_size=16, device=wrong)


@pytest.mark.parametrize("given", [np.zeros(3), torch.zeros(2), ["accuracy"], {}, 5])
def test_what_is_no_name_of_an_option_is_said_in_a_sentence(given):
    table = nl.benchmarks.NASBench201()
    for ask in (
        lambda: nl.estimators.Table(table, given),
        lambda: table.column(given),
        lambda: table.direction(given),
        lambda: table.column(epochs=given),
        lambda: nl.estimators.ZeroCost(table.space, nl.tasks.Digits(), given),
        lambda: nl.searchers.RegularizedEvolution(table.space, mutation=given),
    ):
        with pytest.raises(NaslabError):
            ask()


def test_numbers_that_no_memory_holds_are_said_in_a_sentence():
    space = nl.spaces.NASBench201()
    for begin in (
        lambda: nl.searchers.RegularizedEvolution(space, population=10**30),
        lambda: nl.searchers.QLearning(space, kept=10**30),
    ):
        with pytest.raises(SpecError, match="whole number"):
            begin()
