"""Does violence to runs: a process with torch loaded that forks children, and kills them.

    python harness.py                                            and on standard input a line a job, in JSON (`serve`)
    python harness.py <job> '<JSON arguments>' <file for the answer>     one job, whose children end as scripts do

Forking takes milliseconds where a new interpreter with torch takes seconds; it must be a process of its own
because pytest's has threads. Children never return from `child`.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

import torch
from harness_ends import ends, ends_with_workers
from harness_searches import answer_of, child, drive, finished, make, verdict

import naslab as nl
from naslab import snapshot
from naslab.errors import RunError, RunPaused
from naslab.runs import about, conversion
from naslab.runs.folder import Folder


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


JOBS = {
    job.__name__: job
    for job in (
        kills,
        kills_of_families,
        write_points,
        step_points,
        conversion_points,
        file_size_limit,
        two_processes,
        forked_use,
        ends,
        ends_with_workers,
    )
}
"""What tests ask for, by name."""


def serve():
    """Do the jobs that come as lines [name, arguments, file for the answer, seconds]; answer with exit codes.

    Each is done in a fork: torch, the data and the table are loaded once for all tests of a session.
    """
    for line in sys.stdin:
        job, arguments, file, seconds = json.loads(line)

        def work(job=job, arguments=arguments, file=file):
            os.setpgid(0, 0)
            Path(file).write_text(json.dumps(JOBS[job](**arguments)))

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
        Path(target).write_text(json.dumps(JOBS[name](**json.loads(given))))
    else:
        serve()
