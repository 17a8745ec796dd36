"""What is measured of networks and searches on the device is what the CPU measures."""

import numpy as np
import pytest

import naslab as nl

CLOSE = {"rel": 1e-3}


@pytest.fixture
def pair(device, darts):
    """The same search on the device and on the CPU, two steps old."""
    searches = darts(device), darts("cpu")
    for search in searches:
        search.advance()
        search.advance()
    return searches


@pytest.mark.parametrize("batch_norm", ["batch", "kept", "recalibrated"])
def test_the_accuracy_of_a_child(batch_norm, pair, without_tf32):
    child = pair[1].best
    ours, theirs = (search.accuracy(child, batch_norm=batch_norm, images=256) for search in pair)
    assert ours == pytest.approx(theirs, abs=1 / 256)  # one image may stand on the edge


@pytest.mark.parametrize("name", ["alpha_hessian_eigenvalue"])
def test_what_a_search_measures(name, pair, without_tf32):
    ours, theirs = (search.measure(name) for search in pair)
    assert ours == pytest.approx(theirs, rel=1e-2)  # its weights are two steps old, and its kinks have moved


def test_a_live_ranking(device, darts, without_tf32):
    def scores(where):
        ranking = nl.LiveRanking(nl.benchmarks.NASBench201(), 12, every=1, images=128)
        search = nl.Search(darts(where), ranking=ranking)
        next(search)
        return next(event.scores for event in search.events if event.kind == "ranked")

    np.testing.assert_allclose(scores(device), scores("cpu"), atol=1.5 / 128)


def test_the_loss_surface(device, child, digits, without_tf32):
    ours, theirs = (
        nl.analysis.loss_surface(child().to(where), digits, points=3, images=64) for where in (device, "cpu")
    )
    np.testing.assert_allclose(ours.loss, theirs.loss, rtol=1e-3)


def test_the_variance_of_gradients(device, child, digits, without_tf32):
    ours, theirs = (
        nl.analysis.gradient_variance(child().to(where), digits, batch_size=32, batches=3) for where in (device, "cpu")
    )
    assert ours.variance == pytest.approx(theirs.variance, **CLOSE)
    assert ours.relative == pytest.approx(theirs.relative, **CLOSE)
