"""The journal: what it costs, what is lost of it, who else has written to it, and who may only read it."""

import json
import os
import random
import shutil
import socket
import sqlite3
import subprocess
import warnings

import numpy as np
import pytest

import naslab as nl
from naslab.errors import RunError
from naslab.runs import acknowledged, branches, claims, database
from naslab.runs.database import EventsDamaged
from naslab.runs.journal import Journal, Superseded


@pytest.fixture(scope="module")
def table():
    return nl.benchmarks.NASBench201()


@pytest.fixture
def begin(table, tmp_path):
    """A random search of a table in the folder "run"."""

    def make(steps=0, name="run", **sizes):
        search = nl.Search(
            nl.searchers.RandomSearch(table.space, seed=0), estimator=table, budget=200, run=tmp_path / name, **sizes
        )
        for _ in range(steps):
            next(search)
        return search

    return make


def killed(search, place):
    """The run as it is when its process is killed now, log and all."""
    shutil.copytree(search.run, place, ignore=shutil.ignore_patterns("driver.json", "lock", "*-shm"))
    return place


def opened_beside(path):
    """A second driver, as another process is one once the file `lock` has been removed."""
    (path / "lock").unlink()
    claims._driving.clear()
    search = nl.Search.open(path)
    (path / "driver.json").write_text(json.dumps({"pid": os.getppid(), "host": socket.gethostname()}))
    return search


# --- what it costs ---------------------------------------------------------------------------------


class Untouched(list):
    """A list that can grow and shrink at its end, but cannot be gone through or copied."""

    def _refused(self, *_):
        raise AssertionError("all of the index was touched")

    __iter__ = __contains__ = __add__ = __eq__ = copy = index = count = sort = _refused

    def __getitem__(self, place):
        return self._refused() if isinstance(place, slice) else super().__getitem__(place)


@pytest.mark.parametrize("stand", [3, 60])
def test_a_step_costs_the_same_however_many_stand(begin, stand):
    search, statements = begin(stand), []
    kept = search._store._journal
    kept._moments, search._events = Untouched(kept._moments), Untouched(search._events)
    kept._connection.set_trace_callback(statements.append)
    for _ in range(3):
        next(search)
    assert search.step == stand + 3
    assert len(statements) == 3 * 4  # begin, who was last, insert, commit
    assert all("LIMIT 1" in text for text in statements if text.startswith("SELECT"))


def test_to_open_is_to_read_and_check_each_row_once(begin, monkeypatch):
    with begin(90) as search:
        expected = list(search.events)
    checked, made = [], []
    digest, event = database.checksum, branches.from_record
    monkeypatch.setattr(database, "checksum", lambda *row: checked.append(row[1]) or digest(*row))
    monkeypatch.setattr(branches, "from_record", lambda *row: made.append(row) or event(*row))
    again = nl.Search.open(search.run)
    assert checked == list(range(1, 91))
    assert len(made) <= 2
    assert again.step == 90
    assert (len(again.events), again.events[-1], again.events[3:5]) == (90, expected[-1], expected[3:5])
    assert list(again.events) == expected
    assert again.events[3] is again.events[3]


@pytest.mark.parametrize("step", [0, 1, 7, 19, 20])
def test_an_opened_run_goes_back_and_is_forked_without_a_difference(begin, step):
    with begin(20, snapshot_every=7) as search:
        expected = list(search.events)
    search = nl.Search.open(search.run)
    fork = search.fork(None, step)
    search.rewind(step)
    assert list(search.events) == list(fork.events) == expected[:step]
    for _ in range(step, 20):
        assert next(search) == next(fork)
    assert list(search.events) == expected


def test_a_row_that_another_version_wrote_is_refused(begin, tmp_path):
    search = begin(5)
    search._store._journal._insert([(0.0, "dreamt", 6, "{}", b"")])
    for use in (nl.Search.open, lambda path: nl.runs.read(path).events()):
        with pytest.raises(RunError, match=r"row 6 .*cannot be understood .*'dreamt'.*written by a newer naslab\?"):
            use(killed(search, tmp_path / f"copy-{id(use)}"))


# --- what is lost ----------------------------------------------------------------------------------


def check_said(run, acknowledged):
    """Reader and driver have all that was acknowledged, or say what is gone, or refuse. What they made of it."""
    verdicts = []
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        reader = nl.runs.read(run)
        try:
            seen = len(reader.events())
        except RunError:
            verdicts.append("refused")
        else:
            told = [str(one.message) for one in said if f"{acknowledged} were acknowledged" in str(one.message)]
            assert (seen < acknowledged) == bool(told) == bool(reader.trouble)
            verdicts.append("said" if told else "whole")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            search = nl.Search.open(run)
        except RunError:
            verdicts.append("refused")
        else:
            told = any("were acknowledged" in str(one.message) for one in said)
            assert (search.step < acknowledged) == told
            assert told == any("acknowledged" in event.message for event in search.events if event.kind == "recovered")
            search.close()
            verdicts.append("said" if told else "whole")
    return tuple(verdicts)


def damaged(data, kind, at):
    data = bytearray(data)
    if kind == "bit":
        data[at] ^= 1 << at % 8
    elif kind == "page":
        data[at : at + 512] = bytes(len(data[at : at + 512]))
    else:
        del data[at:]
    return bytes(data)


def test_no_step_is_lost_silently_with_a_damaged_log(begin, tmp_path):
    """As a process is killed, and a byte of the log flips, or its end is missing, or all of it."""
    rng, found = random.Random(1), set()
    with begin(12) as search:
        whole = killed(search, tmp_path / "whole")
    size = (whole / "events.sqlite-wal").stat().st_size
    for round, at in enumerate([0, 17, size - 4000, *(rng.randrange(size) for _ in range(15))]):
        run = tmp_path / f"round-{round}"
        shutil.copytree(whole, run)
        log = run / "events.sqlite-wal"
        log.write_bytes(damaged(log.read_bytes(), ("bit", "page", "cut")[round % 3], at))
        found.add(check_said(run, 12))
    assert ("said", "said") in found
    shutil.copytree(whole, tmp_path / "last")
    (tmp_path / "last" / "events.sqlite-wal").unlink()
    check_said(tmp_path / "last", 12)
    assert check_said(whole, 12) == ("whole", "whole")


@pytest.mark.parametrize("number", ["there", "missing"])
def test_no_step_is_lost_silently_with_a_damaged_file(begin, tmp_path, number):
    """Also in a run of an earlier version, which does not say how many there were."""
    rng, found = random.Random(2), []
    with begin(12) as search:
        pass
    if number == "missing":
        (search.run / acknowledged.NAME).unlink()
    good = (search.run / "events.sqlite").read_bytes()
    for round in range(24):
        run = tmp_path / f"round-{round}"
        shutil.copytree(search.run, run)
        kind = ("bit", "page", "cut")[round % 3]
        (run / "events.sqlite").write_bytes(damaged(good, kind, rng.randrange(len(good))))
        found.append(check_said(run, 12))
    assert found.count(("refused", "refused")) > 8


def test_a_page_that_has_forgotten_its_last_row_is_refused(begin):
    """Without the number of the events only the page itself can tell."""
    with begin(12) as search:
        pass
    (search.run / acknowledged.NAME).unlink()
    file = search.run / "events.sqlite"
    data = bytearray(file.read_bytes())
    leaf = max(at for at in range(4096, len(data), 4096) if data[at] == 13 and data[at + 4])  # of a table, with rows
    data[leaf + 4] -= 1
    file.write_bytes(data)
    for use in (nl.Search.open, lambda run: nl.runs.read(run).events()):
        with pytest.raises(EventsDamaged, match="events of the run are damaged"):
            use(search.run)


def test_rows_that_are_gone_without_a_trace_are_said_once(begin):
    with begin(12) as search:
        pass
    connection = sqlite3.connect(search.run / "events.sqlite")
    connection.execute("DELETE FROM events WHERE step > 9")
    connection.commit()
    connection.close()
    shutil.rmtree(search.run / "snapshots")
    reader = nl.runs.read(search.run)
    with pytest.warns(UserWarning, match=r"run: the events end at number 9, although 12 were acknowledged: 3 are lost"):
        assert len(reader.events()) == 9
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert reader.events(since=9) == []
    assert "3 are lost" in reader.trouble
    with pytest.warns(UserWarning, match=r"although 12 were acknowledged.*what is gone is done again"):
        search = nl.Search.open(search.run)
    next(search)
    search.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert nl.Search.open(search.run).step == 10
        assert reader.events()[-1][2].step == 10
    assert reader.trouble == ""


@pytest.mark.parametrize("what", ["none", "garbage", "torn"])
def test_without_the_number_nothing_is_claimed(begin, what):
    """A run of an earlier version has none; a foreign folder may have anything."""
    with begin(4) as search:
        pass
    file = search.run / acknowledged.NAME
    line = file.read_bytes()
    file.unlink()
    if what != "none":
        file.write_bytes({"garbage": b"\xff" * 500, "torn": line[:12]}[what])
    assert check_said(search.run, 4) == ("whole", "whole")
    search = nl.Search.open(search.run)
    next(search)
    assert acknowledged.Acknowledged.read(search.run).missing(4)


@pytest.mark.parametrize("what", ["link", "pipe"])
def test_a_number_that_is_no_file_is_left_alone(begin, tmp_path, what):
    with begin(4) as search:
        pass
    file = search.run / acknowledged.NAME
    file.unlink()
    other = tmp_path / "elsewhere"
    other.write_bytes(b"somebody's")
    if what == "link":
        file.symlink_to(other)
    else:
        os.mkfifo(file)
    number = acknowledged.Acknowledged(search.run)
    number.note(7)
    number.close()
    assert acknowledged.Acknowledged.read(search.run).missing(0) == ""
    assert other.read_bytes() == b"somebody's"
    with pytest.raises(RunError, match=r"acknowledged"):
        nl.Search.open(search.run)


# --- who else writes -------------------------------------------------------------------------------


def test_two_drivers_the_second_row_stops_the_first(begin, tmp_path):
    first = begin(8, snapshot_every=8)
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


def test_two_drivers_of_whom_the_first_is_quicker(begin):
    first = begin(8, snapshot_every=8)
    second = opened_beside(first.run)
    next(first)
    with pytest.raises(Superseded, match="another process has written"):
        next(second)
    assert next(first).step == 10
    assert next(first).step == 11


def test_a_driver_that_has_nothing_to_write_leaves_what_is_the_others(begin):
    first = begin(8, snapshot_every=3)
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


def test_steps_with_a_gap_are_refused(begin):
    search = begin(3)
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


def test_whoever_may_not_write_sees_every_step(begin, tmp_path, sealed):
    search = begin(30)
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


def test_a_copy_of_what_is_being_written_is_of_one_moment(begin, no_index, monkeypatch):
    """Between the copies of file and log the writer empties the log into the file, and begins it anew."""
    search, copyfile, left = begin(10), shutil.copyfile, [True]

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


def test_a_run_that_is_too_large_to_be_copied_says_so(begin, no_index, monkeypatch):
    search = begin(10)
    monkeypatch.setattr(database, "LARGEST_COPY", 1000)
    with pytest.raises(RunError, match=r"a private copy \(0 MB\) does not fit .*copy the run to a place of your own"):
        nl.runs.read(search.run).events()
    search.close()
    assert len(nl.runs.read(search.run).events()) == 10
    assert np.isfinite(search.events[-1].fitness)
