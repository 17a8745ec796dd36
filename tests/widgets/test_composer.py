import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

import naslab as nl
from naslab.errors import SpecError
from naslab.searchers import RegularizedEvolution
from naslab_widgets import Compose, FigureExplorer, figures

TABLE = nl.benchmarks.NASBench201()
BEST = TABLE.best().architecture


@pytest.fixture
def you():
    composer = Compose(TABLE, queries=6, seeds=9)
    composer.wait(30)
    return composer


def test_a_cell_gets_its_true_place(you):
    for edge, operation in enumerate(BEST.choices):
        you.choose(edge, operation)
    assert you.architecture == BEST
    attempt = you.submit()
    assert (attempt.rank, attempt.regret, attempt.percentile) == (1, 0, 100)
    assert attempt.worth == pytest.approx(94.373, abs=1e-3)
    worse = you.submit(TABLE.at(0))
    assert (worse.rank, worse.regret) == (TABLE.rank(0), pytest.approx(TABLE.regret(0)))
    assert you.best == attempt
    assert [score["rank"] for score in you.scores] == [1, TABLE.rank(0)]
    assert "rank 1 of 15,625" in you.message
    assert "attempts" in repr(you)


def test_against_evolution_at_as_many_queries(you):
    def best_of(n, seed):
        evolution = RegularizedEvolution(TABLE.space, population=10, sample=3, seed=seed)
        search = nl.Search(evolution, estimator=TABLE, budget=n)
        list(search)
        return TABLE.regret(search.best)

    theirs = np.array([best_of(2, seed) for seed in range(9)])
    assert you.beaten is None
    for index in (11, 17):
        you.submit(TABLE.at(index))
    expected = (theirs > you.best.regret).mean()
    assert you.beaten == pytest.approx(expected)
    assert you.machine["median"][1] == pytest.approx(np.median(theirs))
    assert f"{100 * expected:.0f} % of 9 runs" in you.message
    for index in range(20, 26):
        you.submit(TABLE.at(index))
    assert you.beaten is None
    assert "you have used more" in you.message


def test_where_widgets_do_not_render_there_is_a_picture(you):
    def said():
        drawing = you._repr_mimebundle_()[0]["image/svg+xml"]
        assert drawing == you.picture()
        return " ".join(e.text for e in ElementTree.fromstring(drawing).iter() if e.tag.endswith("}text"))

    assert said().count(" none") == 6, "an edge without an operation is named, too"
    assert "This cell has not been submitted." in said()
    for edge, operation in enumerate(BEST.choices):
        you.choose(edge, operation)
    you.submit(TABLE.at(11))
    assert "This cell has not been submitted. Your best after 1 query: rank" in said()
    you.submit()
    assert all(f" {operation} " in said() for operation in BEST.choices)
    assert "Attempt 2: test accuracy 94.37, better than or as good as 100.0 % of all cells" in said()
    assert said().endswith(you.message)
    you.submit()
    assert "this cell was submitted before" not in said()
    data, _ = you._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data


def test_the_same_cell_again_costs_nothing(you):
    first = you.submit()
    assert you.submit() == first
    assert len(you.scores) == 1
    assert "this cell was submitted before: attempt 1" in you.message


def test_clicks_of_a_page_are_checked(you):
    you._receive(you, {"type": "choose", "edge": 2, "operation": 3}, [])
    assert you.architecture.choices[2] == TABLE.space.operations[3]
    you._receive(you, {"type": "submit"}, [])
    you._receive(you, {"type": "choose", "edge": 2, "operation": 0}, [])
    you._receive(you, {"type": "take", "number": 1}, [])
    assert you.architecture == you.attempts[0].architecture
    for odd in (
        {"type": "choose", "edge": 9, "operation": 0},
        {"type": "choose", "edge": 0, "operation": 99},
        {"type": "choose", "edge": "0", "operation": 0},
        {"type": "take", "number": 7},
        {"type": "choose"},
        {},
        "nonsense",
        None,
    ):
        you.message = ""
        you._receive(you, odd, [])
        assert "could not be done" in you.message, odd
    assert len(you.attempts) == 1


def test_bad_input(you):
    with pytest.raises(SpecError, match="did you mean 'skip_connect'"):
        you.choose(0, "skip_conect")
    with pytest.raises(SpecError, match="numbered from 0 to 5"):
        you.choose(6, "none")
    with pytest.raises(SpecError, match="nothing has been submitted"):
        _ = you.best
    with pytest.raises(SpecError, match="needs a benchmark of cells"):
        Compose(nl.benchmarks.NASBenchMacro())
    with pytest.raises(SpecError, match="queries"):
        Compose(TABLE, queries=0)


@pytest.mark.slow
def test_a_study_opens_the_architecture_of_a_point():
    found = nl.analysis.pareto({"test_accuracy": TABLE.column(), "flops": TABLE.column("flops")})
    study = FigureExplorer(figures.pareto(found), TABLE)
    front = next(trace for trace in study.figure.data if trace.name.startswith("Pareto"))

    class Points:
        point_inds = (2,)

    study._clicked(front, Points, None)
    assert study.number == front.customdata[2][0]
    assert "<svg" in study.picture.value
    assert TABLE.space.format(TABLE.at(study.number)).split("+")[0] in study.picture.value
    Points.point_inds = ()
    study._clicked(front, Points, None)
    assert study.open(99_999) is None
    assert "cannot be drawn" in study.picture.value
    land = FigureExplorer(figures.landscape(nl.analysis.landscape(TABLE)), TABLE)
    ground = land.figure.data[0]
    row, column = next((r, c) for r, cells in enumerate(ground.z) for c, z in enumerate(cells) if z is not None)
    Points.point_inds = ([row, column],)
    land._clicked(ground, Points, None)
    assert land.number == ground.customdata[row][column][0]
    with pytest.raises(SpecError, match="which space draws"):
        FigureExplorer(figures.pareto(found), [])
    with pytest.raises(TypeError, match="shows a Plotly figure"):
        FigureExplorer("figure", TABLE)


@pytest.mark.slow
def test_a_program_may_end_while_the_machine_is_at_work():
    """Threads inside torch at that time would make it abort."""
    program = """
import threading
import naslab as nl
from naslab_widgets import composer

class Seen(composer.Race):
    moved = threading.Event()

    def __next__(self):
        self.moved.set()
        return super().__next__()

composer.Race = Seen
one = composer.Compose(nl.benchmarks.NASBench201(), queries=10_000, seeds=10)
assert Seen.moved.wait(30)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
