"""The settings of the gradient family and what they change on the way; runs that are broken off; what diverges."""

import math

import pytest
import torch
from torch.testing import assert_close

import naslab as nl
from naslab.errors import Diverged, SpecError
from naslab.searchers import Slider

TINY = nl.spaces.NASBench201(channels=4, cells=1)
PRESETS = ("milenas", "idarts", "snas", "gdas", "proxylessnas", "pcdarts", "drnas", "sdarts", "robust_darts")


def make(name, task, space=TINY, **hyperparameters):
    return nl.searchers.SEARCHERS[name](space, task, **{"batch_size": 16, "epochs": 2, "seed": 1, **hyperparameters})


def test_only_the_weights_move_in_the_warm_up(digits):
    search = make("pcdarts", digits, train_portion=0.05, epochs=4, warmup=0.5)
    start = {part: alpha.detach().clone() for part, alpha in search.alphas.items()}
    steps = search.total // 4
    weights = search._weights[0].detach().clone()
    for _ in range(2 * steps):
        search.advance()
    assert torch.equal(search.alphas["cell"], start["cell"])
    assert not torch.equal(search._weights[0], weights)
    search.advance()
    assert not torch.equal(search.alphas["cell"], start["cell"])


@pytest.mark.slow
def test_the_temperature_falls_and_can_be_turned(digits):
    search = make("gdas", digits, train_portion=0.05, epochs=4)
    steps = search.total // 4
    found = [search.advance().rates["temperature"] for _ in range(steps + 1)]
    assert found[0] == 10.0
    assert found[-1] == pytest.approx(10 - 9.9 / 3), "in equal steps, so that the last epoch has 0.1"
    snas = make("snas", digits, epochs=3, batch_size=512)
    warm = [snas.advance().rates["temperature"] for _ in range(snas.total)]
    assert warm[:: snas.total // 3] == pytest.approx([1.0, 1 - 0.97 / 3, 1 - 2 * 0.97 / 3]), "towards 0.03, linearly"
    search.set("temperature", 1.0)
    assert search.advance().rates["temperature"] == pytest.approx(1.0)
    with pytest.raises(SpecError, match=r"temperature must be a number from 0\.001"):
        search.set("temperature", 0.0)


@pytest.mark.parametrize("name", PRESETS)
def test_weights_that_are_not_finite_diverge(digits, name):
    warm = {"warmup": 0.0} if name in ("pcdarts", "proxylessnas") else {}
    search = make(name, digits, **warm)
    with torch.no_grad():
        for w in search._weights:
            w.fill_(math.nan)
    with pytest.raises(Diverged, match=r"step 1: .* no longer finite .*rewind"):
        search.advance()


@pytest.mark.parametrize("name", ["gdas", "drnas"])
def test_alphas_that_are_not_finite_diverge(digits, name):
    search = make(name, digits)
    with torch.no_grad():
        search.alphas["cell"].fill_(math.nan)
    with pytest.raises(Diverged, match="step 1"):
        search.advance()


@pytest.mark.parametrize("name", ["gdas", "drnas"])
@pytest.mark.slow
def test_a_run_that_was_broken_off_goes_on_bit_for_bit(digits, tmp_path, name):
    """Steps, a turned temperature, no closing: what another process finds after a kill."""
    straight = make(name, digits)
    search = nl.Search(make(name, digits), run=tmp_path / "run", snapshot_every=3)
    for number in range(5):
        if number == 2:
            search.set("alpha_lr", 0.01)
            straight.set("alpha_lr", 0.01)
        assert next(search) == straight.advance()
    search.close()
    search = nl.Search.open(tmp_path / "run", task=digits)
    assert [next(search) for _ in range(4)] == [straight.advance() for _ in range(4)]
    search.close()


@pytest.mark.parametrize("name", ["snas", "gdas", "proxylessnas", "drnas"])
def test_every_step_and_either_half_has_a_sample_of_its_own(digits, name):
    search = make(name, digits)
    rates = {"temperature": 1.0}

    def drawn(half):
        return search._draw(half, rates)["cell"].weights.detach()

    first = drawn("architecture")
    assert torch.equal(drawn("architecture"), first)
    assert not torch.equal(drawn("weights"), first)
    search._step += 1
    assert not torch.equal(drawn("architecture"), first)
    assert not torch.equal(make(name, digits, seed=2)._draw("architecture", rates)["cell"].weights, first)


# --- what can be turned on the way ---------------------------------------------------------------

OWN_KNOBS = {
    "milenas": {"valid_weight"},
    "snas": {"temperature", "resource_weight"},
    "gdas": {"temperature"},
    "proxylessnas": {"resource_weight", "warmup"},
    "pcdarts": {"warmup"},
    "sdarts": {"perturbation"},
}


LATE_CURES = {"skip_dropout", "perturbation"}
"""Of those that can bear them."""


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_has_the_knobs_of_its_own(digits, name):
    searcher = make(name, digits)
    decays = {"w_weight_decay", "alpha_weight_decay"}
    sliders = {name for name, setting in searcher.settings.items() if isinstance(setting, Slider)}
    assert sliders - LATE_CURES == ({"w_lr", "alpha_lr"} | decays | OWN_KNOBS.get(name, set())) - LATE_CURES
    assert OWN_KNOBS.get(name, set()) <= sliders


def test_the_warm_up_can_be_ended(digits):
    search = make("pcdarts", digits, batch_size=256, epochs=4, warmup=0.9)
    before = search.alphas["cell"].detach().clone()
    search.advance()
    assert_close(search.alphas["cell"].detach(), before, rtol=0, atol=0)
    search.set("warmup", 0.0)
    search.advance()
    assert not torch.equal(search.alphas["cell"].detach(), before), "from the next step on"


@pytest.mark.slow
def test_a_resource_weight_of_zero_can_be_turned_up(digits):
    """At zero nothing is added; then it acts on the next step, and the same again in a twin."""

    def path(turned):
        search = make("snas", digits, batch_size=64, resource="parameters", seed=3)
        search.advance()
        if turned:
            search.set("resource_weight", 50.0)
        event = search.advance()
        assert event.rates["resource_weight"] == (50.0 if turned else 0.0)
        return search.alphas["cell"].detach().clone(), event

    (plain, _), (turned, event), (again, same) = path(False), path(True), path(True)
    assert not torch.equal(plain, turned)
    assert torch.equal(turned, again)
    assert event == same


def test_the_memory_of_the_baseline_can_be_turned(digits, monkeypatch):
    search = make("proxylessnas", digits, rule="reinforce", warmup=0.0)
    monkeypatch.setattr(type(search.task), "accuracy", lambda self, logits, labels: 0.25)
    search.advance()
    assert search._baseline == pytest.approx(0.25)
    monkeypatch.setattr(type(search.task), "accuracy", lambda self, logits, labels: 0.9)
    search.set("baseline_decay", 0.0)
    search.advance()
    assert search._baseline == pytest.approx(0.9), "no memory: the newest reward"


@pytest.mark.parametrize(
    ("name", "knob", "why"),
    [
        ("pcdarts", "one_in", r"one_in is 4 for the whole search: it is the width of every operation"),
        ("gdas", "temperature_end", "set temperature itself"),
        ("sdarts", "ascent_steps", "fixed when the search was made.*perturbation"),
        ("darts", "speed", "unknown setting 'speed'"),
    ],
)
def test_what_cannot_be_turned_says_why(digits, name, knob, why):
    with pytest.raises(SpecError, match=why):
        make(name, digits).check_setting(knob, 1)


@pytest.mark.parametrize("name", ["snas", "gdas", "proxylessnas", "pcdarts", "sdarts", "milenas"])
@pytest.mark.slow
def test_turned_knobs_are_logged_and_replayed_bit_for_bit(digits, tmp_path, name):
    search = nl.Search(make(name, digits, batch_size=256), run=tmp_path / "run", snapshot_every=100)
    next(search)
    for knob, now in search.knobs.items():
        search.set(knob, min(now.high, 2 * now.value + 0.01))
    expected = [next(search), next(search)]
    turned = [event.name for event in search.events if event.kind == "changed"]
    assert set(turned) == set(search.knobs)
    state = search.searcher.state_dict()
    search.close()
    again = nl.Search.open(tmp_path / "run", digits)  # does the steps again from the beginning
    assert list(again.events)[-2:] == expected
    assert {key: value for key, value in again.searcher.state_dict().items() if not torch.is_tensor(value)} == {
        key: value for key, value in state.items() if not torch.is_tensor(value)
    }
    for key, value in again.searcher.state_dict().items():
        assert not torch.is_tensor(value) or torch.equal(value, state[key]), key
