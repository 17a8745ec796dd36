"""A run folder that is damaged: what can be computed again is, what cannot is refused and left as it is."""

import json
import random
import shutil
import sqlite3
import warnings

import pytest
from recordings import newest, said, steps

import naslab as nl
from naslab.errors import RunError
from naslab.runs import about as run_json
from naslab.runs import environment
from naslab.runs.journal import Journal

# --- damaged snapshots -----------------------------------------------------------------------------


def damage_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def damage_page(path):
    data = bytearray(path.read_bytes())
    data[300:1300] = bytes(1000)
    path.write_bytes(data)


def damage_truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def damage_swap(path):
    shutil.copy(path.with_name("step-00000006.snapshot"), path)


def damage_version(path):
    path.write_bytes(path.read_bytes().replace(b"naslab snapshot 1", b"naslab snapshot 2", 1))


@pytest.mark.parametrize("damage", [damage_bit, damage_page, damage_truncate, damage_swap, damage_version])
@pytest.mark.slow
def test_a_damaged_snapshot_is_set_aside_and_the_one_before_used(run, calm, state_of, damage):
    damage(newest(run))
    with pytest.warns(UserWarning, match=r"step-00000009.snapshot .*set aside, and an earlier one used"):
        search = nl.Search.open(run)
    assert "set aside" in said(search)[0]
    assert said(search)[1] == "broken off at step 9; 3 steps done again"
    assert (run / "snapshots" / "step-00000009.damaged").exists()
    list(search)
    assert (state_of(search), steps(search)) == calm
    search.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nl.Search.open(run)


def test_the_snapshot_of_another_run_is_not_taken(run, small, tmp_path):
    other = nl.Search(small(total=12, seed=1), run=tmp_path / "other", snapshot_every=3)
    list(other)
    shutil.copy(tmp_path / "other" / "snapshots" / newest(run).name, newest(run))
    with pytest.warns(UserWarning, match="belongs to another moment or another run"):
        nl.Search.open(run)


def test_all_snapshots_damaged(run, calm, state_of):
    for path in (run / "snapshots").iterdir():
        damage_bit(path)
    with pytest.warns(UserWarning, match="set aside"):
        search = nl.Search.open(run)
    list(search)
    assert (state_of(search), steps(search)) == calm


# --- damaged events and run.json -------------------------------------------------------------------


def test_no_damage_to_the_events_is_silent(run):
    """Bit flips, zeroed pages and truncation: refused, or without effect on what is read."""
    nl.Search.open(run).close()
    file, identity = run / "events.sqlite", json.loads((run / "run.json").read_text())["run"]
    good, rng, refused = file.read_bytes(), random.Random(0), 0
    journal = Journal(file, identity)
    expected = journal.rows()
    journal.close()
    for _ in range(300):
        data, at = bytearray(good), rng.randrange(len(good))
        kind = rng.choice(["bit", "page", "truncated"])
        if kind == "bit":
            data[at] ^= 1 << rng.randrange(8)
        elif kind == "page":
            data[at : at + 200] = bytes(len(data[at : at + 200]))
        else:
            del data[at:]
        file.write_bytes(data)
        for rest in run.glob("events.sqlite-*"):
            rest.unlink()
        try:
            journal = Journal(file, identity)
        except RunError:
            refused += 1
        else:
            assert journal.rows() == expected, (kind, at)
            journal.close()
    assert refused > 150


def test_damaged_events_are_refused_and_left_as_they_are(run):
    nl.Search.open(run).close()
    file = run / "events.sqlite"
    data = file.read_bytes().replace(b"w_lr", b"w_lt", 1)
    file.write_bytes(data)
    for use in (lambda: nl.Search.open(run), lambda: nl.runs.read(run).events()):
        with pytest.raises(RunError, match=r"events of the run are damaged: .*row \d+ is not what was written"):
            use()
    assert file.read_bytes() == data


@pytest.mark.parametrize("what", ["foreign", "newer", "text", "empty", "missing", "no table", "deleted row"])
def test_events_that_are_not_ours(run, what):
    nl.Search.open(run).close()
    file = run / "events.sqlite"
    if what == "text":
        file.write_text("step,loss\n" * 1000)
    elif what == "empty":
        file.write_bytes(b"")
    elif what == "missing":
        file.unlink()
    else:
        command = {
            "foreign": "PRAGMA application_id=7",
            "newer": "PRAGMA user_version=9",
            "no table": "DROP TABLE events",
            "deleted row": "DELETE FROM events WHERE id = 3",
        }[what]
        connection = sqlite3.connect(file)
        connection.execute(command)
        connection.commit()
        connection.close()
    before = file.read_bytes() if file.exists() else None
    advice = {
        "foreign": "not written by naslab",
        "newer": "has format 9, this naslab reads formats 1 and 2; open it with the version",
        "empty": "the file is empty.*Restore the file from a copy",
        "missing": "restore it from a copy",
    }.get(what, "are damaged: .* Restore the file from a copy")
    with pytest.raises(RunError, match=advice) as refused:
        nl.Search.open(run)
    if what != "newer":
        damage_bit(newest(run))
        with pytest.raises(RunError, match=r"state after step 6 .*naslab.snapshot.read\('.*step-00000006.snapshot'\)"):
            nl.Search.open(run)
        assert f"naslab.snapshot.read({str(newest(run))!r}) gives it" in str(refused.value)
    assert (file.read_bytes() if file.exists() else None) == before


def test_events_that_were_lost_are_done_again_and_said(run, calm, state_of):
    """As when a bit of SQLite's log is flipped: it drops what follows, without a word."""
    nl.Search.open(run).close()
    connection = sqlite3.connect(run / "events.sqlite")
    connection.execute("DELETE FROM events WHERE step > 7")
    connection.commit()
    connection.close()
    with pytest.warns(UserWarning, match="the events end at step 7, although there is a snapshot of step 9"):
        search = nl.Search.open(run)
    list(search)
    assert (state_of(search), steps(search)) == calm


@pytest.mark.parametrize("damage", ["bit", "truncated", "not json", "list"])
def test_a_damaged_description_is_refused(run, damage):
    file = run / "run.json"
    data = file.read_bytes()
    damaged = {
        "bit": data.replace(b'"seed": 0', b'"seed": 1'),
        "truncated": data[:-20],
        "not json": b"\xff\xfe",
        "list": b"[]",
    }[damage]
    assert damaged != data
    file.write_bytes(damaged)
    for use in (nl.Search.open, nl.runs.read):
        with pytest.raises(RunError, match=r"run.json is damaged.*restore it from a copy"):
            use(run)
    assert file.read_bytes() == damaged


def test_a_run_of_another_version_is_refused(run):
    about = json.loads((run / "run.json").read_text())
    about.pop("blake2b")
    (run / "run.json").write_bytes(run_json.sealed({**about, "format": 3}))
    for use in (nl.Search.open, nl.runs.read):
        with pytest.raises(RunError, match=rf"format 3, this naslab reads formats 1 and 2; .*\({nl.__version__}\)"):
            use(run)


# --- another environment ---------------------------------------------------------------------------


def test_a_changed_environment_is_said(run, monkeypatch):
    now = {**environment.fingerprint(), "torch": "9.0"}
    monkeypatch.setattr(environment, "fingerprint", lambda *_: now)
    with pytest.warns(UserWarning, match=r"environment has changed.*torch was 2.* is 9.0"):
        search = nl.Search.open(run)
    assert "torch was" in said(search)[0]


def test_the_arithmetic_of_an_earlier_naslab_is_a_changed_environment(run, monkeypatch):
    """Also where steps that are done again come out differently: the error says why."""
    about = json.loads((run / "run.json").read_text())
    about.pop("blake2b")
    assert about["environment"].pop("arithmetic") == environment.ARITHMETIC
    (run / "run.json").write_bytes(run_json.sealed(about))
    with pytest.warns(UserWarning, match=rf"environment has changed.*arithmetic was 1, is {environment.ARITHMETIC}$"):
        search = nl.Search.open(run)
    search.close()
    newest(run).unlink()
    kind = nl.searchers.SEARCHERS["small"]
    whole = kind._logits
    monkeypatch.setattr(kind, "_logits", lambda self, x: whole(self, x) * (1 + 2**-20))
    with pytest.raises(RunError, match=rf"came out differently.*arithmetic was 1, is {environment.ARITHMETIC}"):
        nl.Search.open(run)


def test_the_way_to_a_step_that_comes_out_differently_is_from_the_stored_one_before_it(run, monkeypatch):
    kind = nl.searchers.SEARCHERS["small"]
    whole = kind._logits
    monkeypatch.setattr(kind, "_logits", lambda self, x: whole(self, x) * (1 + 2**-20))
    with nl.Search.open(run) as search:
        end = search.step
        for go in (search.rewind, lambda step: search.fork(step=step)):
            with pytest.raises(RunError, match=r"fork\(step=6\) begins, and rewind\(6\) goes on from the snapshot of"):
                go(7)
            assert search.step == end
        assert search.fork(step=6).step == 6
        search.rewind(6)
        assert next(search).step == 7


def test_steps_that_come_out_differently_are_not_passed_over(run, monkeypatch, state_of):
    newest(run).unlink()
    kind = nl.searchers.SEARCHERS["small"]
    whole = kind._logits
    monkeypatch.setattr(kind, "_logits", lambda self, x: whole(self, x) * (1 + 2**-20))
    with pytest.raises(RunError, match=r"step 7 was done again and came out differently \(.*loss.*strict=False"):
        nl.Search.open(run)
    with pytest.warns(UserWarning, match="goes on from the snapshot of step 6"):
        search = nl.Search.open(run, strict=False)
    assert search.step == 6
    search.close()
    assert [event.step for _, _, event in nl.runs.read(run).abandoned()] == [7, 8, 9]
