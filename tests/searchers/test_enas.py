"""What only ENAS must do: bounded decisions, the pull on skips, the baseline, the gradient, whose weights move."""

import math

import pytest
import torch

import naslab as nl
from naslab.errors import DataError, Diverged, SpecError
from naslab.events import ChildTrained, Evaluated
from naslab.networks.batch_norm import frozen_statistics
from naslab.randomness import numpy_generator
from naslab.searchers import Slider
from naslab.searchers.enas_controller import is_operation
from naslab.searchers.enas_hyperparameters import LAPTOP, MICRO, EnasHyperparameters, restarted_cosine
from naslab.spaces import EnasMacro, EnasMicro

SPACE = EnasMacro(layers=4, channels=4)
CELLS = EnasMicro(nodes=2, channels=2, cells=3)
SMALL = dict(epochs=4, batch_size=256, train_portion=0.5, controller_steps=2, children=3, derived=3, units=6)
EPOCH = 2 + 6


def searcher(digits, space=SPACE, **given):
    return nl.searchers.Enas(space, digits, **{**SMALL, **given})


def test_the_constants_are_those_of_the_authors_scripts():
    macro = EnasHyperparameters()
    assert (macro.epochs, macro.batch_size, macro.controller_lr, macro.tanh_constant) == (310, 128, 1e-3, 1.5)
    assert (macro.skip_weight, macro.skip_prior, macro.op_tanh_reduce, macro.w_l2) == (0.8, 0.4, 1.0, 2.5e-4)
    micro = EnasHyperparameters(**MICRO)
    assert (micro.epochs, micro.batch_size, micro.controller_lr, micro.tanh_constant) == (150, 160, 3.5e-3, 1.1)
    assert (micro.controller_steps, micro.children, micro.op_tanh_reduce, micro.w_l2) == (30, 10, 2.5, 1e-4)
    for each in (macro, micro):
        assert (each.w_lr, each.w_lr_min, each.restart, each.restart_growth) == (0.05, 5e-4, 10, 2)
        assert (each.entropy_weight, each.baseline_momentum, each.units, each.layers) == (1e-4, 0.99, 64, 1)
        assert (each.temperature, each.reach, each.gradient_clipping, each.w_momentum) == (1.0, 0.1, 5.0, 0.9)
    space = nl.spaces.EnasMicro.paper()
    assert (space.nodes, space.cells, space.channels) == (5, 6 + 2, 20)


def test_there_is_no_knob_for_skips_where_nothing_skips(digits):
    assert "skip_weight" in searcher(digits).settings
    search = searcher(digits, space=CELLS)
    assert set(search.advance().settings) == {"w_lr", "controller_lr", "entropy_weight"}
    sliders = {name for name, setting in search.settings.items() if isinstance(setting, Slider)}
    assert sliders == {"w_lr", "controller_lr", "entropy_weight", "w_weight_decay"}


# --- the two phases --------------------------------------------------------------------------------


def test_the_phases_take_turns(digits):
    search = searcher(digits)
    assert search.total == 4 * EPOCH
    events = [search.advance() for _ in range(2 * EPOCH)]
    assert [type(event) for event in events] == 2 * ([ChildTrained] * 2 + [Evaluated] * 6)
    updates = [event.details["updates"] for event in events if isinstance(event, Evaluated)]
    assert updates == [0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4]
    assert len({event.architecture for event in events}) > EPOCH


def test_only_the_child_moves_its_weights(digits):
    search = searcher(digits)
    search.advance()
    before = search.state_dict()
    child = search.advance().architecture
    after = search.state_dict()
    moved = {name for name, value in after.items() if name not in before or not _same(value, before[name])}
    for number, (operation, _) in enumerate(SPACE.layers_of(child)):
        here = {name for name in moved if f"/layers.{number}.operations." in name}
        assert {name.split(".")[3] for name in here} == {operation}
    assert not any(name.startswith("controller/") for name in moved)


def test_rewards_move_no_weights(digits):
    search = searcher(digits)
    search.advance(), search.advance()
    before = search.state_dict()
    for _ in range(6):
        assert isinstance(search.advance(), Evaluated)
    after = search.state_dict()
    for name, value in after.items():
        assert not name.startswith(("network/", "momentum/")) or _same(value, before[name])


def _same(one, other):
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def test_a_reward_is_the_accuracy_of_the_child_alone(digits):
    """On the whole validation part, by a network that has a copy of its weights."""
    whole = searcher(digits, batch_size=len(digits.train) // 2, controller_steps=1, children=1)
    whole.advance()
    event = whole.advance()
    _, valid = digits.split_train_valid(0, 0.5)
    images, labels = digits.batch(valid[: len(digits.train) // 2])
    alone = whole.weights.network.alone(SPACE.layers_of(event.architecture)).train()
    with torch.no_grad():
        assert event.fitness == pytest.approx(digits.accuracy(alone(images), labels), abs=0.003)


def test_the_best_is_the_best_of_those_derived(digits, monkeypatch):
    """Each judged by a network of its own with a copy of its weights."""
    seen = {}
    judged = nl.searchers.Enas.measure_child

    def watched(self, child, **asked):
        alone = self.weights.network.alone(SPACE.layers_of(child)).train()
        right = 0.0
        for part in self._valid.indices[:400].tensor_split(-(-400 // self.hyperparameters.batch_size)):
            images, labels = digits.batch(part)
            with torch.no_grad():
                right += digits.accuracy(alone(images), labels) * len(part)
        seen[child] = right / 400
        return judged(self, child, **asked)

    monkeypatch.setattr(nl.searchers.Enas, "measure_child", watched)
    search = searcher(digits, derived=5, derived_images=400)
    first = search.best
    *_, last = (search.advance() for _ in range(EPOCH))
    assert first in SPACE
    assert len(seen) > 1
    assert seen[last.best] == pytest.approx(max(seen.values()), abs=0.003)
    assert last.best_fitness == pytest.approx(max(seen.values()), abs=0.003)
    assert search.best == last.best


def test_the_learning_rate_restarts():
    at = [restarted_cosine(epoch, high=0.05, low=0.001, first=10, growth=2) for epoch in range(71)]
    assert [at[epoch] for epoch in (0, 10, 30, 70)] == [0.05] * 4
    assert at[5] == at[20] == at[50] == pytest.approx((0.05 + 0.001) / 2)
    assert [i for i in range(1, 71) if at[i] > at[i - 1]] == [10, 30, 70]


def test_a_turned_rate_scales_the_schedule(digits):
    search = searcher(digits, restart=2, restart_growth=1)
    search.set("w_lr", 0.1)
    rates = [search.advance().settings["w_lr"] for _ in range(3 * EPOCH)][::EPOCH]
    assert rates == pytest.approx([0.1, 0.1 * (0.05 + 0.0005) / 2 / 0.05, 0.1])


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_squared_norm_costs_what_is_said(digits, momentum):
    """grad of l |w|^2 is 2 l w; the first Nesterov step goes 1 + momentum times as far."""
    shared = searcher(digits, w_l2=0.25, w_momentum=momentum).weights
    weight = shared.network.classifier.weight
    weight.data.fill_(2.0)
    (0 * weight.sum()).backward()
    shared.step(0.1)
    assert weight.detach().unique().tolist() == pytest.approx([2.0 - 0.1 * (1 + momentum) * 2 * 0.25 * 2.0])


# --- bad input -------------------------------------------------------------------------------------


def test_what_is_no_longer_finite_is_said(digits):
    search = searcher(digits)
    with torch.no_grad():
        search.weights.network.classifier.weight.fill_(float("nan"))
    with pytest.raises(Diverged, match=r"step 1: the training loss .* lower w_lr"):
        search.advance()
    search = searcher(digits)
    search.advance(), search.advance()
    with torch.no_grad():
        search.weights.network.classifier.weight.fill_(float("inf"))
    with pytest.raises(Diverged, match="step 3: the validation loss"):
        search.advance()


def test_spaces_and_batches_that_cannot_be_are_refused(digits):
    with pytest.raises(SpecError, match=r"shared weights, such as nl\.spaces\.EnasMacro"):
        nl.searchers.Enas(nl.spaces.MetaQNN(), digits)
    with pytest.raises(SpecError, match="FashionMNIST"):
        nl.searchers.Enas(SPACE, "digits")
    with pytest.raises(DataError, match="larger than the"):
        searcher(digits, train_portion=0.95)


def test_the_batch_statistics_of_rewards_leave_those_kept_alone(digits):
    search = searcher(digits)
    network = search.weights.network.train()
    before = {name: value.clone() for name, value in network.named_buffers()}
    with frozen_statistics(network):
        network(torch.randn(2, *digits.input_shape), SPACE.layers_of(search.best))
    assert all(torch.equal(value, before[name]) for name, value in network.named_buffers())


@pytest.mark.slow
def test_the_laptops_settings_learn_from_rewards_that_differ_by_little(digits, monkeypatch):
    """Rewards as in notebook 05: an operation is worth up to three hundredths, a mini-batch as many more or less, and
    all of them rise as the weights are trained. `LAPTOP` as it was (4 steps an epoch, a pull of 0.8) kept 97 % of the
    entropy of chance.
    """

    def worth(child):
        return 0.006 * sum(SPACE.fixed_choices[place].options.index(child.choices[place]) for place in PLACES)

    def judged(self, child, batch):
        noise = float(numpy_generator("noise", self.step).normal(0, 0.03))
        return 0.3 + 0.3 * self.step / self.total + worth(child) + noise, 0.0

    PLACES = [place for place, choice in enumerate(SPACE.fixed_choices) if is_operation(choice)]
    monkeypatch.setattr(nl.searchers.Enas, "_judged", judged)
    sizes = {"batch_size": 256, "train_portion": 0.5, "derived": 2, "derived_images": 8}
    learner = nl.searchers.Enas(SPACE, digits, seed=0, **{**LAPTOP, **sizes})
    while learner.step < learner.total:
        learner.advance()
    rng = numpy_generator("children")
    drawn = learner.controller.draw(100, rng)
    chance = sum(math.log(len(choice.options)) for choice in SPACE.fixed_choices)
    assert float(drawn.entropy.mean()) < chance / 2
    own = [worth(SPACE.architecture(choices)) for choices in drawn.answers]
    random = [worth(SPACE.sample(rng)) for _ in own]
    assert sum(own) / len(own) > sum(random) / len(random) + 0.02
