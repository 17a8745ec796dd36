"""What changes as the search goes."""

import pytest

from naslab.searchers.gradient.schedule import Schedule


def values(schedule, value, since=0, epochs=10):
    return [schedule.at(epoch, epochs, value, since) for epoch in range(since, epochs + 1)]


def test_in_equal_steps_and_by_equal_ratios():
    linear = Schedule(start=10.0, end=0.0, low=0.0, high=10.0)
    assert values(linear, 10.0) == pytest.approx([10 - epoch for epoch in range(11)])
    ratios = Schedule(start=1.0, end=0.5**10, shape="exponential", low=0.0, high=1.0)
    assert values(ratios, 1.0) == pytest.approx([0.5**epoch for epoch in range(11)])


def test_arriving_in_the_last_epoch():
    schedule = Schedule(start=10.0, end=1.0, arrives=True, low=0.0, high=10.0)
    assert values(schedule, 10.0)[:10] == pytest.approx([10 - epoch for epoch in range(10)])
    assert values(schedule, 5.5, since=4)[5] == pytest.approx(1.0), "a value set by hand arrives then, too"
    assert values(schedule, 5.0, since=9)[0] == 5.0, "what is set in the last epoch stays"
    assert values(schedule, 10.0, epochs=1)[0] == 10.0


@pytest.mark.parametrize("shape", ["linear", "exponential", "cosine"])
def test_a_value_set_by_hand_goes_to_the_same_end(shape):
    schedule = Schedule(start=1.0, end=0.1, shape=shape, low=0.0, high=10.0)
    path = values(schedule, 7.0, since=4)
    assert path[0] == pytest.approx(7.0)
    assert path[-1] == pytest.approx(0.1)
    assert path == sorted(path, reverse=True)


def test_a_value_beyond_the_end_stays():
    falling = Schedule(start=1.0, end=0.1, low=0.0, high=10.0)
    assert values(falling, 0.05) == [0.05] * 11
    rising = Schedule(start=0.1, end=1.0, low=0.0, high=10.0)
    assert values(rising, 2.0) == [2.0] * 11
    assert values(rising, 0.1) == pytest.approx([0.1 + 0.09 * epoch for epoch in range(11)])
    assert values(Schedule(start=3.0, low=0.0, high=10.0), 4.0) == [4.0] * 11
