"""The counter of waits hears what CUDA reports. It is told here by hand, for a CPU never waits."""

import warnings

import pytest

import naslab as nl
from naslab.testing.synchronizations import REPORT, synchronizations


@pytest.fixture
def mode(monkeypatch):
    """The mode of debugging that torch was asked for, one after the other."""
    asked = [0]
    monkeypatch.setattr("torch.cuda.get_sync_debug_mode", lambda: asked[-1])
    monkeypatch.setattr("torch.cuda.set_sync_debug_mode", asked.append)
    return asked


def test_waits_are_counted_where_naslab_made_them(mode, monkeypatch):
    task = nl.tasks.Digits()
    monkeypatch.setattr(type(task.augmentation), "move", lambda *_: warnings.warn(REPORT, stacklevel=1))
    with synchronizations() as places:
        assert mode == [0, "warn"]
        for _ in range(2):
            warnings.warn(REPORT, stacklevel=1)  # the same line, twice
        task.augmentation.move(None, None)  # not naslab's line
        warnings.warn("something else", stacklevel=1)
        with pytest.raises((AttributeError, TypeError)):  # the images are gone, and the wait is counted all the same
            task.batch([0], augment=nl.randomness.torch_generator(0))
    assert places.pop("elsewhere") == 3
    ((place, count),) = places.items()
    assert place.startswith("tasks/")
    assert count == 1
    assert mode == [0, "warn", 0]


def test_an_error_inside_ends_the_mode(mode):
    with pytest.raises(KeyError), synchronizations():
        raise KeyError
    assert mode[-1] == 0
    with pytest.warns(UserWarning, match=REPORT):
        warnings.warn(REPORT, stacklevel=1)
