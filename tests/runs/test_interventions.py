"""What a hand does to a running search: as events, undone by events, and done again by a program of a fresh process."""

import json

import pytest
from steered_searches import CELL, darts, moved, records, tensors

import naslab as nl
from naslab.errors import SpecError
from naslab.events import Changed
from naslab.runs import conditions
from naslab.runs.interventions import changed, without

# --- gradient searches ---------------------------------------------------------------------------


def test_what_is_frozen_stands_still_with_all_that_its_optimiser_keeps(digits):
    search = darts(digits, order=2)
    next(search)
    before = tensors(search)
    search.freeze("alphas")
    search.freeze("weights")
    event = next(search)
    assert not moved(before, tensors(search))
    assert event.settings["freeze/alphas"]
    assert event.settings["freeze/weights"]
    assert event.metrics["train/loss"] > 0
    search.thaw("alphas")
    next(search)
    assert {name.split("/")[0] for name in moved(before, tensors(search))} == {"alpha", "adam"}
    search.thaw("weights")
    search.freeze("alphas")
    before = tensors(search)
    next(search)
    assert {name.split("/")[0] for name in moved(before, tensors(search))} == {"network", "momentum"}


def test_frozen_weights_make_no_step_that_second_order_could_look_through(digits):
    one, other = darts(digits, order=2), darts(digits, order=1)
    for search in (one, other):
        search.freeze("weights")
        next(search)
    assert tensors(one)["alpha/normal"] == tensors(other)["alpha/normal"]


@pytest.mark.parametrize("searcher", ["SNAS", "ProxylessNAS", "SmoothDarts"])
def test_freezing_means_the_same_for_every_method(digits, searcher):
    given = {"SmoothDarts": {"perturbation": "random"}, "ProxylessNAS": {"warmup": 0.0}}.get(searcher, {})
    space = nl.spaces.NASBench201(channels=2, cells=1)
    search = nl.Search(getattr(nl.searchers, searcher)(space, digits, batch_size=64, epochs=2, seed=0, **given))
    next(search)
    before = tensors(search)
    search.freeze("weights")
    next(search)
    still = moved(before, tensors(search))
    assert still
    assert {name.split("/")[0] for name in still} <= {"alpha", "adam", "baseline"}
    search.freeze("alphas")
    before = tensors(search)
    next(search)
    assert not moved(before, tensors(search))


@pytest.mark.slow
def test_the_size_of_mini_batches_changes_with_the_next_epoch_and_the_total_with_it(digits):
    search = darts(digits)
    assert (search.total, search.searcher.end_of_epoch) == (12, 4)
    next(search)
    search.set("batch_size", 240)
    assert search.total == 8
    assert search.step == 1
    event = next(search)
    assert event.settings["batch_size"] == 144
    assert search.settings["batch_size"].value == 240
    assert search.settings["batch_size"].now == 144
    (change,) = [event for event in search.events if isinstance(event, Changed)]
    assert (change.old, change.new, change.total) == (144, 240, 8)
    rates = {}
    for event in search:
        rates[event.epoch] = event.settings["w_lr"]
        assert event.settings["batch_size"] == (144 if event.step <= 4 else 240)
        assert event.epoch == (0 if event.step <= 4 else 1 if event.step <= 6 else 2)
    assert search.step == 8
    plain = darts(digits)
    for event in plain:
        assert event.settings["w_lr"] == rates.get(event.epoch), "the schedule is counted in epochs"
    for size, said in ((0, "from 1 to 719"), (10**9, "from 1 to 719"), (2.5, "whole number"), (None, "whole number")):
        with pytest.raises(SpecError, match=said):
            search.set("batch_size", size)


def test_in_the_last_epoch_there_is_no_next_one_for_another_size(digits):
    search = darts(digits, epochs=1)
    next(search)
    with pytest.raises(SpecError, match="acts from the next epoch on, and this is the last of 1"):
        search.set("batch_size", 32)


def test_both_parts_of_the_data_change_size_at_the_same_step(digits):
    search = darts(digits, train_portion=0.8)
    next(search)
    search.set("batch_size", 70)
    next(search)
    end = search.searcher.end_of_epoch
    sizes = {name: feed.timetable.sizes for name, feed in search.searcher._feeds.items()}
    assert set(sizes.values()) == {((0, 144), (end, 70))}
    search.set("batch_size", 144)
    next(search)
    assert {feed.timetable.sizes for feed in search.searcher._feeds.values()} == {((0, 144),)}


def test_weight_decay_and_order_act_on_the_next_step(digits):
    one, plain, same = darts(digits), darts(digits), darts(digits, order=2, w_weight_decay=0.01)
    one.set("w_weight_decay", 0.01)
    one.set("order", 2)
    for search in (one, plain, same):
        next(search)
    assert one.events[-1].settings["order"] == 2
    assert moved(tensors(plain), tensors(one))
    assert not moved(tensors(same), tensors(one)), "as if it had been made so"
    with pytest.raises(SpecError, match="unknown option 3"):
        one.set("order", 3)
    space = nl.spaces.NASBench201(channels=2, cells=1)
    reinforce = nl.searchers.ProxylessNAS(space, digits, rule="reinforce", resource_weight=0.0, batch_size=64, epochs=2)
    with pytest.raises(SpecError, match="second order differentiates"):
        nl.Search(reinforce).set("order", 2)


def test_an_operation_is_forbidden_on_all_edges_by_one_change(digits):
    search = darts(digits)
    search.forbid_everywhere("skip_connect")
    event = next(search)
    assert all((shares[:, 2] == 0).all() for shares in event.probabilities.values())
    assert event.best.choices.count("skip_connect") == 0
    assert len([event for event in search.events if isinstance(event, Changed)]) == 1
    with pytest.raises(SpecError, match=r"nothing would be left of edge 0 of 'normal'.*an edge keeps at least one"):
        search.set("forbidden", list(CELL["operations"]))
    search.set("mask/normal", {"2": ["none", "max_pool_3x3"]})
    next(search)
    with pytest.raises(SpecError, match="nothing would be left of edge 2 of 'normal'"):
        search.forbid_everywhere("sep_conv_3x3")
    search.allow_everywhere("skip_connect")
    assert (next(search).probabilities["reduce"][:, 2] > 0).all()


def test_words_for_edges_mean_masks(digits):
    search = darts(digits)
    search.forbid("normal", 2, "skip_connect")
    search.forbid("normal", "2", "none")
    search.lock("reduce", 1, "sep_conv_3x3")
    search.drop("normal", 4)
    assert search.settings["mask/normal"].value == {"2": ["none", "skip_connect"]}
    assert search.settings["edges/normal"].value == ["4"]
    event = next(search)
    assert event.probabilities["reduce"][1].tolist() == [0, 0, 0, 1]
    assert not event.probabilities["normal"][4].any()
    search.allow("normal", 2, "none")
    search.unlock("reduce", 1)
    search.undrop("normal", 4)
    event = next(search)
    assert event.settings["mask/normal"] == {"2": ["skip_connect"]}
    assert (event.probabilities["reduce"] > 0).all()
    assert (event.probabilities["normal"][4] > 0).all()
    for wrong, said in (
        (("normal", 9, "none"), "unknown edge 9"),
        (("normal", 2, "conv"), "unknown option 'conv'"),
        (("norml", 2, "none"), "no 'mask/norml'"),
        (("normal",), "say where"),
    ):
        with pytest.raises(SpecError, match=said):
            search.forbid(*wrong)
    for call, said in (
        (lambda: search.drop("norml", 1), "did you mean 'normal'"),
        (lambda: search.drop("normal", 9), "unknown option '9'"),
        (lambda: search.freeze("wights"), "did you mean 'weights'"),
        (lambda: search.nudge("normal", 1, "none", float("nan")), "by must be a number, not nan"),
        (lambda: search.unset("w_rl"), "did you mean 'w_lr'"),
    ):
        with pytest.raises(SpecError, match=said):
            call()
    assert search.step == 2
    assert len(search.ledger) == 6


# --- undoing ---------------------------------------------------------------------------------------


def test_an_undo_is_an_event_that_gives_back_what_was(digits):
    search = darts(digits)
    next(search)
    search.set("w_lr", 0.01)
    search.nudge("normal", 1, "none", 0.5)
    next(search)
    first, second = search.ledger
    assert (first.number, first.step, first.sentence, first.who) == (1, 2, "w_lr 0.025 → 0.01", "hand")
    assert second.sentence.startswith("alpha of none on edge 1 of normal moved by 0.5 (it was ")
    assert first.undoable
    assert second.undoable
    alpha = float(search.searcher.alphas["normal"].detach()[1, 0])
    search.undo()
    assert [one.pending for one in search.ledger] == [False, False, True]
    search.undo(3)
    assert len(search.ledger) == 2, "a wish is taken back, not undone"
    search.undo(2)
    search.undo(1)
    assert float(search.searcher.alphas["normal"].detach()[1, 0]) == alpha, "nothing happens before the next step"
    event = next(search)
    assert event.settings["w_lr"] == 0.025
    undo, put = [event for event in search.events if event.kind in ("changed", "acted")][-2:]
    assert (undo.undoes, undo.new, put.undoes, put.name, put.arguments["to"]) == (1, 0.025, 2, "put", second.before)
    assert [one.undone for one in search.ledger] == [3, 4, None, None]
    with pytest.raises(SpecError, match="undone already, by 3; undo that one to have it again"):
        search.undo(1)
    search.redo()  # the nudge
    search.undo(3)
    next(search)
    assert search.ledger[-2].sentence == "undo of 3: w_lr 0.025 → 0.01"
    assert [one.undone for one in search.ledger] == [None, None, 5, 6, None, None]
    for number in (0, 7, True, "1"):
        with pytest.raises(SpecError, match="numbered from 1, and there are 1 to 6"):
            search.undo(number)
    assert json.loads(json.dumps([one.to_json() for one in search.ledger]))[0]["sentence"] == "w_lr 0.025 → 0.01"


@pytest.mark.slow
def test_undoing_a_rate_puts_it_back_on_its_schedule(digits):
    search, plain = darts(digits), darts(digits)
    next(search)
    search.set("w_lr", 0.2)
    search.until(conditions.epoch_ends())
    assert search.settings["w_lr"].base == 0.2
    search.undo()
    search.set("alpha_lr", 0.1)
    next(search)
    search.unset("alpha_lr")
    slider = search.settings["w_lr"]
    assert (slider.schedule, slider.base) == ("cosine", slider.value)
    rates = {event.step: event.settings for event in plain}
    for event in search:
        assert event.settings["w_lr"] == pytest.approx(rates[event.step]["w_lr"], rel=1e-12)
        assert event.settings["alpha_lr"] == rates[event.step]["alpha_lr"]


def test_of_a_mask_only_what_one_change_did_is_undone(digits):
    search = darts(digits)
    search.forbid("normal", 2, "skip_connect")
    next(search)
    search.forbid("normal", 3, "none")
    next(search)
    search.undo(1)
    assert next(search).settings["mask/normal"] == {"3": ["none"]}
    search.allow("normal", 3, "none")
    next(search)
    assert search.ledger[1].why_not == "nothing of intervention 2 is in force any more"
    with pytest.raises(SpecError, match="nothing of intervention 2"):
        search.undo(2)


def test_what_was_changed_again_is_undone_from_the_last_on(digits):
    search = darts(digits)
    for value in (0.01, 0.02):
        search.set("alpha_lr", value)
        search.nudge("normal", 0, "none", value)
        next(search)
    with pytest.raises(SpecError, match="alpha_lr was changed again at step 2, by intervention 3; undo that one first"):
        search.undo(1)
    with pytest.raises(SpecError, match="moved again at step 2, by intervention 4"):
        search.undo(2)
    search.undo(3)
    search.undo(4)
    assert next(search).settings["alpha_lr"] == 0.01
    search.undo(1)
    search.undo(2)
    assert next(search).settings["alpha_lr"] == 3e-4


@pytest.mark.parametrize(
    ("now", "old", "new", "left"),
    [
        ({"1": ["a"], "2": ["b"]}, {}, {"1": ["a"]}, {"2": ["b"]}),
        ({"1": ["a", "b"]}, {"1": ["a"]}, {"1": ["a", "b"]}, {"1": ["a"]}),
        ({}, {"1": ["a"]}, {}, {"1": ["a"]}),
        (["1", "2"], ["1"], ["1", "2"], ["1"]),
        (["2"], ["1"], ["2"], ["1"]),
    ],
)
def test_a_change_is_taken_out_of_what_is_in_force(now, old, new, left):
    assert without(now, old, new) == left


def test_what_one_wish_makes_possible_another_may_take_for_granted(digits):
    search = darts(digits)
    search.forbid("normal", 1, "none")
    next(search)
    search.allow("normal", 1, "none")
    with pytest.raises(SpecError, match="is forbidden on edge 1"):
        search.nudge("normal", 1, "none", 0.5)
    search.act("nudge", part="normal", row=1, operation="none", by=0.5, check=False)
    next(search)
    names = {}
    exec(search.script(), names)
    assert records(names["search"]) == records(search)


def test_sentences():
    mask = nl.searchers.Mask(options={"0": ("a", "b", "c"), "1": ("a", "b")}, what="edge")
    assert changed("mask/normal", {}, {"0": ["a", "b"]}, mask) == "edge 0 of normal locked to c"
    assert changed("mask", {}, {"0": ["a"], "1": ["a"]}, mask) == "a forbidden everywhere"
    assert changed("mask/normal", {"1": ["a"]}, {"0": ["b"]}, mask) == (
        "b forbidden on edge 0 of normal; a free on edge 1 of normal"
    )
    assert changed("edges/normal", ["1"], ["2", "3"]) == "edges 2, 3 of normal left out; edge 1 of normal there again"
    assert changed("freeze/weights", True, False) == "weights move again"
    assert changed("schedule", "cosine", "linear") == "schedule cosine → linear"


def test_what_cannot_be_locked_is_named(digits):
    with pytest.raises(SpecError, match="unknown option 'skip_conect'; did you mean 'skip_connect'"):
        darts(digits).lock("normal", 0, "skip_conect")
