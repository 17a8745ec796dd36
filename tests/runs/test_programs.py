"""A search with all that was done to it, done again by a program in a fresh process."""

import json
import subprocess
import sys

import numpy as np
import pytest
from steered_searches import CELL, darts, evolution, records, tensors

import naslab as nl
from naslab.errors import RunError, SpecError
from naslab.runs import conditions

ENAS = dict(epochs=3, batch_size=128, train_portion=0.5, controller_steps=2, children=2, derived=2, units=5)


def elsewhere(search, tmp_path):
    """The events of the program that does a search again, in a process of its own."""
    program = tmp_path / "again.py"
    told = "import json\nprint(json.dumps([[e.kind, *map(repr, e.to_record())] for e in search.events]))\n"
    program.write_text(search.script() + told)
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


# --- again, in a fresh process -------------------------------------------------------------------


@pytest.mark.slow
def test_the_program_of_a_darts_search_reproduces_it(digits, tmp_path):
    search = darts(digits)
    next(search)
    search.forbid("normal", 2, "skip_connect")
    search.nudge("reduce", 1, "sep_conv_3x3", 0.25)
    search.freeze("weights", who="cure")
    next(search)
    search.thaw("weights")
    search.set("batch_size", 240)
    search.set("w_lr", 0.1)
    search.until(conditions.epoch_ends())
    search.measure("alpha_hessian_eigenvalue")
    search.undo(1)
    search.undo(next(one for one in search.ledger if one.name == "w_lr"))
    search.act("reset", part="normal")
    next(search)
    search.undo()
    next(search)
    assert {one.who for one in search.ledger} == {"hand", "cure"}
    expected = [record for record in records(search) if record[0] != "measured"]
    assert elsewhere(search, tmp_path) == expected


@pytest.mark.slow
def test_the_program_of_an_evolution_reproduces_it(table, tmp_path):
    search = evolution(table)
    for _ in range(6):
        next(search)
    members = [member.number for member in search.searcher.sampler.population]
    search.act("protect", candidate=members[0])
    search.act("kill", candidate=members[1])
    search.act("add", architecture=["skip_connect"] * 6)
    search.set("budget", 40)
    search.forbid("cell/1/from_0", "none")
    next(search)
    search.undo(next(one for one in search.ledger if one.name == "protect"))
    search.undo(next(one for one in search.ledger if one.name == "mask"))
    for _ in search:
        pass
    assert search.step == 40
    assert elsewhere(search, tmp_path) == records(search)


@pytest.mark.slow
def test_the_program_of_an_enas_search_reproduces_it(digits, tmp_path):
    search = nl.Search(nl.searchers.Enas(nl.spaces.EnasMacro(layers=2, channels=2), digits, seed=0, **ENAS))
    next(search)
    search.freeze("weights")
    next(search)
    search.set("batch_size", 64)
    search.thaw("weights")
    search.set("entropy_weight", 0.1)
    search.until(conditions.epoch_ends())
    search.undo(4)
    search.freeze("controller")
    for _ in search:
        pass
    assert search.total == 39  # five mini-batches, then twice eleven, and four of the controller each time
    assert elsewhere(search, tmp_path) == records(search)


@pytest.mark.slow
def test_the_program_of_several_workers_tells_the_same_answers_in_the_logged_order(table, tmp_path):
    search = evolution(table, budget=16, workers=2)
    for _ in range(6):
        next(search)
    search.set("workers", 3)
    search.act("add", architecture=["skip_connect"] * 6)
    for _ in search:
        pass
    search.close()
    program = search.script()
    assert "2 at a time" not in program
    assert "3 at a time" in program
    assert "ANSWERS" in program
    assert elsewhere(search, tmp_path) == records(search)


# --- whatever is done ------------------------------------------------------------------------------


def at_random(search, rng, steps, table=None):
    """Steps with whatever may come to a hand's mind."""
    for _ in range(steps):
        for _ in range(int(rng.integers(3))):
            try:
                _something(search, rng)
            except (SpecError, RunError):
                continue
        try:
            if next(search, None) is None:
                return
        except SpecError:  # two wishes that do not go together
            continue


def _something(search, rng):
    def one(options):
        return options[int(rng.integers(len(options)))]

    if rng.random() < 0.25:
        return search.undo(one(search.ledger) if search.ledger else None)
    if search.acts and rng.random() < 0.4:
        name = one(sorted(search.acts))
        act, given = search.acts[name], {}
        for argument in act.arguments:
            given[argument] = {
                "part": lambda: one(["normal", "reduce"]),
                "row": lambda: int(rng.integers(5)),
                "operation": lambda: one(list(CELL["operations"])),
                "by": lambda: float(rng.normal()),
                "to": lambda: float(rng.normal()),
                "candidate": lambda: int(rng.integers(1, search.step + 2)),
                "architecture": lambda: list(search.space.sample(rng).choices),
            }[argument]()
        return search.act(name, **given)
    name = one(sorted(search.settings))
    setting = search.settings[name]
    match setting:
        case nl.searchers.Slider():
            value = min(setting.high, max(setting.low, float(setting.value * rng.uniform(0.5, 2))))
        case nl.searchers.Count():
            if name == "workers":
                return None
            value = int(setting.value * rng.uniform(0.7, 1.5))
        case nl.searchers.Switch():
            value = bool(rng.integers(2))
        case nl.searchers.Select():
            value = one(list(setting.options))
        case nl.searchers.Several():
            value = [option for option in setting.options if rng.random() < 0.2]
        case nl.searchers.Mask():
            value = {
                row: [option for option in options if rng.random() < 0.15] for row, options in setting.options.items()
            }
    return search.set(name, value)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))])
@pytest.mark.parametrize("kind", ["darts", "evolution", "q-learning", pytest.param("enas", marks=pytest.mark.slow)])
def test_whatever_is_done_is_done_again_by_program_rewind_and_reopening(kind, seed, digits, table, tmp_path):
    rng = np.random.default_rng(seed)
    searchers = {
        "darts": lambda: (nl.searchers.Darts(nl.spaces.DartsCell(**CELL), digits, batch_size=240, epochs=6), {}),
        "evolution": lambda: (
            nl.searchers.RegularizedEvolution(table.space, population=4, sample=2),
            {"estimator": table, "budget": 40},
        ),
        "q-learning": lambda: (nl.searchers.QLearning(table.space), {"estimator": table, "budget": 40}),
        "enas": lambda: (nl.searchers.Enas(nl.spaces.EnasMacro(layers=2, channels=2), digits, **ENAS), {}),
    }
    searcher, given = searchers[kind]()
    search = nl.Search(searcher, tmp_path / "run", snapshot_every=1000, **given)
    at_random(search, rng, 15 if kind in ("darts", "enas") else 60)
    assert len(search.ledger) > 5
    assert search.step > 8
    expected, state = records(search), tensors(search)
    script = search.script()
    names = {}
    exec(script, names)
    assert records(names["search"]) == [record for record in expected if record[0] != "recovered"]
    assert tensors(names["search"]) == state
    end = search.step
    back = search.fork(step=end // 2)
    with back:
        assert tensors(search.fork()) == state
    search.rewind(end - 1)
    search.close()
    again = nl.Search.open(tmp_path / "run", digits if kind in ("darts", "enas") else None)
    assert [r for r in records(again) if r[0] != "recovered"] == [
        record for record in expected if json.loads(eval(record[1]))["step"] < end
    ]
    again.close()
    again = nl.Search.open(tmp_path / "run", digits if kind in ("darts", "enas") else None)
    assert again.step == end - 1
    again.close()
