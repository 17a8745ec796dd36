"""How long a search will take: counts against the search itself, times against a clock that is known."""

import itertools

import pytest

import naslab as nl
from naslab.errors import SpecError
from naslab.estimators import Training
from naslab.events import ChildTrained, Measured
from naslab.networks import step_memory
from naslab.searchers import forecast
from naslab.searchers.forecasting import Part, duration
from naslab.threads import processors

TINY = nl.spaces.NASBench201(channels=4, cells=1)
SMALL = nl.spaces.NASBench201(channels=2, cells=1)


class Clock:
    """Every reading is so many seconds after the one before."""

    def __init__(self, *ticks):
        self.ticks, self.now = itertools.cycle(ticks), 0.0

    def __call__(self):
        self.now += next(self.ticks)
        return self.now


@pytest.fixture(scope="module")
def digits():
    return nl.tasks.Digits()


@pytest.fixture(scope="module")
def table():
    return nl.benchmarks.NASBench201()


@pytest.mark.slow
def test_a_supernet_takes_its_steps_times_the_time_of_one(digits):
    darts = nl.searchers.Darts(TINY, digits, batch_size=16, epochs=3, seed=0)
    found = forecast(darts, clock=Clock(0, 2, 0, 4), threads=False)  # the steps take 2 s and 4 s
    assert found.steps == darts.total == 132
    assert found.parts == (Part(name="search", count=132, seconds=(2.0, 4.0)),)
    assert found.total == pytest.approx(132 * 3)
    assert found.spread == (132 * 2, 132 * 4)
    assert found.step == 3
    assert (found.epochs, found.epoch) == (3, pytest.approx(44 * 3))
    assert found.fits
    assert darts.step == 0
    assert str(found).startswith("132 steps, about 6 min 36 s (two steps took 6 s) · ")
    assert str(found).endswith(" · 1 thread")
    search = nl.Search(nl.searchers.Darts(SMALL, digits, batch_size=256, epochs=3, seed=0))
    for _ in range(2):
        next(search)
    rest = search.forecast(threads=False)
    assert (rest.steps, rest.epochs) == (4, pytest.approx(2))
    assert "4 steps, about" in str(rest)


@pytest.mark.slow
def test_memory_is_what_lasts_and_the_most_of_a_step(digits):
    darts = nl.searchers.Darts(TINY, digits, batch_size=64, epochs=1, seed=0)
    found = forecast(darts, steps=1, threads=False)
    lasting = sum(tensor.nbytes for tensor in (*darts.network.parameters(), *darts.network.buffers()))
    again = nl.searchers.Darts(TINY, digits, batch_size=64, epochs=1, seed=0)
    alphas = sum(alpha.nbytes for alpha in again.alphas.values())
    assert found.memory == lasting + alphas + step_memory.peak(again.advance)
    smaller = nl.searchers.Darts(TINY, digits, batch_size=16, epochs=1, seed=0)
    assert forecast(smaller, steps=1, threads=False).memory < 0.6 * found.memory


@pytest.mark.slow
def test_another_number_of_threads_is_told(digits, monkeypatch):
    darts = nl.searchers.Darts(SMALL, digits, batch_size=16, epochs=1, seed=0)
    monkeypatch.setattr("naslab.searchers.forecasting.processors", lambda: 2)
    found = forecast(darts, steps=1, clock=Clock(0, 9, 0, 3))  # warm, counted
    # the first kind is warm already: its one step takes 9 s; with two threads one to warm up, 3 s, then one of 9 s
    assert found.threads == 1
    assert found.gains == {2: 1.0}
    assert str(found).endswith("1 thread (2 would be 1.0x)")
    monkeypatch.setattr("naslab.searchers.forecasting.processors", lambda: 1)
    assert forecast(darts, steps=1).gains == {}
    assert processors() >= 1


@pytest.mark.slow
def test_enas_and_one_shot_have_kinds_of_steps(digits):
    given = dict(batch_size=256, train_portion=0.5, units=5, controller_steps=2, children=2, derived=2)
    enas = nl.searchers.Enas(nl.spaces.EnasMacro(layers=2, channels=2), digits, epochs=3, seed=0, **given)
    counts = {part.name: part.count for part in forecast(enas, steps=1, threads=False).parts}
    search = nl.Search(enas)
    events = list(search)
    trained = sum(isinstance(event, ChildTrained) for event in events)
    assert counts == {"weights": trained, "controller": len(events) - trained - 3, "derivation": 3}

    one_shot = dict(batch_size=256, train_portion=0.5, valid_images=64, recalibration_images=64, population=4)
    breeding = dict(generations=3, parents=2, crossovers=1, mutations=1)
    spos = nl.searchers.FairNAS(TINY, digits, epochs=1, seed=0, **one_shot, **breeding)
    found = forecast(spos, clock=Clock(0, 5, 0, 10), threads=False)
    paths, children = found.parts
    assert (paths.name, paths.count) == ("paths", spos.training_steps) == ("paths", 10)
    assert paths.seconds == (1.0, 2.0), "a round of five paths makes one update"
    assert (children.name, children.count, children.of_epochs) == ("children", 12, False)
    assert found.epoch == pytest.approx(15), "children do not belong to an epoch"


@pytest.mark.slow
def test_the_end_of_an_epoch_and_a_warm_up_are_kinds_of_their_own(digits):
    robust = nl.searchers.RobustDarts(TINY, digits, batch_size=64, epochs=3, seed=0)
    counts = {one.name: one.count for one in robust.ahead()}
    assert counts == {"search": robust.total - 3, "end of an epoch": 3}
    warm = nl.searchers.PCDarts(SMALL, digits, batch_size=256, epochs=4, warmup=0.5, one_in=2, seed=0)
    assert {one.name: (one.count, one.moves) for one in warm.ahead()} == {
        "warm-up": (warm.total // 2, ("w_lr",)),
        "search": (warm.total // 2, ("w_lr", "alpha_lr")),
    }
    search = nl.Search(warm)
    for _ in range(warm.total // 2 + 1):
        next(search)
    assert [one.name for one in warm.ahead()] == ["search"]


@pytest.mark.slow
def test_a_wish_and_a_ranking_count(digits, table):
    ranking = nl.LiveRanking(table, 5, every=10, images=32, resamples=10)
    search = nl.Search(nl.searchers.Darts(SMALL, digits, batch_size=64, epochs=1, seed=0), ranking=ranking)
    search.set("w_lr", 0.5)
    found = search.forecast(steps=1, threads=False)
    assert {part.name: part.count for part in found.parts} == {"search": 11, "ranking": 3}, "after steps 1, 10 and 11"
    assert search.settings["w_lr"].value == 0.5, "the wish is still one"
    assert next(search).settings["w_lr"] == 0.5


def test_trials_take_the_time_of_one_evaluation_and_tables_none(digits, table):
    quick = nl.Search(nl.searchers.RegularizedEvolution(table.space), estimator=table, budget=300)
    told = quick.forecast()
    assert (told.steps, told.unit, told.memory) == (300, "evaluation", None)
    assert told.total < 5
    assert str(told).startswith("300 evaluations, about ")
    assert str(told).endswith("a table answers")

    space = nl.spaces.NASBench201(channels=2, cells=1)
    training = Training(space, digits, epochs=1, batch_size=256)
    real = nl.Search(nl.searchers.RandomSearch(space, seed=1), estimator=training, budget=4, workers=2)
    told = forecast(real, clock=Clock(0, 7))
    assert told.parts == (Part(name="evaluations", count=4, seconds=(7.0,)),)
    assert told.total == 14, "two at once"
    assert "one candidate (of 1 epoch) was evaluated" in told.note
    real.close()


def test_what_cannot_be_said_is_refused_in_a_sentence(digits, table):
    calls = []

    def score(architecture):
        calls.append(architecture)
        return float(len(calls))

    own = nl.Search(nl.searchers.RandomSearch(table.space, seed=1), estimator=score, budget=5)
    with pytest.raises(SpecError, match="is your own, and one call more may change what it gives"):
        own.forecast()
    assert calls == []
    assert own.forecast(call=True).steps == 5
    assert len(calls) == 1

    def failing(architecture):
        raise ValueError("no luck")

    broken = nl.Search(nl.searchers.RandomSearch(table.space), estimator=failing, budget=5)
    with pytest.raises(SpecError, match="the first one failed, ValueError: no luck"):
        broken.forecast(call=True)

    class Strange(nl.searchers.Darts):
        name = "strange"

        def __init__(self, space, task, secret, **given):
            super().__init__(space, task, **given)

    strange = Strange(TINY, digits, "x", batch_size=16, epochs=1)
    with pytest.raises(SpecError, match="cannot be made again from its spec"):
        forecast(strange)
    with pytest.raises(SpecError, match="a forecast is of a"):
        forecast(table)
    done = nl.Search(nl.searchers.RandomSearch(table.space), estimator=table, budget=1)
    next(done)
    assert str(done.forecast()) == "no evaluation is left"


def test_no_memory_for_a_step_is_told_with_the_batch_that_fits(digits, monkeypatch):
    darts = nl.searchers.Darts(TINY, digits, batch_size=512, epochs=1, seed=0)
    monkeypatch.setattr(step_memory, "available", lambda device: 3_000_000)
    with pytest.raises(SpecError, match=r"batch_size=\d+ fits"):
        forecast(darts)
    assert darts.step == 0


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.0213, "0.021 s"), (2.14, "2.1 s"), (42.4, "42 s"), (59.6, "1 min"), (160, "2 min 40 s"), (3600, "1 h"),
     (11_100, "3 h 5 min"), (187_000, "2 d 4 h"), (86_399, "1 d"), (float("inf"), "for ever")],
)  # fmt: skip
def test_durations_are_told_as_people_do(seconds, said):
    assert duration(seconds) == said


def test_a_measured_figure_of_a_pass_is_in_the_last_step_of_an_epoch(digits):
    """What `beside` does counts: it is done in every such step."""
    import sys
    from pathlib import Path

    sys.path.append(str(Path(__file__).parents[1] / "guests"))
    import guest_tasks

    darts = nl.searchers.Darts(SMALL, guest_tasks.MedianInk(256), batch_size=64, epochs=1, seed=0)
    assert [one.name for one in darts.ahead()] == ["search", "end of an epoch"]
    search = nl.Search(darts)
    list(search)
    assert any(isinstance(event, Measured) for event in search.events)
