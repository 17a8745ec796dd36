"""The disk fails: the search pauses or does work again, and no candidate is to blame."""

import errno
import os
import shutil
import tempfile

import pytest

import naslab as nl
from naslab import files, snapshot
from naslab.errors import NaslabError, RunError, RunPaused
from naslab.estimators import CheckpointRef, Score, Training
from naslab.estimators.evaluation import TrainingStage, evaluate
from naslab.runs import creation, half_made


@pytest.fixture(scope="module")
def training():
    space = nl.spaces.NASBench201(channels=1, cells=1)
    return Training(space, nl.tasks.Digits().subset(40, 10), epochs=3, batch_size=16, learning_rate=0.1)


@pytest.fixture
def begin(training):
    """Begins a search of 12 evaluations, of which some train on."""

    def begin(run=None, **given):
        sizes = dict(steps=(1, 2), per_hurdle=2, population=2, sample=2)
        sampler = nl.searchers.Hurdles(training.space, seed=1, **sizes)
        return nl.Search(sampler, run, estimator=training, budget=12, snapshot_every=5, **given)

    return begin


def told(search):
    return [(event.number, event.status, event.fitness) for event in search.events if event.kind == "evaluated"]


@pytest.fixture(scope="module")
def calm(training):
    sampler = nl.searchers.Hurdles(training.space, seed=1, steps=(1, 2), per_hurdle=2, population=2, sample=2)
    search = nl.Search(sampler, estimator=training, budget=12)
    list(search)
    assert any(event.begins_from is not None for event in search.events)
    return told(search)


def failing(monkeypatch, owner, name, code, when=lambda *given: True, every=1, times=20):
    """Each `every`-th call of those that `when` picks ends with an error of the disk; a list of those that did."""
    real, calls, failed = getattr(owner, name), [], []

    def fail(*given, **options):
        if when(*given):
            calls.append(given)
            if len(calls) % every == 0 and len(failed) < times:
                failed.append(given)
                raise OSError(code, os.strerror(code), str(given[0]) if given else None)
        return real(*given, **options)

    monkeypatch.setattr(owner, name, fail)
    return failed


def stepper(search):
    """To the end, called again whenever it pauses; how often it did."""
    paused = 0
    while search.step < search.total:
        try:
            next(search)
        except RunPaused:
            paused += 1
    return paused


def kept(path, *_):
    return "candidates" in str(path)


def read(path, flags, *_):
    return kept(path) and str(path).endswith(".snapshot") and not flags & os.O_CREAT


@pytest.mark.parametrize(("code", "every"), [(errno.ENOSPC, 2), (errno.EACCES, 3)])
@pytest.mark.slow
def test_a_training_that_the_disk_does_not_take(begin, calm, tmp_path, monkeypatch, code, every):
    failed = failing(monkeypatch, snapshot, "write_bytes", code, kept, every)
    search = begin(tmp_path / "run")
    assert stepper(search) == len(failed) > 2
    assert told(search) == calm


@pytest.mark.slow
def test_a_disk_that_is_full_below_everything(begin, calm, tmp_path, monkeypatch):
    search = begin(tmp_path / "run")
    failed = failing(monkeypatch, os, "fsync", errno.ENOSPC, every=3)
    assert stepper(search) == len(failed) > 2
    assert told(search) == calm


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES])
@pytest.mark.slow
def test_a_kept_training_that_cannot_be_read_is_trained_again(begin, calm, tmp_path, monkeypatch, code):
    failed = failing(monkeypatch, os, "open", code, read, 2)
    search = begin(tmp_path / "run")
    assert stepper(search) < len(failed) > 2  # only where it happens again and again
    assert told(search) == calm


@pytest.mark.slow
def test_what_is_damaged_and_cannot_be_removed_pauses(begin, calm, tmp_path, monkeypatch):
    failing(monkeypatch, os, "open", errno.EIO, read, 2)
    failed = failing(monkeypatch, os, "unlink", errno.EROFS, lambda path: kept(path) and ".tmp" not in str(path), 2)
    search = begin(tmp_path / "run")
    assert stepper(search) >= len(failed) > 0
    assert told(search) == calm


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), FileNotFoundError(errno.ENOENT, "no usable folder")])
@pytest.mark.slow
def test_no_room_for_a_temporary_folder(begin, calm, monkeypatch, error):
    real, times = tempfile.mkdtemp, []

    def fail(*given, **options):
        times.append(1)
        if len(times) <= 2:
            raise error
        return real(*given, **options)

    monkeypatch.setattr(nl.searchers.kept_trainings, "mkdtemp", fail)
    search = begin()  # in memory
    assert stepper(search) == 2
    assert told(search) == calm


def test_no_room_for_scratch(training, tmp_path, monkeypatch):
    architecture = training.space.architecture(("nor_conv_1x1",) * 6)
    stages = [TrainingStage(architecture, epochs, tmp_path / "kept" if epochs == 1 else None) for epochs in (1, 2)]
    straight = evaluate(training, architecture, stages)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(RunPaused, match="temporary folder"):
        evaluate(training, architecture, stages)
    monkeypatch.setattr(tempfile, "tempdir", None)
    assert evaluate(training, architecture, stages).fitness == straight.fitness


@pytest.mark.parametrize(
    "harm",
    [
        lambda state: {"kind": "fit"},
        lambda state: {**state, "identity": "[]"},
        lambda state: {**state, "history": "[[]]"},
        lambda state: {**state, "history": "[]"},
        lambda state: {**state, "function": 3},
        lambda state: {k: v for k, v in state.items() if not k.startswith("optimizer/")} | {"optimizer/x/y": 1},
        lambda state: {k: v[..., :0] if k.startswith("optimizer/") and v.ndim else v for k, v in state.items()},
        lambda state: {k: v[..., :0] if k.startswith("best/") and v.ndim else v for k, v in state.items()},
        lambda state: {k: v[..., :0] if k.startswith("network/") and v.ndim else v for k, v in state.items()},
        lambda state: {"step": 1},
    ],
)
@pytest.mark.parametrize("how", ["trains on", "inherits"])
@pytest.mark.slow
def test_a_kept_training_that_makes_no_sense_is_trained_again(training, tmp_path, harm, how):
    """Its checksum is right: another program, another naslab or a stranger wrote it."""
    parent = training.space.architecture(("nor_conv_1x1",) * 6)
    child = parent if how == "trains on" else training.space.architecture(("nor_conv_1x1",) * 5 + ("skip_connect",))
    lineage = [TrainingStage(parent, 1, tmp_path / "1"), TrainingStage(child, 2, tmp_path / "2")]
    straight = evaluate(training, child, lineage)
    assert straight.status == "done"
    for damaged in ("1", "2"):
        (tmp_path / "2").unlink()
        if damaged == "2":
            shutil.copy(tmp_path / "1", tmp_path / "2")
        snapshot.write(tmp_path / damaged, harm(snapshot.read(tmp_path / damaged)))
        again = evaluate(training, child, lineage)
        # An empty history is a training that has not begun, and what inherits looks at weights alone.
        assert (again.status, again.fitness) == ("done", straight.fitness)


def test_the_errors_of_ones_own_function_are_the_candidates(tmp_path):
    def score(architecture):
        raise OSError(errno.ENOSPC, "No space left on device", "/data/of/ones/own")

    space = nl.benchmarks.NASBench201().space
    assert evaluate(nl.estimators.Function(score), space.at(0)).status == "failed"


def test_an_estimator_of_ones_own_that_cannot_keep_its_training_pauses(tmp_path):
    class Own:
        space, keeps_weights = None, True

        def train(self, architecture, *, fidelity=None, begin: CheckpointRef | None = None, keep=None):
            raise OSError(errno.ENOSPC, "No space left on device", str(keep.with_suffix(".part")))
            return Score(1.0)

    space = nl.benchmarks.NASBench201().space
    with pytest.raises(RunPaused, match="No candidate is to blame"):
        evaluate(Own(), space.at(0), [TrainingStage(space.at(0), 1, tmp_path / "run" / "1")])


# --- making, forking, opening ------------------------------------------------------------------------


@pytest.fixture
def tabular():
    table = nl.benchmarks.NASBench201()
    search = nl.Search(nl.searchers.RandomSearch(table.space, seed=0), estimator=table, budget=5)
    next(search)
    return search


def listing(path):
    return sorted(str(found.relative_to(path)) for found in path.rglob("*"))


@pytest.mark.parametrize(
    ("name", "code"),
    [("open", errno.ENOSPC), ("open", errno.EIO), ("lstat", errno.EIO), ("stat", errno.EACCES), ("mkdir", errno.EROFS)],
)
def test_a_fork_that_the_disk_does_not_take_leaves_nothing(tabular, tmp_path, monkeypatch, name, code):
    calls = []

    def here(path, *_):
        return name == "open" or str(path).startswith(str(tmp_path / "new"))

    with monkeypatch.context() as patched:
        real = getattr(os, name)
        patched.setattr(
            os, name, lambda *given, **options: (here(*given) and calls.append(given), real(*given, **options))[1]
        )
        tabular.fork(tmp_path / "new" / "run").close()
    shutil.rmtree(tmp_path / "new")
    for number in range(0, len(calls), 1 if name == "open" else 2):
        with monkeypatch.context() as patched:
            failing(patched, os, name, code, here, every=number + 1, times=1)
            try:
                tabular.fork(tmp_path / "new" / "run").close()
                stands = True
            except NaslabError:
                stands = False
        if stands:  # what failed can be done without
            shutil.rmtree(tmp_path / "new")
        assert listing(tmp_path) == []
    tabular.fork(tmp_path / "run")


def test_a_folder_that_the_disk_does_not_show_is_not_said_to_be_gone(tmp_path, monkeypatch):
    search = nl.Search(
        nl.searchers.RandomSearch(nl.spaces.NASBench201()), tmp_path / "run", estimator=lambda a: 1.0, budget=9
    )
    next(search)
    with monkeypatch.context() as patched:
        failing(patched, os, "stat", errno.EIO, lambda path, *_: str(path).startswith(str(tmp_path)))
        with pytest.raises(RunPaused) as caught:
            next(search)
    assert "gone" not in str(caught.value)
    assert next(search).step == 2


def test_a_fork_on_a_disk_of_a_few_bytes(tabular, tmp_path):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for size in (0, 100, 5000, 9000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            with pytest.raises(RunError, match="no run could be made"):
                tabular.fork(tmp_path / "new" / "run")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert listing(tmp_path) == []


@pytest.mark.parametrize("path", ["a\0b", "x" * 300, "x" * 300 + "/run", "y" * 252])
def test_paths_that_cannot_be(tabular, tmp_path, path):
    for call in (tabular.fork, nl.Search.open, nl.Race.open, nl.runs.read):
        with pytest.raises(RunError):
            call(f"{tmp_path}/{path}")
    assert listing(tmp_path) == []


@pytest.mark.slow
def test_a_trainings_copy_takes_no_half(tmp_path, training, begin, calm, monkeypatch):
    search = begin(tmp_path / "run")
    for _ in range(6):
        next(search)
    failed = failing(monkeypatch, snapshot, "write_bytes", errno.ENOSPC, lambda path, *_: "fork/cand" in str(path), 3)
    fork = search.fork(tmp_path / "fork")
    assert failed
    assert all(files.is_file(path) and snapshot.read(path) for path in (tmp_path / "fork" / "candidates").iterdir())
    stepper(fork)
    assert told(fork) == calm


# --- what killed creations leave -----------------------------------------------------------------------


@pytest.fixture
def aside(tabular, tmp_path):
    """Makes what a creation leaves that was killed, by a process of that number."""
    tabular.fork(tmp_path / "model").close()

    def make(name, pid):
        left = tmp_path / f".{name}.{pid}.new"
        shutil.copytree(tmp_path / "model", left)
        (left / "run.json").unlink()
        return left

    return make


@pytest.fixture
def dead():
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


def test_what_a_killed_creation_has_left_is_swept(aside, dead, tabular, tmp_path):
    old = [aside("run", dead), aside("another.name", dead)]
    tabular.fork(tmp_path / "new")
    assert not any(left.exists() for left in old)
    left = aside("third", dead)
    nl.Search.open(tmp_path / "new").close()
    assert not left.exists()


def test_what_a_living_process_makes_stays(aside, dead, tabular, tmp_path):
    left, locked = aside("run", os.getpid()), aside("locked", dead)
    with half_made.FileLock(locked / half_made.MAKING):
        tabular.fork(tmp_path / "new").close()
        assert left.exists()
        assert locked.exists()
    nl.Search.open(tmp_path / "new").close()
    assert not locked.exists()
    early = 1_000_000_000  # long before this process began: it has the number of one that is dead
    os.utime(left, (early, early))
    nl.Search.open(tmp_path / "new").close()
    assert not left.exists()


def test_what_is_none_of_ours_stays(dead, tabular, tmp_path):
    notes = tmp_path / f".notes.{dead}.new"
    notes.mkdir()
    (notes / "mine.txt").write_text("x")
    home = tmp_path / "home"
    home.mkdir()
    link = tmp_path / f".link.{dead}.new"
    link.symlink_to(home)
    (tmp_path / f".file.{dead}.new").write_text("x")
    tabular.fork(tmp_path / "new")
    assert (notes / "mine.txt").exists()
    assert link.is_symlink()
    assert (tmp_path / f".file.{dead}.new").exists()


def test_a_creation_that_is_killed_half_way_is_swept(tabular, tmp_path):
    pid = os.fork()
    if not pid:
        creation.snapshot.write = lambda *_: os._exit(0)
        tabular._process = os.getpid()
        tabular.fork(tmp_path / "half")
    os.waitpid(pid, 0)
    assert len(listing(tmp_path)) > 2
    tabular.fork(tmp_path / "new").close()
    assert [found.name for found in tmp_path.iterdir()] == ["new"]
