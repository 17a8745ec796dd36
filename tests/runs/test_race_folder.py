"""A race that is kept: killed at any moment and opened again, it is the race that nobody disturbed."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import naslab as nl
from naslab.errors import RunError, RunPaused, SpecError
from naslab.estimators import Score, Table
from naslab.runs import Race, race_folder
from naslab.searchers import BlackBoxSearch, Hyperband, LocalSearch, RandomSearch, RegularizedEvolution

TABLE = nl.benchmarks.NASBench201()
SEARCHERS = {
    "random": RandomSearch,
    "REA": lambda seed: RegularizedEvolution(TABLE.space, population=5, sample=2, seed=seed),
    "local": LocalSearch,
    "hyperband": Hyperband,
}


class Counted:
    """An estimator of the user's own; remembers what it was asked, and for seed after seed some fail."""

    def __init__(self):
        self.asked = []

    def __call__(self, architecture):
        self.asked.append(architecture)
        number = TABLE.index(architecture)
        if number % 5 == 0:
            raise ValueError(f"no {number}")
        return Score(float(number), {"seconds": 1.0 + number % 3})


def measured(architecture):
    return 1.0


def own(seed):
    return RandomSearch(TABLE.space, seed=seed)


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Each evaluation is written before the next."""
    monkeypatch.setattr(race_folder, "TOGETHER", -1.0)


def same(race, other):
    assert race.step == other.step
    for name in ("fitness", "spent", "numbers", "queries"):
        np.testing.assert_array_equal(getattr(race, name), getattr(other, name))
    for name in race.searchers:
        for seed in race.seeds:
            assert race.best(name, seed) == other.best(name, seed)
    assert str(race.card) == str(other.card)


@pytest.mark.parametrize("stop", [0, 1, 37, 100, 239, 240])
@pytest.mark.slow
def test_opened_again_it_is_the_same_race(tmp_path, stop):
    calm = Race(SEARCHERS, TABLE, seeds=(3, 1, 7), budget=20)
    laps = list(calm)
    assert len(laps) == 240
    race = nl.Race(SEARCHERS, TABLE, seeds=(3, 1, 7), budget=20, run=tmp_path / "race")
    found = [next(race) for _ in range(stop)]
    race.close()
    race = nl.Race.open(tmp_path / "race")
    assert (race.step, race.total, race.budget, race.seeds) == (stop, 240, 20, (3, 1, 7))
    for _ in range(min(7, 240 - stop)):
        found.append(next(race))
    race.close()
    with Race.open(tmp_path / "race", SEARCHERS) as race:
        found += list(race)
        assert found == laps
        same(race, calm)
    with Race.open(tmp_path / "race") as race:
        assert race.finished
        same(race, calm)


def test_nothing_is_evaluated_twice_and_what_has_ended_is_left_alone(tmp_path):
    """On an axis of seconds the evaluation that came too late is remembered as well."""
    searchers = {"one": own, "two": lambda seed: BlackBoxSearch(RandomSearch(TABLE.space, seed=seed + 9), score, 6)}
    score = Counted()
    calm = Race(searchers, score, seeds=(0, 1), budget=15.0, cost="seconds").run()
    expected, score.asked = score.asked, []
    race = Race(searchers, score, seeds=(0, 1), budget=15.0, cost="seconds", run=tmp_path / "race")
    while race.step < calm.step:
        next(race)
        if race.step % 4 == 0:
            race.close()
            race = Race.open(tmp_path / "race", searchers, estimator=score)
    race.run().close()
    assert score.asked == expected
    same(race, calm)
    race = Race.open(tmp_path / "race", searchers, estimator=score)
    told = []
    for runner in race._runners[0]:
        runner.repeat = told.append
    assert list(race) == told == []
    same(race, calm)
    assert score.asked == expected


def test_searches_of_their_own_go_on_from_their_folders(tmp_path):
    score = Counted()

    def kept(seed):
        return nl.Search(own(seed), tmp_path / f"search-{seed}", estimator=score, budget=12, snapshot_every=5)

    calm = Race({"one": own}, score, seeds=(0, 1), budget=12).run()
    expected, score.asked = score.asked, []
    race = Race({"one": kept}, score, seeds=(0, 1), budget=12, run=tmp_path / "race")
    for _ in range(9):
        next(race)
    next(race._runners[0][0]._search)  # as if killed before the race had heard of it
    race.close()
    for row in race._runners:
        for runner in row:
            runner._search.close()
    race = Race.open(tmp_path / "race", estimator=score).run()
    same(race, calm)
    assert sorted(map(str, score.asked)) == sorted(map(str, expected))
    race.close()
    with pytest.raises(SpecError, match="needs searches that are kept"):
        Race(
            {"one": lambda seed: nl.Search(own(seed), estimator=score, budget=12)},
            score,
            seeds=(0, 1),
            run=tmp_path / "another",
        )
    assert not (tmp_path / "another").exists()


@pytest.mark.slow
def test_trainings_are_gone_on_with(tmp_path):
    """Halving with real training: the second rung begins with the weights that the first left in the folder."""
    cell = nl.spaces.NASBench201(channels=2, cells=1)
    training = nl.estimators.Training(cell, nl.tasks.Digits(), data=0.05, epochs=2, batch_size=16)
    searchers = {"halving": lambda seed: nl.searchers.SuccessiveHalving(cell, candidates=2, epochs=(1, 2), seed=seed)}
    calm = Race(searchers, training, seeds=(0,), budget=3).run()
    race = Race(searchers, training, seeds=(0,), budget=3, run=tmp_path / "race")
    next(race), next(race)
    race.close()
    files = list((tmp_path / "race" / "candidates").rglob("*.snapshot"))
    assert len(files) == 2
    times = {file: file.stat().st_mtime_ns for file in files}
    with Race.open(tmp_path / "race") as race:
        race.run()
    assert {file: file.stat().st_mtime_ns for file in files} == times
    np.testing.assert_array_equal(race.fitness, calm.fitness)


def test_what_does_not_belong_together_is_refused(tmp_path):
    race = Race({"one": own}, TABLE, seeds=(0, 1), budget=5, run=tmp_path / "race")
    with pytest.raises(RunError, match=r"there is a run at .*Race\.open"):
        Race({"one": own}, TABLE, seeds=(0, 1), budget=5, run=tmp_path / "race")
    with pytest.raises(RunError, match=r"race at .* being driven .*use Race\.open"):
        Race.open(tmp_path / "race")
    race.close()
    with pytest.raises(RunError, match="not that of the race"):
        Race.open(tmp_path / "race", estimator=Table(TABLE, "valid_accuracy"))
    for other in ({"two": own}, {"one": LocalSearch}, {"one": lambda seed: own(seed + 1)}, {"one": own, "two": own}):
        with pytest.raises(RunError, match=r"begun with (an)?other"):
            Race.open(tmp_path / "race", other)
    with pytest.raises(RunError, match=r"a race is kept at .*nl\.Race\.open"):
        nl.Search.open(tmp_path / "race")
    nl.Search(own(0), tmp_path / "search", estimator=TABLE, budget=3).close()
    with pytest.raises(RunError, match=r"there is a race at .*go on with it by Race\.open"):
        nl.Search(own(0), tmp_path / "race", estimator=TABLE, budget=3)
    with pytest.raises(RunError, match="is a search, and no race"):
        Race.open(tmp_path / "search")
    with pytest.raises(RunError, match=r"there is no run.*Begin one with Race\("):
        Race.open(tmp_path / "nothing")
    Race({"one": own}, Counted(), seeds=(0,), budget=5, run=tmp_path / "own").close()
    with pytest.raises(SpecError, match="'Counted'"):
        Race.open(tmp_path / "own")
    Race({"one": own}, measured, seeds=(0,), budget=5, run=tmp_path / "function").close()
    with pytest.raises(SpecError, match=r"'measured'.*Race\.open\(path, estimator=function\)"):
        Race.open(tmp_path / "function")


def test_a_race_that_was_begun_before_a_hyperparameter_was_there(tmp_path, monkeypatch):
    """It is opened, alone or with its searchers; with other searchers it is refused as ever."""
    described = RegularizedEvolution.spec

    def as_it_was(self):
        spec = described(self)
        del spec["hyperparameters"]["mutation"]
        return spec

    given = {"REA": SEARCHERS["REA"]}
    with monkeypatch.context() as before:
        before.setattr(RegularizedEvolution, "spec", as_it_was)
        race = Race(given, Table(TABLE), seeds=range(2), budget=12, run=tmp_path / "race")
        for _ in range(10):
            next(race)
        race.close()
    for searchers in (None, given):
        again = Race.open(tmp_path / "race", searchers)
        assert again.step == 10
        again.close()
    other = {"REA": lambda seed: RegularizedEvolution(TABLE.space, population=4, sample=2, seed=seed)}
    with pytest.raises(RunError, match="begun with another 'REA'"):
        Race.open(tmp_path / "race", other)


def test_a_full_disk_loses_nothing(tmp_path, monkeypatch):
    race = Race(SEARCHERS, TABLE, seeds=(0, 1), budget=5, run=tmp_path / "race")
    laps = [next(race) for _ in range(7)]

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(race._folder._folder, "append", full)
        laps.append(next(race))
        with pytest.raises(RunPaused, match=r"1 evaluations could not be written.*Nothing is lost"):
            next(race)
    laps += [next(race) for _ in range(3)]
    race.close()
    with Race.open(tmp_path / "race") as race:
        assert race.step == 11
        assert laps + list(race) == list(Race(SEARCHERS, TABLE, seeds=(0, 1), budget=5))


KILLED = """
import sys, time, naslab as nl
table = nl.benchmarks.NASBench201()
searchers = {"random": nl.searchers.RandomSearch, "hyperband": nl.searchers.Hyperband, "ppo": nl.searchers.PPO}
race = nl.Race(searchers, table, seeds=range(4), budget=60, run=sys.argv[1])
for lap in race:
    print(race.step, flush=True)
    time.sleep(0.003)
"""


@pytest.mark.slow
@pytest.mark.parametrize("code", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_race_goes_on(tmp_path, code):
    run = tmp_path / "race"
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(run)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as process:
        for line in process.stdout:
            if int(line) == 300:
                process.send_signal(code)
                break
        assert process.wait() == -code
    searchers = {"random": RandomSearch, "hyperband": Hyperband, "ppo": nl.searchers.PPO}
    with Race.open(run) as race:
        assert 200 <= race.step < 720, "at most a fraction of a second is done again"
        same(race.run(), Race(searchers, TABLE, seeds=range(4), budget=60).run())


def test_a_second_driver_stops_the_first(tmp_path):
    """As when somebody has removed the file `lock`."""
    first = Race(SEARCHERS, TABLE, seeds=range(2), budget=12, run=tmp_path / "run")
    for _ in range(7):
        next(first)
    (tmp_path / "run" / "lock").unlink()
    second = Race.open(tmp_path / "run")
    for _ in range(5):
        next(second)
    for _ in range(2):
        with pytest.raises(
            RunError, match=r"another process has written to the run .* at number 12, and here at number 7"
        ):
            next(first)
    with pytest.raises(RunError, match="another process has written"):
        first.close()
    second.run().close()
    same(Race.open(tmp_path / "run"), Race(SEARCHERS, TABLE, seeds=range(2), budget=12).run())
