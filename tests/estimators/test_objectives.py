"""What networks cost, and several objectives made into one fitness."""

import time

import numpy as np
import pytest
import torch
from torch import nn

import naslab as nl
from naslab.errors import RunError, SpecError
from naslab.estimators import (
    Constrained,
    Function,
    LatencyReward,
    Penalised,
    Resources,
    Score,
    Table,
    Training,
    UnknownFidelity,
    Weighted,
    WithMetrics,
    Wrapped,
    WrongSetup,
)
from naslab.estimators.resources import latency, memory, traffic


@pytest.fixture(scope="module")
def benchmark():
    return nl.benchmarks.NASBench201()


@pytest.fixture
def architecture(space):
    return space.architecture(("nor_conv_3x3",) * 6)


def scored(fitness, **figures):
    return Function(lambda architecture: Score(fitness, figures))


# --- resources ----------------------------------------------------------------------------------------


class MetaQNN(nn.Module):
    def forward(self, x):
        return x.tanh().tanh().tanh()


class Fan(nn.Module):
    def forward(self, x):
        return sum([x.tanh() for _ in range(5)])


class Views(nn.Module):
    def forward(self, x):
        return x.tanh().view(10, -1)[:5].flatten()


@pytest.mark.parametrize(
    ("network", "bytes_"),
    [
        (MetaQNN(), 2 * 4000),  # what goes in and what comes out of a function, twice over
        (Fan(), (5 + 2) * 4000),  # five, the sum so far and the next
        (Views(), 4000),  # no view takes any room
        (nn.Linear(1000, 10), 4 * (1000 * 10 + 10) + 4 * 10),
    ],
)
def test_memory_of_what_can_be_counted_by_hand(network, bytes_):
    assert memory(network, torch.zeros(1, 1000)) == bytes_


def test_latency_is_a_median_after_warming_up():
    class Sleeps(nn.Module):
        runs = 0

        def forward(self, x):
            self.runs += 1
            time.sleep(0.2 if self.runs <= 3 or self.runs == 6 else 0.01)
            assert not self.training
            return x

    network = Sleeps().train()
    assert 0.01 <= latency(network, torch.zeros(1), repeats=5) < 0.1
    assert network.runs == 8
    assert network.training


def test_figures_of_an_architecture(space, digits, architecture):
    network = space.build(architecture, digits)
    cost = nl.networks.cost(network, digits.input_shape)
    fitness, figures = Resources(space, digits, repeats=3)(architecture)
    assert list(figures) == ["parameters", "flops", "latency", "memory", "intensity"]
    assert (figures["parameters"], figures["flops"]) == (cost.parameters, cost.multiply_adds)
    assert fitness == -cost.parameters
    assert 0 < figures["latency"] < 5
    assert figures["memory"] > 4 * cost.parameters
    more = Resources(space, digits, ["memory"], batch=8)(architecture)
    assert more.fitness < -figures["memory"]


def test_intensity_by_hand(digits):
    """Multiply-adds over bytes: what is read and written by each convolution and linear layer, in float32."""
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, 10))
    conv, linear = 3 * 16 + 8 * 3 * 9 + 8 * 16, 128 + 128 * 10 + 10 + 10
    assert traffic(network, torch.zeros(1, 3, 4, 4)) == 4 * (conv + linear)
    assert network.training
    assert not any(layer._forward_hooks for layer in network)

    class Fixed(nl.spaces.NASBench201):
        def build(self, architecture, task, **sizes):
            return network

    task = nl.tasks.Images.from_arrays(np.zeros((4, 3, 4, 4), np.float32), np.arange(4), classes=10)
    figures = Resources(Fixed(), task, ["intensity"]).measure(Fixed().sample(np.random.default_rng(0)))
    assert figures == {"intensity": (8 * 27 * 16 + 1280) / (4 * (conv + linear))}


def test_the_intensity_does_not_depend_on_the_batch(space, digits, architecture):
    one, eight = (Resources(space, digits, ["intensity"], batch=batch)(architecture).fitness for batch in (1, 8))
    assert one == eight > 0


def test_a_smaller_network_is_fitter(space, digits, architecture):
    resources = Resources(space, digits, ["flops"])
    assert resources(space.architecture(("none",) * 6)).fitness > resources(architecture).fitness


def test_resources_refuse_nonsense(space, digits):
    for figures in ("latency", [], ["speed"]):
        with pytest.raises(SpecError, match="metric"):
            Resources(space, digits, figures)


# --- objectives ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fitness", "parameters", "intensity", "penalty"),
    [
        (0.8, 100, 5, 1),  # at the limits
        (0.8, 150, 9, 0.5**1.5),
        (0.8, 60, 2.5, 0.5**2),
        (0.8, 200, 4, 0.5**2 * 0.5**1.25),
        (-3.0, 150, 9, 0.5**1.5),
        (0.8, 1e9, 0, 0.5**20),  # tenfold at most
    ],
)
def test_a_penalty_for_each_constraint(architecture, fitness, parameters, intensity, penalty):
    inside = scored(fitness, parameters=parameters, intensity=intensity)
    found = Penalised(inside, {"parameters": 100}, {"intensity": 5})(architecture)
    assert found.fitness == pytest.approx(fitness * penalty if fitness > 0 else fitness / penalty, rel=1e-12)
    assert found.metrics == {
        "parameters": parameters,
        "intensity": intensity,
        "fitness": fitness,
        "penalty": pytest.approx(penalty, rel=1e-12),
    }


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"most": {"flops": 0}},
        {"most": {"flops": float("inf")}},
        {"most": {"flops": 3}, "least": {"flops": 4}},
        {"most": {"flops": 3}, "penalty": 1},
        {"most": {"flops": 3}, "penalty": 0},
    ],
)
def test_constraints_that_make_no_sense(given):
    with pytest.raises(SpecError):
        Penalised(scored(1.0), **given)


@pytest.mark.parametrize(
    ("latency", "soft", "hard"),
    [
        (80, 0.5, 0.5),
        (160, 0.5 * 2**-0.07, 0.25),
        (40, 0.5 * 2**0.07, 0.5),
        (100, 0.5 * 1.25**-0.07, 0.4),
    ],
)
def test_the_rewards_of_mnasnet(architecture, latency, soft, hard):
    inside = scored(0.5, latency=latency)
    assert LatencyReward(inside, 80)(architecture).fitness == pytest.approx(soft, rel=1e-12)
    fitness, figures = LatencyReward.hard(inside, 80)(architecture)
    assert fitness == pytest.approx(hard, rel=1e-12)
    assert figures == {"latency": latency, "accuracy": 0.5}


def test_half_the_latency_is_worth_five_per_cent(architecture):
    """The paper's reason for w = -0.07."""
    slow, fast = (LatencyReward(scored(0.5, latency=t), 100)(architecture).fitness for t in (100, 50))
    assert fast / slow == pytest.approx(1.05, abs=0.001)


def test_weighted(architecture):
    fitness, figures = Weighted(scored(0.9, latency=2.0, flops=3.0), {"latency": -0.1, "flops": -0.01})(architecture)
    assert fitness == pytest.approx(0.9 - 0.2 - 0.03)
    assert figures["fitness"] == 0.9


def test_limits_leave_the_rest(benchmark):
    table = Table(benchmark, metrics=["parameters", "flops"])
    limits = {name: float(np.median(benchmark.column(name))) for name in ("parameters", "flops")}
    search = nl.Search(nl.searchers.RandomSearch(benchmark.space), estimator=Constrained(table, limits), budget=60)
    events = list(search)
    assert {event.status for event in events} == {"done", "failed"}
    for event in events:
        record = benchmark.query(event.architecture)
        fits = record.parameters <= limits["parameters"] and record.flops <= limits["flops"]
        assert (event.status == "done") == fits
        if not fits:
            assert "it exceeds the limits" in event.message
            assert ("parameters =" in event.message) == (record.parameters > limits["parameters"])
    assert benchmark.query(search.best).parameters <= limits["parameters"]


def test_limits_that_leave_nothing_are_said_and_the_search_goes_on(benchmark, tmp_path):
    table = Table(benchmark, metrics=["parameters"])
    nothing = Constrained(table, {"parameters": -1})
    search = nl.Search(nl.searchers.RandomSearch(benchmark.space), tmp_path / "run", estimator=nothing, budget=12)
    assert [event.status for event in search] == ["failed"] * 12
    for one in (search, nl.Search.open(tmp_path / "run")):
        with pytest.raises(
            RunError, match=r"none of 12 candidates.*most often, 4 times: TooMuch.*parameters = .*at most -1"
        ):
            _ = one.best


def test_who_costs_too_much_is_not_trained(space, digits, architecture):
    asked = []

    def score(architecture):
        asked.append(architecture)
        return 1.0

    limited = Constrained(Function(score), {"parameters": 5000}, Resources(space, digits, ["parameters"]))
    with pytest.raises(SpecError, match=r"parameters = \d+, at most 5000"):
        limited(architecture)
    assert asked == []
    small = space.architecture(("none",) * 6)
    assert limited(small).fitness == 1.0
    assert asked == [small]


def test_a_figure_that_is_not_there(architecture):
    for estimator in (
        Constrained(scored(1.0, flops=1), {"latency": 1}),
        Weighted(scored(1.0, flops=1), {"latency": 1}),
        LatencyReward(scored(1.0, flops=1), 1),
    ):
        with pytest.raises(SpecError, match=r"no metric 'latency' to compare; there are: flops\. WithMetrics"):
            estimator(architecture)


@pytest.mark.slow
def test_around_one_another_with_training_on(space, digits, architecture, tmp_path):
    training = Training(space, digits.subset(100, 10), epochs=2, batch_size=16)
    resources = Resources(space, digits, ["flops"])
    whole = Weighted(WithMetrics(training, resources), {"flops": -1e-9})
    assert whole.keeps_weights
    first = whole.train(architecture, fidelity=1, keep=tmp_path / "first")
    begin = nl.estimators.CheckpointRef(architecture, 1, tmp_path / "first")
    later = whole.train(architecture, fidelity=2, begin=begin, keep=tmp_path / "later")
    assert later.fitness == pytest.approx(training(architecture).fitness - 1e-9 * first.metrics["flops"])
    assert later.metrics["epochs"] == 2
    with pytest.raises(UnknownFidelity, match="'function' has no choice of it"):
        Weighted(scored(1.0), {"a": 1}).train(architecture, fidelity=1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Constrained(scored(1.0), {}),
        lambda: Constrained(scored(1.0), {"flops": "few"}),
        lambda: Constrained(scored(1.0), {"flops": float("nan")}),
        lambda: Weighted(scored(1.0), 3),
        lambda: Weighted(3, {"flops": 1}),
        lambda: LatencyReward(scored(1.0), 0),
        lambda: LatencyReward(scored(1.0), 1, above=1.0),
    ],
)
def test_nonsense_is_refused(make):
    with pytest.raises(SpecError):
        make()


def test_a_negative_accuracy_has_no_reward(architecture):
    with pytest.raises(SpecError, match="must not be negative"):
        LatencyReward(scored(-0.1, latency=1), 1)(architecture)
    with pytest.raises(SpecError, match="must be above 0"):
        LatencyReward(scored(0.1, latency=0), 1)(architecture)


def test_around_one_another_the_innermost_fitness_stays(architecture):
    """Whatever is around what: the figure is what the innermost estimator said, the penalty that of all."""
    inside = scored(0.8, parameters=200, latency=2.0)
    twice = Penalised(Penalised(inside, {"parameters": 100}), least={"latency": 4.0}, penalty=0.3)
    found = twice(architecture)
    factor = 0.5**2 * 0.3**2
    assert found.fitness == pytest.approx(0.8 * factor, rel=1e-12)
    assert found.metrics["fitness"] == 0.8
    assert found.metrics["penalty"] == pytest.approx(factor, rel=1e-12)

    found = Weighted(Weighted(inside, {"latency": -0.1}), {"parameters": -0.001})(architecture)
    assert (found.fitness, found.metrics["fitness"]) == (pytest.approx(0.4), 0.8)

    found = Weighted(Penalised(inside, {"parameters": 100}), {"latency": -0.1})(architecture)
    assert found.metrics == {"parameters": 200, "latency": 2.0, "fitness": 0.8, "penalty": 0.25}

    found = Penalised(Constrained(LatencyReward.hard(inside, 1), {"latency": 9}), {"parameters": 100})(architecture)
    assert found.fitness == pytest.approx(0.8 / 2 * 0.25)
    assert found.metrics == {"parameters": 200, "latency": 2.0, "accuracy": 0.8, "fitness": 0.8, "penalty": 0.25}

    found = LatencyReward.hard(Penalised(inside, {"parameters": 100}), 1)(architecture)
    assert found.fitness == pytest.approx(0.8 * 0.25 / 2)
    assert found.metrics == {"parameters": 200, "latency": 2.0, "accuracy": 0.8, "fitness": 0.8, "penalty": 0.25}


def test_figures_of_those_names_that_an_estimator_has_of_its_own(architecture):
    """Nobody has put the fitness or a penalty there: they are replaced, as ever."""
    figures = {"fitness": 7.0, "penalty": 7.0, "accuracy": 7.0, "parameters": 200}
    inside = Function(lambda architecture: Score(0.8, figures))
    found = Penalised(inside, {"parameters": 100})(architecture)
    assert found.metrics == {"fitness": 0.8, "penalty": 0.25, "accuracy": 7.0, "parameters": 200}
    reward = LatencyReward(inside, 200, metric="parameters")(architecture)
    assert reward.metrics == {"fitness": 7.0, "penalty": 7.0, "accuracy": 0.8, "parameters": 200}


def test_another_wrapper_of_its_own_fitness_hides_nothing(architecture):
    class Tenth(Wrapped):
        name = "tenth"
        own_fitness = True

        def judge(self, architecture, score):
            return Score(score.fitness / 10, score.metrics)

        def options(self):
            return {}

        @classmethod
        def from_parts(cls, spec, inside, task):
            return cls(inside)

    inside = scored(0.8, parameters=200)
    found = Penalised(Tenth(Weighted(inside, {"parameters": 0.001})), {"parameters": 100})(architecture)
    assert (found.fitness, found.metrics["fitness"]) == (pytest.approx(0.1 * 0.25), 0.8)
    assert Weighted(Tenth(inside), {"parameters": 1})(architecture).metrics["fitness"] == pytest.approx(0.08)


def test_a_figure_that_the_table_has_is_to_be_had_from_it(benchmark):
    cell = benchmark.at(5)
    advice = r"there are: none\. .*nl\.estimators\.Table\(benchmark, metrics=\('parameters',\)\)$"
    inside = Weighted(Table(benchmark, metrics=["flops"]), {"flops": 1})
    with pytest.raises(WrongSetup, match=r"there are: flops, fitness\. .*metrics=\('flops', 'parameters'\)\)$"):
        Constrained(inside, {"parameters": 1e6})(cell)
    with pytest.raises(WrongSetup, match=advice):
        Constrained(nl.estimators.as_estimator(benchmark), {"parameters": 1e6})(cell)
    with pytest.raises(WrongSetup, match=r"did you mean 'parameters'\? There are: none.*metrics=\('parameters',\)\)"):
        Penalised(Table(benchmark), {"parametrs": 1e6})(cell)
    table = Table(benchmark, "valid_accuracy", epochs=12, metrics=["flops"])
    with pytest.raises(WrongSetup, match=r"Table\(benchmark, 'valid_accuracy', epochs=12, metrics=\('flops', 'latency"):
        LatencyReward(table, 3.0, metric=next(name for name in benchmark.metrics if name.startswith("latency")))(cell)
    with pytest.raises(WrongSetup, match="WithMetrics"):
        Weighted(Table(benchmark), {"memory": 1})(cell)
    with pytest.raises(WrongSetup, match=r"did you mean 'parameters'\? There are: parameters$"):
        Constrained(Table(benchmark, metrics=["parameters"]), {"parametrs": 1e6})(cell)


def test_a_figure_whose_name_is_nearly_right(architecture):
    with pytest.raises(WrongSetup, match=r"no metric 'flosp' to compare; did you mean 'flops'\? There are: flops$"):
        Weighted(scored(1.0, flops=1), {"flosp": 1})(architecture)
    with pytest.raises(WrongSetup, match=r"did you mean 'parameters'\? There are: flops\. WithMetrics"):
        Weighted(scored(1.0, flops=1), {"parametrs": 1})(architecture)
