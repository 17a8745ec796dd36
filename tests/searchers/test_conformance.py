"""What every searcher must do, whatever its algorithm."""

import json

import pytest
import torch

import naslab as nl
from naslab.errors import SpecError


def state_bytes(searcher):
    return {
        name: value.numpy().tobytes() if isinstance(value, torch.Tensor) else value
        for name, value in searcher.state_dict().items()
    }


def test_same_seed_same_search(make):
    one, other = make(seed=3), make(seed=3)
    assert [one.advance() for _ in range(3)] == [other.advance() for _ in range(3)]
    assert state_bytes(one) == state_bytes(other)


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


def test_state_is_the_whole_truth(make):
    straight = make(seed=3)
    for _ in range(2):
        straight.advance()
    straight.turn("w_lr", 0.01)
    state = straight.state_dict()
    expected = [straight.advance() for _ in range(2)]

    resumed = make(seed=3)
    resumed.load_state_dict(state)
    assert resumed.step == 2
    assert [resumed.advance() for _ in range(2)] == expected
    assert state_bytes(resumed) == state_bytes(straight)


def test_state_is_a_copy(make):
    searcher = make(seed=3)
    searcher.advance()
    state = searcher.state_dict()
    before = {name: value.clone() for name, value in state.items() if isinstance(value, torch.Tensor)}
    searcher.advance()
    assert all(torch.equal(state[name], value) for name, value in before.items())


def test_loading_forgets_what_was_there(make):
    """A searcher that has moved on goes back to the very start, momentum and all."""
    searcher = make(seed=3)
    start = searcher.state_dict()
    expected = [searcher.advance() for _ in range(2)]
    searcher.load_state_dict(start)
    assert [searcher.advance() for _ in range(2)] == expected


def test_spec_through_json(make, digits):
    searcher = make(seed=3, alpha_lr=0.02)
    again = nl.searchers.from_spec(json.loads(json.dumps(searcher.spec())), digits)
    assert again.spec() == searcher.spec()
    assert again.advance() == searcher.advance()


def test_events_count_the_steps_and_survive_the_disk(make):
    searcher = make(seed=3)
    events = [searcher.advance() for _ in range(2)]
    assert [event.step for event in events] == [1, 2]
    for event in events:
        assert nl.events.from_record(event.kind, *event.to_record()) == event
        assert event.best in searcher.space


def test_a_knob_acts_on_the_next_step(make):
    one, other = make(seed=3), make(seed=3)
    one.advance(), other.advance()
    for name, knob in one.knobs.items():
        value = min(knob.high, knob.value * 2)
        one.turn(name, value)
        assert one.knobs[name].value == pytest.approx(value)
        assert one.advance().rates[name] == pytest.approx(value)
        assert knob.description
    assert state_bytes(one) != state_bytes(other)


@pytest.mark.parametrize("value", [float("nan"), -1.0, float("inf"), "fast", True, None])
def test_a_knob_refuses_nonsense(make, value):
    searcher = make(seed=3)
    with pytest.raises(SpecError, match="must be a number from"):
        searcher.check_knob("w_lr", value)
    with pytest.raises(SpecError, match="did you mean 'w_lr'"):
        searcher.check_knob("wlr", 0.1)


def test_unknown_hyperparameters_are_named(make):
    with pytest.raises(SpecError, match="did you mean 'alpha_lr'"):
        make(alpha_rl=0.1)


@pytest.mark.parametrize("bad", [{"seed": -1}, {"threads": 0}, {"epochs": 0}, {"batch_size": -4}, {"w_lr": 0.0}])
def test_nonsense_is_refused_when_made(make, bad):
    with pytest.raises(SpecError):
        make(**bad)


def test_what_cannot_be_measured_is_said(make):
    with pytest.raises(SpecError, match="cannot measure 'happiness'"):
        make().measure("happiness")
