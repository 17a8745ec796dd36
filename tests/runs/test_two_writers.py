"""A run that two processes have written to, or that somebody only reads meanwhile."""

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import warnings

import numpy as np
import pytest

import naslab as nl
from naslab.errors import RunError
from naslab.runs import database, owners
from naslab.runs.database import EventsDamaged
from naslab.runs.journal import Journal, Superseded


def killed(search, place):
    """The run as it is when its process is killed now, log and all."""
    shutil.copytree(search.run, place, ignore=shutil.ignore_patterns("driver.json", "lock", "*-shm"))
    return place


def opened_beside(path):
    """A second driver, as another process is one once the file `lock` has been removed."""
    (path / "lock").unlink()
    owners._folder_owners.clear()
    search = nl.Search.open(path)
    (path / "driver.json").write_text(json.dumps({"pid": os.getppid(), "host": socket.gethostname()}))
    return search


# --- who else writes -------------------------------------------------------------------------------


def test_two_drivers_the_second_row_stops_the_first(begin_on_table, tmp_path):
    first = begin_on_table(8, snapshot_every=8)
    second = opened_beside(first.run)
    for _ in range(5):
        next(second)
    expected = list(second.events)
    for _ in range(2):
        with pytest.raises(
            RunError,
            match=r"another process has written to the run .* at number 13, and here at number 8.*search.fork\(new",
        ):
            next(first)
    with pytest.raises(RunError, match="another process has written"):
        first.rewind(3)
    fork = first.fork(tmp_path / "saved")
    assert list(fork.events) == expected[:9]
    next(second)
    with pytest.raises(RunError, match="another process has written"):
        first.close()
    assert not nl.runs.read(first.run).closed
    second.close()
    again = nl.Search.open(first.run)
    assert list(again.events)[:13] == expected
    assert again.step == 14
    with pytest.raises(RunError, match="does not drive its run any more"):
        next(second)


def test_two_drivers_of_whom_the_first_is_quicker(begin_on_table):
    first = begin_on_table(8, snapshot_every=8)
    second = opened_beside(first.run)
    next(first)
    with pytest.raises(Superseded, match="another process has written"):
        next(second)
    assert next(first).step == 10
    assert next(first).step == 11


def test_a_driver_that_has_nothing_to_write_leaves_what_is_the_others(begin_on_table):
    first = begin_on_table(8, snapshot_every=3)
    second = opened_beside(first.run)
    for _ in range(9):
        next(second)
    before = sorted((first.run / "snapshots").iterdir())
    with pytest.warns(UserWarning, match="another process has written"):
        first.close()
    assert sorted((first.run / "snapshots").iterdir()) == before
    assert not nl.runs.read(first.run).closed
    assert next(second).step == 18


@pytest.fixture
def careless(monkeypatch):
    """Drivers that add to whatever stands there."""

    def take(self, end):
        self._last = end

    def insert(self, records):
        self._last = self._end()
        whole(self, records)

    whole = Journal._insert
    monkeypatch.setattr(Journal, "_check_alone", take)
    monkeypatch.setattr(Journal, "_insert", insert)
    yield
    monkeypatch.undo()


def plain(events):
    return [event for event in events if event.kind != "recovered"]


@pytest.mark.parametrize("order", ["BBBBBBBBBAAAA", "ABABABABBBBBB", "AABBAABBBBBB", "BAAAAABBB"])
@pytest.mark.slow
def test_a_run_that_two_have_written_to_opens_at_its_longest_branch(small, tmp_path, careless, monkeypatch, order):
    """Each with its own rates, so that a mixture of the two would be seen."""
    first = nl.Search(small(total=40), run=tmp_path / "run", snapshot_every=100)
    for _ in range(6):
        next(first)
    second = opened_beside(first.run)
    first.set("w_lr", 0.3)
    second.set("w_lr", 0.2)
    for driver in order:
        next(first if driver == "A" else second)
    longer, shorter = sorted((first, second), key=lambda search: -search.step)
    live, dead = plain(longer.events), plain(shorter.events)[6:]
    run = killed(first, tmp_path / "copy")
    monkeypatch.undo()
    for name in ("_check_alone", "_insert"):
        assert getattr(Journal, name).__module__ == "naslab.runs.journal"
    monkeypatch.setitem(nl.searchers.SEARCHERS, "small", type(small(total=1)))
    monkeypatch.setattr(nl.tasks, "from_spec", lambda spec, task=None: first.searcher.task)
    reader = nl.runs.read(run)
    assert plain(event for _, _, event in reader.events()) == live
    assert plain(event for _, _, event in reader.abandoned()) == dead
    with pytest.warns(UserWarning, match=rf"two processes have driven this run.*at step {len(live) - 1}.*as abandoned"):
        again = nl.Search.open(run)
    assert plain(again.events) == live
    next(again)
    again.rewind(4)
    next(again)
    again.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        once_more = nl.Search.open(run)
        assert once_more.step == 5
        kept = plain(event for _, _, event in nl.runs.read(run).abandoned())
    assert all(event in kept for event in dead)
    assert all(event in kept for event in live[5:])


def test_steps_with_a_gap_are_refused(begin_on_table):
    search = begin_on_table(3)
    event = list(search.events)[-1]
    search._store._journal._insert([(0.0, event.kind, 5, *event.to_record())])
    search._store._journal.close()
    with pytest.raises(EventsDamaged, match=r"not 1, 2, 3, \.\.\. without a gap"):
        nl.runs.read(search.run).events()


# --- who may only read -----------------------------------------------------------------------------


@pytest.fixture
def sealed(tmp_path):
    """Makes a copy of a folder that nobody may write to, and its path."""
    disks = []

    def make(run):
        place = tmp_path / f"disk-{len(disks)}"
        place.mkdir()
        if not hasattr(os, "geteuid") or os.geteuid():
            shutil.copytree(run, place / "run")
            (place / "run").chmod(0o500)
        else:  # to whom permissions mean nothing
            mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
            if subprocess.run(mount, capture_output=True).returncode:
                pytest.skip("this root may not mount")
            shutil.copytree(run, place / "run")
            subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        disks.append(place)
        return place / "run"

    yield make
    for place in disks:
        if os.geteuid():
            (place / "run").chmod(0o700)
        else:
            subprocess.run(["umount", "-l", str(place)], check=True)


def test_whoever_may_not_write_sees_every_step(begin_on_table, tmp_path, sealed):
    search = begin_on_table(30)
    alive = sealed(killed(search, tmp_path / "killed"))
    search.close()
    closed = sealed(search.run)
    for run in (alive, closed):
        before = {path.name for path in run.iterdir()}
        reader = nl.runs.read(run)
        assert [event for _, _, event in reader.events()] == list(search.events)
        assert len(reader.events(since=28)) == 2
        assert reader.events(since=30) == []
        assert {path.name for path in run.iterdir()} == before
        with pytest.raises(RunError, match=r"whoever may not write to it.*Look at it with nl.runs.read\(.*Lab.watch\("):
            nl.Search.open(run)


@pytest.fixture
def no_index(monkeypatch):
    """SQLite may not make the index of a log that it reads, as in a folder that may not be written to."""
    whole = database.connect

    def connect(path, query=""):
        if query == "?mode=ro":
            return whole(path.parent / "nowhere" / path.name, query)
        return whole(path, query)

    class Refused:
        def execute(self, _):
            error = sqlite3.OperationalError("unable to open database file")
            error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
            raise error

        def close(self):
            pass

    monkeypatch.setattr(database, "connect", lambda path, query="": Refused() if "ro" in query else whole(path, query))
    return connect


def test_a_copy_of_what_is_being_written_is_of_one_moment(begin_on_table, no_index, monkeypatch):
    """Between the copies of file and log the writer empties the log into the file, and begins it anew."""
    search, copyfile, left = begin_on_table(10), shutil.copyfile, [True]

    def copied(source, goal):
        done = copyfile(source, goal)
        if str(source).endswith("events.sqlite") and left and left.pop():
            search._store._journal._connection.execute("PRAGMA wal_checkpoint(RESTART)")
            for _ in range(5):
                next(search)
        return done

    monkeypatch.setattr(shutil, "copyfile", copied)
    assert [event for _, _, event in nl.runs.read(search.run).events()] == list(search.events)
    assert search.step == 15


def test_a_run_that_is_too_large_to_be_copied_says_so(begin_on_table, no_index, monkeypatch):
    search = begin_on_table(10)
    monkeypatch.setattr(database, "LARGEST_COPY", 1000)
    with pytest.raises(RunError, match=r"a private copy \(0 MB\) does not fit .*copy the run to a place of your own"):
        nl.runs.read(search.run).events()
    search.close()
    assert len(nl.runs.read(search.run).events()) == 10
    assert np.isfinite(search.events[-1].fitness)
