"""A run folder from a stranger: whatever is in it, it is opened or refused in one sentence; nothing else happens."""

import contextlib
import copy
import json
import os
import random
import shutil
import sqlite3
import time
import warnings

import pytest

import naslab as nl
from naslab.errors import NaslabError, RunError, SpecError
from naslab.runs import about, folder
from naslab.runs.journal import Journal


@pytest.fixture(scope="module")
def made(table, tmp_path_factory):
    """Folders of a run, a run that keeps trainings, and a race; not to be changed."""
    base = tmp_path_factory.mktemp("made")
    sampler = nl.searchers.RegularizedEvolution(table.space, population=3, sample=2, seed=1)
    with nl.Search(sampler, estimator=table, budget=9, run=base / "run", snapshot_every=2) as search:
        for _ in range(6):
            next(search)
    race = nl.Race({"random": nl.searchers.RandomSearch}, table, seeds=[0, 1], budget=3, run=base / "race")
    race.run()
    race.close()
    return base


@pytest.fixture
def run(made, tmp_path):
    shutil.copytree(made / "run", tmp_path / "stranger" / "run")
    return tmp_path / "stranger" / "run"


@pytest.fixture
def home(tmp_path):
    """Somebody's files, which nothing may touch."""
    home = tmp_path / "home"
    home.mkdir()
    (home / ".important.tmp").write_text("x")
    (home / "step-00000001.snapshot").write_text("y")
    (home / "file").write_text("z" * 100)
    before = {path.name: path.read_bytes() for path in home.iterdir()}
    yield home
    assert {path.name: path.read_bytes() for path in home.iterdir()} == before


def readers(path):
    with pytest.raises(RunError):
        nl.Search.open(path)
    with contextlib.suppress(NaslabError):
        nl.runs.read(path).events()


# --- links, pipes, devices ---------------------------------------------------------------------------

PLACES = ["run.json", "lock", "events.sqlite", "events.sqlite-wal", "events.sqlite-shm", "events.sqlite-journal"]
PLACES += ["acknowledged", "snapshots", "candidates"]


@pytest.mark.parametrize("what", ["link to a file", "link to a folder", "hard link", "pipe", "device"])
@pytest.mark.parametrize("place", PLACES)
def test_what_is_no_file_of_its_own_is_refused(run, home, place, what):
    path = run / place
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    if what == "link to a file":
        path.symlink_to(home / "file")
    elif what == "link to a folder":
        path.symlink_to(home)
    elif what == "hard link":
        os.link(home / "file", path)
    elif what == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    began = time.monotonic()
    readers(run)
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("what", ["link", "pipe", "folder", "long"])
def test_what_is_not_needed_is_let_be(run, home, what):
    """Snapshots, and who drives: what is no file of its own is as if it were not there."""
    for path in (
        run / "driver.json",
        *(run / "snapshots").iterdir(),
        run / "snapshots" / ".step-00000002.snapshot.1.tmp",
    ):
        path.unlink(missing_ok=True)
        if what == "link":
            path.symlink_to(home / "file")
        elif what == "pipe":
            os.mkfifo(path)
        elif what == "folder":
            path.mkdir()
        else:
            with path.open("wb") as file:
                file.truncate(2**40)
    assert nl.runs.read(run).closed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search = nl.Search.open(run)
    assert search.step == 6
    list(search)


def test_a_temporary_file_that_is_a_link_is_not_written_through(run, home):
    for pid in range(os.getpid() - 2, os.getpid() + 3):
        (run / f".driver.json.{pid}.tmp").symlink_to(home / "file")
        (run / "snapshots" / f".step-00000009.snapshot.{pid}.tmp").symlink_to(home / "file")
    with nl.Search.open(run) as search:
        list(search)


def test_cells_of_a_race_are_folders_of_its_own(made, home, tmp_path):
    space = nl.spaces.NASBench201(channels=1, cells=1)
    training = nl.estimators.Training(space, nl.tasks.Digits().subset(40, 10), epochs=1, batch_size=16)
    race = nl.Race({"random": nl.searchers.RandomSearch}, training, seeds=[0], budget=2, run=tmp_path / "race")
    race.close()
    (tmp_path / "race" / "candidates").mkdir(exist_ok=True)
    (tmp_path / "race" / "candidates" / "0-0").symlink_to(home)
    with pytest.raises(RunError, match="symbolic link"):
        nl.Race.open(tmp_path / "race")


# --- the events ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "harm",
    [
        "DROP TABLE events; CREATE VIEW events AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) "
        "SELECT id, 0.0 AS time, 'x' AS kind, 1 AS step, '' AS text, x'' AS blob, '' AS digest FROM n",
        "CREATE TRIGGER t BEFORE INSERT ON events BEGIN DELETE FROM events; END",
        "CREATE TABLE more (x)",
        "CREATE INDEX i ON events (step)",
    ],
)
def test_a_database_that_is_more_than_a_table_is_refused(run, harm):
    connection = sqlite3.connect(run / "events.sqlite")
    connection.executescript(harm)
    connection.close()
    with pytest.raises(RunError, match="does not hold the table of events alone"):
        nl.Search.open(run)
    with pytest.raises(RunError, match="does not hold the table of events alone"):
        nl.runs.read(run).events()


def test_a_snapshot_of_another_searcher_is_set_aside(run, table):
    other = nl.searchers.BlackBoxSearch(nl.searchers.RandomSearch(table.space), table, 9)
    state = other.state_dict()
    journal = Journal(run / "events.sqlite", json.loads((run / "run.json").read_bytes())["run"])
    nl.snapshot.write(run / "snapshots" / "step-00000006.snapshot", {**state, folder.MOMENT: journal.digest(6)})
    journal.close()
    with pytest.warns(UserWarning, match="no state of this searcher|is of step"):
        assert nl.Search.open(run).step == 6


# --- run.json --------------------------------------------------------------------------------------------

NASTY = [None, True, -1, 0, 10**9, 10**40, -(10**40), 0.5, 1e308, float("nan"), float("inf"), "", "x", "../../home"]
NASTY += ["x" * 100_000, [], [1], [[]], {}, {"x": 1}]


def every_place(told, path=()):
    """Each key of nested JSON."""
    items = told.items() if isinstance(told, dict) else enumerate(told) if isinstance(told, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from every_place(value, (*path, key))


def changed(told, path, value):
    told = copy.deepcopy(told)
    inside = told
    for key in path[:-1]:
        inside = inside[key]
    if value is KeyError:
        del inside[path[-1]]
    else:
        inside[path[-1]] = value
    return told


def seal(path, told):
    told = {key: value for key, value in told.items() if key != "blake2b"}
    (path / "run.json").write_bytes(about.sealed(told))


def specs(table):
    space, task = nl.spaces.NASBench201(channels=1, cells=1), nl.tasks.Digits().subset(40, 10)
    yield nl.searchers.BlackBoxSearch(nl.searchers.RandomSearch(table.space), table, 5).spec()
    training = nl.estimators.Training(space, task, epochs=3, batch_size=8)
    yield nl.searchers.BlackBoxSearch(nl.searchers.RandomSearch(space), training, 5).spec()
    hurdles = nl.searchers.Hurdles(space, steps=(1, 2), per_hurdle=2, population=2, sample=2)
    yield nl.searchers.BlackBoxSearch(hurdles, training, 5).spec()
    yield nl.searchers.Darts(
        nl.spaces.DartsCell(nodes=1, channels=2, cells=1), task, epochs=1, batch_size=10, train_portion=0.5
    ).spec()
    yield nl.searchers.SPOS(
        nl.spaces.EnasMacro(layers=2, channels=2), task, epochs=1, batch_size=10, train_portion=0.5
    ).spec()


ABOUT = {"run": "x", "total": 5, "task": "x", "every": 1, "environment": {}, "parent": None}


def test_whatever_a_spec_says_it_is_refused_in_one_sentence_or_makes_sense(table):
    """Every key of several specs, with every nasty value; a seeded sample of all pairs."""
    pairs = [
        (spec, path, value)
        for spec in map(json.loads, map(json.dumps, specs(table)))
        for path in every_place(spec)
        for value in (KeyError, *NASTY)
    ]
    assert len(pairs) > 2000
    slowest = 0.0
    for spec, path, value in random.Random(0).sample(pairs, 30):
        told = changed(spec, path, value)
        began = time.process_time()
        with contextlib.suppress(NaslabError):
            about.check_about({**ABOUT, "spec": told}, "run.json")
            nl.searchers.from_spec(told)
        slowest = max(slowest, time.process_time() - began)
    assert slowest < 20


@pytest.mark.filterwarnings("ignore")
def test_whatever_run_json_says_it_is_refused_in_one_sentence_or_opened(run):
    good = json.loads((run / "run.json").read_bytes())
    places = [path for path in every_place(good) if path[0] not in ("spec", "blake2b", "format")]
    places += [("spec",), ("spec", "searcher"), ("spec", "hyperparameters"), ("spec", "estimator")]
    pairs = [(path, value) for path in places for value in (KeyError, *NASTY)]
    for path, value in random.Random(1).sample(pairs, 40):
        seal(run, changed(good, path, value))
        with contextlib.suppress(NaslabError):
            nl.Search.open(run).close()
        with contextlib.suppress(NaslabError):
            nl.runs.read(run).events()


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" + b"[]," * 5_000_000 + b"0]",
        b'{"format": 1, "blake2b": 3}',
        b"9" * 10_000,
        b"\xff\xfe",
        b"null",
    ],
)
def test_texts_that_are_no_run_json(run, content):
    (run / "run.json").write_bytes(content)
    readers(run)


def test_a_run_json_that_is_too_long_is_not_read(run):
    with (run / "run.json").open("wb") as file:
        file.truncate(2**40)
    readers(run)


@pytest.mark.parametrize("keep", [0, 1])
def test_a_race_opens_no_run_that_was_not_begun_with_it(table, tmp_path, keep):
    """A stranger's race may name any run; that of an older naslab says no identity."""

    def search(seed, name="own"):
        searcher = nl.searchers.RandomSearch(table.space, seed=seed)
        return nl.Search(searcher, estimator=table, budget=3, run=tmp_path / f"{name}-{seed}")

    race = nl.Race({"own": search}, seeds=[0], budget=3, run=tmp_path / "race")
    for _ in range(keep):
        next(race)
    race.close()
    race._runners[0][0]._search.close()
    nl.Race.open(tmp_path / "race").close()
    nl.Search.open(tmp_path / "own-0").close()
    mine = search(5, "mine")
    next(mine)
    mine.close()
    told = json.loads((tmp_path / "race" / "run.json").read_bytes())
    named = told["spec"]["race"]["searchers"]["own"][0]
    older = {"run": named["run"]}
    told["spec"]["race"]["searchers"]["own"] = [older]
    seal(tmp_path / "race", told)
    if keep:
        nl.Race.open(tmp_path / "race").close()
    else:
        with pytest.raises(RunError, match="not known to have been begun with it"):
            nl.Race.open(tmp_path / "race")
    for spec in ({**named, "run": str(mine.run)}, {"run": str(mine.run)}):
        told["spec"]["race"]["searchers"]["own"] = [spec]
        seal(tmp_path / "race", told)
        with pytest.raises(RunError, match="not known to have been begun with it"):
            nl.Race.open(tmp_path / "race")


# --- calls that ask for too much ---------------------------------------------------------------------------


def test_more_than_a_machine_has_is_refused(table):
    task, space = nl.tasks.Digits().subset(40, 10), nl.spaces.DartsCell(nodes=1, channels=2, cells=1)
    calls = [
        lambda: nl.searchers.Darts(space, task, threads=10**6),
        lambda: nl.searchers.Darts(space, task, w_lr=1e30),
        lambda: nl.trainers.fit(space.build(space.sample(0), task), task, threads=10**6, epochs=1, batch_size=8),
        lambda: nl.estimators.Training(space, task, threads=10**6),
        lambda: nl.estimators.Workers(10**6),
        lambda: nl.Search(nl.searchers.RandomSearch(table.space), estimator=table, budget=3, workers=10**6),
        lambda: nl.Race({None: nl.searchers.RandomSearch}, table, seeds=[0], budget=2),
        lambda: nl.Race({"": nl.searchers.RandomSearch}, table, seeds=[0], budget=2),
        lambda: space.build(space.sample(0), None),
        lambda: nl.searchers.RandomSearch(space).tell(None, 1.0),
        lambda: nl.Architecture.from_json(None),
    ]
    for call in calls:
        with pytest.raises(SpecError):
            call()


def test_a_walk_through_a_whole_disk_ends_early(tmp_path, monkeypatch):
    monkeypatch.setattr(nl.tasks.folders, "MOST_OTHERS", 50)
    for place in range(60):
        (tmp_path / f"{place}").mkdir()
        (tmp_path / f"{place}" / "file.txt").write_text("")
    with pytest.raises(NaslabError, match="is no folder of pictures"):
        nl.tasks.Images.from_folder(tmp_path)
