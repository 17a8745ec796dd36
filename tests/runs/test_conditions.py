"""A search goes on until a condition is met; what is asked of a search of candidates."""

import pytest
from steered_searches import darts, evolution, moved, tensors

import naslab as nl
from naslab.errors import RunError, SpecError
from naslab.runs import conditions

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
    with pytest.raises(SpecError, match="cannot change"):
        next(search)
    assert search.searcher.settings["mask/normal"].value == {}
    assert [one.pending for one in search.ledger] == [True]
    search.undo()
    assert search.wished == []
    assert list(search) == list(calm)
    assert list(search.events) == list(calm.events)
