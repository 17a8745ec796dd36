"""A run that was begun on one device finds another, and says so."""

import pytest
import torch

import naslab as nl
from naslab.device import device_here, kept_device, moved
from naslab.errors import SpecError


@pytest.fixture
def gpus(monkeypatch):
    """Let torch find a number of GPUs."""

    def found(count):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return found


@pytest.mark.parametrize(
    ("count", "recorded", "kept"),
    [
        (0, "cpu", "cpu"),
        (0, "cuda", "cpu"),
        (0, "cuda:1", "cpu"),
        (0, "mps", "cpu"),
        (1, "cuda", "cuda"),
        (1, "cuda:0", "cuda:0"),
        (1, "cuda:1", "cuda:0"),
        (1, "mps", "cpu"),
        (1, "cpu", "cpu"),
        (2, "cuda:1", "cuda:1"),
        (2, "cuda:7", "cuda:0"),
    ],
)
def test_a_recorded_device_or_what_is_nearest_to_it(gpus, count, recorded, kept):
    gpus(count)
    assert kept_device(recorded) == kept


def test_a_recorded_name_that_no_device_has_is_refused():
    with pytest.raises(SpecError, match="there is no device 'abacus'"):
        kept_device("abacus")


def test_the_first_gpu_has_two_names():
    assert moved("cuda", torch.device("cuda:0")) == moved("cuda:0", "cuda") == moved("cpu", "cpu") == ""
    assert moved("cuda:1", "cuda:0") == "it was begun on cuda:1 and goes on on cuda:0"
    assert moved("cuda:1", "cpu") == "it was begun on cuda:1 and goes on on cpu"


def test_an_estimator_of_another_machine_computes_here_and_keeps_its_fingerprint():
    space, task = nl.spaces.NASBench201(channels=2, cells=1), nl.tasks.Digits().subset(64, 20)
    for kind, options in (
        (nl.estimators.ZeroCost, {"batch_size": 8}),
        (nl.estimators.Training, {"epochs": 1, "size": 4, "batch_size": 8}),
    ):
        there, here = (kind(space, task, device=device, **options) for device in ("cuda:3", "cpu"))
        words = "device='cuda:3' is not available here; cpu is used instead"
        with pytest.warns(UserWarning, match=words):
            found = there(space.at(7))
        expected = here(space.at(7))
        assert getattr(found, "fitness", found) == getattr(expected, "fitness", expected)
        assert there.spec()["device"] == "cuda:3"
    assert device_here(None).type in ("cpu", "cuda")
