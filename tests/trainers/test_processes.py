import json
import os
import subprocess
import sys

import nbclient
import nbformat
import pytest
import torch
from torch import nn

import naslab as nl
from naslab import snapshot
from naslab.errors import Diverged, SpecError
from naslab.trainers import processes

RECIPE = {"epochs": 2, "learning_rate": 0.05, "held_out": 0.2}


def close(one, other, tolerance=1e-5):
    return all(torch.allclose(a, other.state_dict()[n], atol=tolerance) for n, a in one.state_dict().items())


def test_a_network_taken_apart_for_the_journey_is_the_same_on_arrival(network):
    sent = network()
    sent[0].weight.requires_grad = False
    sent.register_buffer("table", torch.arange(3), persistent=False)
    sent.add_module("tied", nn.Linear(512, 10))
    sent.tied.weight = sent[5].weight
    apart = processes._without_tensors(sent)
    assert not list(apart.parameters()) or all(isinstance(p, processes._Array) for p in apart.parameters())
    arrived = processes._with_tensors(apart)
    assert all(torch.equal(a, arrived.state_dict()[name]) for name, a in sent.state_dict().items())
    assert torch.equal(arrived.table, sent.table)
    assert arrived.tied.weight is arrived[5].weight
    assert not arrived[0].weight.requires_grad
    assert arrived[5].weight.requires_grad
    with torch.no_grad():
        arrived[5].weight.zero_()
    assert sent[5].weight.abs().max() > 0, "a copy"


def test_alone_nothing_is_averaged():
    group, tensor = processes.Group(), torch.ones(3)
    group.average([tensor])
    assert group.total([1.0, 2.0], torch.device("cpu")) == [1.0, 2.0]
    assert torch.equal(tensor, torch.ones(3))


@pytest.mark.slow
def test_two_processes_from_a_notebook_do_what_one_does(digits, network, tmp_path):
    one, two = network(plain=True), network(plain=True)
    alone = nl.trainers.fit(one, digits, **RECIPE)
    together = nl.trainers.fit(two, digits, **RECIPE, processes=2, checkpoint=tmp_path / "fit")
    assert close(one, two)
    assert not close(one, network(plain=True), 1e-3)
    assert together.test_accuracy == pytest.approx(alone.test_accuracy, abs=0.01)
    assert [row.train_loss for row in together.history] == pytest.approx(
        [row.train_loss for row in alone.history], abs=1e-4
    )
    resumed = network(9, plain=True)
    assert nl.trainers.fit(resumed, digits, **RECIPE, checkpoint=tmp_path / "fit") == together
    assert close(two, resumed, 0), "one process takes over from two"


@pytest.mark.slow
def test_an_error_in_a_process_is_the_same_error_here(digits, network):
    with pytest.raises(Diverged, match="lower learning_rate"):
        nl.trainers.fit(network(), digits, epochs=1, learning_rate=1e30, gradient_clipping=0, processes=2)


def test_nccl_is_told_which_gpu_is_whose(monkeypatch):
    """Otherwise it takes the current one, and warns."""
    asked = []
    monkeypatch.setattr("torch.cuda.set_device", asked.append)
    monkeypatch.setattr(processes.dist, "init_process_group", lambda *given, **more: asked.append((given, more)))
    processes._enter(True, 1, rank=3, world_size=4)
    processes._enter(False, 1, rank=3, world_size=4)
    ranks = {"rank": 3, "world_size": 4}
    assert asked == [1, (("nccl",), {"device_id": torch.device("cuda:1"), **ranks}), (("gloo",), ranks)]


def test_synchronised_batch_norm_is_refused_on_the_cpu(digits, network):
    group, cpu = processes.Group(0, 2), torch.device("cpu")
    from naslab.trainers.loop import TrainingLoop

    with pytest.raises(SpecError, match="several GPUs only"):
        TrainingLoop(network(), digits, nl.trainers.Recipe(sync_batch_norm=True), 0, group, cpu)


SCRIPT = """
import json, sys
import torch
from torch import nn
import naslab as nl
from naslab import snapshot
from naslab import snapshot
from naslab.randomness import seeded

torch.set_num_threads(1)
with seeded(0, "test network"):
    network = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(512, 10))
reports = [nl.trainers.fit(network, nl.tasks.Digits(), epochs=2, learning_rate=0.05, held_out=0.2) for _ in range(2)]
rank = torch.distributed.get_rank()
snapshot.write(f"{sys.argv[1]}/{rank}", {
    **network.state_dict(), "world": torch.distributed.get_world_size(),
    "accuracies": json.dumps([report.test_accuracy for report in reports]),
})
"""


@pytest.mark.slow
def test_a_script_under_torchrun_takes_part(digits, network, tmp_path):
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", script, tmp_path],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    states = [snapshot.read(tmp_path / str(rank)) for rank in range(2)]
    one = network(plain=True)
    reports = [nl.trainers.fit(one, digits, **RECIPE) for _ in range(2)]
    for state in states:
        assert state["world"] == 2
        for name, tensor in one.state_dict().items():
            assert torch.allclose(tensor, state[name], atol=1e-5)
            assert torch.equal(state[name], states[0][name]), "bit for bit the same on both"
        assert json.loads(state["accuracies"]) == pytest.approx([r.test_accuracy for r in reports], abs=0.01)


CELLS = (
    """
import torch
from torch import nn
import naslab as nl
from naslab.randomness import seeded
torch.set_num_threads(1)
with seeded(0, "test network"):
    network = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(512, 10))
""",
    """
report = nl.trainers.fit(
    network, nl.tasks.Digits(), epochs=2, learning_rate=0.05, held_out=0.2, processes=2, progress=False
)
print(report.test_accuracy)
""",
)


@pytest.mark.slow
def test_two_processes_start_from_a_real_notebook(digits, network, tmp_path):
    cells = [nbformat.v4.new_code_cell(cell) for cell in CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, timeout=280, kernel_name="python3").execute(cwd=str(tmp_path))
    (output,) = notebook.cells[1].outputs
    report = nl.trainers.fit(network(plain=True), digits, **RECIPE)
    assert float(output.text) == pytest.approx(report.test_accuracy, abs=0.01)
