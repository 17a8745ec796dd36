"""A search with shared weights and a controller: both phases reach the page, live and from the run folder."""

import dataclasses

import pytest

import naslab as nl
from naslab.events import ChildTrained, Evaluated
from naslab.quantities import Objective, Quantity
from naslab_widgets import Lab
from naslab_widgets.figures.supernet import SupernetPicture
from naslab_widgets.lit_child import EVERY, LitChild
from naslab_widgets.trials_view import TrialsView

SIZES = dict(epochs=2, batch_size=256, train_portion=0.5, controller_steps=2, children=2, derived=2, units=5)


def searching(run):
    space = nl.spaces.EnasMacro(layers=4, channels=4)
    return nl.Search(nl.searchers.Enas(space, nl.tasks.Digits(), **SIZES), run=run)


def check(view):
    assert isinstance(view, TrialsView)
    assert (len(view._table), view._table.failed) == (8, 0)
    figures = dict(view._details.kept)
    assert list(figures) == list(range(1, 13))
    assert all(set(figures[step]) == {"train/loss", "train/accuracy"} for step in (1, 2, 7, 8))
    assert {"reward", "baseline", "entropy", "skip_divergence"} <= set(figures[12])
    policy = dict(view._policy.kept)
    assert list(policy) == [3, 4, 5, 6, 9, 10, 11, 12]
    assert [len(policy[12][name]) for name in ("chain/3/op", "chain/4/from_2")] == [6, 2]
    assert view._status({})["unit"] == "step"
    assert set(view._status({})["rates"]) == {"w_lr", "controller_lr", "entropy_weight", "skip_weight"}
    view._policy.packet(True)
    assert view._named_options()["chain/3/from_1"] == ["no", "yes"]
    assert "<svg" in str(view.picture())


def test_a_child_judged_once_is_told_from_the_one_that_is_derived():
    space = nl.spaces.EnasMacro(layers=4, channels=4)
    trained, judged = children(space)
    for best, derived, said in ((0.5, None, {"fitness": None}), (0.5, 0.4, {"fitness": 0.4}), (0.5, 0.5, None)):
        view = Page(space).view
        view.take(trained, dataclasses.replace(judged, fitness=best, best_fitness=derived))
        assert view._status({})["derived"] == view.standing()["derived"] == said
    view = Page(space).view
    view.take(dataclasses.replace(judged, fitness=0.5, best_fitness=0.4))
    assert view._status({})["derived"] is None, "a candidate that was trained alone is not judged once among others"


@pytest.mark.slow
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


@pytest.mark.slow
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


# --- the child lit in the supernet -----------------------------------------------------------------


def children(space, trained=True):
    """One that is trained and one that is judged, as any searcher with shared weights tells them."""
    first, second = (space.mutate(space.sample(rng), rng) for rng in map(nl.randomness.numpy_generator, (1, 2)))
    one = ChildTrained(
        step=1,
        epoch=0,
        architecture=first,
        metrics={"train/loss": 2.5, "train/accuracy": 0.1},
        best=first,
        settings={"w_lr": 0.1},
    )
    other = Evaluated(
        step=2,
        number=2,
        architecture=second,
        origin="policy",
        parents=(),
        status="done",
        fitness=0.25,
        message="",
        best=second,
        best_fitness=0.25,
        settings={},
    )
    return (one, other) if trained else (other, dataclasses.replace(other, step=3))


class Page:
    """What a view sends to a front end, with a clock that is turned by hand."""

    def __init__(self, space):
        self.now, self.sent = 0.0, []
        told = {"metrics": {"train/loss": Quantity("min", "nats")}, "objective": Objective("accuracy", "max", "%")}
        self.view = TrialsView(space, poke=lambda: None, clock=lambda: self.now, **told)
        self.view.send = lambda message, buffers=None: self.sent.append(message)
        self.view._receive(None, {"type": "hello"}, [])

    def publish(self, later=1.0):
        self.now += later
        before = len(self.sent)
        more = self.view.publish({"state": "running", "step": 0, "total": 9})
        return self.sent[before:], more


@pytest.mark.parametrize(
    "space",
    [nl.spaces.EnasMacro.laptop(), nl.spaces.EnasMicro.laptop(), nl.spaces.DartsCell(), nl.spaces.NASBench201()],
)
def test_every_child_is_lit_in_a_supernet_that_is_sent_once(space):
    page, picture = Page(space), SupernetPicture(space)
    trained, judged = children(space)
    ((before,), _) = page.publish()
    assert before["status"]["child"] is None
    assert "supernet" not in before
    page.view.take(trained)
    ((message,), _) = page.publish()
    assert message["supernet"] == picture.drawing(None)
    child = message["status"]["child"]
    assert (child["step"], child["said"]) == (1, "its weights are trained, loss 2.500 nats")
    whole = picture.drawing(trained.architecture)
    assert child["lit"] in whole
    page.view.take(judged)
    ((message,), _) = page.publish()
    assert "supernet" not in message
    child = message["status"]["child"]
    assert (child["step"], child["said"]) == (2, "judged with shared weights, accuracy 25.0 %")
    assert child["lit"] not in whole
    assert child["lit"] in picture.drawing(judged.architecture)
    page.view._receive(None, {"type": "hello"}, [])  # another page
    assert "supernet" in page.publish()[0][0]
    assert "naslab-lit" in page.view.picture()


def test_children_are_lit_no_more_often_than_one_sees(monkeypatch):
    page = Page(nl.spaces.EnasMacro.laptop())
    lights = []
    light = SupernetPicture.lit
    monkeypatch.setattr(SupernetPicture, "lit", lambda self, child: lights.append(child) or light(self, child))
    trained, judged = children(nl.spaces.EnasMacro.laptop())
    page.view.take(trained)
    page.publish()
    for number in range(2, 12):  # ten steps in a tenth of a second
        page.view.take(dataclasses.replace(judged, step=number))
        _, more = page.publish(later=0.01)
        assert more  # the last of them is still to come
    assert len(lights) == 1
    ((message,), more) = page.publish(later=EVERY)
    assert message["status"]["child"]["step"] == 11
    assert len(lights) == 2
    page.publish()
    assert len(lights) == 2


def test_there_is_nothing_to_light_where_no_weights_are_shared():
    space = nl.spaces.NASBench201()
    page = Page(space)
    page.view.take(*children(space, trained=False))
    assert not page.view._lit.due
    ((message,), _) = page.publish()
    assert message["status"]["child"] is None
    assert not page.publish(later=EVERY)[1]
    chain = nl.spaces.MetaQNN.laptop()  # draws no supernet
    page = Page(chain)
    page.view.take(*children(chain))
    assert page.publish()[0][0]["status"]["child"] is None


def test_a_space_that_cannot_draw_costs_the_picture_only(monkeypatch):
    space = nl.spaces.EnasMacro.laptop()
    monkeypatch.setattr(nl.spaces.EnasMacro, "supergraph", lambda self: 1 / 0)
    page = Page(space)
    page.view.take(*children(space))
    ((message,), _) = page.publish()
    assert message["status"]["child"] is None
    assert message["status"]["unit"] == "step"
    assert page.view.picture()
    assert LitChild(space).picture() is None


def test_going_back_forgets_the_child():
    space = nl.spaces.EnasMacro.laptop()
    page = Page(space)
    page.view.take(*children(space))
    page.publish()
    page.view.clear()
    ((message,), _) = page.publish()
    assert message["status"]["child"] is None


@pytest.mark.parametrize("make", [nl.searchers.Enas, nl.searchers.FairNAS])
def test_searches_of_children_are_shown_by_their_trials(make):
    """Also where the space has edges, on which others show a mixture."""
    space = nl.spaces.NASBench201(channels=4, cells=1) if make is nl.searchers.FairNAS else nl.spaces.EnasMicro.laptop()
    lab = Lab(nl.Search(make(space, nl.tasks.Digits(), batch_size=32)))
    assert isinstance(lab.view, TrialsView)
    lab.stop()
