"""A one-shot search: training first, then evolution; both phases reach the page, on any space with shared weights."""

import pytest

import naslab as nl
from naslab_widgets import Lab
from naslab_widgets.trials_view import TrialsView

SIZES = dict(
    epochs=1,
    batch_size=256,
    train_portion=0.5,
    population=4,
    generations=2,
    parents=2,
    crossovers=1,
    mutations=2,
    valid_images=64,
    recalibration_images=64,
)
SPACES = {
    "a cell with edges": nl.spaces.NASBench201(channels=4, cells=1),
    "a chain": nl.spaces.MobileChain(channels=4, stages=2, layers=2, stem_stride=1),
}


def check(view):
    assert isinstance(view, TrialsView)
    assert (len(view._table), view._table.failed) == (8, 0)
    assert set(view._table.origins) == {"random", "mutation", "crossover"}
    figures = dict(view._details.kept)
    assert all(set(figures[step]) == {"train/loss", "train/accuracy"} for step in (1, 2))
    assert all(set(figures[step]) == {"generation", "exhausted"} for step in range(3, 11))
    told = view._status({})
    assert (told["unit"], told["since"]) == ("step", 3)
    assert set(told["rates"]) == {"w_lr", "mutation_rate"}
    assert view._table.column("generation").max() >= 1  # the family tree
    assert "<svg" in str(view.picture())


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_both_phases_are_shown_and_steered(tmp_path, space):
    search = nl.Search(nl.searchers.SPOS(space, nl.tasks.Digits(), **SIZES), run=tmp_path / "run")
    lab = Lab(search)
    lab.run(1)
    lab.set("mutation_rate", 0.5)
    assert lab.view._status({})["since"] == 1
    lab.run()
    check(lab.view)
    assert search.events[-1].knobs["mutation_rate"] == 0.5
    lab.stop()
    search.close()
    watch = Lab.watch(tmp_path / "run")
    check(watch.view)
    watch.stop()


@pytest.mark.slow
def test_a_run_is_opened_rewound_and_goes_on_to_the_same_end(tmp_path):
    space = nl.spaces.NASBench201(channels=4, cells=1)
    search = nl.Search(nl.searchers.FairNAS(space, nl.tasks.Digits(), **SIZES), run=tmp_path / "run")
    events = list(search)
    best = search.best
    search.rewind(7)  # in the middle of an update, with gradients of two of five paths
    assert list(search) == events[7:]
    search.rewind(14)
    assert list(search) == events[14:]
    search.close()
    again = nl.Search.open(tmp_path / "run")
    assert again.best == best
    again.close()
