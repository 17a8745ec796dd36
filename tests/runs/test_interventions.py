"""What a hand does to a running search: as events, undone by events, and done again by a program of a fresh process."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import naslab as nl
from naslab.errors import RunError, SpecError
from naslab.events import Changed
from naslab.runs import conditions
from naslab.runs.interventions import changed, without

CELL = dict(nodes=2, operations=("none", "max_pool_3x3", "skip_connect", "sep_conv_3x3"), channels=2, cells=3)
ENAS = dict(epochs=3, batch_size=128, train_portion=0.5, controller_steps=2, children=2, derived=2, units=5)


@pytest.fixture(scope="module")
def digits():
    return nl.tasks.Digits()


@pytest.fixture(scope="module")
def table():
    return nl.benchmarks.NASBench201()


def darts(digits, **given):
    given = {"batch_size": 144, "epochs": 3, "seed": 0, **given}  # four steps an epoch
    return nl.Search(nl.searchers.Darts(nl.spaces.DartsCell(**CELL), digits, **given))


def evolution(table, budget=30, run=None, **given):
    searcher = nl.searchers.RegularizedEvolution(table.space, seed=1, population=4, sample=2)
    return nl.Search(searcher, run, estimator=table, budget=budget, **given)


def tensors(search):
    state = search.searcher.state_dict()
    return {
        name: value.numpy().tobytes() if isinstance(value, torch.Tensor) else value for name, value in state.items()
    }


def moved(before, after):
    """Names of what is another now, but for the step."""
    return {name for name in {**before, **after} if before.get(name) != after.get(name)} - {"step", "turned"}


def elsewhere(search, tmp_path):
    """The events of the program that does a search again, in a process of its own."""
    program = tmp_path / "again.py"
    told = "import json\nprint(json.dumps([[e.kind, *map(repr, e.to_record())] for e in search.events]))\n"
    program.write_text(search.script() + told)
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def records(search):
    return [[event.kind, *map(repr, event.to_record())] for event in search.events]


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


# --- candidates ------------------------------------------------------------------------------------


def test_a_population_is_tended_and_all_of_it_undone(table):
    search = evolution(table)
    for _ in range(6):
        next(search)
    members = [member.number for member in search.searcher.sampler.population]
    search.act("kill", candidate=members[0])
    search.act("protect", candidate=members[1])
    search.act("add", architecture=table.space.architecture(["nor_conv_3x3"] * 6))
    event = next(search)
    assert event.origin == "added"
    with pytest.raises(SpecError, match="has 4 members again, as many as it may; kill one first"):
        search.undo(1)
    sampler = search.searcher.sampler
    search.undo(3)  # the added one is taken out again, which makes room
    assert next(search).step == 8
    assert event.number not in [member.number for member in sampler.population]
    search.undo(2)
    assert sampler._protected == {members[1]}
    next(search)
    assert not sampler._protected
    search.act("kill", candidate=sampler.population[0].number)
    search.act("kill", candidate=sampler.population[1].number)
    next(search)
    search.undo(1)
    next(search)
    assert members[0] not in sampler._taken_out  # it was back at its place, the oldest, and has made room at once
    assert search.events[-2].name == "revive"
    search.act("add", architecture=["none"] * 6)
    search.undo()
    assert next(search).origin != "added"


def test_the_budget_grows_and_shrinks_and_a_search_that_had_ended_goes_on(table, tmp_path):
    search = evolution(table, budget=8, run=tmp_path / "run")
    assert len(list(search)) == 8
    with pytest.raises(RunError, match="all 8 steps are done"):
        search.set("sample", 1)
    with pytest.raises(SpecError, match="from 8 up, not 7"):
        search.set("budget", 7)
    search.set("budget", 12)
    assert search.total == 12
    search.set("sample", 1)
    assert next(search).step == 9
    search.set("budget", 10)
    assert next(search).step == search.total == 10
    assert next(search, None) is None
    reader = nl.runs.read(tmp_path / "run")
    reader.events()
    assert reader.total == 10
    expected = list(search.events)
    search.close()
    again = nl.Search.open(tmp_path / "run")
    assert list(again.events) == expected
    assert again.total == 10
    again.rewind(8)
    assert again.total == 8
    again.set("budget", 12)
    again.set("sample", 1)
    assert next(again) == expected[10]
    fork = again.fork(step=4)
    assert fork.total == 8
    again.close()


def test_an_architecture_can_be_added_to_every_search_of_candidates(table):
    given = {
        nl.searchers.RandomSearch: {},
        nl.searchers.LocalSearch: {},
        nl.searchers.QLearning: {},
        nl.searchers.NasRL: {"units": 5, "children": 2},
        nl.searchers.PPO: {"units": 5, "children": 2},
        nl.searchers.AutoKeras: {"coldest": 0.7, "branches": 3},
        nl.searchers.BOHB: {"most": 200, "eta": 16, "samples": 3},
        nl.searchers.SuccessiveHalving: {"candidates": 4, "epochs": (12, 200)},
        nl.searchers.Hurdles: {"steps": (12, 188), "per_hurdle": 3, "population": 4, "sample": 2},
        nl.searchers.LargeScaleEvolution: {"population": 4},
    }
    wanted = table.space.architecture(["nor_conv_3x3"] * 6)
    for searcher, hyperparameters in given.items():
        search = nl.Search(searcher(table.space, seed=1, **hyperparameters), estimator=table, budget=20)
        for _ in range(5):
            next(search)
        search.act("add", architecture=wanted)
        while (event := next(search)).origin != "added":
            pass
        assert event.architecture == wanted, searcher
        for _ in range(5):
            next(search)
        back = search.fork(step=6)
        while back.step < search.step:
            next(back)
        assert list(back.events) == list(search.events), searcher
    grown = nl.Search(nl.searchers.EPNAS(table.space, seed=1, units=5), estimator=table, budget=5)
    with pytest.raises(SpecError, match="no act 'add'"):
        grown.act("add", architecture=wanted)


def test_a_controller_stands_still(table):
    search = nl.Search(nl.searchers.NasRL(table.space, seed=1, units=5, children=2), estimator=table, budget=30)
    search.until(lambda event: event.step == 10)
    search.freeze("controller")
    next(search)
    before = tensors(search)
    learnt = ("proposer/weight/", "proposer/exp_avg", "proposer/step/")
    for _ in range(6):
        event = next(search)
    assert not [name for name in moved(before, tensors(search)) if name.startswith(learnt)]
    assert event.settings["freeze/controller"] is True
    search.thaw("controller")
    for _ in range(4):
        event = next(search)
    assert {name for name in moved(before, tensors(search)) if name.startswith("proposer/weight/")}
    assert "freeze/controller" not in event.settings


# --- again, in a fresh process -------------------------------------------------------------------


@pytest.mark.slow
def test_the_program_of_a_darts_search_reproduces_it(digits, tmp_path):
    search = darts(digits)
    next(search)
    search.forbid("normal", 2, "skip_connect")
    search.nudge("reduce", 1, "sep_conv_3x3", 0.25)
    search.freeze("weights", who="cure")
    next(search)
    search.thaw("weights")
    search.set("batch_size", 240)
    search.set("w_lr", 0.1)
    search.until(conditions.epoch_ends())
    search.measure("alpha_hessian_eigenvalue")
    search.undo(1)
    search.undo(next(one for one in search.ledger if one.name == "w_lr"))
    search.act("reset", part="normal")
    next(search)
    search.undo()
    next(search)
    assert {one.who for one in search.ledger} == {"hand", "cure"}
    expected = [record for record in records(search) if record[0] != "measured"]
    assert elsewhere(search, tmp_path) == expected


@pytest.mark.slow
def test_the_program_of_an_evolution_reproduces_it(table, tmp_path):
    search = evolution(table)
    for _ in range(6):
        next(search)
    members = [member.number for member in search.searcher.sampler.population]
    search.act("protect", candidate=members[0])
    search.act("kill", candidate=members[1])
    search.act("add", architecture=["skip_connect"] * 6)
    search.set("budget", 40)
    search.forbid("cell/1/from_0", "none")
    next(search)
    search.undo(next(one for one in search.ledger if one.name == "protect"))
    search.undo(next(one for one in search.ledger if one.name == "mask"))
    for _ in search:
        pass
    assert search.step == 40
    assert elsewhere(search, tmp_path) == records(search)


@pytest.mark.slow
def test_the_program_of_an_enas_search_reproduces_it(digits, tmp_path):
    search = nl.Search(nl.searchers.Enas(nl.spaces.EnasMacro(layers=2, channels=2), digits, seed=0, **ENAS))
    next(search)
    search.freeze("weights")
    next(search)
    search.set("batch_size", 64)
    search.thaw("weights")
    search.set("entropy_weight", 0.1)
    search.until(conditions.epoch_ends())
    search.undo(4)
    search.freeze("controller")
    for _ in search:
        pass
    assert search.total == 39  # five mini-batches, then twice eleven, and four of the controller each time
    assert elsewhere(search, tmp_path) == records(search)


@pytest.mark.slow
def test_the_program_of_several_workers_tells_the_same_answers_in_the_logged_order(table, tmp_path):
    search = evolution(table, budget=16, workers=2)
    for _ in range(6):
        next(search)
    search.set("workers", 3)
    search.act("add", architecture=["skip_connect"] * 6)
    for _ in search:
        pass
    search.close()
    program = search.script()
    assert "2 at a time" not in program
    assert "3 at a time" in program
    assert "ANSWERS" in program
    assert elsewhere(search, tmp_path) == records(search)


# --- whatever is done ------------------------------------------------------------------------------


def at_random(search, rng, steps, table=None):
    """Steps with whatever may come to a hand's mind."""
    for _ in range(steps):
        for _ in range(int(rng.integers(3))):
            try:
                _something(search, rng)
            except (SpecError, RunError):
                continue
        try:
            if next(search, None) is None:
                return
        except SpecError:  # two wishes that do not go together
            continue


def _something(search, rng):
    def one(options):
        return options[int(rng.integers(len(options)))]

    if rng.random() < 0.25:
        return search.undo(one(search.ledger) if search.ledger else None)
    if search.acts and rng.random() < 0.4:
        name = one(sorted(search.acts))
        act, given = search.acts[name], {}
        for argument in act.arguments:
            given[argument] = {
                "part": lambda: one(["normal", "reduce"]),
                "row": lambda: int(rng.integers(5)),
                "operation": lambda: one(list(CELL["operations"])),
                "by": lambda: float(rng.normal()),
                "to": lambda: float(rng.normal()),
                "candidate": lambda: int(rng.integers(1, search.step + 2)),
                "architecture": lambda: list(search.space.sample(rng).choices),
            }[argument]()
        return search.act(name, **given)
    name = one(sorted(search.settings))
    setting = search.settings[name]
    match setting:
        case nl.searchers.Slider():
            value = min(setting.high, max(setting.low, float(setting.value * rng.uniform(0.5, 2))))
        case nl.searchers.Count():
            if name == "workers":
                return None
            value = int(setting.value * rng.uniform(0.7, 1.5))
        case nl.searchers.Switch():
            value = bool(rng.integers(2))
        case nl.searchers.Select():
            value = one(list(setting.options))
        case nl.searchers.Several():
            value = [option for option in setting.options if rng.random() < 0.2]
        case nl.searchers.Mask():
            value = {
                row: [option for option in options if rng.random() < 0.15] for row, options in setting.options.items()
            }
    return search.set(name, value)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))])
@pytest.mark.parametrize("kind", ["darts", "evolution", "q-learning", pytest.param("enas", marks=pytest.mark.slow)])
def test_whatever_is_done_is_done_again_by_program_rewind_and_reopening(kind, seed, digits, table, tmp_path):
    rng = np.random.default_rng(seed)
    searchers = {
        "darts": lambda: (nl.searchers.Darts(nl.spaces.DartsCell(**CELL), digits, batch_size=240, epochs=6), {}),
        "evolution": lambda: (
            nl.searchers.RegularizedEvolution(table.space, population=4, sample=2),
            {"estimator": table, "budget": 40},
        ),
        "q-learning": lambda: (nl.searchers.QLearning(table.space), {"estimator": table, "budget": 40}),
        "enas": lambda: (nl.searchers.Enas(nl.spaces.EnasMacro(layers=2, channels=2), digits, **ENAS), {}),
    }
    searcher, given = searchers[kind]()
    search = nl.Search(searcher, tmp_path / "run", snapshot_every=1000, **given)
    at_random(search, rng, 15 if kind in ("darts", "enas") else 60)
    assert len(search.ledger) > 5
    assert search.step > 8
    expected, state = records(search), tensors(search)
    script = search.script()
    names = {}
    exec(script, names)
    assert records(names["search"]) == [record for record in expected if record[0] != "recovered"]
    assert tensors(names["search"]) == state
    end = search.step
    back = search.fork(step=end // 2)
    with back:
        assert tensors(search.fork()) == state
    search.rewind(end - 1)
    search.close()
    again = nl.Search.open(tmp_path / "run", digits if kind in ("darts", "enas") else None)
    assert [r for r in records(again) if r[0] != "recovered"] == [
        record for record in expected if json.loads(eval(record[1]))["step"] < end
    ]
    again.close()
    again = nl.Search.open(tmp_path / "run", digits if kind in ("darts", "enas") else None)
    assert again.step == end - 1
    again.close()


# --- until ---------------------------------------------------------------------------------------


def test_a_search_goes_on_until_a_condition_and_stands_exactly_there(digits, table):
    search = darts(digits)
    assert search.until(conditions.epoch_ends()).step == 4
    assert search.until(conditions.epoch_ends()).step == 8
    search.rewind(0)
    search.lock("normal", 2, "max_pool_3x3")
    first = next(search).best
    changed_at = search.until(conditions.derived_changes())
    assert changed_at.best != first == search.events[-2].best
    search.set("alpha_lr", 1.0)
    limit = search.events[-1].entropy - 0.05
    met = search.until(conditions.entropy_below(limit))
    assert met.entropy < limit <= search.events[-2].entropy if search.events[-2].kind == "supernet_step" else True
    assert search.until(lambda event: False, most=2) is not None
    trials = evolution(table, budget=200)
    event = trials.until(conditions.fitness_above(94))
    assert event.best_fitness > 94 >= trials.events[-2].best_fitness
    assert trials.until(lambda event: False).step == 200
    assert trials.until(lambda event: False) is None
    with pytest.raises(SpecError, match="no epochs"):
        trials.until(conditions.epoch_ends())
    with pytest.raises(SpecError, match="until takes a condition"):
        trials.until(3)


def test_conditions_by_name_and_for_a_menu(digits, table):
    names = [one["name"] for one in conditions.offered(darts(digits))]
    assert names == ["epoch", "entropy", "skips", "derived", "kept"]
    trials = evolution(table)
    next(trials)
    assert [one["name"] for one in conditions.offered(trials)] == ["skips", "derived", "kept", "truth", "fitness"]
    wrong = ((("entrpy", 1.0), "did you mean 'entropy'"), (("entropy",), "a number"), (("kept", 1), "no number"))
    for given, said in wrong:
        with pytest.raises(SpecError, match=said):
            conditions.named(*given)
    space = nl.spaces.NASBench201(channels=2, cells=1)
    search = nl.Search(nl.searchers.Darts(space, digits, batch_size=64, epochs=2, alpha_lr=0.5, seed=0))
    truth = conditions.truth_falls(table)
    event = search.until(truth)
    if search.step < search.total:
        assert table.query(event.best).test_accuracy <= max(
            table.query(e.best).test_accuracy for e in search.events if e.kind == "supernet_step"
        )
    skips = conditions.skips_at_least(1).begin(search)
    assert skips(event) == (f"{n} skip connections" if (n := event.best.choices.count("skip_connect")) else None)


def test_what_a_refused_step_began_with_is_still_a_wish(digits):
    search, calm = darts(digits), darts(digits)
    next(search)
    next(calm)
    search.nudge("normal", 0, "skip_connect", 0.5)
    search.forbid("normal", 0, "skip_connect")
    with pytest.raises(SpecError, match="stands still"):
        next(search)
    assert search.searcher.settings["mask/normal"].value == {}
    assert [one.pending for one in search.ledger] == [True]
    search.undo()
    assert search.wished == []
    assert list(search) == list(calm)
    assert list(search.events) == list(calm.events)


def test_what_cannot_be_locked_is_named(digits):
    with pytest.raises(SpecError, match="unknown option 'skip_conect'; did you mean 'skip_connect'"):
        darts(digits).lock("normal", 0, "skip_conect")
