"""Does violence to runs: a process with torch loaded that forks children, and kills them.

    python harness.py                                            and on standard input a line a job, in JSON (`serve`)
    python harness.py <job> '<JSON arguments>' <file for the answer>     one job, whose children end as scripts do

Forking takes milliseconds where a new interpreter with torch takes seconds; it must be a process of its own
because pytest's has threads. Children never return from `child`.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import torch

import naslab as nl
from naslab import snapshot
from naslab.errors import RunError, RunPaused
from naslab.runs import about, conversion
from naslab.runs.folder import Folder

torch.set_num_threads(1)

_spec = importlib.util.spec_from_file_location("small", Path(__file__).with_name("small.py"))
small = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(small)

DIGITS, TABLE = nl.tasks.Digits(), nl.benchmarks.NASBench201()
nl.searchers.SEARCHERS["small"] = small.Small
nl.tasks.from_spec = lambda spec, task=None: task or DIGITS
OPERATIONS = ("none", "max_pool_3x3", "skip_connect", "sep_conv_3x3")
_EVOLUTION = dict(epochs=1, batch_size=128, train_portion=0.7, w_lr=0.1, valid_images=64, recalibration_images=64)
_EVOLUTION |= dict(population=4, generations=4, parents=2, crossovers=1, mutations=1)
_ENAS = dict(epochs=2, batch_size=256, train_portion=0.7, controller_steps=3, children=2, derived=2, units=5)
_RATES = {9: ("w_lr", 0.02), 15: ("alpha_lr", 0.05)}


@dataclasses.dataclass(frozen=True)
class Family:
    """A searcher in its smallest settings, and what a user turns on the way."""

    make: Callable[[int], Any]
    """From a seed to a fresh searcher."""
    turned: Mapping[int, tuple[str | int, float]] = dataclasses.field(default_factory=dict)
    """Step -> the knob that is turned before it, by its name or its place among the knobs, and the new value."""
    ranked: bool = False
    snapshot_every: int = 7


def _cell():
    return nl.spaces.DartsCell(nodes=2, channels=4, cells=3, operations=OPERATIONS)


def _tiny():
    return nl.spaces.NASBench201(channels=2, cells=1)


def _gradient(searcher, **sizes):
    """One of the gradient family: four steps an epoch, two epochs."""
    sizes = dict(epochs=2, batch_size=64, train_portion=0.2) | sizes
    turned = {2: ("w_lr", 0.02), 5: ("alpha_lr", 0.05)}
    return Family(lambda seed: searcher(_tiny(), DIGITS, seed=seed, **sizes), turned, snapshot_every=3)


def _shared(searcher, space, **sizes):
    return Family(lambda seed: searcher(space(), DIGITS, seed=seed, **sizes), {9: ("w_lr", 0.02), 15: (1, 0.05)})


def _trained(searcher, budget, turned=(), epochs=2, **sizes):
    """Candidates that are trained for real, on a twentieth of the images."""

    def make(seed):
        training = nl.estimators.Training(_tiny(), DIGITS, data=0.05, epochs=epochs, batch_size=16, learning_rate=0.1)
        return nl.searchers.BlackBoxSearch(searcher(_tiny(), seed=seed, **sizes), training, budget)

    return Family(make, dict(turned), snapshot_every=3)


def _tabular(searcher, budget, turned=(), **sizes):
    return Family(
        lambda seed: nl.searchers.BlackBoxSearch(searcher(TABLE.space, seed=seed, **sizes), TABLE, budget), dict(turned)
    )


FAMILIES = {
    "small": Family(lambda seed: small.Small(DIGITS, seed=seed, total=90), _RATES),
    "short": Family(lambda seed: small.Small(DIGITS, seed=seed, total=14), _RATES),
    "darts": Family(
        lambda seed: nl.searchers.Darts(_cell(), DIGITS, order=1 + seed % 2, seed=seed, epochs=1, batch_size=32), _RATES
    ),
    "ranked": Family(
        lambda seed: nl.searchers.Darts(_tiny(), DIGITS, order=1, seed=seed, epochs=1, batch_size=32),
        _RATES,
        ranked=True,
    ),
    "gdas": Family(lambda seed: nl.searchers.GDAS(_cell(), DIGITS, seed=seed, epochs=1, batch_size=32), _RATES),
    "milenas": _gradient(nl.searchers.MiLeNAS),
    "idarts": _gradient(nl.searchers.IDarts),
    "snas": _gradient(nl.searchers.SNAS, epochs=1, batch_size=128),
    "proxylessnas": _gradient(nl.searchers.ProxylessNAS),
    "pcdarts": _gradient(nl.searchers.PCDarts, one_in=2),
    "drnas": _gradient(nl.searchers.DrNAS),
    "sdarts": _gradient(nl.searchers.SmoothDarts, perturbation="adversarial", ascent_steps=1),
    "robust darts": _gradient(nl.searchers.RobustDarts),
    "spos": _shared(
        nl.searchers.SPOS, lambda: nl.spaces.MobileChain(channels=4, stages=2, layers=2, stem_stride=1), **_EVOLUTION
    ),
    "fairnas": _shared(nl.searchers.FairNAS, _tiny, **_EVOLUTION),
    "en2as": _shared(nl.searchers.EN2AS, _tiny, **_EVOLUTION | dict(epochs=2, archive=4, nearest=2, perturbations=3)),
    "enas macro": _shared(nl.searchers.Enas, lambda: nl.spaces.EnasMacro(layers=4, channels=4), **_ENAS),
    "enas micro": _shared(nl.searchers.Enas, lambda: nl.spaces.EnasMicro(nodes=2, channels=2, cells=3), **_ENAS),
    "hurdles": _trained(
        nl.searchers.Hurdles, 20, {9: ("sample", 3)}, epochs=3, steps=(1, 1, 1), per_hurdle=4, population=4, sample=2
    ),
    "hyperband": _trained(nl.searchers.Hyperband, 9, epochs=2, most=2, eta=2),
    "bohb": _trained(nl.searchers.BOHB, 9, epochs=2, most=2, eta=2, samples=3),
    "large-scale evolution": _trained(nl.searchers.LargeScaleEvolution, 9, epochs=1, population=4),
    "auto-keras": _trained(nl.searchers.AutoKeras, 7, {4: ("beta", 0.5)}, coldest=0.7, branches=3),
    "epnas": _trained(
        nl.searchers.EPNAS, 9, {6: ("learning_rate", 0.02)}, units=5, children=2, per_layer=4, imagined=3
    ),
    "q-learning": _tabular(nl.searchers.QLearning, 60, {20: ("epsilon", 0.5)}, models=30, replay=4),
    "nas-rl": _tabular(nl.searchers.NasRL, 60, {20: ("learning_rate", 0.01)}, units=5, children=2),
}
small.Small(DIGITS)  # the first optimizer imports the compiler, which takes seconds: here, once, not in every child
DIGITS.fingerprint()


def make(kind, seed):
    return FAMILIES[kind].make(seed)


def drive(path, kind, seed):
    """To the end, from the start or from wherever the run is, with the knobs of its family turned on the way."""
    family = FAMILIES[kind]
    if (path / "run.json").exists():
        search = nl.Search.open(path)
    else:
        ranking = nl.LiveRanking(TABLE, 6, every=4, images=64, resamples=20) if family.ranked else None
        search = nl.Search(make(kind, seed), run=path, snapshot_every=family.snapshot_every, ranking=ranking)
    while search.step < search.total:
        if search.step in family.turned:
            knob, value = family.turned[search.step]
            search.set(knob if isinstance(knob, str) else list(search.knobs)[knob], value)
        next(search)
    return search


def verdict(search):
    """What must come out alike: the state, and every event that is not about the violence, but for the clock."""
    events = [event for event in search.events if event.kind != "recovered"]
    for place, event in enumerate(events):
        if event.kind == "evaluated":
            figures = {name: value for name, value in event.figures.items() if name != "seconds"}
            events[place] = dataclasses.replace(event, figures=figures)
    return {
        "state": snapshot.digest(search.searcher.state_dict()),
        "events": [list(map(str, event.to_record())) for event in events],
    }


def child(work, *arguments):
    """Fork; in the child do the work and exit: 0 when it came to its end, 3 after an exception."""
    pid = os.fork()
    if pid:
        return pid
    code = 3
    try:
        work(*arguments)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def finished(pid):
    """Exit code, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def answer_of(folder, work, *arguments):
    """What `work` returns, computed in a child so that this process stays as it is."""
    file = Path(folder) / "answer.json"
    code = finished(child(lambda: file.write_text(json.dumps(work(*arguments)))))
    if code:
        raise RuntimeError(f"the child ended with {code}")
    return json.loads(file.read_text())


# --- jobs -------------------------------------------------------------------------------------------


def kills(folder, kind, runs, each, seed):
    """In each run kill -9 at `each` random instants, opening it again every time; compare it with a calm run."""
    folder, rng = Path(folder), random.Random(seed)
    folder.mkdir(exist_ok=True)
    killed, mismatches = 0, []
    for run in range(1, runs + 1):
        start = time.monotonic()
        expected = answer_of(folder, lambda: verdict(drive(folder / f"calm-{run}", kind, run)))  # noqa: B023
        duration = time.monotonic() - start
        path = folder / f"killed-{run}"
        left = each
        while left:
            pid = child(drive, path, kind, run)
            time.sleep(rng.uniform(0, 2 * duration / (each + 1)))
            os.kill(pid, signal.SIGKILL)
            code = finished(pid)
            if code == 0:  # it was quicker; again from the start
                shutil.rmtree(path)
            elif code == -signal.SIGKILL:
                left, killed = left - 1, killed + 1
            else:
                raise RuntimeError(f"run {run} could not go on after {killed} kills: exit code {code}")
        found = answer_of(folder, lambda: verdict(drive(path, kind, run)))  # noqa: B023
        if found != expected:
            mismatches.append(run)
    return {"kills": killed, "mismatches": mismatches}


def kills_of_families(folder, kinds, each, seed, runs=1):
    """The same of several families; kind -> the answer of `kills`."""
    return {kind: kills(Path(folder) / kind, kind, runs, each, f"{seed} {kind}") for kind in kinds}


def die_at(point):
    """Let this process die at the point-th operating system call that writes, from now on; half of it done."""
    count = 0

    def armed(name, call):
        def counted(*arguments, **keywords):
            nonlocal count
            count += 1
            if count == point:
                if name == "write":
                    call(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
                os._exit(9)
            return call(*arguments, **keywords)

        return counted

    for name in ("open", "write", "fsync", "replace", "close", "unlink"):
        setattr(os, name, armed(name, getattr(os, name)))

    def statement(_text):
        nonlocal count
        count += 1
        if count == point:
            os._exit(9)

    return statement


def every_point(dies, check):
    """Crash at the first, second, ... point until the work comes to its end."""
    point, verdicts = 0, []
    while True:
        point += 1
        code = finished(child(dies, point))
        if code not in (0, 9):
            raise RuntimeError(f"point {point}: exit code {code}")
        verdicts.append(check())
        if code == 0:
            return verdicts


def write_points(folder):
    """Crash at every point of replacing a snapshot; which one is there afterwards?"""
    path = Path(folder) / "state.snapshot"
    old, new = {"x": torch.zeros(100), "step": 1}, {"x": torch.ones(100), "step": 2}

    def dies(point):
        die_at(point)
        snapshot.write(path, new)

    def check():
        found = snapshot.read(path)["step"]
        snapshot.write(path, old)
        return found

    snapshot.write(path, old)
    return every_point(dies, check)


def step_points(folder):
    """Crash at every point of a step that also takes a snapshot; then to the end."""
    folder = Path(folder)
    expected = answer_of(folder, lambda: verdict(drive(folder / "calm", "short", 1)))
    path, before = folder / "run", folder / "before"

    def dies(point):
        search = nl.Search.open(path)
        statement = die_at(point)
        search._store._journal._connection.set_trace_callback(statement)
        search.set("w_lr", 0.02)
        next(search)

    def prepare():
        search = nl.Search(make("short", 1), run=before, snapshot_every=10)
        for _ in range(9):
            next(search)
        search.close()

    def check():
        steps = answer_of(folder, lambda: nl.Search.open(path).step)
        same = answer_of(folder, lambda: verdict(drive(path, "short", 1))) == expected
        shutil.rmtree(path)
        shutil.copytree(before, path)
        return [steps, same]

    finished(child(prepare))
    shutil.copytree(before, path)
    return every_point(dies, check)


def conversion_points(folder, fixture):
    """Crash at every point of bringing an old run into this format; what stands there, and is it whole?"""
    path = Path(folder) / "run"

    def events():
        told = [event for _, _, event in nl.runs.read(path).events() if event.kind != "recovered"]
        return [list(map(str, event.to_record())) for event in told]

    def formats():
        with closing(sqlite3.connect(f"file:{path / 'events.sqlite'}?immutable=1", uri=True)) as connection:
            return [connection.execute("PRAGMA user_version").fetchone()[0], about.read_about(path)["format"]]

    def dies(point):
        statement, connect = die_at(point), sqlite3.connect

        def watched(*arguments, **keywords):
            connection = connect(*arguments, **keywords)
            connection.set_trace_callback(statement)
            return connection

        sqlite3.connect = watched
        conversion.convert(path)

    def check():
        found = formats()
        same = events() == expected
        Folder(path).close()
        same = same and (events(), formats(), [*path.glob(".*")]) == (expected, [2, 2], [])
        shutil.rmtree(path)
        shutil.copytree(fixture, path)
        return [*found, same]

    shutil.copytree(fixture, path)
    expected = events()
    return every_point(dies, check)


def file_size_limit(folder):
    """The system refuses to let files grow at several points; the run pauses, and goes on when it may."""
    folder = Path(folder)
    expected = answer_of(folder, lambda: verdict(drive(folder / "calm", "small", 1)))

    def limited():
        search, paused = nl.Search(make("small", 1), run=folder / "run", snapshot_every=7), []
        while search.step < search.total:
            if search.step in (9, 15) and not search._pending:
                search.set(*{9: ("w_lr", 0.02), 15: ("alpha_lr", 0.05)}[search.step])
            tight = search.step in (3, 20, 41, 76) and search.step not in paused
            wal = (folder / "run" / "events.sqlite-wal").stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (wal if tight else resource.RLIM_INFINITY, -1))
            try:
                next(search)
            except RunPaused:
                paused.append(search.step)
        return {"paused": paused, "same": verdict(search) == expected}

    return answer_of(folder, limited)


def two_processes(folder):
    """A second process at a run that is driven; then the first is killed."""
    path = Path(folder) / "run"

    def hold():
        search = nl.Search(make("small", 1), run=path, snapshot_every=7)
        next(search)
        (Path(folder) / "ready").touch()
        time.sleep(60)

    pid = child(hold)
    while not (Path(folder) / "ready").exists():
        if os.waitpid(pid, os.WNOHANG)[0]:
            raise RuntimeError("the first process ended by itself")
        time.sleep(0.01)
    refused, closed, seen = "", nl.runs.read(path).closed, len(nl.runs.read(path).events())
    try:
        nl.Search.open(path)
    except RunError as error:
        refused = str(error)
    os.kill(pid, signal.SIGKILL)
    finished(pid)
    dead = nl.runs.read(path).closed
    return {
        "pid": pid,
        "refused": refused,
        "closed": closed,
        "seen": seen,
        "dead": dead,
        "step": nl.Search.open(path).step,
    }


def forked_use(folder):
    """A forked child tries to drive, and to take over, the search of its parent."""
    path = Path(folder) / "run"
    search = nl.Search(make("small", 1), run=path)
    next(search)

    def tries():
        said = []
        for attempt in (lambda: next(search), lambda: nl.Search.open(path)):
            try:
                attempt()
            except RunError as error:
                said.append(str(error))
        return said

    said = answer_of(folder, tries)
    return {"said": said, "step": next(search).step}


# --- an end that was asked for ------------------------------------------------------------------------

PROPOSER = dict(population=5, sample=2, seed=4)


def slow(wait):
    """A fitness that takes its time, which `wait` spends, from the sixth candidate on."""
    asked = 0

    def fitness(architecture):
        nonlocal asked
        asked += 1
        if asked > 5:
            wait()
        return float(TABLE.index(architecture))

    return fitness


def proposed(path, fitness):
    sampler = nl.searchers.RegularizedEvolution(TABLE.space, **PROPOSER)
    return nl.Search(sampler, run=path, estimator=fitness, budget=12, snapshot_every=4)


def lecture():
    """Compiled code that hears nothing until it comes back, in some minutes."""
    torch.linalg.matrix_power(torch.eye(2500), 2**60 + 1)


def stubborn():
    """Python code that takes no end for an answer."""
    while True:
        try:
            time.sleep(60)
        except BaseException:
            traceback.print_exc()


class Heavy(small.Small):
    """A searcher whose sixth step is at compiled code for minutes, where somebody waits for it."""

    name = "heavy"

    def advance(self):
        if self.step == 5 and "READY" in os.environ:
            ready()
            lecture()
        return super().advance()


def ready():
    """Say that the step has begun that takes long."""
    (Path(os.environ["READY"])).touch()


def waits(how):
    def wait():
        ready()
        how()

    return wait


def racers(path, fitness):
    searchers = {
        name: lambda seed, kind=kind: kind(TABLE.space, seed=seed)
        for name, kind in (("random", nl.searchers.RandomSearch), ("local", nl.searchers.LocalSearch))
    }
    return nl.Race(searchers, fitness, seeds=range(2), budget=4, run=path)


ENDS = {
    "quick": lambda path: proposed(path, slow(waits(lambda: time.sleep(0.4)))),
    "asleep": lambda path: proposed(path, slow(waits(lambda: time.sleep(60)))),
    "compiled": lambda path: proposed(path, slow(waits(lecture))),
    "stubborn": lambda path: proposed(path, slow(waits(stubborn))),
    "in memory": lambda path: proposed(None, slow(waits(lambda: time.sleep(60)))),
    "supernet": lambda path: nl.Search(Heavy(DIGITS, total=14), run=path, snapshot_every=4),
    "race": lambda path: racers(path, slow(waits(lambda: time.sleep(60)))),
    "quick race": lambda path: racers(path, slow(waits(lambda: time.sleep(0.4)))),
}


def ends(folder, kinds):
    """SIGTERM at processes in the middle of a step, all at once; kind -> how each ended, and what was left."""
    folder, pids = Path(folder), {}
    for kind in kinds:
        pid = os.fork()
        if not pid:  # from here on as any script: nothing catches what ends it
            os.environ["READY"] = str(folder / f"{kind} ready")
            try:
                for _ in ENDS[kind](folder / kind):
                    pass
            finally:
                (folder / f"{kind} orderly").touch()
            os._exit(7)
        pids[kind] = pid
    told, left, sent = {}, dict(pids), {}
    deadline = time.monotonic() + 120
    while left and time.monotonic() < deadline:
        for kind, pid in list(left.items()):
            if kind not in sent and (folder / f"{kind} ready").exists():
                time.sleep(0.05)
                os.kill(pid, signal.SIGTERM)
                sent[kind] = time.monotonic()
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                del left[kind]
                seconds = time.monotonic() - sent.get(kind, deadline)
                told[kind] = {"code": os.waitstatus_to_exitcode(status), "seconds": seconds}
        time.sleep(0.01)
    for kind, pid in left.items():
        os.kill(pid, signal.SIGKILL)
        finished(pid)
        told[kind] = {"code": None, "seconds": None}
    for kind in kinds:
        told[kind]["orderly"] = (folder / f"{kind} orderly").exists()
        if kind != "in memory":
            told[kind] |= answer_of(folder, gone_on, kind, folder / kind, folder / f"{kind} calm")
    return told


def gone_on(kind, path, calm):
    """How far a run that was ended is, and whether it comes to the same as one that was not."""
    seen = nl.runs.read(path)
    stood, closed = len(seen.events()), seen.closed
    if "race" in kind:
        fitness = slow(lambda: None)
        found, expected = nl.Race.open(path, estimator=fitness).run(), racers(calm, slow(lambda: None)).run()
        return {"stood": stood, "closed": closed, "same": bool((found.fitness == expected.fitness).all())}
    if kind == "supernet":
        found, expected = nl.Search.open(path), nl.Search(small.Small(DIGITS, total=14), run=calm, snapshot_every=4)
    else:
        found = nl.Search.open(path, estimator=slow(lambda: None))
        expected = proposed(calm, slow(lambda: None))
    again = [event.message for event in found.events if event.kind == "recovered"]
    for search in (found, expected):
        list(search)
    return {"stood": stood, "closed": closed, "again": again, "same": verdict(found) == verdict(expected)}


def ends_with_workers(folder):
    """The same where candidates are evaluated in processes of their own, which sleep."""
    path, ready = Path(folder) / "run", Path(folder) / "ready"
    (Path(folder) / "sleeper.py").write_text("import time\ndef asleep(_):\n    time.sleep(60)\n    return 0.0\n")
    sys.path.insert(0, str(folder))  # for workers import what they call
    asleep = importlib.import_module("sleeper").asleep
    pid = os.fork()
    if not pid:
        sampler = nl.searchers.RandomSearch(TABLE.space, seed=0)
        search = nl.Search(sampler, run=path, estimator=asleep, budget=10, workers=2)
        waiting = threading.Thread(target=tell_workers, args=(search, ready), daemon=True)
        waiting.start()
        for _ in search:
            pass
        os._exit(7)
    while not ready.exists():
        if os.waitpid(pid, os.WNOHANG)[0]:
            raise RuntimeError("the search ended by itself")
        time.sleep(0.01)
    workers = json.loads(ready.read_text())
    start = time.monotonic()
    os.kill(pid, signal.SIGTERM)
    code = finished(pid)
    seconds = time.monotonic() - start
    while (alive := [worker for worker in workers if running(worker)]) and time.monotonic() < start + 30:
        time.sleep(0.05)
    return {"code": code, "seconds": seconds, "workers": len(workers), "alive": alive}


def tell_workers(search, file):
    """Write down the ids of the workers once there are two."""
    evaluations = search.searcher.evaluations
    while (pool := evaluations.pool) is None or len(pool.processes) < 2 or not evaluations.under_way:
        time.sleep(0.01)
    time.sleep(0.3)
    file.with_suffix(".new").write_text(json.dumps(pool.processes))
    os.replace(file.with_suffix(".new"), file)


def running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def serve():
    """Do the jobs that come as lines [name, arguments, file for the answer, seconds]; answer with exit codes.

    Each is done in a fork: torch, the data and the table are loaded once for all tests of a session.
    """
    for line in sys.stdin:
        job, arguments, file, seconds = json.loads(line)

        def work(job=job, arguments=arguments, file=file):
            os.setpgid(0, 0)
            Path(file).write_text(json.dumps(globals()[job](**arguments)))

        pid = child(work)
        deadline = time.monotonic() + seconds
        while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if time.monotonic() > deadline:
                os.killpg(pid, signal.SIGKILL)
            time.sleep(0.01)
        print(finished(pid), flush=True)


if __name__ == "__main__":
    if sys.argv[1:]:
        name, given, target = sys.argv[1:]
        Path(target).write_text(json.dumps(globals()[name](**json.loads(given))))
    else:
        serve()
