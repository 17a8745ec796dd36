"""How often a training waits for a GPU, counted on a pretended one."""

import numpy as np
import pytest
import torch

import naslab as nl
from naslab.errors import Diverged
from naslab.tasks import measurement
from naslab.tasks.measurement import Measurement
from naslab.testing.pretended_cuda import PretendedCuda
from naslab.trainers import Recipe
from naslab.trainers.evaluation import evaluate
from naslab.trainers.loop import TrainingLoop
from naslab.trainers.processes import Group


def loop(task, network, device="cuda", **given):
    recipe = Recipe(epochs=3, batch_size=8, **given)
    return TrainingLoop(network, task, recipe, 0, Group(), torch.device(device))


@pytest.fixture
def network(digits):
    def make():
        space = nl.spaces.NASBench201(channels=2, cells=1)
        with nl.seeded(1):
            return space.build(space.sample(np.random.default_rng(1)), digits)

    return make


STEPS = 5


@pytest.fixture
def few(digits):
    return digits.subset(8 * STEPS, 20)


def test_a_step_waits_once_and_an_epoch_for_its_metrics(few, network):
    with PretendedCuda() as gpu:
        training = loop(few, network())
        training.advance()  # the data is sent to the device
        gpu.reset()
        training.advance()
        assert gpu.waits == STEPS + 1 + 1, gpu.report()  # metrics of the training and of the test data
        there = [training.history[-1].metrics, [weight.cpu() for weight in training.network.parameters()]]
    training = loop(few, network(), "cpu")
    training.advance(), training.advance()
    assert there[0] == pytest.approx(training.history[-1].metrics, abs=1e-4)
    for one, other in zip(there[1], training.network.parameters(), strict=True):
        torch.testing.assert_close(one, other.detach(), rtol=1e-3, atol=1e-5)


def test_no_mini_batch_of_an_evaluation_waits(few, network):
    with PretendedCuda() as gpu:
        judged, stream = network().to("cuda").eval(), few.stream("train")
        waits = []
        for size in (40, 2):
            gpu.reset()
            evaluate(lambda batch, carry: judged(batch[0]), few, stream, size, device="cuda")
            waits.append(gpu.waits)
    assert waits[1] == 1, "the first also sends the data"


def test_text_waits_no_more():
    text = "to be or not to be, that is the question:\nwhether it is nobler in the mind to suffer\n" * 5
    task = nl.tasks.LanguageModel.from_text(text, bptt=5, short_share=0)
    space = nl.spaces.RecurrentCell(nodes=2, hidden=4)
    made = space.build(space.sample(np.random.default_rng(1)), task)
    with PretendedCuda() as gpu:
        training = loop(task, made)
        training.advance()
        gpu.reset()
        training.advance()
        steps = training._timetable.total(1)
        assert steps > 5
        assert gpu.waits == steps + 3, gpu.report()  # metrics of the three texts


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_divergence_is_told_with_its_step_and_the_weights_stay(few, network, device):
    made = network()
    poisoned = []

    def poison(module, given, output):
        poisoned.append(None)
        return output * float("nan") if len(poisoned) == 4 else output

    made.register_forward_hook(poison)
    with PretendedCuda():
        training = loop(few, made, device)
        with pytest.raises(Diverged, match=r"the loss became nan at step 4 \(epoch 1"):
            training.advance()
        assert all(bool(weight.isfinite().all()) for weight in training.network.parameters())


def test_numbers_that_wait_are_read_now_and_then_and_stay_the_same(few, monkeypatch):
    monkeypatch.setattr(measurement, "MOST_WAITING", 5)
    metrics = few.metrics()
    draw = torch.Generator().manual_seed(0)
    batches = [(torch.randn(4, 10, generator=draw), torch.randint(10, (4,), generator=draw)) for _ in range(8)]
    here = Measurement(metrics)
    for logits, labels in batches:
        here.update(logits, (logits, labels))
    with PretendedCuda() as gpu:
        there = Measurement(metrics)
        moved = [(logits.to("cuda"), labels.to("cuda")) for logits, labels in batches]
        gpu.reset()
        for logits, labels in moved:
            there.update(logits, (logits, labels))
        assert gpu.waits == 1, gpu.report()
        assert there.compute() == here.compute(), "to the last bit"
        assert gpu.waits == 2
        assert there.states == here.states
        assert gpu.waits == 2
