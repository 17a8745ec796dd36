"""Where a search goes over to another phase, it says so, and a run that is gone on with says it too."""

import numpy as np
import pytest

import naslab as nl
from naslab.events import Phase
from naslab.searchers.spos import LAPTOP

CELL = nl.spaces.NASBench201(channels=2, cells=1)


@pytest.fixture(scope="module")
def few():
    rng = np.random.default_rng(0)
    x, y = rng.random((40, 1, 6, 6), dtype=np.float32), np.arange(40) % 4
    return nl.tasks.Images.from_arrays(x, y, classes=4)


def warmed(few, **given):
    return nl.searchers.GradientSearch(CELL, few, epochs=4, batch_size=8, warmup=0.5, seed=1, **given)


def phases(search):
    return [event for event in search.events if isinstance(event, Phase)]


def test_a_warm_up_has_a_beginning_and_an_end(few):
    search = nl.Search(warmed(few))
    list(search)
    begins, ends = phases(search)
    assert begins == Phase(step=1, name="warm-up", settings={"alphas": "held", "epochs": 2.0})
    assert ends == Phase(step=search.total // 2 + 1, name="search", settings={})
    still = [event for event in search.events if event.kind == "supernet_step" and event.step < ends.step]
    assert all(np.array_equal(e.probabilities["cell"], still[0].probabilities["cell"]) for e in still)


def test_phases_are_said_once_however_the_run_goes_on(few, tmp_path):
    search = nl.Search(warmed(few), run=tmp_path / "run", snapshot_every=2)
    half = search.total // 2
    for _ in range(half - 1):
        next(search)
    del search
    search = nl.Search.open(tmp_path / "run", task=few)
    list(search)
    assert [phase.step for phase in phases(search)] == [1, half + 1]
    early = search.fork(tmp_path / "fork", step=half - 1)
    assert [phase.step for phase in phases(early)] == [1]
    early.set("warmup", 0.0)
    next(early)
    assert [(phase.step, phase.name) for phase in phases(early)] == [(1, "warm-up"), (half, "search")]


def test_of_a_state_without_a_phase_it_is_found_out(few):
    search = warmed(few)
    search.advance()
    state = {name: value for name, value in search.state_dict().items() if name != "alone"}
    search.load_state_dict(state)
    search.advance()
    assert search.beside() == [], "it was in its warm-up before"


def test_without_a_warm_up_there_are_no_phases(few):
    search = nl.searchers.GradientSearch(CELL, few, epochs=1, batch_size=8, seed=1)
    search.advance()
    assert search.beside() == []
    assert "alone" not in search.state_dict()


def test_an_evolution_begins_after_the_training(few):
    sizes = dict(population=3, generations=2, parents=2, crossovers=1, mutations=1, valid_images=8)
    given = {**LAPTOP, **sizes, "recalibration_images": 4}
    search = nl.Search(nl.searchers.SPOS(CELL, few, seed=1, **{**given, "epochs": 1, "batch_size": 4}))
    list(search)
    (phase,) = phases(search)
    first = next(event for event in search.events if event.kind == "evaluated")
    assert (phase.step, phase.name) == (first.step, "evolution")
    assert dict(phase.settings) == {"weights": "held", "population": 3, "generations": 2}
