"""What every searcher must do, whatever its algorithm."""

import json

import pytest
import torch

import naslab as nl
from naslab.errors import SpecError
from naslab.searchers.shared_weights import WeightSharing


def state_bytes(searcher):
    return {
        name: value.numpy().tobytes() if isinstance(value, torch.Tensor) else value
        for name, value in searcher.state_dict().items()
    }


@pytest.fixture
def steps(make):
    """How many steps show all that a searcher does: a batch is dear, a look into a table is not."""
    if isinstance(searcher := make(), nl.searchers.BlackBoxSearch):
        return 20
    if isinstance(searcher, nl.searchers.FairNAS):
        return 13  # an update has five steps
    return 7 if isinstance(searcher, WeightSharing) else 3  # both of its phases


def test_same_seed_same_search_however_torch_is_set(make, steps, disturbed_torch):
    one = make(seed=3)
    expected = [one.advance() for _ in range(steps)]
    with disturbed_torch():
        other = make(seed=3)
        assert [other.advance() for _ in range(steps)] == expected
        assert state_bytes(other) == state_bytes(one)


def test_another_seed_another_search(make):
    assert make(seed=3).advance() != make(seed=4).advance()


def test_the_world_does_not_leak_in_or_out(make):
    torch.manual_seed(1)
    one = make(seed=3)
    global_state, threads = torch.get_rng_state(), torch.get_num_threads()
    first = one.advance()
    assert torch.equal(torch.get_rng_state(), global_state)
    assert torch.get_num_threads() == threads
    torch.manual_seed(2)
    assert make(seed=3).advance() == first


@pytest.mark.parametrize("before", [0, 2, 9])
def test_state_is_the_whole_truth(make, steps, before):
    straight = make(seed=3)
    for _ in range(min(before, steps)):
        straight.advance()
    if make.turn:
        straight.turn(*make.turn)
    state = straight.state_dict()
    expected = [straight.advance() for _ in range(steps)]

    resumed = make(seed=3)
    resumed.load_state_dict(state)
    assert resumed.step == min(before, steps)
    assert [resumed.advance() for _ in range(steps)] == expected
    assert state_bytes(resumed) == state_bytes(straight)
    if expected[0].best is not None:
        assert resumed.best == straight.best == expected[-1].best


@pytest.mark.slow
def test_a_forecast_and_a_range_test_change_nothing(make, steps):
    """Time, memory and rates are tried on a copy: every bit of the search is what it would have been."""
    straight, tried = make(seed=3), make(seed=3)
    if make.turn:
        straight.turn(*make.turn)
        tried.turn(*make.turn)
    if isinstance(tried, nl.searchers.BlackBoxSearch):
        assert straight.advance() == tried.advance()
    before, world, threads = state_bytes(tried), torch.get_rng_state(), torch.get_num_threads()
    found = nl.searchers.forecast(tried, steps=1, threads=False)
    assert found.steps == tried.total - tried.step == sum(part.count for part in found.parts)
    assert found.total > 0
    for name in {name for stretch in getattr(tried, "ahead", list)() for name in stretch.moves}:
        assert len(nl.searchers.lr_find(tried, name, steps=2).losses) == 2
    assert state_bytes(tried) == before
    assert torch.equal(torch.get_rng_state(), world)
    assert torch.get_num_threads() == threads
    assert [tried.advance() for _ in range(steps)] == [straight.advance() for _ in range(steps)]
    assert state_bytes(tried) == state_bytes(straight)


def test_state_is_a_copy(make):
    searcher = make(seed=3)
    searcher.advance()
    state = searcher.state_dict()
    before = {name: value.clone() if isinstance(value, torch.Tensor) else value for name, value in state.items()}
    searcher.advance()
    assert state.keys() == before.keys()
    for name, value in before.items():
        assert torch.equal(state[name], value) if isinstance(value, torch.Tensor) else state[name] == value


def test_loading_forgets_what_was_there(make, steps):
    """A searcher that has moved on goes back to the very start, momentum and all."""
    searcher = make(seed=3)
    start = searcher.state_dict()
    expected = [searcher.advance() for _ in range(steps)]
    searcher.load_state_dict(start)
    assert [searcher.advance() for _ in range(steps)] == expected


def test_a_step_that_is_done_again_is_the_same(make, steps):
    searcher, again = make(seed=3), make(seed=3)
    logged = [searcher.advance() for _ in range(steps)]
    assert [again.repeat(event) for event in logged] == logged
    assert state_bytes(again) == state_bytes(searcher)


def test_spec_through_json(make):
    searcher = make(seed=3, **make.other)
    task = None if isinstance(searcher, nl.searchers.BlackBoxSearch) else searcher.task
    again = nl.searchers.from_spec(json.loads(json.dumps(searcher.spec())), task)
    assert again.spec() == searcher.spec()
    assert again.total == searcher.total
    assert again.fingerprint() == searcher.fingerprint()
    assert again.advance() == searcher.advance()


def test_events_count_the_steps_and_survive_the_disk(make):
    searcher = make(seed=3)
    events = [searcher.advance() for _ in range(2)]
    assert [event.step for event in events] == [1, 2]
    for event in events:
        assert nl.events.from_record(event.kind, *event.to_record()) == event
        assert event.best in searcher.space
        measured = {*getattr(event, "metrics", {}), *getattr(event, "values", {})}
        assert measured, "and what each of them is, nobody has to guess"
        assert measured <= searcher.metrics.keys()
    for name, quantity in searcher.metrics.items():
        assert quantity.direction is not None or not name.startswith(("train/", "valid/", "fitness"))
    assert "fitness" in searcher.metrics or isinstance(event, nl.events.SupernetStep)


def test_a_knob_acts_on_the_next_step(make):
    one, other = make(seed=3), make(seed=3)
    one.advance(), other.advance()
    for name, knob in one.knobs.items():
        value = min(knob.high, knob.value * 2)
        one.turn(name, value)
        assert one.knobs[name].value == pytest.approx(value)
        event = one.advance()
        assert event.settings[name] == pytest.approx(value)
        assert knob.description
    assert not one.knobs or state_bytes(one) != state_bytes(other)


@pytest.mark.parametrize("value", [float("nan"), -1.0, float("inf"), "fast", True, None])
def test_a_knob_refuses_nonsense(make, value):
    searcher = make(seed=3)
    if not make.turn:
        with pytest.raises(SpecError, match="unknown setting 'w_lr'"):
            searcher.check_knob("w_lr", 0.1)
        return
    name = make.turn[0]
    with pytest.raises(SpecError, match="must be a number from"):
        searcher.check_knob(name, value)
    with pytest.raises(SpecError, match=f"did you mean '{name}'"):
        searcher.check_knob(name.replace("e", "").replace("_", ""), 0.1)


def test_unknown_hyperparameters_are_named(make):
    name = next(iter(make.other), None)
    with pytest.raises(SpecError, match=f"did you mean '{name}'" if name else "unknown hyperparameter 'alpha_lrx'"):
        make(**{f"{name or 'alpha_lr'}x": 0.1})


def test_nonsense_is_refused_when_made(make):
    for bad in make.bad:
        with pytest.raises(SpecError):
            make(**bad)


def test_what_cannot_be_measured_is_said(make):
    with pytest.raises(SpecError, match="cannot measure 'happiness'"):
        make().measure("happiness")


def other_value(setting):
    """Another value of a setting that makes sense; None where there is hardly one."""
    match setting:
        case nl.searchers.Slider(whole=True):
            return setting.high
        case nl.searchers.Slider():
            return setting.low + (setting.high - setting.low) * (0.3 if setting.value != setting.low else 0.5)
        case nl.searchers.Count():
            return setting.value + 1 if setting.high is None else max(setting.low, setting.value // 2)
        case nl.searchers.Switch():
            return not setting.value
        case nl.searchers.Select():
            return next(option for option in setting.options if option != setting.value)
        case nl.searchers.Several():
            return [setting.options[0]]
        case nl.searchers.Mask():
            row, options = next((row, options) for row, options in setting.options.items() if len(options) > 1)
            return {row: [options[0]]}


def arguments_of(search, act):
    """Arguments with which an act makes sense; None where nothing would."""
    searcher = getattr(search.searcher, "sampler", search.searcher)
    known = {
        "by": lambda: 0.25,
        "to": lambda: 0.5,
        "row": lambda: 0,
        "part": lambda: next(iter(searcher.alphas)),
        "operation": lambda: searcher._masks.operations_of(next(iter(searcher.alphas)), 0)[0],
        "candidate": lambda: searcher.population[-1].number,
        "architecture": lambda: list(search.best.choices),
    }
    return {name: known[name]() for name in act.arguments}


def again_by_hand(stepper, events):
    """The steps of a search with what was done to it."""
    for event in events:
        if isinstance(event, nl.events.Changed):
            stepper.put(event.name, event.new)
        elif isinstance(event, nl.events.Acted):
            before = stepper.act(event.name, json.loads(event.to_record()[0])["arguments"])
            assert json.loads(json.dumps(before)) == json.loads(event.to_record()[0])["before"]
        elif not isinstance(event, nl.events.Phase | nl.events.Measured):
            assert stepper.repeat(event) == event


def test_settings_are_undone_and_done_again(make):
    search = nl.Search(make(seed=3))
    next(search)
    before, done, refused = search.settings, [], []
    for name, setting in before.items():
        assert setting.description
        if name == "workers":
            continue  # several are another process each
        try:
            search.set(name, other_value(setting))
            done.append(name)
        except SpecError as error:  # it does not go with what this search is
            refused.append(str(error))
    assert len(refused) <= 3, refused
    next(search)
    assert [one.name for one in search.ledger] == done
    assert all(one.sentence and one.undoable for one in search.ledger)
    for one in reversed(search.ledger):
        search.undo(one)
    next(search)
    for name, setting in search.settings.items():
        was, now = before[name].value, setting.value
        led = getattr(setting, "schedule", "") or name == "epsilon"  # which goes on meanwhile
        assert led or now == (pytest.approx(was) if isinstance(was, float) else was), name
    assert [one.undone for one in search.ledger[: len(done)]] == [2 * len(done) - place for place in range(len(done))]
    again = make(seed=3)
    again_by_hand(again, search.events)
    assert state_bytes(again) == state_bytes(search.searcher)


def test_acts_are_undone_and_done_again(make):
    search = nl.Search(make(seed=3))
    for _ in range(6 if isinstance(search.searcher, nl.searchers.BlackBoxSearch) else 1):
        next(search)
    acts = [name for name in search.acts if name not in ("put", "restore", "revive", "release", "withdraw")]
    for name in acts:
        assert search.acts[name].description
        search.act(name, **arguments_of(search, search.acts[name]))
        next(search)
        (*_, one) = search.ledger
        assert (one.name, one.pending) == (name, False)
        assert one.sentence
        if one.undoable:
            search.undo()
            next(search)
            assert search.ledger[-1].undoes == one.number
        else:
            assert len(one.why_not) > 20
            with pytest.raises(SpecError):
                search.undo(one)
    again = make(seed=3)
    again_by_hand(again, search.events)
    assert state_bytes(again) == state_bytes(search.searcher)
