"""Events and evaluations as flat dictionaries."""

import json

import numpy as np
import pytest

import naslab as nl
from naslab import runs

SCALARS = (str, int, float, bool, type(None))


def plain(rows):
    """Whether all values are scalars of Python's own."""
    return all(type(value) in SCALARS for row in rows for value in row.values())


def test_a_row_an_event(table, tmp_path):
    with nl.Search(nl.searchers.RandomSearch(table.space, seed=0), estimator=table, budget=3, run=tmp_path / "r") as s:
        events = list(s)
        rows = s.table()
    assert plain(rows)
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert [row["kind"] for row in rows] == ["evaluated"] * 3
    assert [row["fitness"] for row in rows] == [event.fitness for event in events]
    assert [row["architecture"] for row in rows] == [table.space.format(event.architecture) for event in events]
    assert json.loads(json.dumps(rows)) == rows
    assert runs.read(tmp_path / "r").table() == rows


def test_arrays_stand_under_the_names_of_their_axes(digits):
    space = nl.spaces.DartsCell(nodes=1, channels=4, cells=3)
    search = nl.Search(nl.searchers.Darts(space, digits, batch_size=4, train_portion=0.01, epochs=1))
    event = next(search)
    search.set("w_lr", 0.01)
    next(search)
    rows = search.table()
    assert plain(rows)
    assert [row["kind"] for row in rows] == ["supernet_step", "changed", "supernet_step"]
    assert rows[0]["alpha/normal/1/skip_connect"] == float(
        event.probabilities["normal"][1, space.operations.index("skip_connect")]
    )
    assert sum(name.startswith("alpha/") for name in rows[0]) == 2 * 2 * len(space.operations)
    assert rows[0]["settings/w_lr"] == event.settings["w_lr"]
    assert rows[0]["metrics/valid/loss"] == event.valid_loss
    assert json.loads(rows[0]["best"]) == list(event.best.choices)
    assert not any(name.startswith("alpha/") for name in rows[1])


def test_a_policy_is_told_by_its_options(table):
    search = nl.Search(nl.searchers.PPO(table.space, seed=0), estimator=table, budget=3)
    event = list(search)[-1]
    row = search.table()[-1]
    (name, chances), *_ = event.probabilities.items()
    choice = next(choice for choice in table.space.fixed_choices if choice.name == name)
    told = [row[f"probabilities/{name}/{option}"] for option in choice.options]
    assert told == pytest.approx(np.asarray(chances, dtype=float), rel=0)
    assert plain([row])


def test_what_failed_has_no_fitness(table):
    def fails(architecture):
        raise ValueError("no")

    search = nl.Search(nl.searchers.RandomSearch(table.space, seed=0), estimator=fails, budget=1)
    list(search)
    (row,) = search.table()
    assert (row["fitness"], row["best"], row["status"]) == (None, None, "failed")


def test_a_race_row_an_evaluation(table):
    race = nl.Race({"random": nl.searchers.RandomSearch}, table, seeds=[0, 3], budget=3)
    assert race.rows() == []
    laps = list(race)
    rows = race.rows()
    assert plain(rows)
    assert [(row["seed"], row["query"]) for row in rows] == [(0, 1), (0, 2), (0, 3), (3, 1), (3, 2), (3, 3)]
    for lap in laps:
        row = next(row for row in rows if (row["seed"], row["query"]) == (lap.seed, lap.query))
        assert row["fitness"] == lap.fitness
        assert row["architecture"] == table.space.format(lap.architecture)
        assert row["regret"] == pytest.approx(race.optimum - row["best"])


def test_a_race_without_a_table():
    space, values = nl.spaces.NASBench201(), iter([1.0, float("nan"), 3.0])
    race = nl.Race(
        {"random": lambda seed: nl.searchers.RandomSearch(space, seed=seed)},
        lambda a: next(values),
        seeds=[0],
        budget=3,
    )
    list(race)
    assert [(row["fitness"], row["best"]) for row in race.rows()] == [(1.0, 1.0), (None, 1.0), (3.0, 3.0)]
    assert "rank" not in race.rows()[0]


def test_pandas_takes_it(table):
    pandas = pytest.importorskip("pandas")
    search = nl.Search(nl.searchers.RandomSearch(table.space, seed=0), estimator=table, budget=2)
    list(search)
    assert list(pandas.DataFrame(search.table())["step"]) == [1, 2]
    assert len(pandas.DataFrame(search.events)) == 2
