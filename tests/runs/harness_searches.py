"""Searches that the harness drives, in processes that it forks, and what is compared of them."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import json
import os
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

import naslab as nl
from naslab import snapshot

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
