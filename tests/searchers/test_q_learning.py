"""Tabular Q-learning against the tree itself."""

from collections import Counter

import numpy as np
import pytest

import naslab as nl
from naslab.searchers import QLearning
from naslab.searchers.q_learning import SCHEDULE, epsilon_at


def worth(choices):
    return 0.3 * choices.count("a") - 0.2 * choices[0] + 0.17 * (choices[4:5] == (1,)) + 0.1 * (choices[-1] == 0.5)


def tell(searcher, choices, reward):
    """As if it had proposed that."""
    architecture = searcher.space.architecture(choices)
    searcher.learn(nl.searchers.Trial(1, architecture, "test"), reward, {})


def test_updates_by_hand(tree):
    """From the last step to the first, so that a reward reaches the root at once."""
    searcher = QLearning(tree, replay=0, learning_rate=0.1, discount=0.9, start=0.5, answers=-1)
    tell(searcher, (1, "a"), 1.0)
    leaf = 0.5 + 0.1 * (1.0 - 0.5)
    root = 0.5 + 0.1 * (0.9 * leaf - 0.5)
    first = searcher.along((1, "a"))
    assert first[1].values.tolist() == pytest.approx([leaf, 0.5])
    assert first[0].values.tolist() == pytest.approx([root, 0.5, 0.5])
    assert searcher.along()[0].taken == 1, "0.5 is more than what one step leaves"
    tell(searcher, (1, "b"), 2.0)
    other = 0.5 + 0.1 * (2.0 - 0.5)
    root += 0.1 * (0.9 * max(leaf, other) - root)
    second = searcher.along((1, "b"))
    assert second[1].values.tolist() == pytest.approx([leaf, other])
    assert second[0].values.tolist() == pytest.approx([root, 0.5, 0.5])


def test_what_is_forbidden_is_no_best_of_a_next_state(tree):
    searcher = QLearning(tree, replay=0, learning_rate=1.0, start=0.0, answers=-1)
    tell(searcher, (1, "a"), 5.0)
    second = searcher.along((1, "a"))[1].choice
    searcher.set("mask", {second.name: ["a"]})
    tell(searcher, (1, "b"), 2.0)
    first, last = searcher.along((1, "b"))[:2]
    assert last.values.tolist() == [5.0, 2.0], "what was learnt is kept"
    assert first.values[0] == 2.0, "and is not to be had"
    searcher.set("mask", {})
    tell(searcher, (1, "b"), 2.0)
    assert searcher.along((1, "b"))[0].values[0] == 5.0


@pytest.mark.parametrize("shaped", [False, True])
def test_it_converges_to_the_best_that_can_still_be_reached(tree, shaped):
    """Q of an option is the best reward below it; shaped, less the share that has been had on the way."""
    searcher = QLearning(tree, learning_rate=0.5, answers=-1, start=-3.0, shaped=shaped, replay=40)
    everything = [a.choices for a in tree.enumerate()]
    rewards = {choices: worth(choices) for choices in everything}
    for _ in range(12):
        for choices in everything:
            tell(searcher, choices, rewards[choices])
    if not shaped:
        for choices in everything:
            for position, (choice, values, _) in enumerate(searcher.along(choices)):
                below = [
                    max(r for c, r in rewards.items() if c[: position + 1] == (*choices[:position], option))
                    for option in choice.options
                ]
                assert values.tolist() == pytest.approx(below, abs=1e-3)
    best = max(rewards, key=rewards.get)
    path = searcher.along()
    assert tuple(decision.choice.options[decision.taken] for decision in path) == best
    last = path[-1].values[path[-1].taken]
    assert last == pytest.approx(rewards[best] / (len(best) if shaped else 1), abs=1e-3)


def test_one_answer_of_memory_shares_what_it_learns(benchmark):
    """Two cells with the same fifth operation meet in the state before the sixth, and in no earlier one."""
    searcher = QLearning(benchmark.space, replay=0, start=0.0, learning_rate=1.0)
    one = ("none", "none", "none", "none", "skip_connect", "avg_pool_3x3")
    other = ("skip_connect",) * 5 + ("none",)
    tell(searcher, one, 7.0)
    values = searcher.along(other)
    assert values[5].values.max() == 7.0
    assert values[4].values.max() == 0.0
    exact = QLearning(benchmark.space, replay=0, start=0.0, learning_rate=1.0, answers=-1)
    tell(exact, one, 7.0)
    assert exact.along(other)[5].values.max() == 0.0


def test_replay_learns_from_what_is_kept(tree):
    searcher = QLearning(tree, replay=50, learning_rate=0.1, answers=-1, kept=2)
    for choices in ((1, "a"), (2, "a", "a"), (2, "b", "b")):
        tell(searcher, choices, 1.0)
    before = searcher.along((1, "a"))[1].values[0]
    tell(searcher, (2, "a", "b"), 1.0)
    assert searcher.along((1, "a"))[1].values[0] == before, "the oldest is no longer kept"
    assert searcher.along((2, "b", "b"))[2].values[1] > 0.9


def test_epsilon_falls_as_published():
    assert Counter(epsilon_at(model, 2700) for model in range(1, 2701)) == dict(SCHEDULE)
    assert Counter(epsilon_at(model, 54) for model in range(1, 55)) == {e: n // 50 for e, n in SCHEDULE}
    falling = [epsilon_at(model, 97) for model in range(1, 300)]
    assert falling == sorted(falling, reverse=True)
    assert falling[97:] == [0.1] * 202


@pytest.mark.parametrize("epsilon", [0.0, 0.4, 1.0])
def test_draws_are_as_its_probabilities_say(tree, epsilon):
    searcher = QLearning(tree, seed=1, replay=0, answers=-1, learning_rate=1.0, start=0.0)
    for choices in ((3, "a", "a", "b", 0), (2, "b", "b"), (2, "b", "a")):
        tell(searcher, choices, 1.0 if choices[0] == 2 else 0.2)
    searcher.set("epsilon", epsilon)
    told = searcher.probabilities
    assert set(told) == {"depth", "tree/1/op", "tree/2/op"}
    drawn = [searcher.propose() for _ in range(3000)]
    for position, name in enumerate(("depth", "tree/1/op")):
        choice = searcher.along()[position].choice
        which = [d.architecture.choices for d in drawn if position == 0 or d.architecture.choices[0] == 2]
        shares = [np.mean([choices[position] == option for choices in which]) for option in choice.options]
        np.testing.assert_allclose(shares, told[name], atol=0.04)
    assert {suggestion.origin for suggestion in drawn} <= {"exploration", "greedy"}
    if epsilon == 0:
        assert {suggestion.origin for suggestion in drawn} == {"greedy"}
        assert told["tree/2/op"].tolist() == [0.5, 0.5], "of two that are best, either"


def test_its_events_tell_the_values(tree):
    trials = nl.searchers.BlackBoxSearch(QLearning(tree, models=20, replay=5), lambda a: worth(a.choices), 40)
    events = [trials.advance() for _ in range(40)]
    last = events[-1].details
    assert last["epsilon"] == 0.1
    path = trials.sampler.along()
    assert [name for name in last if name.startswith("q/")] == [f"q/{decision.choice.name}" for decision in path]
    assert last["q/depth"] == path[0].values.tolist()
    assert last["states"] > 5


def test_failures_and_huge_rewards(tree):
    searcher = QLearning(tree, replay=0, learning_rate=0.5, answers=-1)
    tell(searcher, (1, "a"), None)
    assert searcher.diagnostics["states"] == 0
    tell(searcher, (1, "a"), -4.0)
    tell(searcher, (1, "b"), None)
    assert searcher.along((1, "b"))[1].values[1] == pytest.approx(-1.75)
    tell(searcher, (1, "b"), 1e300)
    assert searcher.diagnostics["skipped"] == 1
    assert searcher.along((1, "b"))[1].values[1] == pytest.approx(-1.75)


@pytest.mark.slow
def test_it_learns_on_the_benchmark():
    """On chains of eight blocks the accuracy of what it proposes rises as epsilon falls."""
    macro = nl.benchmarks.NASBenchMacro()
    rises = []
    for seed in range(3):
        searcher = QLearning(macro.space, seed=seed, models=300, learning_rate=0.1, start=89.0, shaped=True)
        trials = nl.searchers.BlackBoxSearch(searcher, macro, 300)
        fitness = np.array([trials.advance().fitness for _ in range(300)])
        rises.append(fitness[-50:].mean() - fitness[:100].mean())
    assert min(rises) > 1
