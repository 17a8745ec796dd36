"""Threads: how many, and that they do not stand in each other's way."""

import json
import os
import subprocess
import sys

import pytest
import torch

from naslab.threads import Probe, probe, processors, torch_threads


class Machine:
    """A clock, and a step that takes as long as the number of threads says."""

    def __init__(self, seconds):
        self.now, self.seconds, self.steps = 0.0, seconds, []

    def clock(self):
        return self.now

    def step(self):
        number = torch.get_num_threads()
        self.steps.append(number)
        self.now += self.seconds[number]

    def probe(self, most):
        return probe(self.step, most=most, clock=self.clock)


@pytest.mark.parametrize(
    ("seconds", "most", "chosen"),
    [
        ({1: 1.0, 2: 0.625, 4: 0.375}, 4, 4),
        ({1: 1.0, 2: 0.625, 4: 0.609375}, 4, 2),  # twice the threads for nothing
        ({1: 1.0, 2: 7.0}, 4, 1),  # a busy machine; four are not even tried
        ({1: 1.0, 2: 0.9375}, 2, 1),
        ({1: 1.0}, 1, 1),
        ({1: 1.0, 2: 0.5}, 3, 2),
    ],
)
def test_as_many_threads_as_pay(seconds, most, chosen):
    before = torch.get_num_threads()
    machine = Machine(seconds)
    found = machine.probe(most)
    assert found == Probe(chosen, seconds)
    assert machine.steps == [1, *(number for number in seconds for _ in range(2))]
    assert torch.get_num_threads() == before


def test_a_probe_says_what_it_found():
    assert str(Machine({1: 1.0, 2: 0.5}).probe(2)) == "2 threads (a step takes 1 s with 1, 0.5 s with 2)"


def test_threads_are_put_back_after_an_error():
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
        raise ZeroDivisionError
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("given", "expected"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")])
def test_threads_are_asked_to_sleep_while_they_wait_unless_the_user_said_otherwise(given, expected):
    code = """if True:
        import os, sys
        class Finder:
            def find_spec(self, name, path=None, target=None):
                if name == "torch":
                    print(os.environ.get("OMP_WAIT_POLICY"))
                    sys.exit()
        sys.meta_path.insert(0, Finder())
        import naslab
        import torch
    """
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**environment, **given}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == expected


STEP_TIMES = """if True:
    import json, statistics, subprocess, sys, time
    import naslab as nl, torch
    from naslab.analysis.steps import Steps
    from naslab.threads import processors, torch_threads
    space, task = nl.spaces.DartsCell.laptop(), nl.tasks.Digits()
    x, y = torch.randn(16, *task.input_shape), torch.zeros(16, dtype=torch.long)
    steps = Steps(space.supernet(task), space.edges(), len(space.operations), x, y)
    def seconds(threads):
        with torch_threads(threads):
            times = []
            for _ in range(6):
                start = time.perf_counter(); steps.weight_step(); times.append(time.perf_counter() - start)
            return statistics.median(times[1:])
    alone = seconds(1)
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processors())]
    try:
        busy = seconds(processors())
    finally:
        for other in others: other.kill()
        for other in others: other.wait()
    print(json.dumps([alone, busy]))
"""


@pytest.mark.slow
@pytest.mark.skipif(processors() < 2, reason="one processor: there is no second thread to wait for")
def test_a_busy_machine_does_not_send_the_step_time_up_ten_times():
    """With threads that spin while they wait it does: 4 to 40 times, measured on two processors."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP", "MKL", "KMP"))}
    done = subprocess.run(
        [sys.executable, "-c", STEP_TIMES], env=environment, capture_output=True, text=True, check=True
    )
    alone, busy = json.loads(done.stdout.splitlines()[-1])
    assert busy < 10 * alone
