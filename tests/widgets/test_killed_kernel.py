"""A kernel killed while a lab plays in it: nothing that was seen is lost, and the search goes on bit for bit."""

import os
import signal
import time

import pytest
from jupyter_client.manager import start_new_kernel

import naslab as nl
from naslab import snapshot

SEARCH = """
import torch, naslab as nl
torch.set_num_threads(1)
space = nl.spaces.NASBench201(channels=2, cells=1)
digits = nl.tasks.Digits()
def search(run):
    return nl.Search(nl.searchers.Darts(space, digits, seed=1, epochs=3, batch_size=32), run=run, snapshot_every=7)
"""
PLAY = """
from naslab_widgets import Lab
lab = Lab(search({path!r}))
lab.play()
lab
"""


def last_step(path):
    """The newest step that a reader sees."""
    rows = nl.runs.read(path).events() if (path / "events.sqlite").exists() else ()
    return rows[-1].event.step if rows else 0


@pytest.mark.slow
def test_a_new_process_opens_the_run_where_the_kernel_was_killed(tmp_path):
    path = tmp_path / "run"
    manager, client = start_new_kernel(kernel_name="python3", env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        for cell in (SEARCH, PLAY.format(path=str(path))):
            reply = client.execute_interactive(cell, timeout=120, output_hook=lambda message: None)
            assert reply["content"]["status"] == "ok", reply["content"]
        before = time.monotonic()
        while last_step(path) < 12:
            assert time.monotonic() - before < 120, "the lab does not play"
            time.sleep(0.02)
        os.kill(manager.provisioner.process.pid, signal.SIGKILL)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)

    seen = [row.event.to_record() for row in nl.runs.read(path).events()]
    opened = nl.Search.open(path)
    assert 12 <= opened.step < opened.total, "it was killed in the middle"
    steps = [event for event in opened.events if event.kind == "supernet_step"]
    assert [event.step for event in steps] == list(range(1, opened.step + 1)), "each step once"
    assert [event.to_record() for event in opened.events][: len(seen)] == seen

    names = {}
    exec(SEARCH, names)
    calm = names["search"](None)
    while calm.step < opened.step + 3:
        next(calm)
    for _ in range(3):
        next(opened)
    assert snapshot.digest(opened.searcher.state_dict()) == snapshot.digest(calm.searcher.state_dict())
