"""What naslab computes does not depend on how torch is set, and it leaves torch as it was set."""

import threading

import numpy as np
import pytest
import torch

import naslab as nl
from naslab.analysis import gradient_variance, loss_surface, watching
from naslab.analysis.hessian import dominant_eigenvalue
from naslab.analysis.memory import must_fit, step_memory
from naslab.estimators.resources import Resources
from naslab.estimators.zero_cost import PROXIES
from naslab.networks.cost import cost
from naslab.torch_state import default_torch_state, each_in_default_torch_state

SPACE = nl.spaces.NASBench201(channels=4, cells=1)
FEW = dict(epochs=1, batch_size=16, progress=False)


def digits():
    return nl.tasks.Digits().subset(64, 20)


def network(task):
    with nl.randomness.seeded(0):
        return SPACE.build(SPACE.at(1459), task)


def own_network(task):
    """A network of the user's own, made under his settings."""
    with nl.randomness.seeded(0), torch.device("cpu"), torch.inference_mode(False):
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10, dtype=torch.float32))


def accuracy_of_a_fit(task):
    made = network(task)
    report = nl.trainers.fit(made, task, **FEW)
    return [report.history[-1].train_loss, report.test_accuracy, *made.state_dict().values()]


def steps_of(searcher, **search):
    run = nl.Search(searcher, **search)
    first = next(run)
    run.rewind(0)
    return [first, next(run), run.fork().best, run.best]


def eigenvalue(task):
    search = nl.Search(nl.searchers.Darts(SPACE, task, batch_size=16, epochs=1))
    return search.measure("alpha_hessian_eigenvalue")


def hessian_of_a_loss(task):
    with default_torch_state():
        x = torch.ones(3, requires_grad=True)
        loss = (x**3).sum()
    return dominant_eigenvalue(loss, [x])


def a_race(task):
    searches = {"a": nl.searchers.RandomSearch(SPACE, seed=0), "b": nl.searchers.PPO(SPACE, seed=0, children=2)}
    with nl.Race(searches, estimator=nl.estimators.ZeroCost(SPACE, task, "snip", batch_size=16), budget=3) as race:
        return [event for lap in race for event in (lap if isinstance(lap, list) else [lap])]


def asked_and_told(task):
    sampler = nl.searchers.PPO(SPACE, seed=0, children=2)
    for fitness in (0.1, 0.5, 0.3, 0.2):
        sampler.tell(sampler.ask(), fitness)
    return sampler.ask(), sampler.diagnostics


def memory_of_a_step(task):
    made = SPACE.supernet(task)
    edges, operations = SPACE.edges(), len(SPACE.operations)
    must_fit(made, edges, operations, task.input_shape, batch_size=16)
    return step_memory(made, edges, operations, task.input_shape, batch_size=16)


def ranking(task):
    table = nl.benchmarks.NASBench201("cifar10")
    searcher = nl.searchers.Darts(SPACE, task, batch_size=16, epochs=1)
    return nl.LiveRanking(table, 4, images=20).rank(searcher)


def surface(task):
    return loss_surface(network(task), task, points=3, images=16).loss


DOORS = {
    "a task": lambda task: [*task.split_train_valid(0), *task.batch(np.arange(4)), task.mean, task.fingerprint()],
    "Darts, second order": lambda task: steps_of(nl.searchers.Darts(SPACE, task, order=2, batch_size=16, epochs=1)),
    "a sampler": lambda task: steps_of(
        nl.searchers.RandomSearch(SPACE, seed=0),
        estimator=nl.estimators.ZeroCost(SPACE, task, "grad_norm", batch_size=16),
        budget=4,
    ),
    "ask and tell": asked_and_told,
    "fit": accuracy_of_a_fit,
    "fit, of the user's own network": lambda task: nl.trainers.fit(own_network(task), task, **FEW).history[0].test_loss,
    "compare": lambda task: nl.trainers.compare({"a": [SPACE.at(5)]}, SPACE, task, seeds=[0], **FEW).scores,
    "zero-cost proxies": lambda task: [
        nl.estimators.ZeroCost(SPACE, task, proxy, batch_size=16)(SPACE.at(1459)) for proxy in PROXIES
    ],
    "scores": lambda task: nl.estimators.zero_cost.scores(network(task), *task.batch(np.arange(16)), ["snip", "grasp"]),
    "Training": lambda task: nl.estimators.Training(SPACE, task, size=4, epochs=1, batch_size=16)(SPACE.at(5)).fitness,
    "Resources": lambda task: Resources(SPACE, task, ["parameters", "flops", "memory", "intensity"])(SPACE.at(5)),
    "cost": lambda task: cost(network(task), task.input_shape),
    "measure": eigenvalue,
    "dominant_eigenvalue": hessian_of_a_loss,
    "loss_surface": surface,
    "gradient_variance": lambda task: gradient_variance(network(task), task, batch_size=16, batches=2),
    "watching": lambda task: [*watching(network(task), task, epochs=1, batch_size=16, batches=2)][-1],
    "memory estimate": memory_of_a_step,
    "LiveRanking": ranking,
    "build": lambda task: dict(network(task).state_dict()),
    "supernet": lambda task: {n: t.dtype for n, t in SPACE.supernet(task).state_dict().items()},
}


def plain(value):
    """What can be compared."""
    if isinstance(value, torch.Tensor):
        return value.dtype, value.device.type, value.is_inference(), value.detach().numpy().tolist()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("door", DOORS)
def test_no_door_depends_on_how_torch_is_set(door, disturbed_torch):
    expected = plain(DOORS[door](digits()))
    with disturbed_torch():
        found = DOORS[door](digits())
    assert plain(found) == expected


@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode])
def test_gradients_that_are_off_are_off_again_also_after_an_error(off):
    class Broken(RuntimeError):
        pass

    @default_torch_state()
    def computes():
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
        raise Broken

    with off():
        with pytest.raises(Broken):
            computes()
        assert not torch.is_grad_enabled()
        assert torch.is_inference_mode_enabled() == (off is torch.inference_mode)


def test_an_interrupt_while_gradients_are_put_back_changes_nothing(monkeypatch):
    """The worst moment for Ctrl-C: `torch.no_grad` has not turned gradients on again yet, and never will."""
    search = nl.Search(nl.searchers.GDAS(SPACE, digits(), batch_size=16, epochs=1))
    expected = nl.Search(nl.searchers.GDAS(SPACE, digits(), batch_size=16, epochs=1))
    leave = torch.no_grad.__exit__

    def interrupted(self, *why):
        monkeypatch.setattr(torch.no_grad, "__exit__", leave)
        raise KeyboardInterrupt

    monkeypatch.setattr(torch.no_grad, "__exit__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        next(search)
    assert torch.is_grad_enabled()
    assert next(search) == next(expected)


def test_between_two_values_of_a_generator_the_caller_has_his_own_settings():
    closed = []

    @each_in_default_torch_state
    def numbers():
        try:
            for number in range(3):
                assert torch.is_grad_enabled()
                yield number
        finally:
            closed.append(torch.is_grad_enabled())

    with torch.no_grad():
        for _ in numbers():
            assert not torch.is_grad_enabled()
        given = numbers()
        next(given)
        given.close()
    assert closed == [True, True]


def test_the_default_dtype_is_given_back_when_the_last_thread_is_done():
    inside, leave = threading.Event(), threading.Event()

    def computes():
        with default_torch_state():
            inside.set()
            leave.wait(30)

    torch.set_default_dtype(torch.float64)
    try:
        with default_torch_state():
            thread = threading.Thread(target=computes)
            thread.start()
            assert inside.wait(30)
        assert torch.get_default_dtype() is torch.float32
        leave.set()
        thread.join()
        assert torch.get_default_dtype() is torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_network_is_built_where_a_device_block_around_the_call_says(monkeypatch):
    """`torch.set_default_device` is a setting of the notebook, the block is said to this very call."""
    with torch.device("meta"):
        assert {tensor.device.type for tensor in network(digits()).state_dict().values()} == {"meta"}
    torch.set_default_device("meta")
    try:
        assert {tensor.device.type for tensor in network(digits()).state_dict().values()} == {"cpu"}
    finally:
        torch.set_default_device(None)


def test_what_the_caller_chose_for_speed_or_repeatability_stays():
    torch.use_deterministic_algorithms(True)
    try:
        with torch.autograd.set_detect_anomaly(True, check_nan=False), default_torch_state():
            assert torch.are_deterministic_algorithms_enabled()
            assert torch.is_anomaly_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
