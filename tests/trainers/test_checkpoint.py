import os
import random
import signal
import subprocess
import sys
import time

import pytest
import torch
from torch import nn

import naslab as nl
from naslab import snapshot
from naslab.errors import RunError, RunPaused, SnapshotDamaged
from naslab.networks.genotype import Genotype
from naslab.operations import kernels
from naslab.operations.norms import BatchNorm2d
from naslab.randomness import seeded
from naslab.trainers import train

RECIPE = {"epochs": 6, "batch_size": 32, "held_out": 0.2, "learning_rate": 0.05}


def equal(one, other):
    return all(torch.equal(a, other.state_dict()[name]) for name, a in one.state_dict().items())


def stop_after(epochs, network, task, path, recipe):
    """A training that is broken off between two epochs."""
    rows = train(network, task=task, recipe=recipe, seed=0, checkpoint=path)
    for _ in range(epochs):
        next(rows)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.slow
def test_a_training_goes_on_bit_for_bit(digits, network, tmp_path, optimizer):
    recipe = nl.trainers.Recipe(**RECIPE, optimizer=optimizer, warmup_epochs=1)
    whole, broken, resumed = network(), network(), network(9)  # the weights it is given do not matter
    report = nl.trainers.fit(whole, digits, recipe=recipe)
    stop_after(3, broken, digits, tmp_path / "fit", recipe)
    assert not equal(broken, whole)
    assert nl.trainers.fit(resumed, digits, recipe=recipe, checkpoint=tmp_path / "fit") == report
    assert equal(resumed, whole)


@pytest.mark.slow
def test_a_finished_training_is_not_repeated(digits, network, tmp_path):
    report = nl.trainers.fit(network(), digits, **RECIPE, checkpoint=tmp_path / "new" / "fit")
    trained, again = network(), network(9)
    nl.trainers.fit(trained, digits, **RECIPE)
    assert nl.trainers.fit(again, digits, **RECIPE, checkpoint=tmp_path / "new" / "fit") == report
    assert equal(again, trained)


def test_a_training_of_another_device_goes_on_here_and_says_so(digits, network, tmp_path):
    recipe, path = nl.trainers.Recipe(**{**RECIPE, "epochs": 2}), tmp_path / "fit"
    report = nl.trainers.fit(network(), digits, recipe=recipe)
    stop_after(1, network(), digits, path, recipe)
    snapshot.write(path, {**snapshot.read(path), "device": "cuda"})
    with pytest.warns(UserWarning, match="was begun on cuda and goes on on cpu: the last bits of the next epochs"):
        assert nl.trainers.fit(network(9), digits, recipe=recipe, checkpoint=path, device="cpu") == report
    snapshot.write(path, {**snapshot.read(path), "device": "cuda"})
    nl.trainers.fit(network(9), digits, recipe=recipe, checkpoint=path, device="cpu")  # nothing is left to be done
    older = snapshot.read(path)
    del older["device"]
    snapshot.write(path, older)
    nl.trainers.fit(network(9), digits, recipe=recipe, checkpoint=path, device="cpu")


CHILD = """
import sys
import torch
from torch import nn
import naslab as nl
from naslab.randomness import seeded

torch.set_num_threads(1)
with seeded(0, "test network"):
    network = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.Dropout(0.2), nn.ReLU(), nn.Flatten(),
        nn.Linear(512, 10)
    )
nl.trainers.fit(
    network, nl.tasks.Digits().subset(400, 50), epochs=30, batch_size=16, learning_rate=0.05, checkpoint=sys.argv[1]
)
"""


def killed(path, delay):
    """Start the child, kill -9 it `delay` seconds after it has written another checkpoint."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(path)], env={**os.environ, "OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 120
    while not (path.exists() and path.stat().st_mtime_ns > before):
        assert child.poll() is None, "the child ended by itself"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    time.sleep(delay)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL


@pytest.mark.parametrize("begun", [False, True])
def test_a_training_goes_on_in_the_memory_layout_in_which_it_was_begun(digits, tmp_path, begun):
    """Earlier versions recorded False where nothing was said, and today None, which is channels-last for this one."""

    def network(seed=0):
        with seeded(seed):
            layers = nn.Conv2d(1, 4, 3), BatchNorm2d(4), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(4 * 4 * 4, 10)
            return nn.Sequential(*layers)

    def last(network):
        return network[2].weight.is_contiguous(memory_format=torch.channels_last)

    default = nl.trainers.Recipe(**{**RECIPE, "epochs": 3})
    whole, resumed, path = network(), network(9), tmp_path / "fit"
    report = nl.trainers.fit(whole, digits, recipe=default.but(channels_last=begun))
    stop_after(1, network(), digits, path, default.but(channels_last=begun))
    stop_after(2, network(9), digits, path, default)
    assert nl.trainers.fit(resumed, digits, recipe=default, checkpoint=path).history == report.history
    assert equal(resumed, whole)
    assert last(resumed) == last(whole) == begun
    with pytest.raises(RunError, match=f"channels_last was {begun}, now {not begun}"):
        nl.trainers.fit(network(), digits, recipe=default.but(channels_last=not begun), checkpoint=path)
    decided = network()
    nl.trainers.fit(decided, digits, recipe=default)
    assert last(decided) == kernels.available(), "what a training without a checkpoint takes"


@pytest.mark.slow
@pytest.mark.parametrize("kills", [2, pytest.param(8, marks=[pytest.mark.reliability, pytest.mark.timeout(900)])])
def test_killed_at_any_instant_it_ends_where_it_would_have_ended(digits, network, tmp_path, kills):
    recipe = {"epochs": 30, "batch_size": 16, "learning_rate": 0.05}
    path, chance = tmp_path / "fit", random.Random(kills)
    for _ in range(kills):
        killed(path, chance.uniform(0, 0.1))
    done = snapshot.read(path)
    assert done["history"].count('"epoch"') < 30, "it was killed on the way"
    whole, resumed, task = network(), network(9), digits.subset(400, 50)
    report = nl.trainers.fit(whole, task, **recipe)
    assert nl.trainers.fit(resumed, task, **recipe, checkpoint=path) == report
    assert equal(resumed, whole)


@pytest.mark.slow
def test_the_checkpoint_of_another_training_is_refused(digits, network, tmp_path):
    path = tmp_path / "fit"
    nl.trainers.fit(network(), digits, **RECIPE, checkpoint=path)
    for changes, message in (
        ({"learning_rate": 0.1}, r"learning_rate was 0.05, now 0.1"),
        ({"seed": 1}, r"seed was 0, now 1"),
        ({"epochs": 7}, r"epochs was 6, now 7"),
    ):
        with pytest.raises(RunError, match=message):
            nl.trainers.fit(network(), digits, **{**RECIPE, **changes}, checkpoint=path)
    with pytest.raises(RunError, match="task was"):
        nl.trainers.fit(network(), digits.subset(500), **RECIPE, checkpoint=path)
    with pytest.raises(RunError, match="network was"):
        nl.trainers.fit(network(plain=True), digits, **RECIPE, checkpoint=path)
    with pytest.raises(RunError, match="augmentation was"):
        nl.trainers.fit(network(), digits.augmented(padding=2), **RECIPE, checkpoint=path)


@pytest.mark.slow
def test_a_damaged_checkpoint_is_refused_and_left(digits, network, tmp_path):
    path = tmp_path / "fit"
    nl.trainers.fit(network(), digits, **RECIPE, checkpoint=path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(SnapshotDamaged, match="damaged"):
        nl.trainers.fit(network(), digits, **RECIPE, checkpoint=path)
    assert path.read_bytes() == content
    snapshot.write(path, {"kind": "search"})
    with pytest.raises(RunError, match="not of a training"):
        nl.trainers.fit(network(), digits, **RECIPE, checkpoint=path)


@pytest.mark.slow
def test_a_full_disk_pauses_the_training_and_loses_nothing(digits, network, tmp_path, monkeypatch):
    path, written, write = tmp_path / "fit", [], snapshot.write

    def full(path, state):
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        written.append(state)
        write(path, state)

    monkeypatch.setattr(snapshot, "write", full)
    with pytest.raises(RunPaused, match=r"No space left on device.*call fit again"):
        nl.trainers.fit(network(), digits, **RECIPE, checkpoint=path)
    monkeypatch.undo()
    whole, resumed = network(), network(9)
    report = nl.trainers.fit(whole, digits, **RECIPE)
    assert nl.trainers.fit(resumed, digits, **RECIPE, checkpoint=path) == report
    assert equal(resumed, whole)


class Wired(nn.Module):
    """Two layers of one shape; `crossed` says in which order they act."""

    def __init__(self, crossed=False):
        super().__init__()
        self.first, self.second, self.head = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 10)
        self.norm = nn.BatchNorm1d(64)
        self.crossed = crossed
        self.drop_path_probability = 0.0

    def forward(self, x):
        layers = (self.second, self.first) if self.crossed else (self.first, self.second)
        for layer in layers:
            x = layer(x.flatten(1)).relu()
        return self.head(self.norm(x))


def test_a_network_of_the_same_modules_wired_otherwise_is_refused(digits, tmp_path):
    assert repr(Wired()) == repr(Wired(crossed=True))
    recipe = {"epochs": 1, "checkpoint": tmp_path / "fit"}
    report = nl.trainers.fit(Wired(), digits, **recipe)
    with pytest.raises(RunError, match="of another network: it has the same modules, but they are wired in another"):
        nl.trainers.fit(Wired(crossed=True), digits, **recipe)
    assert nl.trainers.fit(Wired(), digits, **recipe) == report


def test_cells_that_differ_by_the_input_of_a_skip_connection_are_told_apart(digits, tmp_path):
    space = nl.spaces.DartsCell(nodes=2, channels=4, cells=3)
    pairs = [("sep_conv_3x3", 0), ("max_pool_3x3", 1), ("sep_conv_3x3", 0)]
    one, other = (
        space.build(
            space.from_genotype(
                Genotype(
                    normal=(*pairs, ("skip_connect", source)),
                    normal_concat=(2, 3),
                    reduce=(*pairs, ("skip_connect", 1)),
                    reduce_concat=(2, 3),
                )
            ),
            digits,
        )
        for source in (1, 2)
    )
    assert repr(one) == repr(other)
    recipe = {"epochs": 1, "batch_size": 32, "checkpoint": tmp_path / "fit"}
    nl.trainers.fit(one, digits.subset(64, 20), **recipe)
    with pytest.raises(RunError, match="wired in another"):
        nl.trainers.fit(other, digits.subset(64, 20), **recipe)


def test_a_network_is_known_again_whatever_it_has_learnt_and_to_know_it_changes_nothing(digits, tmp_path):
    recipe = {"epochs": 2, "checkpoint": tmp_path / "fit"}
    with seeded(0):
        trained = Wired()
    before = torch.get_rng_state()
    report = nl.trainers.fit(trained, digits, **recipe)
    assert torch.equal(torch.get_rng_state(), before)
    assert nl.trainers.fit(trained, digits, **recipe) == report, "with the weights of its end"
    with seeded(0):
        plain = Wired()
    assert nl.trainers.fit(plain, digits, epochs=2) == report, "with a checkpoint or without"
    assert equal(plain, trained)


def test_drop_path_that_the_recipe_leaves_alone_is_part_of_the_training(digits, tmp_path):
    recipe, network = {"epochs": 1, "checkpoint": tmp_path / "fit"}, Wired()
    nl.trainers.fit(network, digits, **recipe)
    network.drop_path_probability = 0.5
    with pytest.raises(RunError, match=r"drop_path_probability was 0.0, now 0.5"):
        nl.trainers.fit(network, digits, **recipe)
    recipe = {"epochs": 2, "drop_path": 0.2, "checkpoint": tmp_path / "drop"}
    assert nl.trainers.fit(network, digits, **recipe) == nl.trainers.fit(network, digits, **recipe)
