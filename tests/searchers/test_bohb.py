"""BOHB: its densities against exact sums, when it has a model and of what, and that the model helps."""

import math
from collections import Counter

import numpy as np
import pytest

from naslab.architecture import Choice
from naslab.searchers import BOHB
from naslab.searchers.bohb import Density

COLOUR, SIZE = Choice("colour", ("red", "green", "blue")), Choice("size", (1, 2))
FOUR = [dict(colour=c, size=s) for c, s in (("red", 1), ("red", 2), ("green", 1), ("red", 1))]


def test_bandwidths_and_density_by_hand():
    density = Density(FOUR, least=1e-3)
    shrink = 4 ** (-1 / 6)
    colour, size = shrink * (1 - 10 / 16), shrink * (1 - 10 / 16)
    assert density.bandwidth(COLOUR) == pytest.approx(colour)
    assert density.bandwidth(SIZE) == pytest.approx(size)
    kernels = [
        (1 - colour if one["colour"] == "green" else colour / 2) * (1 - size if one["size"] == 2 else size)
        for one in FOUR
    ]
    assert density.log([(COLOUR, "green"), (SIZE, 2)]) == pytest.approx(math.log(sum(kernels) / 4))
    assert Density(FOUR[:1], least=0.01).bandwidth(COLOUR) == 0.01
    assert Density(FOUR, least=0.9).bandwidth(COLOUR) == pytest.approx(2 / 3), "flat is the widest"


def test_a_density_is_one_in_all_also_where_choices_hang_on_choices(tree):
    every = list(tree.enumerate())
    rng = np.random.default_rng(0)
    for count in (1, 2, 7):
        some = [tree.answers(every[i]) for i in rng.integers(len(every), size=count)]
        density = Density(some, least=1e-3)
        total = sum(math.exp(density.log(list(tree.walk(one.choices)))) for one in every)
        assert total == pytest.approx(1)


def play(sampler, fitness, steps):
    told = []
    for _ in range(steps):
        trial = sampler.ask()
        told.append((trial, fitness(trial)))
        sampler.tell(*told[-1])
    return told


def test_no_model_before_enough_is_known_and_then_of_the_longest_training(benchmark):
    sampler = BOHB(benchmark.space, most=9, eta=3, random_fraction=0.0, samples=2, seed=1)
    seen = []
    for trial, _ in play(sampler, lambda trial: float(trial.number), 60):
        seen.append(trial)
    drawn = [trial for trial in seen if trial.origin != "promotion"]
    first = next(n for n, trial in enumerate(drawn) if trial.origin == "model")
    before = [trial for trial in seen if trial.number < drawn[first].number]
    enough = len(benchmark.space.sample(sampler.rng).choices) + 1 + 2
    counts = Counter(trial.fidelity for trial in before)
    assert max(counts.values()) >= enough
    last = [trial for trial in seen if trial.number < drawn[first - 1].number]
    assert max(Counter(trial.fidelity for trial in last).values(), default=0) < enough
    assert all(trial.origin == "model" for trial in drawn[first:])
    most = max(epochs for epochs, told in sampler._known.items() if len(told) >= enough)
    assert sampler.model is not None
    good, others = sampler.model
    told = sorted(sampler._known[most], key=lambda one: -one[0])
    assert list(good.answers) == [answers for _, answers in told[:7]]
    assert len(others.answers) == max(7, len(told) - 7)


def test_all_random_is_hyperband_drawing(benchmark):
    told = play(BOHB(benchmark.space, random_fraction=1.0, seed=0), lambda trial: float(trial.number % 7), 60)
    assert {trial.origin for trial, _ in told} == {"random", "promotion"}


@pytest.mark.slow
def test_the_model_leads_to_what_was_good(benchmark):
    """Fitness: how often an operation stands in the cell. By chance 6 / 5, in the end more than half of six."""
    wanted = "nor_conv_3x3"

    def late(fraction):
        means = []
        for seed in range(5):
            sampler = BOHB(benchmark.space, random_fraction=fraction, samples=24, seed=seed)
            told = play(sampler, lambda trial: float(trial.architecture.choices.count(wanted)), 80)
            means.append(np.mean([fitness for trial, fitness in told[40:] if trial.origin != "promotion"]))
        return float(np.mean(means))

    assert late(0.0) > 3.0
    assert late(1.0) < 1.7


def test_nothing_is_learnt_from_failures(benchmark):
    sampler = BOHB(benchmark.space, random_fraction=0.0, seed=0)
    told = play(sampler, lambda trial: None, 60)
    assert {trial.origin for trial, _ in told} == {"random"}
    assert sampler.model is None


def test_it_draws_from_wider_kernels_everywhere(tree):
    sampler = BOHB(tree, random_fraction=0.0, samples=1, seed=0, bandwidth_factor=1e6)
    one = Density([tree.answers(next(tree.enumerate()))], least=1e-3)
    drawn = Counter(tuple(value for _, value in sampler._draw_from(one)) for _ in range(600))
    assert set(drawn) == {architecture.choices for architecture in tree.enumerate()}
    narrow = BOHB(tree, random_fraction=0.0, samples=1, seed=0, bandwidth_factor=1e-9)
    assert len({tuple(value for _, value in narrow._draw_from(one)) for _ in range(100)}) == 1


def test_a_density_over_a_thousand_choices_is_a_small_number_and_not_none():
    choices = [Choice(f"layer/{number}", tuple("abcdefgh")) for number in range(1000)]
    answers = [{choice.name: letter for choice in choices} for letter in "ab"]
    density = Density(answers, least=1e-3)
    width = density.bandwidth(choices[0])
    far = density.log([(choice, "h") for choice in choices])
    assert far == pytest.approx(1000 * math.log(width / 7))
    near = density.log([(choice, "a") for choice in choices])
    assert near == pytest.approx(np.logaddexp(1000 * math.log(1 - width), 1000 * math.log(width / 7)) - math.log(2))
