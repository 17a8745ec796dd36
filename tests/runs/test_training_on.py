"""Candidates that train on, in runs: what is kept of them, and what happens when it is gone."""

import dataclasses
import shutil
from pathlib import Path

import pytest

import naslab as nl
from naslab.estimators import Training
from naslab.searchers import BlackBoxSearch, kept_trainings


@pytest.fixture(scope="module")
def training():
    space = nl.spaces.NASBench201(channels=2, cells=1)
    return Training(space, nl.tasks.Digits().subset(90, 10), epochs=3, batch_size=16, learning_rate=0.1)


@pytest.fixture
def begin(training):
    """Begins a search of 24 evaluations under hurdles."""

    def begin(run=None, **given):
        sizes = dict(steps=(1, 2), per_hurdle=3, population=3, sample=2)
        sampler = nl.searchers.Hurdles(training.space, seed=1, **sizes)
        return nl.Search(sampler, run, estimator=training, budget=24, snapshot_every=5, **given)

    return begin


@pytest.fixture(scope="module")
def calm(training, tmp_path_factory):
    """The events of the same search, undisturbed."""
    sizes = dict(steps=(1, 2), per_hurdle=3, population=3, sample=2)
    sampler = nl.searchers.Hurdles(training.space, seed=1, **sizes)
    events = timeless(nl.Search(sampler, estimator=training, budget=24))
    assert sum(event.origin == "hurdle" for event in events) >= 3
    return events


def timeless(events):
    """The events, but for the clock."""
    return [
        dataclasses.replace(event, figures={k: v for k, v in event.figures.items() if k != "seconds"})
        for event in events
    ]


@pytest.mark.slow
def test_one_that_cleared_a_hurdle_trains_on(begin, training, calm, tmp_path):
    search = begin(tmp_path / "run")
    list(search)
    assert timeless(search.events) == calm
    for event in search.events:
        assert event.figures["epochs"] == event.fidelity
        if event.origin == "hurdle":
            assert event.fitness == training.train(event.architecture, fidelity=3).fitness
            before = search.events[event.begins_from - 1]
            assert (before.architecture, before.candidate) == (event.architecture, event.candidate)
    kept = sorted((tmp_path / "run" / "candidates").iterdir())
    assert [int(path.name[:6]) for path in kept] == list(range(1, 25))


@pytest.mark.slow
def test_what_is_kept_is_used_and_nothing_trained_twice(begin, calm, tmp_path, monkeypatch):
    epochs = []
    fit = nl.estimators.training.fit

    def counted(network, task, *, checkpoint, recipe, **options):
        before = 0
        if checkpoint.exists():
            before = len(nl.snapshot.read(checkpoint)["history"].split('"epoch"')) - 1
        epochs.append(recipe.epochs - before)
        return fit(network, task, checkpoint=checkpoint, recipe=recipe, **options)

    monkeypatch.setattr(nl.estimators.training, "fit", counted)
    search = begin(tmp_path / "run")
    assert timeless(search) == calm
    assert epochs == [2 if event.origin == "hurdle" else 1 for event in calm]


def promotion(calm):
    """The first step at which a candidate trains on."""
    return next(event.step for event in calm if event.origin == "hurdle")


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["nothing", "everything", "damaged"])
def test_an_opened_run_goes_on_whatever_is_left_of_its_trainings(begin, calm, tmp_path, lost):
    path = tmp_path / "run"
    search = begin(path)
    for _ in range(promotion(calm) - 1):
        next(search)
    search._leave("the process was killed")
    if lost == "everything":
        shutil.rmtree(path / "candidates")
    if lost == "damaged":
        for file in (path / "candidates").iterdir():
            file.write_bytes(file.read_bytes()[:-40])
    again = nl.Search.open(path)
    list(again)
    assert timeless(event for event in again.events if event.kind == "evaluated") == calm


@pytest.mark.slow
def test_rewind_and_fork_with_trainings(begin, calm, tmp_path):
    search = begin(tmp_path / "run")
    list(search)
    step = promotion(calm) - 1
    search.rewind(step)
    kept = len(list((tmp_path / "run" / "candidates").iterdir()))
    for run in (None, tmp_path / "fork"):
        with search.fork(run) as fork:
            assert timeless(list(fork)) == calm[step:]
    assert timeless(list(search)) == calm[step:]
    assert len(list((tmp_path / "run" / "candidates").iterdir())) == kept
    assert len(list((tmp_path / "fork" / "candidates").iterdir())) == kept


@pytest.mark.slow
def test_after_another_turn_the_trainings_of_the_old_branch_are_not_taken(begin, calm):
    search = begin()
    list(search)
    search.rewind(8)
    search.set("sample", 3)
    list(search)
    again = [event for event in search.events if event.kind == "evaluated"]
    assert timeless(again)[:8] == calm[:8]
    assert timeless(again) != calm
    straight = begin()
    for _ in range(8):
        next(straight)
    straight.set("sample", 3)
    list(straight)
    assert timeless(again) == timeless(event for event in straight.events if event.kind == "evaluated")


@pytest.mark.slow
def test_there_is_room_for_so_much_only(begin, calm, tmp_path, monkeypatch):
    monkeypatch.setattr(kept_trainings, "STORE_BYTES", 0)
    search = begin(tmp_path / "run")
    assert timeless(search) == calm
    assert len(list((tmp_path / "run" / "candidates").iterdir())) <= 2


def test_what_a_worker_is_still_writing_is_left_alone(begin, tmp_path, monkeypatch):
    monkeypatch.setattr(kept_trainings, "STORE_BYTES", 0)
    search = begin(tmp_path / "run")
    next(search)
    beside = tmp_path / "run" / "candidates" / ".000099-0123456789ab.snapshot.tmp"
    beside.symlink_to("gone")  # renamed between being listed and being looked at
    next(search)
    beside.unlink()
    beside.write_bytes(b"half")
    next(search)
    assert beside.read_bytes() == b"half"


def test_a_training_that_a_worker_removes_meanwhile_takes_no_room(begin, tmp_path, monkeypatch):
    monkeypatch.setattr(kept_trainings, "STORE_BYTES", 0)
    search = begin(tmp_path / "run")
    next(search)
    folder = tmp_path / "run" / "candidates"
    (folder / "000000-gone.snapshot").write_bytes(b"damaged")
    (folder / "000000-left.snapshot").write_bytes(b"old")
    glob = Path.glob

    def listed(path, pattern):
        files = sorted(glob(path, pattern))
        (folder / "000000-gone.snapshot").unlink(missing_ok=True)
        return iter(files)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "glob", listed)
        assert next(search).status == "done"
    assert not (folder / "000000-left.snapshot").exists()


@pytest.mark.slow
@pytest.mark.parametrize("left", [(1, 2), (1,), (2,)], ids=str)
def test_of_a_candidate_with_three_trainings_whichever_are_damaged(training, tmp_path, left):
    def begin(run=None):
        sampler = nl.searchers.SuccessiveHalving(training.space, candidates=4, epochs=(1, 2, 3), seed=1)
        return nl.Search(sampler, run, estimator=training, budget=7)

    calm = timeless(begin())
    assert [event.fidelity for event in calm] == [1] * 4 + [2] * 2 + [3]
    search = begin(tmp_path / "run")
    for _ in range(6):
        next(search)
    for event in search.events:
        [file] = (tmp_path / "run" / "candidates").glob(f"{event.number:06d}-*")
        if event.fidelity in left:
            file.write_bytes(file.read_bytes()[:-40])
    assert timeless([next(search)]) == calm[-1:]


@pytest.mark.slow
def test_a_full_disk_pauses_the_run(begin, calm, tmp_path, monkeypatch):
    search = begin(tmp_path / "run")
    next(search)
    write = nl.snapshot.write

    def full(path, state):
        if "candidates" in str(path):
            raise OSError(28, "No space left on device")
        write(path, state)

    with monkeypatch.context() as patch:
        patch.setattr(nl.snapshot, "write", full)
        with pytest.raises(nl.errors.RunPaused, match="could not be written"):
            next(search)
        assert search.step == 1
    assert timeless(list(search)) == calm[1:]


def test_in_memory_the_trainings_go_with_the_search(training):
    one = BlackBoxSearch(nl.searchers.Hurdles(training.space, steps=(1, 2), seed=1), training, 3)
    one.advance()
    folder = one.trainings.store.path
    assert len(list(folder.iterdir())) == 1
    del one
    assert not folder.exists()
