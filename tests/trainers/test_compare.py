import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

import naslab as nl
from naslab.architecture import Architecture
from naslab.errors import SpecError
from naslab.trainers import Comparison, Score, compare, comparing


def scores(group, table):
    """{choice: accuracies over seeds} as scores."""
    return [
        Score(group=group, architecture=Architecture("s", (choice,)), seed=seed, test_accuracy=value, parameters=10)
        for choice, values in table.items()
        for seed, value in enumerate(values)
    ]


FOUND = scores("found", {"a": [0.91, 0.93, 0.92]})
RANDOM = scores("random", {"b": [0.80, 0.84, 0.82], "c": [0.90, 0.88, 0.89], "d": [0.85, 0.86, 0.87]})


def test_means_intervals_and_the_t_test_agree_with_scipy():
    comparison = Comparison((*FOUND, *RANDOM))
    found, random = [0.91, 0.93, 0.92], [0.82, 0.89, 0.86]  # one architecture: its seeds; several: their means
    assert comparison.samples("found") == found
    assert comparison.samples("random") == pytest.approx(random)
    for group, samples in (("found", found), ("random", random)):
        expected = stats.t.interval(0.95, len(samples) - 1, np.mean(samples), stats.sem(samples))
        assert comparison.mean(group) == pytest.approx(np.mean(samples))
        assert comparison.interval(group) == pytest.approx(expected)
    expected = stats.ttest_ind(found, random, equal_var=False)
    welch = comparison.welch("found", "random")
    assert (welch.t, welch.p, welch.freedom) == pytest.approx((expected.statistic, expected.pvalue, expected.df))
    interval = expected.confidence_interval(0.95)
    assert (welch.low, welch.high) == pytest.approx((interval.low, interval.high))
    assert welch.difference == pytest.approx(np.mean(found) - np.mean(random))
    assert comparison.welch("random", "found").p == pytest.approx(welch.p)


def test_the_table_says_what_it_cannot_know():
    comparison = Comparison((*FOUND, *scores("once", {"e": [0.5]})))
    assert all(math.isnan(end) for end in comparison.interval("once"))
    lines = repr(comparison).splitlines()
    assert lines[3].startswith("once - found: -42.00") or lines[3].startswith("found - once"), lines
    assert "92.00" in lines[1]
    assert "89.52..94.48" in lines[1]
    assert lines[2].split()[4] == "-"
    agreed = Comparison((*FOUND, *scores("agreed", {"a": [0.1, 0.1, 0.1]})))
    assert all(math.isnan(end) for end in agreed.interval("agreed")), "their spread is not known to be 0"
    assert repr(agreed).splitlines()[2].split()[3:5] == ["10.00", "-"]
    rounded = Comparison(tuple(scores("r", {"a": [0.1, 0.3], "b": [0.2, 0.2]})))
    assert math.isnan(rounded.interval("r")[0])
    with pytest.raises(SpecError, match="'once' has 1: give more seeds"):
        comparison.welch("found", "once")
    with pytest.raises(SpecError, match="did you mean 'found'"):
        comparison.mean("fond")
    with pytest.raises(SpecError, match="some spread"):
        Comparison((*scores("x", {"a": [0.5, 0.5]}), *scores("y", {"b": [0.4, 0.4]}))).welch("x", "y")


def test_a_comparison_says_what_may_be_claimed():
    """By itself, in text and in a notebook."""
    comparison = Comparison((*FOUND, *RANDOM))
    card = comparison.card
    assert card.baseline == "random"
    assert math.isnan(card.pairs[0].p), "trainings of one cell are not tested against cells"
    assert card.pairs[0].difference == pytest.approx(100 * comparison.welch("found", "random").difference)
    assert repr(comparison).splitlines()[3:] == card.claims
    assert "found - random: +6.33, no p: 'found' is this one cell" in repr(comparison)
    assert "probability" not in repr(comparison), "trainings of one cell are better than cells with no probability"
    assert ">1.00<" not in comparison._repr_html_()
    assert "'found': one architecture" in repr(comparison)
    assert "p =" not in repr(comparison)
    assert "Holm" not in repr(comparison)
    assert "found (this one cell)" in comparison._repr_html_()
    others = Comparison((*scores("other", {"e": [0.7, 0.75], "f": [0.8, 0.81]}), *RANDOM))
    assert others.card.pairs[0].p == pytest.approx(others.welch("other", "random").p)
    both = Comparison((*FOUND, *scores("known", {"k": [0.8, 0.81, 0.82]})))
    assert both.card.pairs[0].p == pytest.approx(both.welch("found", "known").p), "of two cells, each with its seeds"
    three = Comparison((*FOUND, *scores("other", {"e": [0.7, 0.75], "f": [0.8, 0.81]}), *RANDOM))
    assert [bool(pair.untested) for pair in three.card.pairs] == [True, True, False]
    assert three.card.pairs[2].p == pytest.approx(three.welch("other", "random").p)
    assert "Holm-corrected over 1" in repr(three)
    assert "there is no random-search baseline" in repr(Comparison(tuple(FOUND)))
    odd = Comparison(tuple(scores("<i>", {"a": [0.5, 0.6, 0.7]})))
    assert "<i>" not in odd._repr_html_()
    assert "&lt;i&gt;" in odd._repr_html_()


def test_sizes_are_compared():
    """A larger network may be better by that alone."""
    sized = lambda table, size: [dataclasses.replace(score, parameters=size) for score in table]  # noqa: E731
    comparison = Comparison((*sized(FOUND, 20_138), *sized(RANDOM, 14_716)))
    (warning,) = [text for text in comparison.card.warnings if "parameters" in text]
    assert "'found' are larger by 37 % than those of 'random' (20,138 and 14,716 parameters" in warning
    assert "larger by 37 %" in repr(comparison)
    assert "larger by 37 %" in comparison._repr_html_()
    turned = Comparison((*sized(FOUND, 14_716), *sized(RANDOM, 20_138)))
    assert "'random' are larger by 37 %" in repr(turned)
    assert "larger" not in repr(Comparison((*sized(FOUND, 1000), *sized(RANDOM, 1010))))
    assert comparison.parameters("found") == 20_138


@pytest.mark.slow
def test_architectures_of_a_space_trained_alike(digits, tmp_path):
    space = nl.spaces.NASBench201(channels=4, cells=1)
    rng = np.random.default_rng(0)
    found, *random = (space.sample(rng) for _ in range(2))
    groups = {"found": [found], "random": [*random, found]}
    arguments = {
        "seeds": (0, 1),
        "recipe": nl.trainers.Recipe(epochs=2, batch_size=16),
        "threads": 1,
        "checkpoint": tmp_path,
    }
    task = digits.subset(192, 100)
    comparison = compare(groups, space, task, **arguments)
    assert comparison.groups == ("found", "random")
    assert len(comparison.scores) == 6
    assert comparison.samples("found") == [
        score.test_accuracy for score in comparison.scores if score.group == "random" and score.architecture == found
    ]
    assert len({score.test_accuracy for score in comparison.scores}) > 2, "seeds and architectures differ"
    assert len(list(tmp_path.iterdir())) == 4, "one checkpoint a training; what is in two groups is trained once"
    assert compare(groups, space, task, **arguments) == comparison
    assert compare(groups, space, task, **{**arguments, "checkpoint": None}) == comparison


SAMPLE = nl.spaces.NASBench201().sample(np.random.default_rng(0))


@pytest.mark.parametrize(
    ("groups", "seeds", "message"),
    [({}, (0,), "at least one"), ({"a": []}, (0,), "at least one"), ({"a": [SAMPLE]}, (), "at least one")],
)
def test_nothing_to_compare(digits, groups, seeds, message):
    with pytest.raises(SpecError, match=message):
        compare(groups, nl.spaces.NASBench201(), digits, seeds=seeds)


def test_a_seed_counts_once_and_an_architecture_must_belong(digits):
    space = nl.spaces.NASBench201()
    one = space.sample(np.random.default_rng(0))
    with pytest.raises(SpecError, match="each seed counts once"):
        compare({"a": [one]}, space, digits, seeds=(1, 1))
    with pytest.raises(SpecError, match="does not belong"):
        compare({"a": [Architecture("darts_cell", ())]}, space, digits)
    with pytest.raises(SpecError, match="expected the space of the architectures, then the task"):
        compare({"a": [one]}, digits, space)


@pytest.mark.parametrize(
    ("groups", "options", "message"),
    [
        ({1: [SAMPLE], "1": [SAMPLE]}, {}, "groups need different names; they are 1, '1'"),
        ([SAMPLE], {}, "groups is a mapping from a name to a list of architectures.*not list"),
        ({"a": SAMPLE}, {}, r"'a' is Architecture: write {'a': \[architecture\]}"),
        ({"a": "found"}, {}, "'a' is str"),
        ({"a": ["found"]}, {}, "'a' holds str: take space.sample"),
        ({"a": [SAMPLE]}, {"seeds": 3}, r"seeds is a list of whole numbers, not 3; .*range\(3\)"),
        ({"a": [SAMPLE]}, {"seeds": (0, 1.5)}, "a seed must be a whole number from 0 up, not 1.5"),
        ({"a": [SAMPLE]}, {"seeds": (-1,)}, "a seed must be"),
        ({"a": [SAMPLE]}, {"epoch": 3}, "did you mean 'epochs'"),
        ({"a": [SAMPLE]}, {"chanels": 3}, "did you mean 'channels'"),
        ({"a": [SAMPLE]}, {"seed": 3}, "did you mean 'seeds'"),
        ({"a": [SAMPLE]}, {"epochs": 0}, "epochs must be"),
        ({"a": [SAMPLE]}, {"device": "gpu"}, "there is no device 'gpu'"),
        ({"a": [SAMPLE]}, {"recipe": {"epochs": 1}}, "must be a Recipe, not dict"),
        ({"a": [Architecture("darts_cell", ())]}, {}, "does not belong"),
    ],
)
def test_nonsense_is_refused_when_called_and_not_at_the_first_step(digits, groups, options, message):
    with pytest.raises(SpecError, match=message):
        comparing(groups, nl.spaces.NASBench201(), digits, **options)


@pytest.mark.slow
def test_hyperparameters_go_to_the_recipe_and_sizes_to_the_networks(digits):
    space, task = nl.spaces.NASBench201(), digits.subset(300)
    changed = compare({"a": [SAMPLE]}, space, task, seeds=np.arange(1), epochs=3, batch_size=16, channels=4, cells=1)
    small = nl.spaces.NASBench201(channels=4, cells=1)
    recipe = nl.trainers.Recipe(epochs=3, batch_size=16)
    expected = compare({"a": iter([SAMPLE])}, small, task, seeds=[0], recipe=recipe)
    assert changed == expected
    assert compare({"a": [SAMPLE]}, small, task, seeds=[0], recipe=recipe, epochs=1) != expected
    assert type(changed.scores[0].seed) is int
