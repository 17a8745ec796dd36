"""The journal: what it costs, what is lost of it, who else has written to it, and who may only read it."""

import os
import random
import shutil
import sqlite3
import warnings

import pytest

import naslab as nl
from naslab.errors import RunError
from naslab.runs import acknowledged, branches, database
from naslab.runs.database import EventsDamaged


def killed(search, place):
    """The run as it is when its process is killed now, log and all."""
    shutil.copytree(search.run, place, ignore=shutil.ignore_patterns("driver.json", "lock", "*-shm"))
    return place


# --- what it costs ---------------------------------------------------------------------------------


class Untouched(list):
    """A list that can grow and shrink at its end, but cannot be gone through or copied."""

    def _refused(self, *_):
        raise AssertionError("all of the index was touched")

    __iter__ = __contains__ = __add__ = __eq__ = copy = index = count = sort = _refused

    def __getitem__(self, place):
        return self._refused() if isinstance(place, slice) else super().__getitem__(place)


@pytest.mark.parametrize("stand", [3, 60])
def test_a_step_costs_the_same_however_many_stand(begin_on_table, stand):
    search, statements = begin_on_table(stand), []
    kept = search._store._journal
    kept._moments, search._events = Untouched(kept._moments), Untouched(search._events)
    kept._connection.set_trace_callback(statements.append)
    for _ in range(3):
        next(search)
    assert search.step == stand + 3
    assert len(statements) == 3 * 4  # begin, who was last, insert, commit
    assert all("LIMIT 1" in text for text in statements if text.startswith("SELECT"))


def test_to_open_is_to_read_and_check_each_row_once(begin_on_table, monkeypatch):
    with begin_on_table(90) as search:
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
def test_an_opened_run_goes_back_and_is_forked_without_a_difference(begin_on_table, step):
    with begin_on_table(20, snapshot_every=7) as search:
        expected = list(search.events)
    search = nl.Search.open(search.run)
    fork = search.fork(None, step)
    search.rewind(step)
    assert list(search.events) == list(fork.events) == expected[:step]
    for _ in range(step, 20):
        assert next(search) == next(fork)
    assert list(search.events) == expected


def test_a_row_that_another_version_wrote_is_refused(begin_on_table, tmp_path):
    search = begin_on_table(5)
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


def test_no_step_is_lost_silently_with_a_damaged_log(begin_on_table, tmp_path):
    """As a process is killed, and a byte of the log flips, or its end is missing, or all of it."""
    rng, found = random.Random(1), set()
    with begin_on_table(12) as search:
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
def test_no_step_is_lost_silently_with_a_damaged_file(begin_on_table, tmp_path, number):
    """Also in a run of an earlier version, which does not say how many there were."""
    rng, found = random.Random(2), []
    with begin_on_table(12) as search:
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


def test_a_page_that_has_forgotten_its_last_row_is_refused(begin_on_table):
    """Without the number of the events only the page itself can tell."""
    with begin_on_table(12) as search:
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


def test_rows_that_are_gone_without_a_trace_are_said_once(begin_on_table):
    with begin_on_table(12) as search:
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
def test_without_the_number_nothing_is_claimed(begin_on_table, what):
    """A run of an earlier version has none; a foreign folder may have anything."""
    with begin_on_table(4) as search:
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
def test_a_number_that_is_no_file_is_left_alone(begin_on_table, tmp_path, what):
    with begin_on_table(4) as search:
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
