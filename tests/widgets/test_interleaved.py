"""Searches in turns: which of them makes the next step."""

import math
from types import SimpleNamespace

import pytest

from naslab_widgets.compare import Interleaved


def together(*paces, totals=(30, 30), clock=None, epochs=(None, None)):
    """Two searches whose steps take so many seconds of a clock of ours."""
    clock = clock or SimpleNamespace(now=0.0)
    tracks = [SimpleNamespace(epochs=math.nan, step=0, total=total) for total in totals]

    class Slow:
        def __init__(self, place):
            self.step, self.total, self.place = 0, totals[place], place

        def __iter__(self):
            return self

        def __next__(self):
            if self.step == self.total:
                raise StopIteration
            clock.now += paces[self.place]
            self.step += 1
            tracks[self.place].step = self.step
            if epochs[self.place]:
                tracks[self.place].epochs = self.step / epochs[self.place]
            return self

    searches = {str(place): Slow(place) for place in range(2)}
    return Interleaved(searches, tracks, lambda: clock.now)


def test_in_line_by_steps():
    both = together(1.0, 5.0)
    for _ in range(20):
        next(both)
        steps = [search.step for search in both.searches]
        assert max(steps) - min(steps) <= 1


def test_in_line_by_seconds():
    both = together(1.0, 5.0)
    both.axis = "seconds"
    for _ in range(24):
        next(both)
    assert [search.step for search in both.searches] == [20, 4], "the quick one has made five steps for one"
    assert both.spent == [20.0, 20.0]


def test_in_line_by_epochs():
    both = together(1.0, 1.0, epochs=(5, 10))
    both.axis = "epochs"
    for _ in range(30):
        next(both)
    assert [search.step for search in both.searches] == [10, 20]


def test_one_without_epochs_keeps_step_by_its_share():
    both = together(1.0, 1.0, totals=(20, 200), epochs=(5, None))
    both.axis = "epochs"
    for _ in range(110):
        next(both)
    assert both.searches[0].step == pytest.approx(10, abs=1)


def test_in_line_by_share_and_to_the_end():
    both = together(1.0, 1.0, totals=(10, 30))
    both.axis = "share"
    for _ in range(20):
        next(both)
    assert [search.step for search in both.searches] == [5, 15]
    assert len(list(both)) == 20
    with pytest.raises(StopIteration):
        next(both)
