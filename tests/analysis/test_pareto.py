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
    nothing = pareto({"a": [math.nan, math.inf]})
    assert nothing.status.endswith("no point is left: widen the limits")
    assert pareto({"a": []}).front.tolist() == []


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
    ],
)
def test_nonsense_is_refused(figures, options, message):
    with pytest.raises(SpecError, match=message):
        pareto(figures, **options)
