"""Kill -9 and crash points: whatever the instant, the run goes on and ends bit for bit as if undisturbed."""

import pytest


@pytest.mark.slow
def test_a_crash_at_any_point_leaves_the_old_snapshot_or_the_new(harness, tmp_path):
    found = harness("write_points", folder=tmp_path)
    assert len(found) >= 9
    assert set(found) == {1, 2}
    assert found == sorted(found)  # old before the rename, new after
    assert found[-1] == 2


@pytest.mark.slow
def test_a_crash_at_any_point_of_a_step_loses_no_more_than_the_step(harness, tmp_path):
    found = harness("step_points", folder=tmp_path)
    assert len(found) >= 15
    assert all(same for _, same in found)
    assert [step for step, _ in found] == sorted(step for step, _ in found)
    assert {step for step, _ in found} == {9, 10}


GRADIENT = ("gdas", "milenas", "idarts", "snas", "proxylessnas", "pcdarts", "drnas", "sdarts", "robust darts")
TRIALS = ("hyperband", "bohb", "large-scale evolution", "auto-keras", "epnas", "q-learning", "nas-rl")
SHARED = ("spos", "fairnas", "en2as", "enas macro", "enas micro")
"""Searchers whose children share weights: killed while paths are trained, a controller learns, an evolution judges."""


@pytest.mark.slow
def test_four_kills(harness, tmp_path):
    assert harness("kills", folder=tmp_path, kind="small", runs=1, each=4, seed=0) == {"kills": 4, "mismatches": []}


@pytest.mark.slow
def test_kills_while_candidates_are_trained_on(harness, tmp_path):
    """Hurdles with real training: what a candidate had learnt is there again, or is learnt again alike."""
    found = harness("kills", folder=tmp_path, kind="hurdles", runs=1, each=3, seed=0)
    assert found == {"kills": 3, "mismatches": []}


@pytest.mark.slow
@pytest.mark.parametrize("kinds", [GRADIENT, TRIALS, SHARED], ids=["gradient", "trials", "shared"])
def test_two_kills_of_every_family(harness, tmp_path, kinds):
    found = harness("kills_of_families", folder=tmp_path, kinds=kinds, each=2, seed=3)
    assert found == {kind: {"kills": 2, "mismatches": []} for kind in kinds}


@pytest.mark.reliability
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["small", "darts", "hurdles", *GRADIENT, *TRIALS, *SHARED])
def test_many_kills(harness, tmp_path, kind):
    """Both orders of DARTS, for the seed decides, and everything else there is."""
    runs, each = (8, 12) if kind == "small" else (2, 8)
    found = harness("kills", folder=tmp_path, kind=kind, runs=runs, each=each, seed=1, timeout=3600)
    assert found == {"kills": runs * each, "mismatches": []}
