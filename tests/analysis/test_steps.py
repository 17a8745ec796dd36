"""The time of steps, and what each optimization buys."""

import dataclasses
import gc
import math

import pytest

import naslab as nl
from naslab.analysis import steps
from naslab.analysis.steps import ablate_optimizations, interleaved
from naslab.errors import SpecError
from naslab.operations.optimizations import Optimizations


def test_jobs_take_turns_and_the_first_round_does_not_count():
    done = []
    seconds = interleaved({name: lambda name=name: done.append(name) for name in "ab"}, 3)
    assert done == list("ab" * 4)
    assert {name: len(times) for name, times in seconds.items()} == {"a": 3, "b": 3}
    assert all(time >= 0 for times in seconds.values() for time in times)


def test_the_clock_waits_for_the_device(monkeypatch):
    """A GPU has only been told what to compute when a step returns."""
    order = []
    monkeypatch.setattr(steps, "synchronise", lambda device: order.append(device))
    monkeypatch.setattr(steps.time, "perf_counter", lambda: order.append("clock") or 0.0)
    interleaved({"a": lambda: order.append("a")}, 1, warm=False, device="cuda:1")
    assert order == ["cuda:1", "clock", "a", "cuda:1", "clock"]


@pytest.mark.slow
def test_a_bar_is_shown_only_of_what_takes_long(monkeypatch):
    shown = {}
    monkeypatch.setattr(steps, "tqdm", lambda items, **options: shown.update(options) or items)
    interleaved({"a": lambda: None}, 1, progress=True)
    assert (shown["delay"], shown["leave"]) == (2, False), "an empty bar is a stripe that looks like an error"


def test_every_trick_is_turned_off_once(monkeypatch):
    monkeypatch.setattr(gc, "collect", lambda: 0)  # half a second in a process with so much in it, 48 times
    space = nl.spaces.NASBench201(channels=2, cells=1)
    bought = ablate_optimizations(space, nl.tasks.Digits(), batch_size=2, rounds=1, progress=False)
    assert [row.trick for row in bought] == [*(field.name for field in dataclasses.fields(Optimizations)), "all"]
    for row in bought:
        assert 0 < row.weight_step < math.inf
        assert 0 < row.alpha_step < math.inf


def test_a_space_without_a_supernet_has_no_tricks():
    with pytest.raises(SpecError, match="has none"):
        ablate_optimizations(nl.spaces.NASBenchMacro(), nl.tasks.Digits())
