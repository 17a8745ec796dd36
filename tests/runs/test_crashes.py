"""Kill -9 and crash points: whatever the instant, the run goes on and ends bit for bit as if undisturbed."""

import pytest


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


@pytest.mark.slow
def test_four_kills(harness, tmp_path):
    assert harness("kills", folder=tmp_path, kind="small", runs=1, each=4, seed=0) == {"kills": 4, "mismatches": []}


@pytest.mark.slow
def test_kills_while_candidates_are_trained_on(harness, tmp_path):
    """Hurdles with real training: what a candidate had learnt is there again, or is learnt again alike."""
    found = harness("kills", folder=tmp_path, kind="hurdles", runs=1, each=3, seed=0)
    assert found == {"kills": 3, "mismatches": []}


@pytest.mark.slow
def test_kills_of_searchers_with_shared_weights(harness, tmp_path):
    """While paths are trained, while a controller learns, while an evolution judges."""
    found = harness("kills_of_shared_weights", folder=tmp_path, each=2, seed=3)
    kinds = ("spos", "fairnas", "en2as", "enas macro", "enas micro")
    assert found == {kind: {"kills": 2, "mismatches": []} for kind in kinds}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "runs", "each"), [("small", 4, 6), ("darts", 2, 4), ("hurdles", 2, 6), ("gdas", 1, 3)]
)
def test_many_kills(harness, tmp_path, kind, runs, each):
    """DARTS of second and of first order, GDAS with its samples, and the small searcher with its dropout."""
    found = harness("kills", folder=tmp_path, kind=kind, runs=runs, each=each, seed=1)
    assert found == {"kills": runs * each, "mismatches": []}
