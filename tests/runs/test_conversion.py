"""A run folder of the first format is brought into this one when it is gone on with, whole or not at all; to look at it
changes nothing.
"""

import errno
import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import naslab as nl
from naslab.errors import RunError
from naslab.quantities import Quantity
from naslab.runs import about, conversion, database
from naslab.runs.branches import REWOUND
from naslab.runs.folder import Folder

FIXTURES = Path(__file__).parent / "fixtures" / "old_format"
SEARCHES = ("table", "killed", "darts", "spos", "trained")

pytestmark = pytest.mark.filterwarnings("ignore:.*the environment has changed")


@pytest.fixture
def old(tmp_path):
    """Makes a copy of an old folder."""
    return lambda name: Path(shutil.copytree(FIXTURES / name, tmp_path / name))


def everything(folder):
    """Every file of a folder, with its content and the moment when it was changed."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def rows(file, columns="*"):
    with closing(sqlite3.connect(f"{file.as_uri()}?immutable=1", uri=True)) as connection:
        return connection.execute(f"SELECT {columns} FROM events ORDER BY id").fetchall()


def version(file):
    with closing(sqlite3.connect(f"{file.as_uri()}?immutable=1", uri=True)) as connection:
        return connection.execute("PRAGMA user_version").fetchone()[0]


def events(folder):
    return [event for _, _, event in nl.runs.read(folder).events()]


def rewritten(folder, statement, *values):
    """A change to an old journal, whose checksums then follow from each other again."""
    identity = json.loads((folder / "run.json").read_text())["run"]
    with closing(sqlite3.connect(folder / "events.sqlite")) as connection:
        connection.execute(statement, values)
        before = database.identity(identity)
        for row in connection.execute("SELECT id, time, kind, step, text, blob FROM events ORDER BY id").fetchall():
            before = database.checksum(before, *row, None)
            connection.execute("UPDATE events SET digest = ? WHERE id = ?", (before, row[0]))
        connection.commit()


# --- to look at ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*SEARCHES, "race"])
def test_to_look_at_it_changes_not_a_byte_and_leaves_no_file(name, old):
    folder = old(name)
    before = everything(folder)
    reader = nl.runs.read(folder)
    found = reader.events()
    assert len(reader.events(since=found[-3][0])) == 2
    reader.abandoned()
    assert everything(folder) == before
    assert found


@pytest.mark.parametrize("name", SEARCHES)
def test_what_was_never_said_of_its_numbers_is_known(name, old):
    reader = nl.runs.read(old(name))
    assert reader.metrics["fitness" if name != "darts" else "valid/accuracy"].direction == "max"
    for _, _, event in reader.events():
        assert set(getattr(event, "metrics", ())) <= set(reader.metrics)


# --- to go on with ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*SEARCHES, "race"])
def test_it_is_brought_into_this_format_and_what_stood_there_is_kept(name, old):
    folder = old(name)
    seen, told = events(folder), (folder / "run.json").read_bytes()
    opened = Folder(folder)
    assert opened.converted == (
        "the run was in format 1 and is in format 2 now; what stood there is kept in events.1.sqlite and run.1.json"
    )
    opened.close()
    new, kept = folder / "events.sqlite", folder / "events.1.sqlite"
    assert (version(new), version(kept)) == (2, 1)
    assert (folder / "run.1.json").read_bytes() == told
    assert json.loads((folder / "run.json").read_text())["format"] == 2
    before, after = rows(kept), rows(new)
    assert [row[:4] for row in after] == [row[:4] for row in before]
    assert [row[7] for row in after] == [row[6] for row in before], "the checksum that each row had"
    assert not {row[6] for row in after} & {row[6] for row in before}
    for _, _, kind, _, text, *_ in after:
        fields = json.loads(text) if kind != REWOUND else {}
        assert not fields.keys() & {"train_loss", "rates", "knobs", "skip_count"}
        assert kind not in ("supernet_step", "child_trained", "evaluated") or "settings" in fields
    assert events(folder) == seen
    content = everything(folder)
    assert Folder(folder).converted == ""
    assert everything(folder).items() >= {name: content[name] for name in ("run.json", "events.1.sqlite")}.items()


def test_that_it_was_is_an_event_of_the_run(old):
    with nl.Search.open(old("table")) as search:
        assert [e.message for e in search.events if e.kind == "recovered"][-1].startswith("the run was in format 1")
    with nl.Search.open(search.run) as again:
        assert sum("format 1" in getattr(event, "message", "") for event in again.events) == 1


def test_the_old_snapshots_belong_to_the_run_as_before(old):
    folder = old("darts")
    with closing(Folder(folder)) as store:
        assert store.snapshots() == [0, 2, 4, 6]
        for step in store.snapshots():
            assert store.load(step)["step"] == step
        store.save(4, store.load(4))  # tied to the moment as it is now
        assert store.load(4)["step"] == 4
        shutil.copy(folder / "snapshots" / "step-00000002.snapshot", folder / "snapshots" / "step-00000004.snapshot")
        with pytest.raises(RunError, match="belongs to another moment"):
            store.load(4)


def test_the_kept_files_put_back_are_the_run_as_it_was(old):
    folder = old("table")
    before = events(folder)
    search = nl.Search.open(folder)
    list(search)
    search.close()
    os.replace(folder / "events.1.sqlite", folder / "events.sqlite")
    os.replace(folder / "run.1.json", folder / "run.json")
    (folder / "acknowledged").unlink()
    assert events(folder) == before
    assert about.read_about(folder)["format"] == 1


def test_who_watches_it_meanwhile_sees_the_rows_that_come(old):
    reader = nl.runs.read(old("table"))
    seen = list(reader.events())
    with nl.Search.open(reader.path) as search:
        next(search)
        new = reader.events(since=seen[-1][0])
        assert [event for _, _, event in new] == [*search.events[len(seen) :]]
    assert new[-1][2].step == seen[-1][2].step + 1


def test_many_events_are_shown_to_be_under_way(old, monkeypatch, capsys):
    monkeypatch.setattr(conversion, "LONG", 10)
    monkeypatch.setattr(conversion, "SOON", 0)
    Folder(old("table")).close()
    assert "events converted" in capsys.readouterr().err


# --- what may happen on the way --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_crash_at_any_point_leaves_the_old_events_or_the_new(harness, tmp_path):
    """Of a run that was killed: its steps are in SQLite's log, which must not come into the new file."""
    found = harness("conversion_points", folder=tmp_path, fixture=str(FIXTURES / "killed"))
    assert len(found) > 40
    assert all(same for *_, same in found)
    formats = [tuple(formats) for *formats, _ in found]
    assert formats == sorted(formats)
    assert set(formats) == {(1, 1), (2, 1), (2, 2)}


def test_a_disk_that_takes_no_more_leaves_it_as_it_was(old, monkeypatch):
    folder = old("table")
    before = everything(folder)

    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(conversion, "_force", full)
        with pytest.raises(RunError, match=r"cannot be opened.*No space left"):
            nl.Search.open(folder)
    assert everything(folder).items() >= {name: before[name] for name in before if name != "lock"}.items()
    assert not list(folder.glob(".*"))
    assert nl.Search.open(folder).step == 40


def test_it_waits_for_whoever_reads_it_and_then_says_so(old, monkeypatch):
    folder = old("table")
    monkeypatch.setattr(conversion, "PATIENCE", 0.2)
    with closing(sqlite3.connect(folder / "events.sqlite")) as other:
        other.execute("BEGIN")
        other.execute("SELECT * FROM events").fetchone()
        with pytest.raises(RunError, match=r"another process reads .*stop whatever watches it, and open it again"):
            nl.Search.open(folder)
    assert version(folder / "events.sqlite") == 1
    assert nl.Search.open(folder).step == 40


# --- damage ----------------------------------------------------------------------------------------------------------


def damages(folder, what):
    file = folder / "events.sqlite"
    if what == "a changed row":
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("UPDATE events SET text = replace(text, 'random', 'RANDOM') WHERE id = 2")
            connection.commit()
    elif what == "a row too few":
        rewritten(folder, "DELETE FROM events WHERE id = 5")
    elif what == "a strange row":
        rewritten(folder, "UPDATE events SET text = '3' WHERE id = 3")
    elif what == "half a file":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    elif what == "another format":
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA user_version=3")
    elif what == "another schema":
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA user_version=2")
    elif what == "run.json":
        (folder / "run.json").write_bytes((folder / "run.json").read_bytes().replace(b'"seed": 1', b'"seed": 2'))


@pytest.mark.parametrize(
    ("what", "advice"),
    {
        "a changed row": r"events of the run are damaged: .*row 2 is not what was written.*Restore the file",
        "a row too few": r"events of the run are damaged: .*row 5 is not what was written",
        "a strange row": r"row 3 of the events cannot be understood",
        "half a file": r"events of the run are damaged",
        "another format": r"has format 3, this naslab reads formats 1 and 2; open it with the version of naslab that",
        "another schema": r"events of the run are damaged: .*table of events alone",
        "run.json": r"run.json is damaged: its checksum does not match; restore it from a copy",
    }.items(),
)
def test_what_is_damaged_is_said_at_once_and_left_as_it_is(old, what, advice):
    folder = old("table")
    damages(folder, what)
    before = {name: content for name, (content, _) in everything(folder).items()}
    with pytest.raises(RunError, match=advice):
        nl.Search.open(folder)
    after = {name: content for name, (content, _) in everything(folder).items() if name != "driver.json"}
    assert after == before


def test_a_run_says_what_is_known_of_its_numbers(old, digits, tmp_path):
    space = nl.spaces.NASBench201(channels=2, cells=1)
    darts = nl.searchers.Darts(space, digits, order=1, epochs=1, batch_size=32, train_portion=0.1)
    with nl.Search(darts, run=tmp_path / "run") as search:
        event = next(search)
        metrics = nl.runs.read(search.run).metrics
        assert metrics == search.metrics
        assert set(metrics) == set(event.metrics)
        assert metrics["valid/accuracy"] == Quantity("max", "%")
        assert metrics["train/loss"] == metrics["valid/loss"] == Quantity("min", "nats")
        assert metrics["entropy"] == Quantity(None, "nats")
        assert list(metrics) != sorted(metrics), "in the order in which they are shown"
        fork = search.fork(tmp_path / "fork")
        assert nl.runs.read(fork.run).metrics == metrics
        fork.close()


@pytest.mark.parametrize("told", [{"loss": "min"}, {"loss": {"direction": "down"}}, {"loss": {"unit": 3}}, [], None])
def test_a_run_that_says_nonsense_of_its_numbers_is_refused(old, told):
    folder = old("table")
    nl.Search.open(folder).close()
    said = about.read_about(folder)
    (folder / "run.json").write_bytes(about.sealed({**said, "metrics": told}))
    with pytest.raises(RunError, match="does not make sense, although its checksum is right"):
        nl.runs.read(folder)
