"""A metric touches the one file that measures it: charts, cards and tables of it follow, whatever its name may be."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import naslab as nl
import naslab_widgets
from naslab.events import Acted, Changed, Measured, Phase
from naslab.quantities import Objective, Quantity
from naslab.runs.shown import Shown
from naslab.tasks.metrics import Mean
from naslab_widgets import Compare, Lab, RaceView, figures
from naslab_widgets.live import LiveView
from naslab_widgets.trials_view import TrialsView
from naslab_widgets.wire import brief

F1, AGE, MAP = Quantity("max", "%"), Quantity("min", "years"), Quantity("max", "%")
METRICS = {
    "train/loss": Quantity("min", "nats"),
    "train/f1": F1,
    "valid/f1": F1,
    "train/mae": AGE,
    "valid/mae": AGE,
    "child/map": MAP,
}
STATUS = {"state": "running", "step": 0, "total": None, "message": ""}
STATIC = Path(naslab_widgets.__file__).parent / "static"


@pytest.fixture
def search(tiny):
    """Ages are estimated: "f1" of whether one is of age, and the mean absolute error, which is to be small."""

    class Ages(tiny.Search):
        metrics = METRICS
        shown = Shown(Objective("mae", "min", "years"), "faces", ("ages are rounded",))

        def event(self, step):
            event = super().event(step)
            found = {"train/loss": 1.0, "train/f1": 0.5, "valid/f1": 0.25, "train/mae": 7.0, "valid/mae": 9.0 / step}
            return dataclasses.replace(event, metrics=found)

    return Ages(total=20)


def catch(view):
    sent = []
    view.send = lambda content, buffers=(): sent.append((json.loads(json.dumps(content, allow_nan=False)), buffers))
    view._receive(view, {"type": "hello"}, [])
    return sent


def test_a_lab_charts_what_the_search_measures(search):
    lab = Lab(search)
    lab.run(5)
    told = lab.view.description
    assert [(chart["title"], chart["direction"]) for chart in told["charts"]] == [
        ("training loss (nats)", "min"),
        ("f1 (%)", "max"),
        ("mae (years)", "min"),
        ("derived map (%)", "max"),
    ]
    assert told["notes"] == ["ages are rounded"]
    rows = lab.view._history.rows()
    assert rows[-1][told["metrics"]["valid/mae"]] == 9.0 / 5
    assert "<svg" in str(lab.picture()), "without a front end"
    lab.stop()


class Faces(nl.tasks.Images):
    """Image classification with two metrics more: all that is said of them stands here."""

    def metrics(self):
        def years(outputs, batch):
            return float((outputs.argmax(dim=1) - batch[1]).abs().float().mean())

        def of_age(outputs, batch):
            return float(((outputs.argmax(dim=1) > 1) == (batch[1] > 1)).float().mean())

        return {
            **super().metrics(),
            "f1": Mean(of_age, self.size, direction="max", unit="%"),
            "mae": Mean(years, self.size, direction="min", unit="years"),
        }


@pytest.mark.slow
def test_a_metric_of_a_task_of_ones_own_reaches_the_screen_and_the_run(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 255, (48, 8, 8, 1), dtype=np.uint8), rng.integers(0, 3, 48)
    task = Faces.from_arrays(x, y, classes=3, layout="NHWC")
    space = nl.spaces.DartsCell(nodes=1, channels=2, cells=3)
    search = nl.Search(nl.searchers.Darts(space, task, batch_size=8, epochs=1), run=tmp_path / "run")
    lab = Lab(search)
    lab.run(1)
    titles = [chart["title"] for chart in lab.view.description["charts"]]
    assert titles[:4] == ["loss (nats)", "accuracy (%)", "f1 (%)", "mae (years)"]
    column = lab.view.description["metrics"]["valid/mae"]
    assert lab.view._history.last[column] == search.events[0].metrics["valid/mae"]
    lab.stop()
    search.close()
    watch = Lab.watch(tmp_path / "run")
    assert [chart["title"] for chart in watch.view.description["charts"]] == titles
    assert watch._reader.shown.units == "images"
    watch.stop()


def test_what_is_measured_at_the_end_of_a_pass_is_a_point_of_its_chart(search):
    view = LiveView(search.space, metrics=search.metrics, poke=int)
    sent = catch(view)
    view.take(next(search), Measured(step=1, name="child/map", value=0.5), Measured(step=1, name="other", value=2.0))
    view.publish(STATUS)
    status = sent[0][0]["status"]
    assert status["measured"] == {"child/map": [[1, 0.5]]}
    assert [line["text"] for line in status["log"]] == ["other = 2"]


def test_what_a_hand_did_is_told_in_words_whatever_its_value(search):
    view = LiveView(search.space, metrics=search.metrics, poke=int)
    sent = catch(view)
    mask = {"2": ["skip_connect", "none"], "5": ["sep_conv_3x3"]}
    view.take(
        dataclasses.replace(next(search), settings={"mask/normal": mask, "frozen": True, "w_lr": 0.025}),
        Changed(step=2, name="mask/normal", old={}, new=mask),
        Changed(step=2, name="frozen", old=None, new=True),
        Acted(step=3, name="nudge_alpha", arguments={"row": 2, "by": 0.5}, before=[[1, {"deep": None}]]),
        Phase(step=4, name="shrinking", settings={"stage": 2}),
    )
    view.publish(STATUS)
    status = sent[0][0]["status"]
    assert status["marks"] == [
        [2, "mask/normal: nothing → 2: skip_connect, none; 5: sep_conv_3x3"],
        [2, "frozen: nothing → on"],
        [3, "nudge alpha: row 2, by 0.5"],
        [4, "shrinking (stage 2)"],
    ]
    assert view.standing()["rates"] == {
        "mask/normal": "2: skip_connect, none; 5: sep_conv_3x3",
        "frozen": "on",
        "w_lr": 0.025,
    }
    assert len(brief({str(row): ["x"] * 9 for row in range(99)})) == 120


def test_a_comparison_has_a_chart_for_each_metric_of_any_search(search, tiny):
    compare = Compare({"ages": search, "pictures": tiny.Search(total=20)})
    charts = {chart["title"]: chart["columns"] for chart in compare.view.description["charts"]}
    assert charts["validation mae (years)"] == ["valid/mae", None]
    assert charts["validation accuracy (%)"] == [None, "valid/accuracy"]
    assert charts["training loss (nats)"] == ["train/loss", "train/loss"]
    assert list(charts)[:3] == ["validation f1 (%)", "validation mae (years)", "derived map (%)"]
    assert compare.view.description["notes"] == ["ages are rounded"]
    compare.run(2)
    (track, _) = compare.view.tracks
    assert track.history.last[track.description()["columns"]["valid/mae"]] == 4.5
    track.take(Measured(step=2, name="child/map", value=0.5), 1.0)
    assert track.measured["child/map"][0][-1] == 0.5
    compare.stop()


def test_losses_draws_every_metric_of_the_task(search):
    for _ in range(4):
        next(search)
    figure = figures.losses(search.events, search.metrics)
    axes = [figure.layout[f"yaxis{number}"].title.text for number in ("", 2, 3, 4)]
    assert axes == ["training loss (nats)", "f1 (%)", "mae (years)", "derived map (%)"]
    (f1,) = [trace for trace in figure.data if trace.name == "valid f1"]
    assert list(f1.y) == [25.0] * 4
    assert "nothing of a task" in figures.losses([]).layout.annotations[0].text


# --- an objective of which less is better ---------------------------------------------------------


def smaller(budget=20):
    table = nl.benchmarks.NASBench201()
    ages = nl.estimators.Function(
        lambda architecture: 100 - table.query(architecture).test_accuracy,
        objectives=[Objective("mae", "min", "years")],
    )
    searcher = nl.searchers.RandomSearch(table.space, seed=0)
    return nl.Search(searcher, estimator=ages, budget=budget), ages, table


def test_trials_are_shown_by_what_was_measured():
    search, *_ = smaller()
    lab = Lab(search)
    lab.run()
    values = [event.values["mae"] for event in search.events]
    assert isinstance(lab.view, TrialsView)
    objective = lab.view._status({})["objective"]
    assert objective == {"name": "mae", "title": "mae (years)", "direction": "min", "unit": "years", "sign": -1}
    assert objective["sign"] * lab.view._status({})["best"]["fitness"] == min(values)
    picture = str(lab.picture())
    assert "mae (years)" in picture
    assert "fitness" not in picture
    lab.stop()


def test_a_compared_search_tells_the_lowest_so_far(tiny):
    search, *_ = smaller()
    compare = Compare({"trials": search, "tiny": tiny.Search(total=20)})
    compare.run(10)
    (chart,) = [one for one in compare.view.description["charts"] if one["columns"][0] == "best"]
    assert (chart["title"], chart["direction"], chart["columns"]) == ("best mae (years)", "min", ["best", None])
    track = compare.view.tracks[0]
    found = track.history.last[track.description()["columns"]["best"]]
    assert found == min(event.values["mae"] for event in search.events)
    compare.stop()


def test_a_race_falls_where_less_is_better():
    _, ages, table = smaller()
    made = {"random": lambda seed: nl.searchers.RandomSearch(table.space, seed=seed)}
    race = nl.Race(made, ages, seeds=range(3), budget=8)
    view = RaceView(race)
    sent = catch(view.canvas)
    view.run()
    view._publish()
    message, (buffer,) = sent[-1]
    assert message["status"]["title"] == "mae of the best so far (years)"
    rows = np.frombuffer(buffer, "<f8").reshape(-1, 8)
    assert (rows[:, 1:7] > 0).all()
    assert (rows[:, 5] <= rows[:, 6]).all(), "the lower quartile is below the upper one"
    assert (np.diff(rows[:, 4]) <= 0).all(), "it goes down"
    assert "mae of the best so far (years)" in view.picture()
    figure = figures.race(race.bands(), objective=race.objective)
    assert figure.layout.yaxis.title.text == "mae of the best so far (years)"
    np.testing.assert_allclose(figure.data[1].y, -race.bands()["random"].median)


# --- on the page ----------------------------------------------------------------------------------


def test_the_page_smooths_what_is_noisy_and_finds_the_best(javascript):
    rng = np.random.default_rng(0)
    steps = np.arange(300)
    curves = {
        "noisy": (2 / (1 + steps / 50) + rng.normal(size=300) * 0.1).tolist(),
        "smooth": (2 / (1 + steps / 50)).tolist(),
        "counted": rng.integers(0, 8, 300).tolist(),
    }
    script = f"""
        const curves = {json.dumps(curves)};
        const smoothed = Object.values(curves).map((values) => noisy(values, ""));
        const shares = noisy(curves.counted, "%");
        const best = [["min", [NaN, 3, 1, 2]], ["max", [NaN, 3, 1, 2]], [null, [1, 2]], ["max", []]].map(
          ([direction, values]) => bestAt(values, direction));
        const axis = (unit, columns) => axisOf({{ unit, direction: "min" }}, columns);
        const share = axis("%", [[0, 50.5, 100]]);
        told({{ told: smoothed, shares, best, share: [share.low, share.high],
          powers: [["", 9000], ["nats", 9000], ["", 20]].map(([unit, most]) => axis(unit, [[10.5, most]]).powers),
          texts: [withUnit(93.4, "%"), withUnit(2, ""), fitnessText(-0.25, {{ sign: -1, unit: "years" }}, 3)] }});
    """
    modules = {
        "numbers.js": ["withUnit", "fitnessText"],
        "series.js": ["axisOf", "bestAt", "noisy"],
    }
    answer = javascript(script, modules)
    assert answer["told"] == [True, False, False]
    assert answer["shares"] is True, "what is measured may be whole numbers by chance"
    assert answer["best"] == [2, 1, -1, -1]
    assert answer["share"] == [0, 100], "no share is below nothing or above all"
    assert answer["powers"] == [True, False, False]
    assert answer["texts"] == ["93.4 %", "2", "0.25 years"]
