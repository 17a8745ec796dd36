"""A search with shared weights and a controller: both phases reach the page, live and from the run folder."""

import naslab as nl
from naslab_widgets import Lab
from naslab_widgets.trials_view import TrialsView

SIZES = dict(epochs=2, batch_size=256, train_portion=0.5, controller_steps=2, children=2, derived=2, units=5)


def searching(run):
    space = nl.spaces.EnasMacro(layers=4, channels=4)
    return nl.Search(nl.searchers.Enas(space, nl.tasks.Digits(), **SIZES), run=run)


def check(view):
    assert isinstance(view, TrialsView)
    assert (len(view._ledger), view._ledger.failed) == (8, 0)
    figures = dict(view._details.kept)
    assert list(figures) == list(range(1, 13))
    assert all(set(figures[step]) == {"train_loss", "train_accuracy"} for step in (1, 2, 7, 8))
    assert {"reward", "baseline", "entropy", "skip_divergence"} <= set(figures[12])
    policy = dict(view._policy.kept)
    assert list(policy) == [3, 4, 5, 6, 9, 10, 11, 12]
    assert [len(policy[12][name]) for name in ("chain/3/op", "chain/4/from_2")] == [6, 2]
    assert view._told()["unit"] == "step"
    assert set(view._told()["rates"]) == {"w_lr", "controller_lr", "entropy_weight", "skip_weight"}
    view._policy.packet(True)
    assert view._named_options()["chain/3/from_1"] == ["0", "1"]
    assert "<svg" in str(view.picture())


def test_both_phases_are_shown_and_steered(tmp_path):
    search = searching(tmp_path / "run")
    lab = Lab(search)
    lab.run(2)
    lab.set("skip_weight", 2.0)
    lab.run()
    check(lab.view)
    assert search.events[-1].knobs["skip_weight"] == 2.0
    lab.stop()
    search.close()
    watch = Lab.watch(tmp_path / "run")
    check(watch.view)
    watch.stop()


def test_a_run_is_opened_rewound_and_goes_on_to_the_same_end(tmp_path):
    search = searching(tmp_path / "run")
    events = list(search)
    best, state = search.best, search.searcher.state_dict()
    search.rewind(5)
    assert list(search) == events[5:]
    search.close()
    again = nl.Search.open(tmp_path / "run")
    assert again.best == best
    assert set(again.searcher.state_dict()) == set(state)
    again.close()
