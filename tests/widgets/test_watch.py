"""Following a run folder from outside."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import naslab as nl
from naslab_widgets import Lab, watch


class Folder:
    """A run folder as its reader shows it; a test writes into it."""

    def __init__(self, tiny, total=100):
        self.search = tiny.Search(total=total)
        self.space, self.total, self.closed, self.rows = self.search.space, total, False, []
        self.path, self.spec, self.trouble = Path("runs/somewhere"), {"searcher": "darts"}, ""
        self.snapshots = [0]

    def write(self, n):
        for _ in range(n):
            number = self.rows[-1][0] + 1 if self.rows else 1
            self.rows.append((number, 1000.0 + number / 4, next(self.search)))

    def events(self, since=0):
        return [row for row in self.rows if row[0] > since]


@pytest.fixture
def folder(tiny, monkeypatch):
    folder = Folder(tiny)
    monkeypatch.setattr(watch, "runs", SimpleNamespace(read=lambda path: folder))
    return folder


@pytest.fixture
def follow():
    views = []

    def start(**options):
        views.append(Lab.watch("runs/somewhere", period=3600, **options))
        return views[-1]

    yield start
    for view in views:
        view.stop()
        view._thread.join(5)


def test_it_shows_what_is_there_and_then_what_comes(folder, follow):
    folder.write(5)
    view = follow()
    assert (view.state, view._step) == ("running", 5)
    assert view.look() is False
    folder.write(3)
    assert view.look() is True
    assert view.view._history.rows()[:, 0].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert "<svg" in view._repr_mimebundle_()["image/svg+xml"]
    assert repr(view) == "<Watch: runs/somewhere, running, step 8>"


def test_states(folder, follow):
    view = follow()
    folder.closed = True
    assert view.look() is True
    assert view.state == "paused"
    folder.closed = False
    folder.write(100)
    view.look()
    assert view.state == "finished"
    view.stop()
    assert view.state == "stopped"


def test_a_search_that_went_back_is_read_anew(folder, follow):
    folder.write(6)
    view = follow()
    folder.rows = [*folder.rows[:3], (7, 1003.0, folder.search.event(4))]
    view.look()
    assert view.view._history.rows()[:, 0].tolist() == [1, 2, 3, 4]


def test_rate_is_by_the_clock_of_the_run(folder, follow, monkeypatch):
    folder.write(41)
    view = follow()
    told = []
    monkeypatch.setattr(view.view, "publish", told.append)
    view._publish()
    assert told[0]["rate"] == pytest.approx(4)
    assert told[0]["left"] == pytest.approx(59 / 4)


def test_a_folder_that_cannot_be_read_is_said_and_tried_again(folder, monkeypatch):
    view = Lab.watch("runs/somewhere", period=0.001)
    try:
        monkeypatch.setattr(folder, "events", lambda since=0: (_ for _ in ()).throw(OSError("disk is away")))
        deadline = 5000
        while view._message != "OSError: disk is away" and deadline:
            deadline -= 1
            view._end.wait(0.001)
        assert view._message == "OSError: disk is away"
        monkeypatch.undo()
    finally:
        view.stop()
        view._thread.join(5)
    assert not view._thread.is_alive()


@pytest.mark.slow
def test_events_that_are_lost_are_said(folder):
    folder.write(5)
    folder.trouble = "the events end at number 5, although 9 were acknowledged"
    view = Lab.watch("runs/somewhere", period=0.001)
    try:
        told = []
        view.view.publish = told.append
        view._publish()
        view._end.wait(0.02)
        assert told[0]["message"] == view._message == folder.trouble
    finally:
        view.stop()
        view._thread.join(5)


@pytest.mark.slow
def test_a_real_run_folder(tmp_path, follow):
    rng = np.random.default_rng(0)
    task = nl.tasks.Images.from_arrays(rng.random((80, 1, 8, 8), dtype=np.float32), np.arange(80) % 2, 2)
    space = nl.spaces.DartsCell(nodes=1, channels=2, cells=3)
    search = nl.Search(nl.searchers.Darts(space, task, batch_size=8), run=tmp_path / "run")
    view = Lab.watch(tmp_path / "run", period=3600)
    try:
        for _ in range(2):
            next(search)
        view.look()
        assert view.state == "running"
        np.testing.assert_array_equal(
            view.view._format.curves(view.view._history.rows())["normal"][-1], search.events[-1].probabilities["normal"]
        )
        search.close()
        view.look()
        assert view.state == "paused"
    finally:
        view.stop()
