import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from naslab.analysis import hypervolume, pareto
from naslab.analysis.pareto import on_front
from naslab.errors import SpecError


def dominated(points):
    """By comparing every pair."""
    return [any((q >= p).all() and (q > p).any() for q in points) for p in points]


@given(
    st.integers(1, 3).flatmap(
        lambda m: arrays(np.float64, st.tuples(st.integers(0, 12), st.just(m)), elements=st.integers(0, 4).map(float))
    )
)
def test_the_front_is_what_no_pair_beats(points):
    np.testing.assert_array_equal(~on_front(points), np.array(dominated(points), dtype=bool))


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_the_hypervolume_against_darts_thrown_at_random(objectives):
    rng = np.random.default_rng(objectives)
    points = rng.random((9, objectives)) - 0.1
    darts = rng.random((200_000, objectives))
    covered = (darts[:, None, :] < points[None]).all(axis=2).any(axis=1).mean()
    assert hypervolume(points, [0.0] * objectives) == pytest.approx(covered, abs=0.005)


def test_hypervolumes_by_hand():
    assert hypervolume(np.array([[3.0, 1.0], [1.0, 2.0]]), [0, 0]) == 4
    assert hypervolume(np.array([[3.0, 1.0], [1.0, 2.0]]), [1, 0]) == 2
    assert hypervolume(np.array([[1.0, 1, 1], [2, 0.5, 1], [0.5, 0.5, 2]]), [0, 0, 0]) == pytest.approx(1.75)
    assert hypervolume(np.zeros((0, 2)), [0, 0]) == 0
    assert hypervolume(np.array([[-1.0, 5.0]]), [0, 0]) == 0
    with pytest.raises(SpecError, match="not finite"):
        hypervolume(np.array([[np.nan, 1.0]]), [0, 0])
    with pytest.raises(SpecError, match="one to three objectives, not 4"):
        hypervolume(np.ones((1, 4)), [0] * 4)


FIGURES = {
    "test_accuracy": [90.0, 92.0, 94.0, np.nan, 93.0, 94.0],
    "latency/phone": [1.0, 2.0, 4.0, 0.1, 5.0, 4.0],
    "parameters": [1e5, 2e5, 9e5, 1e5, 3e5, 9e5],
}


def test_directions_limits_and_what_is_left_out():
    found = pareto(
        FIGURES, objectives=["test_accuracy", "latency/phone"], reference={"test_accuracy": 89, "latency/phone": 6}
    )
    assert found.objectives == {"test_accuracy": "most", "latency/phone": "least"}
    assert found.front.tolist() == [2, 5, 1, 0], "the best accuracy first; equals are both on it"
    assert found.hypervolume == pytest.approx(1 * 5 + 2 * 4 + 2 * 2)
    assert found.status == "1 of 6 points are unknown in some objective"
    limited = pareto(
        FIGURES, objectives=["test_accuracy"], limits={"parameters": (None, 5e5), "latency/phone": (1.5, None)}
    )
    assert limited.front.tolist() == [4]
    assert limited.status.endswith("3 are beyond the limits")
    least = pareto({"a": [1.0, 2.0]}, objectives={"a": "least"})
    assert least.front.tolist() == [0]


def test_limits_that_leave_nothing():
    found = pareto(
        FIGURES,
        limits={"test_accuracy": (99, None)},
        reference={"test_accuracy": 0, "latency/phone": 9, "parameters": 1e6},
    )
    assert found.front.tolist() == []
    assert found.hypervolume == 0
    assert found.status.endswith("no point is left: widen the limits")
    assert pareto({"accuracy": []}).front.tolist() == []


def test_what_is_advised_where_no_limit_is_to_blame():
    nothing = pareto({"f1": [math.nan, math.inf]})
    assert nothing.status == "2 of 2 points are unknown in some objective; no point is left: choose other objectives"
    assert pareto({"f1": [math.nan]}, limits={"f1": (0, None)}).status == nothing.status.replace("2", "1")
    assert pareto({"f1": []}).status == "there is no point"
    unmeasured = pareto({"f1": [1.0, 2.0], "b": [math.nan] * 2}, objectives=["f1"], limits={"b": (0, None)})
    assert unmeasured.status == "2 are unknown in what is limited; no point is left: leave out the limits"
    some = pareto({"f1": [1.0, 2.0, 3.0], "b": [math.nan, 1, 5]}, objectives=["f1"], limits={"b": (0, 2)})
    assert some.status == "1 are beyond the limits; 1 are unknown in what is limited"
    assert some.front.tolist() == [1]


@pytest.mark.parametrize(
    ("figures", "options", "message"),
    [
        ({}, {}, "at least one figure"),
        ({"a": [1, 2], "b": [1]}, {}, "lists of one length"),
        ({"a": [[1]]}, {}, "lists of one length"),
        ({"a": [1]}, {"limits": {"a": (2, 1)}}, "leave nothing: at least 2 and at most 1"),
        ({"abc": [1]}, {"limits": {"abd": (2, 3)}}, "did you mean 'abc'"),
        ({"abc": [1]}, {"objectives": ["abd"]}, "did you mean 'abc'"),
        ({"abc": [1]}, {"objectives": {"abc": "more"}}, "wish"),
        ({"abc": [1]}, {"objectives": []}, "at least one objective"),
        ({"abc": [1]}, {"reference": {}}, "must name each objective"),
        (5, {}, "figures by name, .*, not 5"),
        (["abc"], {}, "figures by name"),
        ({"a": ["x", 1]}, {}, "figure 'a' must be numbers"),
        ({"a": [[1, 2], [3]]}, {}, "figure 'a' must be numbers"),
        ({"a": [1j]}, {}, "figure 'a' must be numbers"),
        ({"a": [1]}, {"limits": 3}, "limits are pairs by the name of a figure"),
        ({"a": [1]}, {"limits": {"a": 1}}, r"limits of 'a' are a pair, \(least, most\), .*; not 1"),
        ({"a": [1]}, {"limits": {"a": "12"}}, "limits of 'a' are a pair"),
        ({"a": [1]}, {"limits": {"a": (1, 2, 3)}}, "limits of 'a' are a pair"),
        ({"a": [1]}, {"limits": {"a": (math.nan, None)}}, "a limit of 'a' must be a number, not nan"),
        ({"a": [1]}, {"limits": {"a": (None, "x")}}, "a limit of 'a' must be a number, not 'x'"),
        ({"abc": [1]}, {"objectives": "abc"}, r"list of figures, .*\['abc'\]"),
        ({"abc": [1]}, {"objectives": 5}, "objectives are a list of figures"),
        ({"abc": [1]}, {"reference": 5}, "reference .* by the name of each objective"),
        ({"abc": [1]}, {"reference": [5]}, "reference .* by the name of each objective"),
        ({"abc": [1]}, {"reference": {"abc": "x"}}, "reference of 'abc' must be a number"),
    ],
)
def test_nonsense_is_refused(figures, options, message):
    named = {"objectives": dict.fromkeys(figures, "max")} if isinstance(figures, dict) and figures else {}
    with pytest.raises(SpecError, match=message):
        pareto(figures, **{**named, **options})


@pytest.mark.parametrize("cost", ["test_loss", "valid_seconds", "total_energy", "memory", "latency/phone"])
def test_of_a_cost_little_is_wanted_whatever_its_first_word(cost):
    found = pareto({"test_accuracy": [0.9, 0.8, 0.7], cost: [1.0, 3.0, 2.0]})
    assert found.objectives[cost] == "least"
    assert found.front.tolist() == [0]


def test_limits_of_numpy_are_limits():
    found = pareto({"f1": [1.0, 2.0, 3.0]}, limits={"f1": np.array([1.5, 2.5])})
    assert found.front.tolist() == [1]
    assert pareto({"f1": [1.0, None]}, limits={"f1": [-math.inf, math.inf]}).front.tolist() == [0]
