"""Run folders of the first format, which an earlier naslab wrote, are read, watched, rewound, forked and gone on with.

What is read of them is what was written, bit for bit. What a network computes from there on is compared only with
itself, for the folders were written on another machine.
"""

import dataclasses
import importlib.util
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from torch import nn

import naslab as nl
from naslab.randomness import seeded
from naslab.runs import environment
from naslab_widgets import Lab

_golden = Path(__file__).parents[2] / "benchmarks" / "golden.py"
_spec = importlib.util.spec_from_file_location("golden", _golden)
golden = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(golden)

FIXTURES = Path(__file__).parent / "fixtures" / "old_format"
SEARCHES = ("table", "killed", "darts", "spos", "trained")
SAID = {
    "killed": "9f2c132d8908210fe36a6c018473d12ec35aefef3f66cfdcbebb2a1d0279689b",
    "table": "e7619f071d11b799a7b57c87fe25f821fe01bb4e23901654dc3062ff29da43fc",
    "darts": "5244e853c5d64f076dd5e66578f633b270478c90fa3750a3d477dfb6ea45636a",
    "spos": "cdb2b289b35c89701b0bd708facecf0e4875e2e94f10fde6f73addd0d93928ff",
    "trained": "8cde002fc0c1d7d6075f23f0719e793c0011439646d42f76d9b551c7e2a9a582",
    "race": "8ce1df0e257fd58fc658475f7c71a407f715d8224438ac70071725e672b4fa72",
}
"""Folder -> the hash of all that its events say."""
TABLE_TO_ITS_END = "e346b63606156a6326a969c7ae318143aad528f6ea75b614e24fefca9928c090"
WEIGHTS = {
    4: "a52042fbc984fba995f258c8dd1735cd9ac59cea793b90ea0fb7639a9c42fa1f",
    6: "c5d8fb4dce0ac8642f6cb88b8481ab7e9f941d7ee8241719a8f3c06f6886115c",
}
"""Step of the DARTS run -> the hash of the supernet's weights and the alphas."""

pytestmark = pytest.mark.filterwarnings("ignore:.*the environment has changed")


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch):
    """No machine that wrote one of the folders: the tests see the same here as on any other."""
    monkeypatch.setattr(environment, "_processor", lambda: "another")


@pytest.fixture
def old(tmp_path):
    """Makes a copy of an old folder."""

    def copy(name):
        folder = Path(shutil.copytree(FIXTURES / name, tmp_path / name))
        (folder / "snapshots").mkdir(exist_ok=True)  # a race's is empty, which git does not keep
        return folder

    yield copy
    for path in tmp_path.iterdir():  # for whoever removes them
        path.chmod(0o700)
        for inside in path.rglob("*"):
            inside.chmod(0o700)


def everything(folder):
    """Each file of a run: its content, and when it was written. What SQLite makes to read it is not."""
    files = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        str(path.relative_to(folder)): (content, path.stat().st_mtime_ns)
        for path, content in files.items()
        if path.name != "events.sqlite-shm" and (path.name, content) != ("events.sqlite-wal", b"")
    }


def said(events):
    """The hash of what events say; not that the run was opened elsewhere."""
    return golden.hashed(golden.told(event for event in events if event.kind != "recovered"))[0]


def steps(events):
    return [event for event in events if event.kind in ("supernet_step", "child_trained", "evaluated")]


def fitness_alone(events):
    """Steps of trials without what the first format did not keep: the values of the objectives by their names."""
    return [dataclasses.replace(event, values={}, objectives=()) for event in steps(events)]


def weights_of(search):
    return golden.hashed([*golden.weights(search.searcher.network), search.searcher.alphas])[0]


def finite(events):
    numbers = [getattr(event, name) for event in events for name in golden.LOSSES if hasattr(event, name)]
    return bool(numbers) and all(map(math.isfinite, numbers))


# --- to look at ------------------------------------------------------------------------------------------------------


def test_the_folders_are_small_of_the_first_format_and_closed_but_for_one():
    files = [path for path in FIXTURES.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 400_000
    beside = [path for path in files if path.name.endswith(("-wal", "-shm", "-journal", "driver.json"))]
    assert beside == [FIXTURES / "killed" / "events.sqlite-wal"]
    for name in SAID:
        assert '"format": 1,' in (FIXTURES / name / "run.json").read_text()


@pytest.mark.parametrize("name", SAID)
def test_a_reader_sees_what_was_written_and_changes_nothing(name, old):
    folder = old(name)
    for path in sorted(folder.rglob("*"), reverse=True):
        path.chmod(0o500 if path.is_dir() else 0o400)
    folder.chmod(0o500)
    before = everything(folder)
    reader = nl.runs.read(folder)
    rows = reader.events()
    assert said(row.event for row in rows) == SAID[name]
    assert [row.event for row in reader.events(since=rows[1][0])] == [row.event for row in rows[2:]]
    assert name == "race" or len(reader.table()) == len(rows)
    assert reader.closed
    assert not reader.trouble
    assert [row.event.step for row in reader.abandoned()] == (list(range(19, 26)) if name == "table" else [])
    assert everything(folder) == before


@pytest.mark.parametrize("name", SEARCHES)
def test_it_is_watched_and_not_changed(name, old):
    folder = old(name)
    before = everything(folder)
    watch = Lab.watch(folder, period=3600)
    watch.stop()
    assert everything(folder) == before


# --- to go on with ---------------------------------------------------------------------------------------------------


def test_a_table_search_replays_to_the_same_everywhere(old, table):
    whole = nl.Search(
        nl.searchers.RegularizedEvolution(table.space, seed=1, population=8, sample=4), estimator=table, budget=60
    )
    while whole.step < 60:
        if whole.step == 18:
            whole.set("sample", 2)
        next(whole)
    search = nl.Search.open(old("table"))
    assert (search.step, search.total) == (40, 60)
    assert said(search.events) == SAID["table"]
    list(search)
    assert fitness_alone(search.events) == fitness_alone(whole.events)
    assert steps(search.events)[39:41] != steps(whole.events)[39:41]
    assert steps(search.events)[39].values == {"fitness": steps(whole.events)[39].fitness}, "all that was kept then"
    assert steps(search.events)[40] == steps(whole.events)[40]
    assert said(search.events) == TABLE_TO_ITS_END
    search.rewind(27)  # between two old snapshots
    list(search)
    assert said(search.events) == TABLE_TO_ITS_END
    search.close()
    assert said(row.event for row in nl.runs.read(search.run).events()) == TABLE_TO_ITS_END


def test_a_run_that_was_killed_goes_on_with_what_stands_in_its_log(old, table):
    """Its three steps are not in the journal yet, but in SQLite's log beside it, and after no snapshot."""
    evolution = nl.searchers.RegularizedEvolution(table.space, seed=1, population=8, sample=4)
    whole = list(nl.Search(evolution, estimator=table, budget=60))
    search = nl.Search.open(old("killed"))
    assert search.step == 3
    assert said(search.events) == SAID["killed"]
    list(search)
    assert fitness_alone(search.events) == fitness_alone(whole)
    search.close()
    assert fitness_alone(row.event for row in nl.runs.read(search.run).events()) == fitness_alone(whole)


def test_a_table_search_is_forked_and_its_fork_goes_on(old, table, tmp_path):
    search = nl.Search.open(old("table"))
    fork = search.fork(tmp_path / "fork", step=33)
    search.close()
    list(fork)
    assert said(fork.events) == TABLE_TO_ITS_END
    fork.close()
    parent = nl.runs.read(tmp_path / "fork").parent
    assert parent is not None
    assert parent["run"] == nl.runs.read(search.run).identity
    assert nl.runs.read(search.run).events()[-1].event.step == 40


@pytest.mark.slow
def test_a_darts_search_goes_on_from_its_last_snapshot(old):
    search = nl.Search.open(old("darts"))
    assert (search.step, search.total) == (6, 9)
    assert said(search.events) == SAID["darts"]
    assert weights_of(search) == WEIGHTS[6]
    assert search.knobs["w_lr"].value < 0.01 < 0.025
    went_on = list(search)
    assert [event.step for event in went_on] == [7, 8, 9]
    assert finite(went_on)
    search.rewind(6)
    assert weights_of(search) == WEIGHTS[6]
    assert list(search) == went_on
    search.close()
    again = nl.Search.open(search.run)
    assert again.step == 9
    assert steps(again.events)[6:] == went_on


def test_a_darts_search_rewinds_and_forks_at_its_snapshots(old, tmp_path):
    search = nl.Search.open(old("darts"))
    fork = search.fork(tmp_path / "fork", step=4)
    assert weights_of(fork) == WEIGHTS[4]
    assert steps(fork.events) == steps(search.events)[:4]
    search.rewind(4)
    assert weights_of(search) == WEIGHTS[4]
    went_on = list(search)
    assert [event.step for event in went_on] == [5, 6, 7, 8, 9]
    assert finite(went_on)
    assert list(fork) == went_on


@pytest.mark.slow
def test_a_one_shot_search_goes_on_with_its_ranking(old):
    search = nl.Search.open(old("spos"))
    assert search.step == 5
    assert said(search.events) == SAID["spos"]
    went_on = list(search)
    assert search.step == search.total > 5
    assert all(0 <= event.fitness <= 1 for event in went_on)
    ranked = [event for event in search.events if event.kind == "ranked"]
    assert [event.step for event in ranked] == [1, *range(2, search.total, 2), search.total]


def test_a_race_goes_on_to_the_end_that_it_would_have_had(old, table):
    runners = {
        "random": nl.searchers.RandomSearch,
        "evolution": lambda seed: nl.searchers.RegularizedEvolution(table.space, population=4, sample=2, seed=seed),
    }
    whole = nl.Race(runners, table, seeds=range(2), budget=20).run()
    race = nl.Race.open(old("race"))
    assert race.step == 40
    race.run()
    np.testing.assert_array_equal(race.fitness, whole.fitness)
    assert [race.best(name, 1) for name in runners] == [whole.best(name, 1) for name in runners]


def test_trainings_that_were_kept_go_on(old):
    folder = old("trained")
    kept = {path.name: path.read_bytes() for path in (folder / "candidates").iterdir()}
    search = nl.Search.open(folder)
    assert search.step == 8
    assert said(search.events) == SAID["trained"]
    assert {path.name: path.read_bytes() for path in (folder / "candidates").iterdir()} == kept
    search.rewind(7)  # the eighth goes on with the training of the seventh
    again = next(search)
    assert (again.origin, again.begins_from, again.candidate, again.fidelity) == ("hurdle", 7, 7, 2)
    assert again.figures["epochs"] == 2
    assert [event.step for event in search] == [9, 10, 11, 12]
    assert all(event.status == "done" and 0 <= event.fitness <= 1 for event in steps(search.events))


def test_a_kept_training_goes_on_where_it_stopped(old):
    with seeded(2, "weights"):  # others: the checkpoint has its own
        network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(72, 10))
    report = nl.trainers.fit(
        network,
        nl.tasks.Digits().subset(48, 16),
        **dict(seed=1, epochs=4, schedule_epochs=4, batch_size=8, held_out=0.25, threads=1, progress=False),
        checkpoint=old("fit") / "training.snapshot",
    )
    assert [row.epoch for row in report.history] == [1, 2, 3, 4]
    names = (*golden.LOSSES, "test_loss", "test_accuracy", "learning_rate")
    first, second, *rest = ([getattr(row, name) for name in names] for row in report.history)
    assert first == [2.384390711784363, 0.0625, 2.564380407333374, 0.0, 2.4278037548065186, 0.0, 0.022893370153781817]
    assert second[:3] == [2.355720579624176, 0.15625, 2.558410882949829]
    assert np.isfinite(rest).all()
