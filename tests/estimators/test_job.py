"""A job is a few kilobytes of JSON, whatever the data; a worker makes the estimator from it, or says that it cannot."""

import gc
import json
import multiprocessing
import pickle
import shutil
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import torch

import naslab as nl
from naslab.estimators import Function, LearningCurve, Resources, Table, Training, WithMetrics, ZeroCost, job, store
from naslab.estimators.evaluation import evaluate
from naslab.estimators.job import Described, Job, Link, NotMade, describe, run
from naslab.estimators.store import FolderStore
from naslab.searchers import Hyperband, RandomSearch

SPACE = nl.spaces.NASBench201(channels=2, cells=1)
CELL = SPACE.architecture(("nor_conv_1x1", "skip_connect", "none", "nor_conv_1x1", "none", "skip_connect"))
SMALL = {"epochs": 2, "batch_size": 16, "size": 4, "learning_rate": 0.1}


@pytest.fixture(scope="module")
def digits():
    return nl.tasks.Digits().subset(40, 8)


@pytest.fixture
def training(digits):
    return Training(SPACE, digits, **SMALL)


@pytest.fixture
def elsewhere(monkeypatch):
    """As in a process that has none of the estimators of this one."""

    def forget():
        job._made.cache_clear()
        monkeypatch.setattr(job, "_local_estimators", {})

    return forget


class Carrier(Executor):
    """Carries what it is given as pickled bytes, and notes how many; evaluates it here."""

    def __init__(self, before=lambda: None):
        self.bytes, self.before, self.functions = [], before, []

    def submit(self, fn, /, *args, **kwargs):
        sent = pickle.dumps((fn, args, kwargs))
        self.bytes.append(len(sent))
        self.functions.append(fn)
        future = Future()
        self.before()
        fn, args, kwargs = pickle.loads(sent)
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def climbing():
    """Has some candidates trained on."""
    return Hyperband(SPACE, seed=1, most=2, eta=2)


def timeless(events):
    return [(e.number, e.architecture, e.fitness, e.status, e.values, e.best, e.fidelity) for e in events]


def test_a_job_of_the_bundled_images_is_small():
    clothes = nl.tasks.FashionMNIST()
    training = Training(SPACE, clothes)
    links = tuple(Link(CELL, float(epochs), f"00000{epochs}-0123456789ab.snapshot") for epochs in (1, 2, 3))
    sent = pickle.dumps((run, Job(describe(training), CELL, links, FolderStore(Path("/runs/a")).spec()).to_json()))
    assert len(sent) < 64_000 < len(pickle.dumps(partial(evaluate, training))) / 100


def test_a_job_survives_json(training, tmp_path):
    links = (Link(CELL, 1.0, "000001-ab.snapshot"), Link(CELL, None, None))
    whole = Job(describe(training), CELL, links, FolderStore(tmp_path).spec(), [[[0.5, 1.0]]])
    assert Job.from_json(whole.to_json()) == whole
    assert json.loads(whole.to_json())["architecture"] == {"space": SPACE.name, "choices": list(CELL.choices)}


def test_an_estimator_is_made_once_a_worker(elsewhere, monkeypatch):
    table = Table(nl.benchmarks.NASBench201())
    cell = table.space.architecture(CELL.choices)
    made = []
    again = nl.estimators.from_spec
    monkeypatch.setattr(nl.estimators, "from_spec", lambda *given: made.append(1) or again(*given))
    text, here = Job(describe(table), cell).to_json(), evaluate(table, cell)
    assert run(text) == here
    assert made == [], "in this process it is the one that is there"
    elsewhere()
    assert [run(text) for _ in range(3)] == [here] * 3
    assert made == [1]


def test_it_does_not_keep_the_estimators_of_this_process_alive(digits):
    one = Training(SPACE, digits, seed=77, **SMALL)
    described = describe(one)
    assert job._local_estimators[described] is one
    del one
    gc.collect()
    assert described not in job._local_estimators


class Own(Training):
    """Of the user's own, defined in a notebook perhaps."""


def test_what_can_be_described(digits, training):
    table = Table(nl.benchmarks.NASBench201())
    for known in (
        table,
        training,
        ZeroCost(SPACE, digits, batch_size=16),
        WithMetrics(training, Resources(SPACE, digits)),
        LearningCurve(training, 2),
    ):
        assert isinstance(describe(known), Described), known
    arrays = nl.tasks.Images.from_arrays(torch.rand(96, 1, 4, 4), torch.arange(96) % 2, classes=2)
    for unknown in (
        Function(len),
        Own(SPACE, digits, **SMALL),
        WithMetrics(Function(len), Resources(SPACE, digits)),
        Training(SPACE, arrays, **SMALL),
        WithMetrics(table, Resources(SPACE, arrays)),
    ):
        assert describe(unknown) is None, unknown


def test_another_estimator_than_meant_is_not_used(training, elsewhere):
    spec, fingerprint = describe(training)
    elsewhere()
    with pytest.raises(NotMade, match=r"has the fingerprint [0-9a-f]{12}, expected ffffff"):
        Job(Described(spec, "f" * 64), CELL).run()
    with pytest.raises(NotMade, match="cannot be made in a worker: SpecError: unknown estimator 'elsewhere'"):
        Job(Described('{"estimator": "elsewhere"}', fingerprint), CELL).run()


def test_a_search_with_a_foreign_executor(training, elsewhere, tmp_path):
    begin = partial(nl.Search, estimator=training, budget=3)
    calm = list(begin(climbing()))
    assert any(event.begins_from for event in calm)
    carrier = Carrier(elsewhere)
    search = begin(climbing(), executor=carrier, run=tmp_path / "run")
    assert timeless(search) == timeless(calm)
    assert max(carrier.bytes) < 64_000
    assert set(carrier.functions) == {run}
    kept = sorted(path.name for path in (tmp_path / "run" / "candidates").glob("*.snapshot"))
    assert kept == sorted(f"{n:06d}-{one.key}.snapshot" for n, one in search.searcher.trainings._trained.items())


def test_where_it_cannot_be_made_the_estimator_itself_is_sent(elsewhere, monkeypatch):
    table = Table(nl.benchmarks.NASBench201())
    calm = list(nl.Search(RandomSearch(table.space, seed=3), estimator=table, budget=6))

    def missing(*_):
        raise FileNotFoundError(2, "no such file here", "/data")

    monkeypatch.setattr(nl.estimators, "from_spec", missing)
    carrier = Carrier(elsewhere)
    search = nl.Search(RandomSearch(table.space, seed=3), estimator=table, budget=6, executor=carrier)
    assert list(search) == calm
    assert carrier.functions[0] is run
    assert len(carrier.functions) == 7
    assert run not in carrier.functions[1:]


def test_an_estimator_of_ones_own_goes_as_ever(training):
    own, carrier = Own(SPACE, training.task, **SMALL), Carrier()
    calm = timeless(nl.Search(RandomSearch(SPACE, seed=3), estimator=own, budget=2))
    assert timeless(nl.Search(RandomSearch(SPACE, seed=3), estimator=own, budget=2, executor=carrier)) == calm
    assert run not in carrier.functions


def test_an_estimator_that_learns_knows_the_same_in_a_worker(elsewhere):
    table = Table(nl.benchmarks.NASBenchNLP(), "valid_loss")
    watched = LearningCurve(table, 50, every=10, first=3)
    begin = partial(nl.Search, estimator=watched, budget=12)
    calm = list(begin(RandomSearch(table.space, seed=5)))
    carrier = Carrier(elsewhere)
    assert list(begin(RandomSearch(table.space, seed=5), executor=carrier)) == calm
    assert any(event.figures.get("stopped") for event in calm)
    assert max(carrier.bytes) < 64_000


class Cloud:
    """Keeps trainings elsewhere: each machine has a scratch folder, and what it leaves there is lost."""

    name = "cloud"

    def __init__(self, path):
        self.far, self.near = path / "far", path / "near"

    def fetch(self, key):
        self.near.mkdir(parents=True, exist_ok=True)
        if (self.far / key).exists():
            shutil.copy(self.far / key, self.near / key)
        return self.near / key

    def publish(self, key):
        self.far.mkdir(parents=True, exist_ok=True)
        if (self.near / key).exists():
            shutil.move(self.near / key, self.far / key)

    def remove(self, key):
        (self.far / key).unlink()

    def entries(self):
        return FolderStore(self.far).entries()

    def spec(self):
        return {"store": self.name, "path": str(self.far.parent)}

    @classmethod
    def from_spec(cls, spec):
        return cls(Path(spec["path"]))


@pytest.mark.parametrize("executor", [None, Carrier])
def test_another_store(training, elsewhere, tmp_path, executor, monkeypatch):
    begin = partial(nl.Search, estimator=training, budget=3)
    calm = timeless(begin(climbing()))
    begun, fit = [], nl.estimators.training.fit

    def watched(*given, **options):
        begun.append(options["checkpoint"].exists())
        return fit(*given, **options)

    monkeypatch.setattr(nl.estimators.training, "fit", watched)
    search = begin(climbing(), executor=executor and executor(elsewhere))
    search.searcher.keep_in(Cloud(tmp_path))
    assert timeless(search) == calm
    went_on = [event.begins_from is not None for event in search.events]
    assert begun == went_on
    assert any(went_on)
    assert len(search.searcher.trainings.store.entries()) == 3
    assert list((tmp_path / "near").iterdir()) == []


def test_a_store_of_ones_own_is_found_again(tmp_path):
    for kept in (FolderStore(tmp_path), Cloud(tmp_path)):
        again = store.from_spec(json.loads(json.dumps(kept.spec())))
        assert type(again) is type(kept)
        assert again.spec() == kept.spec()
    with pytest.raises(nl.errors.SpecError, match="unknown store of trainings 'nowhere'"):
        store.from_spec({"store": "nowhere"})


@pytest.mark.slow
def test_processes_that_know_nothing(training):
    """A pool of another library, whose processes are not forked from this one."""
    begin = partial(nl.Search, estimator=training, budget=3)
    calm = timeless(begin(RandomSearch(SPACE, seed=1)))
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        assert timeless(begin(RandomSearch(SPACE, seed=1), executor=executor)) == calm
