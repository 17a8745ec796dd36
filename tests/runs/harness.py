"""Does violence to runs: a process with torch loaded that forks children, and kills them.

    python harness.py <job> '<JSON arguments>'     the last line printed is the answer, as JSON

Forking takes milliseconds where a new interpreter with torch takes seconds; it must be a process of its own
because pytest's has threads. Children never return from `child`.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

import torch

import naslab as nl
from naslab import snapshot
from naslab.errors import RunError, RunPaused

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
SHARED = {
    "spos": (nl.searchers.SPOS, nl.spaces.MobileChain(channels=4, stages=2, layers=2, stem_stride=1), _EVOLUTION),
    "fairnas": (nl.searchers.FairNAS, nl.spaces.NASBench201(channels=2, cells=1), _EVOLUTION),
    "en2as": (
        nl.searchers.EN2AS,
        nl.spaces.NASBench201(channels=2, cells=1),
        {**_EVOLUTION, "epochs": 2, "archive": 4, "nearest": 2, "perturbations": 3},
    ),
    "enas macro": (nl.searchers.Enas, nl.spaces.EnasMacro(layers=4, channels=4), _ENAS),
    "enas micro": (nl.searchers.Enas, nl.spaces.EnasMicro(nodes=2, channels=2, cells=3), _ENAS),
}
"""Searchers whose children share weights, in their smallest settings."""
small.Small(DIGITS)  # the first optimizer imports the compiler, which takes seconds: here, once, not in every child
DIGITS.fingerprint()


def make(kind, seed):
    if kind == "small":
        return small.Small(DIGITS, seed=seed, total=90)
    if kind == "short":
        return small.Small(DIGITS, seed=seed, total=14)
    if kind == "hurdles":
        cell = nl.spaces.NASBench201(channels=2, cells=1)
        proposer = nl.searchers.Hurdles(cell, steps=(1, 1, 1), per_hurdle=4, population=4, sample=2, seed=seed)
        training = nl.estimators.Training(cell, DIGITS, data=0.05, epochs=3, batch_size=16, learning_rate=0.1)
        return nl.searchers.Trials(proposer, training, 20)
    if kind == "ranked":
        space = nl.spaces.NASBench201(channels=2, cells=1)
        return nl.searchers.Darts(space, DIGITS, order=1, seed=seed, epochs=1, batch_size=32)
    if kind in SHARED:
        searcher, space, sizes = SHARED[kind]
        return searcher(space, DIGITS, seed=seed, **sizes)
    space = nl.spaces.DartsCell(nodes=2, channels=4, cells=3, operations=OPERATIONS)
    if kind == "gdas":
        return nl.searchers.GDAS(space, DIGITS, seed=seed, epochs=1, batch_size=32)
    return nl.searchers.Darts(space, DIGITS, order=1 + seed % 2, seed=seed, epochs=1, batch_size=32)


def drive(path, kind, seed):
    """To the end, from the start or from wherever the run is, with two knobs turned on the way."""
    if (path / "run.json").exists():
        search = nl.Search.open(path)
    else:
        ranking = nl.LiveRanking(TABLE, 6, every=4, images=64, resamples=20) if kind == "ranked" else None
        search = nl.Search(make(kind, seed), run=path, snapshot_every=7, ranking=ranking)
    while search.step < search.total:
        if search.step == 9:
            search.set(*(("sample", 3) if kind == "hurdles" else ("w_lr", 0.02)))
        if search.step == 15 and kind != "hurdles":
            search.set("alpha_lr" if kind not in SHARED else list(search.knobs)[1], 0.05)
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


def kills_of_shared_weights(folder, each, seed):
    """The same of every searcher whose children share weights; name -> what came of it."""
    return {kind: kills(Path(folder) / kind, kind, 1, each, f"{seed} {kind}") for kind in SHARED}


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


if __name__ == "__main__":
    job, arguments = sys.argv[1:]
    print(json.dumps(globals()[job](**json.loads(arguments))))
