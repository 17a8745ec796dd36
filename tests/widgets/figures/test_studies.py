"""The Plotly figures of studies: what is in them, and that nothing foreign becomes markup."""

import json
from functools import cache

import numpy as np
import pytest

import naslab as nl
from naslab.architecture import Architecture
from naslab.errors import SpecError
from naslab_widgets import figures

TABLE = nl.benchmarks.NASBench201()
EVIL = "<img src=x onerror=alert(1)> random"


@cache
def raced():
    searchers = {EVIL: nl.searchers.RandomSearch, "local": nl.searchers.LocalSearch}
    return nl.runs.Race(searchers, TABLE, seeds=range(8), budget=120).run()


def lines(figure):
    return [trace for trace in figure.data if trace.showlegend is not False]


def test_a_race_has_a_line_and_a_band_each():
    bands = raced().bands("regret")
    figure = figures.race(bands, log=True)
    assert len(figure.data) == 4
    assert EVIL not in figure.to_json()
    assert "&lt;img" in lines(figure)[0].name
    local = bands["local"]
    np.testing.assert_array_equal(lines(figure)[1].customdata[:, 1].astype(float), local.median)
    assert (local.median == 0).any(), "local search has found the best of all"
    floor = min(np.min(trace.y) for trace in figure.data)
    assert floor > 0, "0 has a place on a logarithmic axis"
    assert figure.layout.yaxis.ticktext[0] == "0"
    assert figure.layout.yaxis.tickvals[0] == pytest.approx(floor)
    mean = figures.race(bands, shade="interval")
    np.testing.assert_array_equal(lines(mean)[1].y, local.mean)
    json.loads(figure.to_json())
    with pytest.raises(SpecError, match="did you mean 'interval'"):
        figures.race(bands, shade="intervals")  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:.* failed")  # which is said
def test_a_race_that_has_not_begun_one_seed_and_one_that_failed():
    def fails(architecture):
        raise ValueError

    made = {"random": lambda seed: nl.searchers.RandomSearch(TABLE.space, seed=seed)}
    race = nl.runs.Race(made, fails, seeds=[0], budget=3)
    assert "nothing has been evaluated" in figures.race(race.bands()).layout.annotations[0].text
    for log in (False, True):
        figures.race(race.run().bands(), log=log).to_json()
    one = nl.runs.Race(made, TABLE, seeds=[0], budget=1).run()
    for log in (False, True):
        assert len(figures.race(one.bands("regret"), log=log).data) == 2


def test_oracle_mode_shows_every_candidate_and_the_failed_ones_apart():
    calls = []

    def scored(architecture):
        calls.append(architecture)
        return float("nan") if len(calls) % 4 == 0 else TABLE.query(architecture).test_accuracy

    search = nl.Search(nl.searchers.RandomSearch(TABLE.space, seed=0), estimator=scored, budget=20)
    list(search)
    found = nl.analysis.oracle(search.events, TABLE)
    figure = figures.oracle(found, space=TABLE.space)
    named = {trace.name: trace for trace in figure.data if trace.yaxis == "y"}
    assert len(named["failed"].x) == 5
    assert named["candidate"].y.tolist() == found.rank[np.isfinite(found.fitness)].tolist()
    assert TABLE.space.format(found.architectures[0]).split("+")[0] in named["candidate"].customdata[0][1]
    assert figure.layout.yaxis.autorange == "reversed", "the best rank is at the top"


def test_architecture_texts_are_text():
    odd = Architecture("odd", ("<b>", 3))
    assert figures.oracle.__module__ == "naslab_widgets.figures.oracle"
    from naslab_widgets.figures.oracle import architecture_text

    assert architecture_text(odd) == "&lt;b&gt;, 3"


def test_a_front_and_what_is_off_it():
    latency = next(metric for metric in TABLE.metrics if metric.startswith("latency/"))
    columns = {"test_accuracy": np.array(TABLE.column()), latency: TABLE.column(latency)}
    columns["test_accuracy"][7] = np.nan
    found = nl.analysis.pareto(columns, limits={"test_accuracy": (50, None)})
    figure = figures.pareto(found)
    front = next(trace for trace in figure.data if trace.name.startswith("Pareto front"))
    assert sorted(front.customdata[:, 0]) == sorted(found.front)
    assert list(front.x) == sorted(front.x)
    assert max(len(trace.x) for trace in figure.data) <= 4000
    assert "1 of 15625 points are unknown" in figure.layout.annotations[0].text
    json.loads(figure.to_json())
    nothing = nl.analysis.pareto({"f1": [np.nan], "auc": [1.0]})
    assert "no point is left" in figures.pareto(nothing).layout.annotations[0].text
    texted = figures.pareto(
        nl.analysis.pareto({"a<i>": [1.0], "b": [1.0]}, objectives={"a<i>": "max", "b": "max"}), texts=[EVIL]
    )
    assert EVIL not in texted.to_json()
    assert "a<i>" not in texted.layout.yaxis.title.text
    with pytest.raises(SpecError, match="needs two objectives"):
        figures.pareto(nl.analysis.pareto({"f1": [1.0]}))
    with pytest.raises(SpecError, match="unknown figure 'c'"):
        figures.pareto(nothing, x="c")


def test_parallel_coordinates_of_choices_and_figures():
    architectures = [TABLE.at(number) for number in range(5)]
    accuracy = TABLE.query_many(architectures)
    accuracy[3] = np.nan
    figure = figures.parallel(architectures, TABLE.space, {"accuracy": accuracy, "<i>": [1, 2, 3, 4, 5]})
    dimensions = figure.data[0].dimensions
    assert [d.label for d in dimensions[:6]] == list(TABLE.space.answers(architectures[0]))
    assert dimensions[7].label == "&lt;i&gt;"
    first = dimensions[0]
    shown = [first.ticktext[first.tickvals.index(value)] for value in first.values]
    assert shown == [TABLE.at(number).choices[0] for number in (0, 1, 2, 4)], "one has no accuracy"
    empty = figures.parallel(architectures, TABLE.space, {"a": [np.nan] * 5})
    assert "no candidate" in empty.layout.annotations[0].text
    with pytest.raises(SpecError, match="has \\(2,\\) numbers for 5"):
        figures.parallel(architectures, TABLE.space, {"a": [1, 2]})
    with pytest.raises(SpecError, match="at least one figure"):
        figures.parallel(architectures, TABLE.space, {})


def test_parallel_coordinates_where_choices_depend_on_each_other():
    space = nl.spaces.DartsCell(nodes=2)
    rng = np.random.default_rng(0)
    architectures = [space.sample(rng) for _ in range(6)]
    figure = figures.parallel(architectures, space, {"a": np.arange(6)})
    names = {name for architecture in architectures for name in space.answers(architecture)}
    assert {d.label for d in figure.data[0].dimensions} == names | {"a"}


def test_the_map_has_every_cell_the_best_and_the_ways():
    land = nl.analysis.landscape(TABLE)
    way = [TABLE.at(number) for number in (5, 9, 2)]
    figure = figures.landscape(land, {EVIL: way, "empty": []})
    ground, *_, top = figure.data
    assert sum(count for row in ground.customdata for _, count, _ in row) == len(TABLE)
    assert top.customdata[0][0] == TABLE.column().argmax()
    walk = next(trace for trace in lines(figure) if "random" in (trace.name or ""))
    np.testing.assert_array_equal(np.stack([walk.x, walk.y], axis=1), land.points[[5, 9, 2]])
    assert walk.customdata[:, 0].tolist() == [5, 9, 2]
    assert EVIL not in figure.to_json()
    mean = np.array(ground.z, dtype=object)
    known = [value for value in mean.ravel() if value is not None]
    assert 0 <= min(known) < 5
    assert 95 < max(known) <= 100
    column = np.array([[cell[0] for cell in row] for row in ground.customdata])
    utility = TABLE.utility()
    assert utility[column[column >= 0]].max() == utility.max(), "a cell opens the best in it"


def test_colours_do_not_change_with_the_company():
    from naslab_widgets.figures.themes import line_colours

    assert line_colours(["random", "a", "b"])["a"] == line_colours(["a"])["a"]
    assert line_colours(["my Random walk"]) == {"my Random walk": "#8c8c8c"}
