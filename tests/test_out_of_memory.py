"""What happens when memory is used up: it is recognised, freed, named, and survived."""

import gc
import weakref

import numpy as np
import pytest
import torch
from torch import nn

import naslab as nl
from naslab.errors import OutOfMemory
from naslab.estimators import evaluation
from naslab.networks.step_memory import StepMemory
from naslab.out_of_memory import is_out_of_memory, requested, smaller, within_memory
from naslab.searchers import supernet_searcher
from naslab.trainers import loop

ON_CUDA = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 15.77 GiB of which 1.02 GiB is "
    "free. Process 1 has 14.75 GiB memory in use."
)
TEXTS = {
    ON_CUDA: "2.00 GiB",
    "MPS backend out of memory (MPS allocated: 17.8 GB). Tried to allocate 512.00 MiB on private pool.": "512.00 MiB",
    "CUDA error: out of memory": "",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`": "",
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED": "",
}


@pytest.mark.parametrize("text", TEXTS)
def test_every_library_says_it_in_its_own_words(text):
    assert is_out_of_memory(RuntimeError(text))
    assert requested(RuntimeError(text)) == TEXTS[text]


@pytest.mark.parametrize("make", [lambda: torch.empty(1 << 60), lambda: np.empty(1 << 58, np.uint8)])
def test_the_cpu_says_it_too(make):
    with pytest.raises((RuntimeError, MemoryError)) as said:
        make()
    assert is_out_of_memory(said.value)
    assert requested(said.value)


@pytest.mark.parametrize("error", [RuntimeError("shape mismatch"), ValueError("out of memory"), OutOfMemory("x")])
def test_other_errors_are_no_lack_of_memory(error):
    assert not is_out_of_memory(error)
    with pytest.raises(type(error)) as said:
        within_memory(lambda: raise_(error), "cpu", lambda: ("", None), what="it")
    assert said.value is error


def raise_(error):
    raise error


def test_what_the_computation_held_is_free_before_advice_is_asked_for():
    alive = []

    def compute():
        held = torch.zeros(10)
        alive.append(weakref.ref(held))
        inner(held)

    def inner(held):
        more = held + 1
        alive.append(weakref.ref(more))
        raise torch.OutOfMemoryError(ON_CUDA)

    def advice():
        assert [one() for one in alive] == [None, None]
        return "Take less.", 7

    gc.disable()  # it is free because nothing refers to it, not because a collection came by
    try:
        with pytest.raises(OutOfMemory, match=r"step 3 ran out of memory on cpu \(2.00 GiB more .* Take less") as said:
            within_memory(compute, "cpu", advice, what="step 3")
    finally:
        gc.enable()
    assert said.value.batch_size == 7
    assert said.value.__context__ is None


def test_the_suggested_size_is_smaller_than_what_was_too_large():
    assert smaller(64, 40.7) == 40
    assert smaller(64, None) == 32
    assert smaller(64, 64) == smaller(64, 1e9) == 32, "the estimate was wrong"
    assert smaller(64, 0.5) is None
    assert smaller(1, None) is None


DATA = nl.tasks.Digits().subset(300, 20)
MAKERS = {
    "darts": lambda: nl.searchers.Darts(CELL, DATA, batch_size=20, epochs=2, seed=0),
    "gdas": lambda: nl.searchers.GDAS(CELL, DATA, batch_size=20, epochs=2, seed=0),
    "enas": lambda: nl.searchers.Enas(nl.spaces.EnasMacro(layers=2, channels=4), DATA, batch_size=20, epochs=2, seed=0),
    "spos": lambda: nl.searchers.SPOS(CELL, DATA, batch_size=20, epochs=2, train_portion=0.5, seed=0),
}
CELL = nl.spaces.NASBench201(channels=2, cells=1)


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.slow if name == "darts" else ()) for name in MAKERS])
def search(request):
    return nl.Search(MAKERS[request.param]())


def limited(search, most=20):
    """Lets the network of a search run out of memory above a batch size, which the returned list holds."""
    room = [most]
    network = getattr(search.searcher, "network", None) or search.searcher.weights.network

    def check(module, given):
        if len(given[0]) > room[0]:
            raise torch.OutOfMemoryError(ON_CUDA)

    network.register_forward_pre_hook(check)
    return room


def fingerprint(search):
    return {name: np.asarray(value).tobytes() for name, value in search.searcher.state_dict().items()}


def test_a_step_without_memory_is_named_and_the_search_goes_on(search):
    undisturbed = [next(search) for _ in range(4)]
    state = fingerprint(search)
    search.rewind(0)
    room = limited(search)
    for _ in range(2):
        next(search)
    room[0] = 8
    with pytest.raises(OutOfMemory, match=r'step 3 .*2\.00 GiB.*search\.set\("batch_size", 10\)') as said:
        next(search)
    assert said.value.batch_size == 10
    assert search.step == 2
    room[0] = 20  # others have freed memory
    assert [*search.events[-2:], next(search), next(search)] == undisturbed
    assert fingerprint(search) == state


def test_the_advice_helps(search):
    room = limited(search)
    next(search)
    room[0] = 10
    with pytest.raises(OutOfMemory) as said:
        next(search)
    before, advice = search.step, str(said.value).partition("instead of 20: ")[2].partition(" goes on")[0]
    assert advice == 'search.rewind(0); search.set("batch_size", 10)'
    exec(advice, {"search": search})
    assert search.step < before
    assert next(search).step == 1, "which 20 examples would not have done"
    assert search.settings["batch_size"].value == 10


@pytest.mark.parametrize(("images", "fits"), [(12.5, 12), (40, 10), (0.5, None)])
def test_the_batch_that_fits_is_estimated(monkeypatch, images, fits):
    search = nl.Search(MAKERS["darts"]())
    next(search)
    memory = search.searcher._step_memory()
    rest = memory.step - memory.each_image * memory.batch_size
    free = (rest + images * memory.each_image) / supernet_searcher.MARGIN
    monkeypatch.setattr(supernet_searcher, "available_or_none", lambda device: free)
    limited(search)[0] = 5
    search.searcher._must_fit = lambda: None
    with pytest.raises(OutOfMemory) as said:
        next(search)
    assert said.value.batch_size == fits
    assert ("About 12 examples fit" in str(said.value)) == (fits == 12)
    assert ("Not even one example" in str(said.value)) == (fits is None)


def test_a_measurement_without_memory_loses_nothing(search):
    next(search)
    state = fingerprint(search)
    limited(search)[0] = 0
    with pytest.raises(OutOfMemory, match=r"measure_child at step 1 ran out .*Nothing is lost: give fewer examples"):
        search.searcher.measure_child(search.searcher.space.sample(0))
    assert fingerprint(search) == state


def test_second_order_is_known_to_need_more(monkeypatch):
    memory, given = StepMemory(batch_size=10, lasting=100, step=250, each_image=20.0), []
    monkeypatch.setattr("naslab.searchers.gradient.base.must_fit", lambda *_, beyond, **__: given.append(beyond))
    for order, product in ((1, "exact"), (2, "finite_difference"), (2, "exact")):
        nl.searchers.Darts(CELL, DATA, batch_size=20, order=order, hessian_product=product)._must_fit()
    first, copies, graph = (memory.more(beyond, weights=30) for beyond in given)
    assert first == memory
    assert (copies.step, copies.each_image) == (250 + 6 * 30, 20.0)
    assert (graph.step, graph.each_image) == (625, 50.0)


# --- trainings and candidates ------------------------------------------------------------------------


class Limited(nn.Module):
    """A network that runs out of memory above a number of images."""

    def __init__(self, most, evaluated=1000):
        super().__init__()
        self.inside = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        self.most, self.evaluated = most, evaluated

    def forward(self, x):
        if len(x) > (self.most if self.training else self.evaluated):
            raise torch.OutOfMemoryError(ON_CUDA)
        return self.inside(x)


def test_a_training_without_memory_names_a_batch_size_that_does_it():
    network = Limited(20)
    with pytest.raises(OutOfMemory, match=r"epoch 1 of a training ran out .*batch_size=16 may fit, instead of 32") as e:
        nl.trainers.fit(network, DATA, epochs=1, batch_size=32)
    assert not network.training
    nl.trainers.fit(network, DATA, epochs=1, batch_size=e.value.batch_size)
    with pytest.raises(OutOfMemory, match="Not even one of the images seems to fit"):
        nl.trainers.fit(Limited(0), DATA, epochs=1, batch_size=1)
    with pytest.raises(OutOfMemory, match=r"evaluated on 32 images at once; give evaluation_batch_size=16"):
        nl.trainers.fit(Limited(20, evaluated=10), DATA, epochs=1, batch_size=16)


def test_the_batch_size_of_a_training_is_estimated(monkeypatch):
    monkeypatch.setattr(loop, "available_or_none", lambda device: 0)
    with pytest.raises(OutOfMemory, match="Not even one"):
        nl.trainers.fit(Limited(20), DATA, epochs=1, batch_size=32)
    network, found = Limited(20), []
    monkeypatch.setattr(loop.TrainingLoop, "_step_memory", lambda self, size: found.append(size) or (32 * 100, 100.0))
    monkeypatch.setattr(loop, "available_or_none", lambda device: 1500 / loop.MARGIN)
    with pytest.raises(OutOfMemory, match=r"batch_size=15 should fit, instead of 32"):
        nl.trainers.fit(network, DATA, epochs=1, batch_size=32)
    assert found == [32]


def test_a_candidate_without_memory_fails_alone(monkeypatch):
    """It is told why, and the memory is there for the next one."""
    held, freed = [], []

    def score(architecture):
        kept = torch.zeros(10)
        held.append(weakref.ref(kept))
        if len(held) == 2:
            raise torch.OutOfMemoryError(ON_CUDA)
        return float(len(held))

    monkeypatch.setattr(evaluation, "release", lambda device: freed.append([one() for one in held]))
    search = nl.Search(nl.searchers.RandomSearch(CELL, seed=0), estimator=score, budget=3)
    events = list(search)
    assert [event.status for event in events] == ["done", "failed", "done"]
    assert "CUDA out of memory. Tried to allocate 2.00 GiB" in events[1].message
    assert freed == [[None, None]]


def test_the_training_of_a_candidate_says_what_would_fit(monkeypatch):
    training = nl.estimators.Training(CELL, DATA, epochs=1, batch_size=32)
    monkeypatch.setattr(type(CELL), "build", lambda self, architecture, task: Limited(20))
    event = next(nl.Search(nl.searchers.RandomSearch(CELL, seed=0), estimator=training, budget=1))
    assert event.status == "failed"
    assert event.message.startswith("OutOfMemory: epoch 1 of a training ran out of memory")
    assert "batch_size=16 may fit" in event.message
