"""The pool of processes: real processes, really killed."""

import math
import operator
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import CancelledError, Executor, wait
from functools import partial
from multiprocessing import forkserver
from pathlib import Path

import pytest

from naslab.errors import RunError, SpecError
from naslab.estimators import Crashed, TimedOut, Workers, workers


@pytest.fixture(scope="module")
def pool(functions):
    with Workers(2) as pool:
        assert pool.submit(math.sqrt, 4.0).result(120) == 2
        yield pool


# What the workers are to import stands in a file of its own: these tests are no package.
FUNCTIONS = """
import os, signal, time, torch

def die_once(path, code):
    if not os.path.exists(path):
        open(path, "w").close()
        os.kill(os.getpid(), code)
    return "alive"

def hog(megabytes):
    return len(bytearray(megabytes * 2**20))

def nap(seconds, path=None):
    if path:
        open(path, "w").write(str(os.getpid()))
    time.sleep(seconds)
    return os.getpid()

class Odd(Exception):
    def __init__(self, one, two):
        super().__init__(one)

def raise_odd():
    raise Odd(1, 2)

def bar(count):
    from tqdm import tqdm
    return sum(1 for _ in tqdm(range(count), disable=True))

KEPT = []

def bar_and_lock(count):
    import multiprocessing
    KEPT.append(multiprocessing.get_context("spawn").Lock())
    return bar(count)

def stillborn(pipe, limits):
    from pathlib import Path
    from naslab.estimators.worker_process import work
    deaths = Path(__file__).with_name("deaths")
    if deaths.stat().st_size:
        deaths.write_text(deaths.read_text()[1:])
        os.kill(os.getpid(), signal.SIGKILL)
    work(pipe, limits)
"""


@pytest.fixture(scope="module")
def functions(tmp_path_factory):
    """Module of functions that workers can import."""
    folder = tmp_path_factory.mktemp("functions")
    (folder / "naslab_test_functions.py").write_text(FUNCTIONS)
    sys.path.insert(0, str(folder))
    import naslab_test_functions

    yield naslab_test_functions
    sys.path.remove(str(folder))


def until(what, seconds=10.0):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def living(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
def test_it_is_an_executor(pool):
    assert isinstance(pool, Executor)
    assert list(pool.map(operator.add, range(50), range(50))) == [2 * i for i in range(50)]
    assert os.getpid() != pool.submit(os.getpid).result(60)
    with pytest.raises(ZeroDivisionError):
        pool.submit(operator.truediv, 1, 0).result(60)


def test_each_has_so_many_threads(pool):
    import torch

    assert pool.submit(torch.get_num_threads).result(60) == 1


@pytest.mark.parametrize("code", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_call_whose_worker_dies_is_tried_again(pool, functions, tmp_path, code):
    assert pool.submit(functions.die_once, str(tmp_path / "once"), code).result(60) == "alive"


@pytest.mark.parametrize(
    ("function", "args", "why"), [(os._exit, (7,), "exit code 7"), (signal.raise_signal, (9,), "SIGKILL")]
)
def test_one_that_always_kills_is_given_up_and_harms_nobody(pool, function, args, why):
    start = time.monotonic()
    others = [pool.submit(math.sqrt, i) for i in range(20)]
    poison = pool.submit(function, *args)
    others += [pool.submit(math.sqrt, i) for i in range(20)]
    with pytest.raises(Crashed, match=rf"{why}\), 3 times out of 3"):
        poison.result(60)
    assert [other.result(60) for other in others] == [math.sqrt(i) for i in range(20)] * 2
    assert time.monotonic() - start < 10
    assert pool.submit(math.sqrt, 9.0).result(60) == 3


def test_what_takes_too_long_is_ended(functions, tmp_path):
    with Workers(1, timeout=0.5) as pool:
        late = pool.submit(functions.nap, 60, str(tmp_path / "pid"))
        with pytest.raises(TimedOut, match=r"longer than 0\.5 seconds"):
            late.result(60)
        until(lambda: not living(int((tmp_path / "pid").read_text())))
        assert pool.submit(math.sqrt, 4.0).result(60) == 2


def test_what_takes_too_much_memory_is_an_error(functions):
    with Workers(1, memory=300e6) as pool:
        assert pool.submit(functions.hog, 50).result(60) == 50 * 2**20
        [before] = pool.processes
        with pytest.raises(MemoryError):
            pool.submit(functions.hog, 900).result(60)
        assert pool.processes == [before]


def test_a_running_call_is_cancelled_at_once(pool, functions, tmp_path):
    slow = []
    for round_ in range(5):
        path = tmp_path / f"pid-{round_}"
        future = pool.submit(functions.nap, 60, str(path))
        until(lambda path=path: path.exists() and path.read_text())
        start = time.monotonic()
        pool.cancel(future)
        with pytest.raises(CancelledError):
            future.result(10)
        slow.append(time.monotonic() - start)
        assert not living(int(path.read_text()))
    assert max(slow) < 1
    assert pool.submit(math.sqrt, 4.0).result(60) == 2


def test_a_waiting_call_is_cancelled(pool, functions):
    busy = [pool.submit(functions.nap, 0.2) for _ in range(2)]
    waiting = pool.submit(math.sqrt, 4.0)
    pool.cancel(waiting)
    assert waiting.cancelled()
    assert all(future.result(60) for future in busy)


@pytest.mark.parametrize("bad", [partial(math.sqrt, open(os.devnull))])  # noqa: SIM115
def test_what_cannot_be_sent_is_said(pool, bad):
    with pytest.raises(SpecError, match=r"^argument 1 of sqrt, an object of type _io.TextIOWrapper, cannot be sent"):
        pool.submit(bad).result(60)
    assert pool.submit(math.sqrt, 4.0).result(60) == 2


def test_an_error_that_cannot_be_read_again(pool, functions):
    with pytest.raises(RunError, match=r"^Odd: 1$"):
        pool.submit(functions.raise_odd).result(60)
    assert pool.submit(math.sqrt, 4.0).result(60) == 2


def test_a_function_is_sent_to_a_worker_once(functions):
    """Its data is large, and the calls are many."""
    with Workers(1) as pool:
        look = partial(operator.getitem, bytes(20_000_000))
        pool.submit(look, 0).result(60)
        start = time.monotonic()
        wait([pool.submit(look, 5) for _ in range(200)])
        assert time.monotonic() - start < 1, "200 times 20 MB take seconds"


def test_after_shutdown(functions):
    pool = Workers(2)
    running = [pool.submit(functions.nap, 0.2), pool.submit(functions.nap, 60)]
    pids = pool.processes
    until(lambda: len(pool.processes) == 2)
    pids = pool.processes
    assert running[0].result(60)
    pool.shutdown(cancel_futures=True)
    assert not any(living(pid) for pid in pids)
    with pytest.raises(CancelledError):
        running[1].result(0)
    with pytest.raises(RuntimeError, match="shut down"):
        pool.submit(math.sqrt, 4.0)


def test_a_pool_that_is_forgotten_ends(functions):
    pool = Workers(1)
    pool.submit(math.sqrt, 4.0).result(60)
    [pid] = pool.processes
    del pool
    until(lambda: not living(pid))


PARENT = """
import sys, time
sys.path.insert(0, sys.argv[1])
from naslab_test_functions import nap
from naslab.estimators import Workers
if __name__ == "__main__":
    pool = Workers(2)
    futures = [pool.submit(nap, 60), pool.submit(nap, 60)]
    while len(pool.processes) < 2:
        time.sleep(0.01)
    try:
        print(*pool.processes, flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("interrupted", len(pool.processes), flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("code", [signal.SIGKILL, signal.SIGINT])
def test_workers_do_not_outlive_their_parent(functions, tmp_path, code):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    folder = os.path.dirname(functions.__file__)
    with subprocess.Popen(
        [sys.executable, str(script), folder],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as parent:
        pids = list(map(int, parent.stdout.readline().split()))
        assert len(pids) == 2
        assert all(map(living, pids))
        os.killpg(parent.pid, code) if code == signal.SIGINT else parent.kill()
        if code == signal.SIGINT:  # as Ctrl-C does, to all of them; only the parent heeds it
            assert parent.stdout.readline() == "interrupted 2\n"
        parent.wait(30)
    until(lambda: not any(map(living, pids)))


@pytest.mark.parametrize("bad", [{"workers": 0}, {"timeout": 0}, {"memory": -1}, {"tries": 0}, {"threads": True}])
def test_nonsense_is_refused(bad):
    with pytest.raises(SpecError):
        Workers(**bad)


@pytest.mark.slow
def test_a_storm_of_kills(pool, functions):
    """Fifteen workers killed while 150 calls are made: each call has its result, and the pool is whole again."""
    with Workers(2, tries=20) as pool:
        futures = [pool.submit(functions.nap, 0.1) for _ in range(150)]
        for _ in range(15):
            until(lambda: len(pool.processes) == 2)
            os.kill(pool.processes[0], signal.SIGKILL)
            time.sleep(0.2)
        assert all(future.result(60) > 0 for future in futures)
        wait([pool.submit(math.sqrt, 4.0) for _ in range(10)])
        assert len(pool.processes) == 2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_all_processes_of_a_pool_are_killed_again_and_again(functions):
    """The server that forks the workers too: whatever is called is tried again by new ones, from a new server."""
    with Workers(2, tries=20) as pool:
        for _ in range(2):
            calls = [pool.submit(functions.nap, 0.2) for _ in range(4)]
            until(lambda: len(pool.processes) == 2)
            before = pool.processes
            os.kill(forkserver._forkserver._forkserver_pid, signal.SIGKILL)
            for pid in before:
                os.kill(pid, signal.SIGKILL)
            assert all(call.result(60) > 0 for call in calls)
            assert not set(before) & set(pool.processes)


def test_a_server_that_cannot_be_had_is_a_crash_of_the_call(monkeypatch):
    monkeypatch.setattr(workers, "RESTARTS", (0.0,) * 3)

    def gone(self):
        raise EOFError("unexpected EOF")

    with Workers(1) as pool:
        with monkeypatch.context() as patch:
            patch.setattr(workers._context().Process, "start", gone)
            with pytest.raises(Crashed, match=r"could be started for it, 3 times \(EOFError: unexpected EOF\)"):
                pool.submit(math.sqrt, 4.0).result(60)
        assert pool.submit(math.sqrt, 4.0).result(60) == 2


def test_one_that_is_killed_before_it_is_ready_costs_a_call_none_of_its_tries(functions, monkeypatch):
    deaths = Path(functions.__file__).with_name("deaths")
    deaths.write_text("x" * 3)
    monkeypatch.setattr(workers, "work", functions.stillborn)
    with Workers(1, tries=1) as pool:
        assert pool.submit(math.sqrt, 4.0).result(60) == 2
    assert deaths.read_text() == ""


TIDY = """
import sys
sys.path.insert(0, sys.argv[1])
from naslab_test_functions import bar_and_lock
from naslab.estimators import Workers
if __name__ == "__main__":
    pool = Workers(2)
    print(sum(future.result() for future in [pool.submit(bar_and_lock, 3) for _ in range(4)]), flush=True)
    {end}
"""


@pytest.mark.slow
@pytest.mark.parametrize("end", ["", "pool.shutdown()"])
def test_a_script_ends_without_a_word_about_leaked_semaphores(functions, tmp_path, end):
    """A progress bar in a worker has a lock that belongs to the system, and other things may have, too."""
    (tmp_path / "script.py").write_text(TIDY.format(end=end))
    done = subprocess.run(
        [sys.executable, str(tmp_path / "script.py"), os.path.dirname(functions.__file__)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "12\n", "")


@pytest.mark.parametrize("name", ["timeout", "memory"])
@pytest.mark.parametrize("value", ["x", "1GB", True, [1], 0, -1, math.nan, math.inf])
def test_limits_that_are_no_numbers(name, value):
    with pytest.raises(SpecError, match=name):
        Workers(1, **{name: value})


def test_a_year_is_a_timeout_too():
    with Workers(1, timeout=3e7) as pool:
        assert pool.submit(math.sqrt, 4.0).result(60) == 2
