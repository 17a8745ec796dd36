"""Searches of the harness that are told to end: by SIGTERM, alone, in threads, or with workers."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path

import torch
from harness_searches import DIGITS, TABLE, answer_of, finished, small, verdict

import naslab as nl

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
