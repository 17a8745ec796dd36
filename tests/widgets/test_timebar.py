"""The marks along the bar of time, and what is told of a moment that one looks back to."""

import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest

import naslab as nl
from naslab.events import Acted, Changed, Measured, Phase, Recovered, SupernetStep
from naslab.runs.event_log import EventLog, within
from naslab_widgets.figures.trial_table import COLUMNS
from naslab_widgets.lab import Lab
from naslab_widgets.moments import AROUND, Reread
from naslab_widgets.timebar import MOST_MARKS, MOST_SNAPSHOTS, TimeBar, spread
from naslab_widgets.trials_view import TrialsView

EVENTS = [
    Changed(step=4, name="w_lr", old=0.1, new=0.02),
    Phase(step=5, name="warm_up", settings={"sample": 2}),
    Measured(step=6, name="sharpness", value=0.5),
    Acted(step=7, name="nudge", arguments={"edge": 3}, before=None, who="a cure"),
    Recovered(step=7, message="two rows were lost"),
]


def test_everything_that_one_may_want_to_go_back_to_has_a_mark(tiny):
    clock, forks = tiny.Clock(), []
    bar = TimeBar(snapshots=lambda: [0, 5], forks=lambda: forks, clock=clock)
    bar.take(*EVENTS, tiny.Search().event(8))
    told = bar.state()["marks"]
    assert [mark[:2] for mark in told] == [
        [0, "snapshot"],
        [4, "changed"],
        [5, "changed"],
        [5, "snapshot"],
        [6, "measured"],
        [7, "changed"],
        [7, "warning"],
    ]
    assert told[1][2] == "step 4: w_lr: 0.1 → 0.02, by hand"
    assert "by a cure" in told[5][2]
    assert "two rows" in told[6][2]
    forks.append((6, "fork-1"))
    assert bar.state()["marks"] == told, "forks and snapshots are looked for once a second"
    clock.now += 1
    assert [6, "fork"] in [mark[:2] for mark in bar.state()["marks"]]
    bar.clear()
    assert {kind for _, kind, _ in bar.state()["marks"]} == {"snapshot", "fork"}


def test_the_marks_of_a_day_are_not_more_than_those_of_an_hour(tiny):
    clock = tiny.Clock()
    bar = TimeBar(snapshots=lambda: range(0, 10**6, 50), clock=clock)
    for step in range(1, 20_000):
        bar.take(Changed(step=step, name="w_lr", old=0.1, new=0.2), Measured(step=step, name="sharpness", value=1.0))
    marks = bar.state()["marks"]
    assert len(marks) <= 3 * MOST_MARKS + MOST_SNAPSHOTS
    assert len(json.dumps(marks)) < 60_000
    assert marks == sorted(marks, key=lambda mark: mark[0])
    assert bar.state()["marks"] is marks, "and are not sorted anew for each message"


def test_the_snapshots_that_are_shown_stay_the_same_ones_while_others_come_and_go():
    assert spread([], 4) == []
    assert spread([0, 50, 100], 4) == [0, 50, 100]
    every = list(range(0, 5000, 10))
    shown = spread(every, 24)
    assert 12 <= len(shown) <= 24
    assert set(shown) <= set(every)
    assert set(shown[:-1]) <= set(spread([*every, 5000, 5010], 24))


@pytest.fixture
def long(tiny):
    """A search of a million steps of which only those that are asked for are made."""
    search = tiny.Search(total=10**6)

    class Endless(list):
        asked = 0

        def __len__(self):
            return 10**6

        def __getitem__(self, index):
            if isinstance(index, slice):
                return [self[place] for place in range(*index.indices(10**6))]
            self.asked += 1
            return search.event(index + 1)

    return search, Endless()


def test_a_moment_among_a_million_steps_is_found_in_few_looks_and_told_with_those_around_it(long, tiny):
    search, events = long
    found = within(events, 499_900, 500_100)
    assert [event.step for event in found] == list(range(499_900, 500_101))
    assert events.asked < 201 + 2 * 21
    lab = Lab(search, clock=tiny.Clock())
    lab._recall = lab.view._recall = lambda first, last: within(events, first, last)
    told = []
    lab.view.send = lambda content, buffers: told.append((content, buffers[0]))
    lab.view._receive(lab.view, {"type": "moment", "step": 500_000}, [])
    rows = np.frombuffer(told[0][1], "<f8").reshape(-1, lab.view._format.width)
    assert rows[:, 0].tolist() == list(range(500_000 - AROUND, 500_001 + AROUND))
    assert np.array_equal(rows[AROUND], lab.view._format.row(search.event(500_000)))
    for nonsense in (None, "4", 4.5, True):
        lab.view._receive(lab.view, {"type": "moment", "step": nonsense}, [])
    assert len(told) == 1
    lab.stop()


def test_events_beside_the_steps_are_among_those_of_their_step():
    steps = [SupernetStep(step=n, epoch=0, metrics={}, best=None, settings={}, probabilities={}) for n in range(1, 9)]
    log = EventLog([*steps[:3], EVENTS[0], steps[3], EVENTS[1], steps[4], steps[5], EVENTS[2], *steps[6:]])
    assert [(event.step, event.kind) for event in within(log, 4, 6)] == [
        (4, "changed"),
        (4, "supernet_step"),
        (5, "phase"),
        (5, "supernet_step"),
        (6, "supernet_step"),
        (6, "measured"),
    ]
    assert within(log, 40, 60) == []


def test_a_lab_marks_what_was_done_and_forgets_it_when_the_search_goes_back(tiny):
    search = tiny.Search()
    lab = Lab(search)
    lab.run(3)
    lab.set("w_lr", 0.5)
    lab.run(2)
    assert [mark[:2] for mark in lab.timebar.state()["marks"]] == [[4, "changed"]]
    del search.events[3:]
    search.step = 3
    lab._observe()
    assert lab.timebar.state()["marks"] == []
    lab.stop()


def test_steps_are_found_in_a_run_folder_again_without_reading_it_all(tmp_path):
    space = nl.spaces.NASBench201()
    searcher, count = nl.searchers.RandomSearch(space, seed=0), itertools.count()
    judged = lambda architecture: float(next(count))  # noqa: E731 - so that what is done again comes out otherwise
    search = nl.Search(searcher, estimator=judged, budget=60, run=tmp_path / "run")
    for _ in range(40):
        next(search)
    search.rewind(30)
    for _ in range(15):
        next(search)
    reader = nl.runs.read(tmp_path / "run")
    reread = Reread(reader, most=8)
    records = reader.events()
    reread.take(records[:20])
    reread.take(records[20:])
    assert len(reread._places.kept) <= 8
    assert reread(20, 35) == [event for _, _, event in records if 20 <= event.step <= 35]
    assert reread(44, 90) == [records[43][2], records[44][2]]
    assert reread(70, 90) == []
    assert reader.snapshots == search.kept_steps[: len(reader.snapshots)]
    read = []
    reread._reader = SimpleNamespace(
        written=lambda first, last: read.append((first, last)) or reader.written(first, last)
    )
    reread(3, 4)
    assert read[0][1] - read[0][0] <= 2 * reread._places.stride + 2, "only what lies between the places it remembers"
    reread.clear()
    assert reread._places.kept == []
    search.close()


def test_a_view_of_trials_tells_the_best_until_a_moment_and_those_around_it(tiny, evaluated):
    events = [evaluated(step, fitness=1 - abs(step - 300) / 1000) for step in range(1, 601)]
    view = TrialsView(nl.spaces.NASBench201(), poke=lambda: None, recall=lambda a, b: within(events, a, b))
    view.take(*events)
    told = []
    view.send = lambda content, buffers: told.append((content, buffers[0]))
    view._receive(view, {"type": "moment", "step": 200}, [])
    view._receive(view, {"type": "moment", "step": 450}, [])
    view._receive(view, {"type": "moment", "step": "450"}, [])
    assert [(content["step"], content["best"], content["child"]) for content, _ in told] == [
        (200, 200, None),
        (450, 300, None),
    ]
    rows = np.frombuffer(told[0][1], "<f8").reshape(-1, len(COLUMNS))
    assert rows[:, 0].tolist() == list(range(200 - AROUND, 201 + AROUND))
