"""The published numbers of samplers, spaces of any kind and size, and trials."""

import numpy as np
import pytest

import naslab as nl
from naslab.errors import RunError, SpecError
from naslab.searchers import (
    BOHB,
    PPO,
    AutoKeras,
    BlackBoxSearch,
    Hurdles,
    Hyperband,
    LargeScaleEvolution,
    LocalSearch,
    NasRL,
    QLearning,
    RandomSearch,
    RegularizedEvolution,
    SuccessiveHalving,
)

SMALL = {
    RandomSearch: {},
    RegularizedEvolution: dict(population=4, sample=2),
    LocalSearch: {},
    Hurdles: dict(steps=(1, 1), per_hurdle=4, population=3, sample=2),
    SuccessiveHalving: dict(candidates=4, epochs=(1, 2, 3)),
    Hyperband: dict(most=4, eta=2),
    BOHB: dict(most=4, eta=2, samples=4),
    NasRL: dict(units=4, children=2),
    PPO: dict(units=4, children=3, passes=2),
    QLearning: dict(models=20, replay=3),
    LargeScaleEvolution: dict(population=4),
    AutoKeras: dict(coldest=0.7, branches=2),
}
samplers = pytest.mark.parametrize("sampler", SMALL, ids=lambda sampler: sampler.name)

ORACLE = {  # best of n queries of test accuracy on CIFAR-10, mean over 500 seeds and standard deviation
    RandomSearch: {10: (93.11, 0.55), 50: (93.71, 0.28), 100: (93.86, 0.22), 300: (94.04, 0.18)},
    RegularizedEvolution: {10: (93.11, 0.53), 50: (93.89, 0.31), 100: (94.14, 0.23), 300: (94.34, 0.08)},
    LocalSearch: {10: (92.97, 0.91), 50: (94.17, 0.30), 100: (94.31, 0.15), 300: (94.37, 0.02)},
}


def best_so_far(sampler, score, queries):
    """[queries]: the best fitness after 1, 2, ... of them."""
    seen = []
    for _ in range(queries):
        trial = sampler.ask()
        seen.append(score(trial.architecture))
        sampler.tell(trial, seen[-1])
    return np.maximum.accumulate(seen)


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ORACLE, ids=lambda sampler: sampler.name)
def test_the_oracle_bands(sampler, benchmark):
    score = nl.estimators.Table(benchmark, "test_accuracy")
    sizes = dict(population=10, sample=3) if sampler is RegularizedEvolution else {}
    curves = np.stack([best_so_far(sampler(benchmark.space, seed=s, **sizes), score, 300) for s in range(500)])
    for queries, (mean, deviation) in ORACLE[sampler].items():
        came = curves[:, queries - 1]
        rounding = 0.005
        assert came.mean() == pytest.approx(mean, abs=2 * deviation / 500**0.5 + rounding), queries
        assert came.std() == pytest.approx(deviation, rel=0.1, abs=0.02), queries


def test_random_search_against_the_exact_expectation(benchmark):
    """The best of n draws of N values in order a_1 <= ... <= a_N is a_i with probability (i^n - (i-1)^n) / N^n."""
    values = np.sort(benchmark.column())
    shares = np.arange(len(values) + 1) / len(values)
    chances = np.diff(shares**20)
    mean = float(chances @ values)
    deviation = float(chances @ values**2 - mean**2) ** 0.5
    score = nl.estimators.Table(benchmark)
    came = [best_so_far(RandomSearch(benchmark.space, seed=seed), score, 20)[-1] for seed in range(200)]
    assert np.mean(came) == pytest.approx(mean, abs=3 * deviation / 200**0.5)


@samplers
def test_it_works_on_every_space(sampler):
    space = nl.spaces.DartsCell.laptop()
    asked = sampler(space, seed=1, **SMALL[sampler])
    for _ in range(10):
        trial = asked.ask()
        assert trial.architecture in space
        asked.tell(trial, float(str(trial.architecture.choices).count("skip")))


def test_a_proposer_needs_a_space():
    with pytest.raises(SpecError, match="needs a space"):
        RandomSearch("nasbench201")


class TestTrials:
    @pytest.mark.parametrize("budget", [0, -3, None, 2.0, True, "many"])
    def test_a_budget_is_a_positive_whole_number(self, benchmark, budget):
        with pytest.raises(SpecError, match="budget"):
            BlackBoxSearch(RandomSearch(benchmark.space), benchmark, budget)

    @pytest.mark.parametrize("estimator", [3, "table", nl.benchmarks.NASBench201])
    def test_an_estimator_scores(self, benchmark, estimator):
        with pytest.raises(SpecError, match="estimator is"):
            BlackBoxSearch(RandomSearch(benchmark.space), estimator, 3)

    def test_without_an_estimator(self, benchmark):
        with pytest.raises(SpecError, match="say what scores"):
            BlackBoxSearch(RandomSearch(benchmark.space), None, 3)

    def test_another_space(self, benchmark):
        with pytest.raises(SpecError, match=r"'nasbench201'.*'darts_cell'"):
            BlackBoxSearch(RandomSearch(nl.spaces.DartsCell()), benchmark, 3)

    def test_a_proposer_that_has_moved(self, benchmark):
        sampler = RandomSearch(benchmark.space)
        sampler.ask()
        with pytest.raises(RunError, match="has made 1 trials"):
            BlackBoxSearch(sampler, benchmark, 3)

    @pytest.mark.parametrize("fitness", [None, float("nan"), float("inf"), "good", True, 1j])
    def test_a_fitness_that_is_none(self, benchmark, fitness):
        trials = BlackBoxSearch(RandomSearch(benchmark.space), lambda architecture: fitness, 3)
        event = trials.advance()
        assert (event.status, event.fitness, event.best) == ("failed", None, None)
        assert repr(fitness) in event.message
        with pytest.raises(RunError, match="of 1 candidates"):
            _ = trials.best

    @pytest.mark.filterwarnings("ignore:.* failed")  # which is said
    def test_a_candidate_that_raises(self, benchmark):
        def score(architecture):
            if "none" in architecture.choices:
                raise MemoryError("no room for it")
            return np.float32(1.5)

        trials = BlackBoxSearch(RandomSearch(benchmark.space, seed=1), score, 40)
        events = [trials.advance() for _ in range(40)]
        assert {event.status for event in events} == {"done", "failed"}
        for event in events:
            failed = "none" in event.architecture.choices
            assert event.message == ("MemoryError: no room for it" if failed else "")
            assert event.fitness == (None if failed else 1.5)
            assert nl.events.from_record(event.kind, *event.to_record()) == event
        first = next(event for event in events if event.status == "done")
        assert trials.best == first.architecture, "of equals the first"

    def test_an_interrupt_is_no_failure(self, benchmark):
        def score(architecture):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            BlackBoxSearch(RandomSearch(benchmark.space), score, 3).advance()

    def test_the_best_so_far(self, benchmark):
        trials = BlackBoxSearch(RandomSearch(benchmark.space), benchmark, 30)
        with pytest.raises(RunError, match="evaluated yet"):
            _ = trials.best
        events = [trials.advance() for _ in range(30)]
        fitness = np.array([event.fitness for event in events])
        assert [event.best_fitness for event in events] == np.maximum.accumulate(fitness).tolist()
        assert trials.best == events[int(fitness.argmax())].architecture == events[-1].best


@samplers
def test_where_there_is_one_architecture_it_is_proposed_or_a_mutation_says_so(sampler):
    space = nl.spaces.Subset(nl.spaces.NASBench201(), (("none",) * 6,))
    one = sampler(space, seed=1, **SMALL[sampler])

    def go_on():
        for _ in range(12):
            trial = one.ask()
            assert trial.architecture.choices == ("none",) * 6
            one.tell(trial, 1.0)

    if sampler in (RegularizedEvolution, Hurdles):
        with pytest.raises(SpecError, match="a single architecture is listed, there is nothing to mutate"):
            go_on()
    else:
        go_on()


def test_a_hyperparameter_of_a_searcher_that_has_none(benchmark):
    with pytest.raises(SpecError, match="unknown hyperparameter 'x'; there is none"):
        LocalSearch(benchmark.space, x=1)


def test_a_state_that_is_no_json_is_said_with_what_to_keep_instead():
    class Keeps(nl.searchers.RandomSearch):
        name = "keeps"

        def algorithm_state(self):
            return [self.space.sample(0)]

    with pytest.raises(
        SpecError, match=r"'keeps' must return JSON: .*Architecture.* Keep list\(architecture\.choices\)"
    ):
        Keeps(nl.spaces.NASBench201()).state_dict()
