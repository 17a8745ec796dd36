"""What every proposer must do besides: ask and tell in any order, and the published numbers."""

import numpy as np
import pytest

import naslab as nl
from naslab import snapshot
from naslab.errors import RunError, SpecError
from naslab.searchers import (
    BOHB,
    PPO,
    AutoKeras,
    Hurdles,
    Hyperband,
    LargeScaleEvolution,
    LocalSearch,
    NasRL,
    QLearning,
    RandomSearch,
    RegularizedEvolution,
    SuccessiveHalving,
    Trials,
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
proposers = pytest.mark.parametrize("proposer", SMALL, ids=lambda proposer: proposer.name)

ORACLE = {  # best of n queries of test accuracy on CIFAR-10, mean over 500 seeds and standard deviation
    RandomSearch: {10: (93.11, 0.55), 50: (93.71, 0.28), 100: (93.86, 0.22), 300: (94.04, 0.18)},
    RegularizedEvolution: {10: (93.11, 0.53), 50: (93.89, 0.31), 100: (94.14, 0.23), 300: (94.34, 0.08)},
    LocalSearch: {10: (92.97, 0.91), 50: (94.17, 0.30), 100: (94.31, 0.15), 300: (94.37, 0.02)},
}


def best_so_far(proposer, score, queries):
    """[queries]: the best fitness after 1, 2, ... of them."""
    seen = []
    for _ in range(queries):
        proposal = proposer.ask()
        seen.append(score(proposal.architecture))
        proposer.tell(proposal, seen[-1])
    return np.maximum.accumulate(seen)


@pytest.mark.slow
@pytest.mark.parametrize("proposer", ORACLE, ids=lambda proposer: proposer.name)
def test_the_oracle_bands(proposer, benchmark):
    score = nl.estimators.Table(benchmark, "test_accuracy")
    sizes = dict(population=10, sample=3) if proposer is RegularizedEvolution else {}
    curves = np.stack([best_so_far(proposer(benchmark.space, seed=s, **sizes), score, 300) for s in range(500)])
    for queries, (mean, deviation) in ORACLE[proposer].items():
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


@proposers
def test_proposals_are_numbered_and_belong_to_the_space(proposer, benchmark):
    asked = proposer(benchmark.space, seed=1, **SMALL[proposer])
    for number in range(1, 30):
        proposal = asked.ask()
        assert proposal.number == number == asked.asked
        assert proposal.architecture in benchmark.space
        assert all(0 < parent < number for parent in proposal.parents)
        asked.tell(proposal, float(number % 7))


@proposers
@pytest.mark.slow
def test_several_open_proposals_told_in_any_order_and_a_snapshot_between(proposer, benchmark, tmp_path):
    def play(asked, swap):
        told = []
        for _ in range(12):
            open_ = [asked.ask() for _ in range(3)]
            if swap:
                twin = proposer(benchmark.space, seed=99, **SMALL[proposer])
                snapshot.write(tmp_path / "state", asked.state_dict())
                twin.load_state_dict(snapshot.read(tmp_path / "state"))
                asked = twin
            for proposal in reversed(open_):
                fitness = None if proposal.number % 5 == 0 else float(benchmark.index(proposal.architecture))
                asked.tell(proposal, fitness)
                told.append(proposal)
        return told, snapshot.digest(asked.state_dict())

    calm = play(proposer(benchmark.space, seed=2, **SMALL[proposer]), swap=False)
    assert play(proposer(benchmark.space, seed=2, **SMALL[proposer]), swap=True) == calm


@proposers
def test_telling_is_once_and_finite(proposer, benchmark):
    asked = proposer(benchmark.space, seed=1, **SMALL[proposer])
    proposal = asked.ask()
    for fitness in (float("nan"), float("inf"), -float("inf"), -1.7e308, "high"):
        with pytest.raises(SpecError, match="finite number"):
            asked.tell(proposal, fitness)
    asked.tell(proposal, 1.0)
    with pytest.raises(SpecError, match="not open"):
        asked.tell(proposal, 1.0)
    with pytest.raises(SpecError, match="not open"):
        asked.tell(nl.searchers.Proposal(99, proposal.architecture, "random"), 1.0)
    other = proposer(benchmark.space, seed=5, **SMALL[proposer]).ask()
    mine = asked.ask()
    if other.architecture != mine.architecture:
        with pytest.raises(SpecError, match="not open"):
            asked.tell(nl.searchers.Proposal(mine.number, other.architecture, "random"), 1.0)


@proposers
def test_failures_do_not_stop_it(proposer, benchmark):
    asked = proposer(benchmark.space, seed=1, **SMALL[proposer])
    for _ in range(60):
        asked.tell(asked.ask(), None)
    proposal = asked.ask()
    assert proposal.parents == ()
    asked.tell(proposal, 1.0)


@proposers
def test_it_works_on_every_space(proposer):
    space = nl.spaces.DartsCell.laptop()
    asked = proposer(space, seed=1, **SMALL[proposer])
    for _ in range(10):
        proposal = asked.ask()
        assert proposal.architecture in space
        asked.tell(proposal, float(str(proposal.architecture.choices).count("skip")))


def test_a_proposer_needs_a_space():
    with pytest.raises(SpecError, match="needs a space"):
        RandomSearch("nasbench201")


class TestTrials:
    @pytest.mark.parametrize("budget", [0, -3, None, 2.0, True, "many"])
    def test_a_budget_is_a_positive_whole_number(self, benchmark, budget):
        with pytest.raises(SpecError, match="budget"):
            Trials(RandomSearch(benchmark.space), benchmark, budget)

    @pytest.mark.parametrize("estimator", [3, "table", nl.benchmarks.NASBench201])
    def test_an_estimator_scores(self, benchmark, estimator):
        with pytest.raises(SpecError, match="estimator is"):
            Trials(RandomSearch(benchmark.space), estimator, 3)

    def test_without_an_estimator(self, benchmark):
        with pytest.raises(SpecError, match="say what scores"):
            Trials(RandomSearch(benchmark.space), None, 3)

    def test_another_space(self, benchmark):
        with pytest.raises(SpecError, match=r"'nasbench201'.*'darts_cell'"):
            Trials(RandomSearch(nl.spaces.DartsCell()), benchmark, 3)

    def test_a_proposer_that_has_moved(self, benchmark):
        proposer = RandomSearch(benchmark.space)
        proposer.ask()
        with pytest.raises(RunError, match="has made 1 proposals"):
            Trials(proposer, benchmark, 3)

    @pytest.mark.parametrize("fitness", [None, float("nan"), float("inf"), "good", True, 1j])
    def test_a_fitness_that_is_none(self, benchmark, fitness):
        trials = Trials(RandomSearch(benchmark.space), lambda architecture: fitness, 3)
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

        trials = Trials(RandomSearch(benchmark.space, seed=1), score, 40)
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
            Trials(RandomSearch(benchmark.space), score, 3).advance()

    def test_the_best_so_far(self, benchmark):
        trials = Trials(RandomSearch(benchmark.space), benchmark, 30)
        with pytest.raises(RunError, match="evaluated yet"):
            _ = trials.best
        events = [trials.advance() for _ in range(30)]
        fitness = np.array([event.fitness for event in events])
        assert [event.best_fitness for event in events] == np.maximum.accumulate(fitness).tolist()
        assert trials.best == events[int(fitness.argmax())].architecture == events[-1].best


@proposers
def test_where_there_is_one_architecture_it_is_proposed_or_a_mutation_says_so(proposer):
    space = nl.spaces.Listed(nl.spaces.NASBench201(), (("none",) * 6,))
    one = proposer(space, seed=1, **SMALL[proposer])

    def go_on():
        for _ in range(12):
            proposal = one.ask()
            assert proposal.architecture.choices == ("none",) * 6
            one.tell(proposal, 1.0)

    if proposer in (RegularizedEvolution, Hurdles):
        with pytest.raises(SpecError, match="a single architecture is listed, there is nothing to mutate"):
            go_on()
    else:
        go_on()


def test_a_hyperparameter_of_a_searcher_that_has_none(benchmark):
    with pytest.raises(SpecError, match="unknown hyperparameter 'x'; there is none"):
        LocalSearch(benchmark.space, x=1)
