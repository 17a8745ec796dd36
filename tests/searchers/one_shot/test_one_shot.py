"""What only one-shot searches must do: whose weights move and by what, what a child is judged by, both phases."""

import copy

import pytest
import torch

import naslab as nl
from naslab.errors import DataError, Diverged, SpecError
from naslab.events import ChildTrained, Evaluated
from naslab.networks.cost import cost
from naslab.searchers import en2as, fairnas, spos

CELL = nl.spaces.NASBench201(channels=3, cells=1)
CHAIN = nl.spaces.MobileChain(channels=4, stages=2, layers=2, stem_stride=1)
SMALL = dict(
    epochs=1,
    batch_size=256,
    train_portion=0.5,
    w_lr=0.1,
    population=4,
    generations=2,
    parents=2,
    crossovers=1,
    mutations=1,
    valid_images=200,
    recalibration_images=150,
)
SEARCHERS = {"spos": nl.searchers.SPOS, "fairnas": nl.searchers.FairNAS, "en2as": nl.searchers.EN2AS}


def searcher(digits, name="spos", space=CELL, **given):
    novel = dict(archive=2, nearest=1) if name == "en2as" else {}
    return SEARCHERS[name](space, digits, **{**SMALL, **novel, **given})


def weights(search):
    return {name: weight.detach().clone() for name, weight in search.weights.network.named_parameters()}


def test_the_constants_are_those_of_the_authors_code():
    """The scripts that the modules name; the numbers of images of SPOS are ours, as are the rates of FairNAS."""
    given = nl.searchers.SPOS.Hyperparameters()
    assert (given.batch_size, given.w_lr, given.w_lr_min, given.schedule) == (1024, 0.5, 0.0, "linear")
    assert (given.w_momentum, given.w_weight_decay, given.gradient_clipping, given.label_smoothing) == (
        0.9,
        4e-5,
        0.0,
        0.1,
    )
    assert (given.population, given.generations, given.parents) == (50, 20, 10)
    assert (given.crossovers, given.mutations, given.mutation_rate) == (25, 25, 0.1)
    assert given.epochs * 1_281_167 // given.batch_size == pytest.approx(150_000, rel=1e-3)
    given = nl.searchers.EN2AS.Hyperparameters()
    assert (given.epochs, given.batch_size, given.train_portion, given.label_smoothing) == (100, 64, 0.5, 0.0)
    assert (given.w_lr, given.w_lr_min, given.schedule) == (0.025, 0.001, "cosine")
    assert (given.w_momentum, given.w_weight_decay, given.gradient_clipping) == (0.9, 3e-4, 5.0)
    assert (given.archive, given.nearest, given.perturbations) == (1000, 10, 10)
    assert (given.population, given.generations, given.crossovers, given.mutations) == (100, 1 + 60, 60, 40)
    assert (given.mutation_rate, given.valid_images, given.batch_norm) == (0.2, 10 * 32, "kept")


# --- the first phase -------------------------------------------------------------------------------


def test_both_phases_are_one_run(digits):
    search = searcher(digits)
    events = [search.advance() for _ in range(search.total)]
    assert [type(event) for event in events] == [ChildTrained] * 2 + [Evaluated] * 8
    assert [event.epoch for event in events[:2]] == [0, 0]
    assert events[1].best == events[2].architecture
    found = [(event.fitness, -event.step) for event in events[2:]]
    assert events[-1].best_fitness == max(found)[0]
    assert search.best == events[-1].best == events[-max(found)[1] - 1].architecture
    assert [event.details["generation"] for event in events[2:]] == [1.0] * 4 + [2.0] * 4


@pytest.mark.parametrize("name", ["spos", "en2as"])
def test_a_step_is_sgd_on_the_path_alone(digits, name):
    """By hand: a network of the path's own, one step of plain SGD with the same mini-batch."""
    search = searcher(digits, name, w_momentum=0.0, w_weight_decay=0.01, label_smoothing=0.1, gradient_clipping=0.0)
    before = weights(search)
    images = []
    search._feed.task = Watched(digits, images)
    network = copy.deepcopy(search.weights.network)
    event = search.advance()
    (x, y) = images[0]
    loss = torch.nn.functional.cross_entropy(network(x, search._layers(event.architecture)), y, label_smoothing=0.1)
    loss.backward()
    assert event.train_loss == pytest.approx(loss.item(), rel=1e-5)
    moved = weights(search)
    for key, weight in network.named_parameters():
        step = torch.zeros_like(weight) if weight.grad is None else weight.grad + 0.01 * before[key]
        expected = before[key] - event.settings["w_lr"] * step
        assert torch.allclose(moved[key], expected.detach(), rtol=1e-4, atol=1e-6), key
        assert weight.grad is not None or torch.equal(moved[key], before[key])


class Watched:
    """A task that keeps the mini-batches that it gives."""

    def __init__(self, task, given):
        self._task, self._given = task, given

    def batch(self, *args, **kwargs):
        self._given.append(self._task.batch(*args, **kwargs))
        return self._given[-1]

    def __getattr__(self, name):
        return getattr(self._task, name)


def test_fair_paths_share_a_mini_batch_and_make_one_update(digits):
    """The sum of the five gradients, by hand; until the fifth no weight moves."""
    search = searcher(digits, "fairnas", w_momentum=0.0, w_weight_decay=0.0)
    assert search.paths.together == 5
    assert search.training_steps == 2 * 5
    before, images = weights(search), []
    search._feed.task = Watched(digits, images)
    network = copy.deepcopy(search.weights.network)
    events = []
    for _ in range(5):
        now = weights(search)
        assert all(torch.equal(now[key], before[key]) for key in before)
        events.append(search.advance())
    assert all(torch.equal(x, images[0][0]) for x, _ in images)
    x, y = images[0]
    for event in events:
        torch.nn.functional.cross_entropy(network(x, search._layers(event.architecture)), y).backward()
    moved = weights(search)
    for key, weight in network.named_parameters():
        step = torch.zeros_like(weight) if weight.grad is None else weight.grad
        assert torch.allclose(moved[key], before[key] - event.settings["w_lr"] * step, rtol=1e-4, atol=1e-5), key
    assert not any(key.startswith("gradient/") for key in search.state_dict())
    next_batch = search.advance() and images[-1][0]
    assert not torch.equal(next_batch, images[0][0])
    assert any(key.startswith("gradient/") for key in search.state_dict())


def test_every_candidate_gets_one_gradient_an_update(digits):
    """Counted by hooks on the candidates themselves, over a whole run: strict fairness."""
    search = searcher(digits, "fairnas", epochs=2)
    count = {}
    for place, edge in enumerate(search.weights.network.layers[0].operations):
        for option, candidate in edge.items():
            count[place, option] = 0

            def ran(module, inputs, output, key=(place, option)):
                count[key] += 1

            candidate.register_forward_hook(ran)
    for update in range(1, 5):
        for _ in range(5):
            assert isinstance(search.advance(), ChildTrained)
        assert all(ran == (0 if option == "none" else update) for (_, option), ran in count.items())


def test_a_turned_rate_scales_the_schedule(digits):
    search = searcher(digits, epochs=2)
    rates = [search.advance().settings["w_lr"] for _ in range(2)]
    assert rates == pytest.approx([0.1, 0.075])
    search.set("w_lr", 0.5)
    assert [search.advance().settings["w_lr"] for _ in range(2)] == pytest.approx([0.5, 0.25])


# --- the second phase ------------------------------------------------------------------------------


def judged(search):
    """The searcher once its weights are trained, and a child that it has judged."""
    for _ in range(search.training_steps):
        search.advance()
    return search.advance()


@pytest.mark.parametrize(("name", "space"), [("spos", CELL), ("fairnas", CHAIN)])
@pytest.mark.slow
def test_recalibration_is_that_of_the_network_alone(digits, name, space):
    """Its own network with a copy of the weights, statistics as the plain mean over mini-batches, evaluation mode."""
    search = searcher(digits, name, space, batch_size=100)
    event = judged(search)
    train, valid = digits.split_train_valid(0, 0.5)
    alone = search.weights.network.alone(space.layers_of(event.architecture)).train()
    norms = [module for module in alone.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the cumulative mean
    with torch.no_grad():
        for part in train[:150].tensor_split(2):
            alone(digits.batch(part)[0])
        x, y = digits.batch(valid[:200])
        expected = digits.accuracy(alone.eval()(x), y)
    assert event.fitness == pytest.approx(expected, abs=0.0051)
    ways = {way: search.accuracy(event.architecture, batch_norm=way, images=200) for way in ("recalibrated", "kept")}
    assert ways["recalibrated"] == event.fitness
    kept = search.weights.network.alone(space.layers_of(event.architecture)).eval()
    with torch.no_grad():
        assert ways["kept"] == pytest.approx(digits.accuracy(kept(x), y), abs=0.0051)


def test_judging_changes_nothing(digits):
    search = searcher(digits)
    judged(search)
    before = search.state_dict()
    for way in ("batch", "kept", "recalibrated"):
        assert 0 <= search.accuracy(CELL.at(7), batch_norm=way) <= 1
    search.advance()
    after = search.state_dict()
    for key, value in before.items():
        assert not isinstance(value, torch.Tensor) or torch.equal(value, after[key])
    with pytest.raises(SpecError, match="unknown batch_norm 'mine'"):
        search.accuracy(CELL.at(7), batch_norm="mine")


@pytest.mark.slow
def test_limits_are_those_of_the_network_built_alone(digits, monkeypatch):
    limit = 5178
    search = searcher(digits, max_parameters=limit, space=CHAIN)
    event = judged(search)
    events = [event, *(search.advance() for _ in range(7))]
    for event in events:
        alone = cost(CHAIN.build(event.architecture, digits), digits.input_shape)
        assert event.figures == {"parameters": alone.parameters, "flops": alone.multiply_adds}
        assert alone.parameters <= limit
    monkeypatch.setattr("naslab.searchers.one_shot.evolution.FIRST_TRIES", 3)
    with pytest.raises(SpecError, match=r"none of 3 .* has [\d,]+ multiply-adds, and may have 10\. .*larger max_flops"):
        searcher(digits, max_parameters=limit, max_flops=10)


def test_a_small_space_ends_the_search_and_says_so(digits):
    """Four chains: the fifth child is not to be found."""
    space = nl.spaces.MobileChain(channels=2, stages=1, layers=2, stem_stride=1, operations=("mb3_k3", "mb3_k5"))
    search = nl.Search(searcher(digits, space=space, generations=9))
    events = list(search)
    assert [event.details["exhausted"] for event in events[2:]] == [0.0] * 3 + [1.0]
    assert search.total == search.step == 6


# --- other spaces, other searchers -----------------------------------------------------------------


@pytest.mark.parametrize("name", SEARCHERS)
def test_they_run_on_the_macro_space(digits, name):
    search = searcher(digits, name, nl.spaces.EnasMacro(layers=3, channels=4), population=2, parents=1, crossovers=0)
    events = [search.advance() for _ in range(search.total)]
    assert isinstance(events[-1], Evaluated)
    assert search.best in search.space


@pytest.mark.parametrize("space", [CELL, CHAIN, nl.spaces.DartsCell(nodes=2, channels=4, cells=3)])
def test_enas_runs_on_single_paths(digits, space):
    given = dict(epochs=1, batch_size=256, train_portion=0.5, controller_steps=1, children=2, derived=2, units=5)
    search = nl.searchers.Enas(space, digits, **given)
    events = [search.advance() for _ in range(search.total)]
    assert [type(event) for event in events] == [ChildTrained] * 2 + [Evaluated] * 2
    assert search.best in space


# --- bad input -------------------------------------------------------------------------------------


def test_what_cannot_be_is_refused(digits):
    with pytest.raises(SpecError, match="spos needs a space with shared weights"):
        nl.searchers.SPOS(nl.spaces.MetaQNN(), digits)
    with pytest.raises(SpecError, match="spos needs a task"):
        nl.searchers.SPOS(CELL, "digits")
    with pytest.raises(DataError, match="a batch of 1024 is larger than the"):
        searcher(digits, batch_size=1024)
    with pytest.raises(SpecError, match="nearest must be at most the size of the archive, 5, not 6"):
        searcher(digits, "en2as", archive=5, nearest=6)


@pytest.mark.parametrize("name", ["spos", "fairnas"])
def test_what_is_no_longer_finite_is_said(digits, name):
    search = searcher(digits, name)
    with torch.no_grad():
        search.weights.network.classifier[-1].weight.fill_(float("nan"))
    with pytest.raises(Diverged, match=r"step 1: the training loss .* lower w_lr"):
        search.advance()


def test_weights_that_are_not_finite_make_a_child_of_no_worth(digits):
    search = searcher(digits)
    judged(search)
    with torch.no_grad():
        search.weights.network.classifier[-1].weight.fill_(float("nan"))
    assert search.advance().fitness == 0.0


@pytest.mark.parametrize("module", [spos, fairnas, en2as])
def test_laptop_sizes_are_accepted(module, digits):
    search = next(made for made in SEARCHERS.values() if made.__module__ == module.__name__)
    assert search(CELL, digits, **module.LAPTOP).total > 100
