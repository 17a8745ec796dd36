"""A click opens the architecture of the point, in every figure that shows architectures."""

from types import SimpleNamespace

import numpy as np
import pytest

import naslab as nl
from naslab.analysis.cell_shape import CellShape
from naslab_widgets import figures
from naslab_widgets.figure_explorer import FigureExplorer

TABLE = nl.benchmarks.NASBench201()


def click(study, trace, *place):
    """What opens: the number, or None."""
    study.number = None
    study._clicked(trace, SimpleNamespace(point_inds=[list(place) if len(place) > 1 else place[0]]), None)
    return study.number


def searched():
    """Some candidates fail, the first too, and the best is not the last."""
    worth = [None, 3.0, 5.0, None, 4.0, 6.0, 1.0, 2.0]
    left = iter(worth)

    def scored(architecture):
        if (fitness := next(left)) is None:
            raise MemoryError("the network does not fit")
        return fitness

    search = nl.Search(nl.searchers.RandomSearch(TABLE.space, seed=1), estimator=scored, budget=len(worth))
    list(search)
    return nl.analysis.oracle(search.events, TABLE), worth


@pytest.mark.filterwarnings("ignore:.* failed")  # which is said
def test_oracle_mode_opens_the_candidate_and_on_the_line_the_best_so_far():
    found, worth = searched()
    study = FigureExplorer(figures.oracle(found, space=TABLE.space), found.architectures, TABLE.space)
    assert len(study.figure.data) == 6
    for trace in study.figure.data:
        for place, query in enumerate(trace.x):
            expected = number = int(query) - 1
            if trace.mode == "lines":
                seen = [(fitness, -i) for i, fitness in enumerate(worth[: number + 1]) if fitness is not None]
                expected = -max(seen)[1] if seen else None
            assert click(study, trace, place) == expected, (trace.name, query)
            if expected is None:
                assert "no architecture" in study.picture.value
            else:
                assert TABLE.space.format(found.architectures[expected]).split("+")[0] in study.picture.value
                assert f"number {expected}<br>" in study.picture.value
        # a hover shows the texts, not the number
        assert "customdata[0]" not in trace.hovertemplate
        assert TABLE.space.format(found.architectures[expected]).split("+")[0] in trace.customdata[-1][1]


def test_a_front_opens_its_points():
    columns = {"test_accuracy": np.array(TABLE.column()), "flops": TABLE.column("flops")}
    found = nl.analysis.pareto(columns, limits={"test_accuracy": (50, None)})
    study = FigureExplorer(figures.pareto(found), TABLE)
    assert len(study.figure.data) == 3
    for trace in study.figure.data:
        for place in (0, len(trace.x) - 1):
            number = click(study, trace, place)
            assert (columns["flops"][number], columns["test_accuracy"][number]) == (trace.x[place], trace.y[place])


def test_a_map_opens_its_steps_and_its_cells():
    land = nl.analysis.landscape(TABLE)
    study = FigureExplorer(figures.landscape(land, {"a": [TABLE.at(number) for number in (5, 9, 2)]}), TABLE)
    ground, *ways, top = study.figure.data
    assert len(ways) == 2
    for way in ways:
        assert [click(study, way, place) for place in range(3)] == [5, 9, 2]
    assert click(study, top, 0) == TABLE.column().argmax()
    cells = [[z is not None for z in row] for row in ground.z]
    full, empty = (next((i, row.index(is_full)) for i, row in enumerate(cells) if is_full in row) for is_full in (1, 0))
    number = click(study, ground, *full)
    assert abs(land.points[number][0] - ground.x[full[1]]) <= ground.x[1] - ground.x[0]
    assert abs(land.points[number][1] - ground.y[full[0]]) <= ground.y[1] - ground.y[0]
    assert click(study, ground, *empty) is None, "nothing is there, and not the last of the table"


def test_parallel_coordinates_open_their_lines_also_where_some_are_left_out():
    architectures = [TABLE.at(number) for number in range(5)]
    figure = figures.parallel(architectures, TABLE.space, {"a": [1, np.nan, 3, np.nan, 5]})
    study = FigureExplorer(figure, architectures, TABLE.space)
    assert [click(study, study.figure.data[0], place) for place in range(3)] == [0, 2, 4]


def test_a_ranking_opens_its_points_and_nothing_on_its_bars():
    architectures = [TABLE.at(number) for number in range(5)]
    figure = figures.ranking({"a": [5, 1, 4, 2, 3]}, [5, 2, 3, 1, 4], published={"a": 0.5}, resamples=5)
    study = FigureExplorer(figure, architectures, TABLE.space)
    points, *others = study.figure.data
    assert [click(study, points, place) for place in range(5)] == [0, 1, 2, 3, 4]
    assert len(others) == 3
    for trace in others:
        assert click(study, trace, 0) is None
        assert "no architecture" in study.picture.value


def test_points_that_stand_for_many_open_none():
    race = nl.runs.Race({"a": nl.searchers.RandomSearch}, TABLE, seeds=range(3), budget=20).run()
    shapes = figures.cell_shapes({"all": [CellShape(width=2.0, depth=3, nodes=2, reach=3)] * 2})
    for figure in (figures.race(race.bands("regret")), figures.race(race.bands()), shapes):
        study = FigureExplorer(figure, TABLE)
        for trace in study.figure.data:
            assert click(study, trace, 0) is None


def test_a_figure_without_numbers_opens_by_the_place_in_the_trace():
    from plotly.graph_objects import Figure

    study = FigureExplorer(Figure().add_scatter(x=[1, 2, 3], y=[1, 2, 3]), [TABLE.at(7), TABLE.at(8)], TABLE.space)
    assert click(study, study.figure.data[0], 1) == 1
    assert click(study, study.figure.data[0], 2) is None
    assert "cannot be drawn" in study.picture.value
    assert study.open(-1) is None, "and not the last"
