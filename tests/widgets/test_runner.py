"""The worker: exact steps, a pause that holds, errors that are kept, and no thread left over."""

import threading
import time

import pytest

from naslab.errors import Diverged
from naslab_widgets import Lab
from naslab_widgets.runner import Runner, pace


def workers():
    return [thread for thread in threading.enumerate() if thread.name == "naslab-search"]


def until(condition, seconds=5):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.001)


class Gate:
    """Lets steps through one by one."""

    def __init__(self):
        self.tickets, self.inside = threading.Semaphore(0), threading.Event()

    def __call__(self, step):
        self.inside.set()
        assert self.tickets.acquire(timeout=10)
        self.inside.clear()


def test_steps_are_exact(tiny):
    search = tiny.Search()
    runner = Runner(search)
    assert runner.state == "idle"
    runner.step(7)
    runner.wait(10)
    assert (search.step, runner.state) == (7, "paused")
    runner.step()
    runner.step(2)
    runner.wait(10)
    assert search.step == 10
    assert workers() == []
    with pytest.raises(ValueError, match="from 1 up"):
        runner.step(0)


def test_pause_ends_after_the_step_under_way(tiny):
    gate = Gate()
    search = tiny.Search(before_step=gate)
    runner = Runner(search)
    runner.play()
    gate.inside.wait(5)
    runner.pause()
    assert runner.state == "running"  # the step under way
    gate.tickets.release(5)
    runner.wait(5)
    assert (search.step, runner.state) == (1, "paused")
    assert gate.tickets._value == 4
    runner.play()
    until(lambda: search.step == 5 and gate.inside.is_set())
    runner.stop()
    gate.tickets.release()
    runner.wait(5)
    assert (search.step, runner.state) == (6, "stopped")


def test_callers_never_wait_for_a_step(tiny):
    gate = Gate()
    runner = Runner(tiny.Search(before_step=gate))
    runner.play()
    gate.inside.wait(5)
    started = time.monotonic()
    for action in (runner.pause, runner.play, runner.step, runner.pause, lambda: runner.call(int), runner.stop):
        action()
    assert time.monotonic() - started < 0.5
    with pytest.raises(TimeoutError, match="still running"):
        runner.wait(0.01)
    gate.tickets.release(3)
    runner.wait(5)


def test_only_the_worker_steps_and_one_at_a_time(tiny):
    seen, inside = set(), []

    def before(step):
        inside.append(step)
        assert len(inside) == 1
        seen.add(threading.current_thread().name)
        inside.pop()

    search = tiny.Search(before_step=before)
    runner = Runner(search)
    callers = [threading.Thread(target=lambda: [runner.step() for _ in range(50)]) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    runner.wait(10)
    assert search.step == 200
    assert seen == {"naslab-search"}


def test_an_error_pauses_and_playing_tries_again(tiny):
    faults = [Diverged("loss is NaN at step 4; lower w_lr")]

    def before(step):
        if step == 4 and faults:
            raise faults.pop()

    search = tiny.Search(total=9, before_step=before)
    runner = Runner(search)
    runner.play()
    with pytest.raises(Diverged, match="lower w_lr"):
        runner.wait(5)
    assert (search.step, runner.state) == (3, "paused")
    assert isinstance(runner.error, Diverged)
    runner.play()
    runner.wait(5)
    assert (search.step, runner.state, runner.error) == (9, "finished", None)


def test_the_end_is_the_end(tiny):
    search = tiny.Search(total=3)
    runner = Runner(search)
    runner.step(10)
    runner.wait(5)
    assert (search.step, runner.state) == (3, "finished")
    runner.play()
    runner.wait(5)
    assert (search.step, runner.state) == (3, "finished")


def test_commands_are_done_between_steps_and_also_at_rest(tiny):
    done = []
    runner = Runner(tiny.Search())
    runner.call(lambda: done.append(threading.current_thread().name))
    runner.wait(5)
    assert done == ["naslab-search"]
    assert runner.state == "idle"


def test_a_stopped_runner_says_what_to_do(tiny):
    runner = Runner(tiny.Search())
    runner.stop()
    runner.stop()
    with pytest.raises(RuntimeError, match=r"new Lab\(search\)"):
        runner.play()


@pytest.mark.parametrize(("seconds", "seen"), [(0.06, [1, 2, 3]), (0.0, [3])])
def test_what_observes_has_seen_the_step_before_the_search_rests(tiny, seconds, seen):
    """After every slow step; after quick ones now and then, and always at the end."""
    clock = tiny.Clock()
    states = []

    def before(step):
        clock.now += seconds

    search = tiny.Search(before_step=before)
    runner = Runner(search, observe=lambda: states.append((search.step, runner.state)), clock=clock)
    runner.step(3)
    runner.wait(5)
    assert states == [(step, "running") for step in seen]


def test_the_rate_is_of_steps_only(tiny):
    clock = tiny.Clock()

    def before(step):
        clock.now += 0.25

    runner = Runner(tiny.Search(before_step=before), clock=clock)
    assert runner.rate == 0
    runner.step(10)
    runner.wait(5)
    assert runner.rate == pytest.approx(4)
    clock.now += 1000  # a pause
    runner.step(10)
    runner.wait(5)
    assert runner.rate == pytest.approx(4)


def test_a_pause_in_the_page_lets_no_later_cell_begin(tiny):
    """`run` comes back when it is done, also if somebody who looks pauses it and plays on."""
    for steps in (None, 3):
        gate = Gate()
        lab = Lab(tiny.Search(total=6, before_step=gate))
        lab.view._receive(lab.view, {"type": "hello"}, [])
        cell = threading.Thread(target=lab.run, args=(steps,))
        cell.start()
        gate.inside.wait(5)
        lab.pause()
        gate.tickets.release()
        until(lambda lab=lab: lab.state == "paused" and not lab._runner.busy)
        cell.join(0.2)
        assert cell.is_alive(), "one step is done; the cell waits"
        gate.tickets.release(5)
        lab.play()
        cell.join(10)
        assert not cell.is_alive()
        assert lab.search.step >= (steps or 6)
        lab.stop()


def test_a_pause_ends_a_run_that_nobody_looks_at(tiny):
    gate = Gate()
    lab = Lab(tiny.Search(total=6, before_step=gate))
    cell = threading.Thread(target=lab.run)
    cell.start()
    gate.inside.wait(5)
    lab.pause()
    gate.tickets.release()
    cell.join(10)
    assert not cell.is_alive()
    assert (lab.search.step, lab.state) == (1, "paused")


def test_the_pace_leaves_out_what_was_no_work():
    steady = [(float(second), 5 * second) for second in range(10)]
    assert pace(steady) == pytest.approx(5)
    asleep = [(time + (60 if time > 5 else 0), step) for time, step in steady]
    assert pace(asleep) == pytest.approx(5), "a minute in which the machine slept"
    assert pace([]) == pace([(1.0, 1)]) == pace([(1.0, 1), (1.0, 1)]) == 0
    assert pace([(0.0, 0), (60.0, 6)]) == pytest.approx(0.1), "of one span nobody knows whether it is long"
