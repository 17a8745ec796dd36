"""A run seen from outside."""

import time

import numpy as np
import pytest

import naslab as nl
from naslab.errors import RunError


@pytest.fixture
def search(small, tmp_path):
    with nl.Search(small(total=8), run=tmp_path / "run", snapshot_every=3) as search:
        yield search


def test_it_follows_a_run_that_is_being_written(search):
    reader, seen, last = nl.runs.read(search.run), [], 0
    for _ in search:
        new = reader.events(since=last)
        seen += [event for _, _, event in new]
        last = new[-1][0]
        if search.step == 4:
            search.set("w_lr", 0.5)
    assert seen == list(search.events)
    assert [event.kind for event in seen].count("changed") == 1
    assert reader.events(since=last) == []


def test_it_knows_what_is_searched(search):
    reader = nl.runs.read(search.run)
    assert reader.spec == search.searcher.spec()
    assert reader.space == search.space
    assert reader.total == 8
    assert reader.parent is None


def test_rows_are_numbered_and_dated(search):
    before = time.time()
    list(search)
    rows = nl.runs.read(search.run).events()
    assert [number for number, _, _ in rows] == list(range(1, 9))
    assert before - 1 <= rows[0][1] <= rows[-1][1] <= time.time() + 1


def test_what_was_left_behind_is_still_there(search):
    for _ in range(6):
        next(search)
    left = list(search.events[2:])
    search.rewind(2)
    search.set("w_lr", 0.5)
    next(search)
    reader = nl.runs.read(search.run)
    assert [event for _, _, event in reader.abandoned()] == left
    assert [event for _, _, event in reader.events()] == list(search.events)
    assert [event.step for _, _, event in reader.events(since=6)] == [3, 3]
    search.close()
    assert list(nl.Search.open(search.run).events) == list(search.events)


def test_closed_means_that_nobody_drives(search):
    reader = nl.runs.read(search.run)
    assert not reader.closed
    search.close()
    assert reader.closed


def test_reading_changes_nothing(search):
    list(search)
    search.close()
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in search.run.rglob("*") if path.is_file()}
    nl.runs.read(search.run).events()
    after = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in search.run.rglob("*") if path.is_file()}
    assert {path: after[path] for path in before} == before


def test_what_one_run_has_found(search):
    list(search)
    assert nl.runs.found([search.run]) == nl.runs.found(search.run) == nl.runs.found(str(search.run)) == [search.best]


@pytest.mark.parametrize("runs", [None, 5, 1.5])
def test_what_is_no_list_of_runs(runs):
    with pytest.raises(RunError, match=r"expected the folders of runs, for instance \['runs/a', 'runs/b'\], got "):
        nl.runs.found(runs)


def test_a_path_is_not_read_letter_by_letter(tmp_path):
    with pytest.raises(RunError, match=r"there is no run at .*nowhere"):
        nl.runs.found(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("since", [None, "1", 1.5, -1, np.zeros(2)])
def test_what_is_no_number_of_an_event(search, since):
    reader = nl.runs.read(search.run)
    for ask in (reader.events, reader.abandoned):
        with pytest.raises(RunError, match="whole number"):
            ask(since)
