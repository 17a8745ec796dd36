"""Tasks that the library does not know go all the way: search, ranking, race, card, folder, training, screen."""

import csv
import json
import shutil

import pytest
import torch
from torch import nn

import naslab as nl
from naslab import snapshot
from naslab.events import Measured, Ranked
from naslab.networks import heads
from naslab.randomness import seeded
from naslab_widgets import Compare, Lab
from naslab_widgets.rows import RowFormat

SMALL = {"batch_size": 16, "epochs": 1}
EVOLVING = {"population": 4, "generations": 2, "parents": 2, "crossovers": 1, "mutations": 1}


def darts(space, task, **given):
    return nl.searchers.Darts(space, task, **{**SMALL, "epochs": 2, "order": 1, "seed": 1, **given})


def spos(task, **given):
    space = nl.spaces.NASBench201(channels=2, cells=1)
    small = {"train_portion": 0.5, "valid_images": 32, "recalibration_images": 16, **SMALL, **EVOLVING}
    return nl.searchers.SPOS(space, task, **{"seed": 1, **small, **given})


def training(space, task, **given):
    return nl.estimators.Training(space, task, **{"epochs": 1, "batch_size": 16, "held_out": 0.25, **given})


def state(search):
    return snapshot.digest(search.searcher.state_dict())


def own(task):
    """The objective, its direction and unit."""
    known = task.quantities[task.objective]
    return task.objective, known.direction, known.unit


# --- searches with shared weights -------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, 2])
def test_a_supernet_is_searched_by_the_loss_and_told_by_the_metrics(guest, space, order):
    search = nl.Search(darts(space, guest, order=order))
    task, events = search.searcher.task, list(search)
    assert len(events) == search.total == 6
    charted = {name for name, metric in task.metrics().items() if metric.every == "batch"}
    for event in events:
        told = {name for name in event.metrics if name.startswith(("train/", "valid/"))}
        assert told == {f"{half}/{name}" for half in ("train", "valid") for name in charted}
        assert all(name in search.searcher.metrics for name in event.metrics)
    rest = {name for name, metric in task.metrics().items() if metric.every == "pass"}
    measured = [(event.step, event.name) for event in search.events if isinstance(event, Measured)]
    assert measured == [(step, f"child/{name}") for step in (3, 6) for name in sorted(rest)]


def test_the_loss_of_a_step_is_that_of_the_task(guest, space):
    """Of all heads: what the mixture gives for the mini-batches of the first step, by hand."""
    searcher = darts(space, guest)
    weights, architecture = guest.parts(1, 0.5)
    mixture = {part: alpha.softmax(1) for part, alpha in searcher.alphas.items()}
    where = [nl.tasks.streams.Timetable(one, 16, 1, name).where(0) for one, name in
             ((weights, "weights"), (architecture, "architecture"))]  # fmt: skip
    batch = guest.batch(where[1], split=architecture.split)
    with torch.no_grad(), seeded(0):
        expected = float(guest.loss(searcher.network(guest.inputs(batch), mixture), batch))
    assert searcher.advance().valid_loss == pytest.approx(expected, rel=1e-5)


def test_a_child_is_judged_by_the_objective_over_all_it_is_judged_on(guest, space):
    searcher = darts(space, guest)
    searcher.advance()
    child = space.sample(0)
    found = searcher.measure_child(child, examples=40)
    kept = {part: torch.from_numpy(one) for part, one in space.one_hot(child).items()}
    stream = guest.parts(1, 0.5)[1].first(40)
    searcher.network.train()
    with torch.no_grad():
        parts = [guest.batch(part, split=stream.split) for part in stream.indices.tensor_split(3)]
        outputs = [searcher.network(guest.inputs(part), kept) for part in parts]
    if guest.name == "median_ink":
        errors = torch.cat([abs(out - part[1]) for out, part in zip(outputs, parts, strict=True)])
        assert found["median_error"] == pytest.approx(float(errors.median()), rel=1e-5)
    elif guest.name == "digit_and_ink":
        right = sum(
            int((out["digit"].argmax(1) == part["answers"]["digit"]).sum())
            for out, part in zip(outputs, parts, strict=True)
        )
        assert found["digit_accuracy"] == pytest.approx(right / 40)
    else:
        metric, seen = guest.metrics()[guest.objective], None
        for out, part in zip(outputs, parts, strict=True):
            seen = metric.update(seen, out, part)
        assert found[guest.objective] == pytest.approx(metric.compute(seen), rel=1e-5)
    assert searcher.score(child, examples=40) == found[guest.objective]


def test_one_path_at_a_time_and_the_best_child_is_the_one_of_the_best_objective(guest):
    search = nl.Search(spos(guest))
    judged = [event for event in search if event.kind == "evaluated"]
    name, direction, _ = own(guest)
    assert len(judged) == 8
    values = {event.step: event.values.get(name, event.fitness) for event in judged}
    for event in judged:
        assert event.fitness == guest.fitness_of(values[event.step])
        again = search.searcher.measure_child(
            event.architecture, batch_norm="recalibrated", examples=32, metrics=[name]
        )
        assert again[name] == values[event.step]
    wanted = (min if direction == "min" else max)(values.values())
    best = next(event for event in judged if values[event.step] == wanted)
    assert search.best == best.architecture


@pytest.mark.slow
@pytest.mark.parametrize("name", ["enas", "fairnas", "en2as", "gdas", "pcdarts", "milenas", "robust_darts", "gradient"])
def test_all_kinds_of_searches_with_shared_weights(guest, guests, name):
    tiny = nl.spaces.NASBench201(channels=4, cells=1)
    enas = {"train_portion": 0.5, "controller_steps": 2, "children": 2, "derived": 2, "units": 5}
    one_shot = {"train_portion": 0.5, "valid_images": 32, "recalibration_images": 16, **EVOLVING}
    space, options = {
        "enas": (nl.spaces.EnasMicro(nodes=2, channels=2, cells=3), enas),
        "fairnas": (tiny, one_shot),
        "en2as": (nl.spaces.DartsCell(nodes=2, channels=4, cells=2), {**one_shot, "archive": 2, "nearest": 1}),
    }.get(name, (tiny, {}))
    search = nl.Search(nl.searchers.SEARCHERS[name](space, guest, seed=0, **SMALL, **options))
    events = list(search)
    assert events[-1].best in space
    again = nl.Search(nl.searchers.from_spec(json.loads(json.dumps(search.searcher.spec()))))
    assert list(again) == events


# --- samplers with real training -------------------------------------------------------------------------------------


def evolution(space, task, run=None, budget=6, **given):
    sampler = nl.searchers.RegularizedEvolution(space, population=3, sample=2, seed=0)
    return nl.Search(sampler, estimator=training(space, task, **given), budget=budget, run=run)


def test_evolution_with_real_training_is_told_by_the_objective_s_own_value(guest, space, tmp_path):
    name, direction, unit = own(guest)
    whole = list(evolution(space, guest))
    for event in whole:
        assert event.status == "done", event.message
        assert event.fitness == guest.fitness_of(event.values[name])
    wanted = (min if direction == "min" else max)(event.values[name] for event in whole)
    assert guest.fitness_of(wanted) == whole[-1].best_fitness
    with evolution(space, guest, tmp_path / "run") as search:
        for _ in range(3):
            next(search)
    with nl.Search.open(tmp_path / "run") as search:
        assert tuple(search.searcher.estimator.objectives[0]) == (name, direction, unit)
        seen = [event.values for event in search]
    assert seen[-1] == whole[-1].values
    assert [event.values for event in search.front] == [{name: wanted}]


@pytest.mark.slow
def test_a_lower_fidelity_trains_on_where_it_stopped(guest, space):
    halving = nl.searchers.SuccessiveHalving(space, candidates=3, eta=3, epochs=(1, 2), seed=0)
    events = list(nl.Search(halving, estimator=training(space, guest, epochs=2), budget=4))
    assert events[-1].begins_from is not None
    assert [event.status for event in events] == ["done"] * 4
    again = training(space, guest, epochs=2)(events[-1].architecture)
    assert again.fitness == events[-1].fitness


# --- a table of one's own, ranking, race, card ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tables(space, guests, tmp_path_factory):
    """Name of each guest -> the table of all 16 cells, each trained for a few steps."""
    found = {}
    for kind, cls in guests.GUESTS.items():
        task, path = cls(), tmp_path_factory.mktemp("tables") / f"{cls.name}.csv"
        estimator = training(space, task)
        with path.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["architecture", task.objective])
            for architecture in space.enumerate():
                value = task.fitness_of(estimator(architecture).fitness)
                rows.writerow([json.dumps(architecture.choices), repr(value)])
        name, direction, _ = own(task)
        found[cls.name] = nl.benchmarks.from_csv(path, space, name, direction=direction)
        assert kind
        assert len(found[cls.name]) == 16
    return found


@pytest.mark.slow
def test_the_ranking_of_a_supernet_is_held_against_what_training_says(guest, space, tables):
    table = tables[guest.name]
    ranking = nl.LiveRanking(table, range(16), every=2, images=32, top=3, resamples=20)
    plain, ranked = nl.Search(darts(space, guest)), nl.Search(darts(space, guest), ranking=ranking)
    for search in (plain, ranked):
        list(search)
    assert state(plain) == state(ranked)
    told = [event for event in ranked.events if isinstance(event, Ranked)]
    assert [event.step for event in told] == [1, 2, 4, 6]
    name, direction, _ = own(guest)
    last, sign = told[-1], -1 if direction == "min" else 1
    scores = [ranked.searcher.score(table.at(number), examples=32) for number in range(16)]
    truth = [float(table.column(name)[number]) for number in range(16)]
    assert list(last.scores) == [sign * score for score in scores]
    figures = nl.analysis.Ranking.of(scores, truth, top=3, resamples=20, seed=0)
    if direction == "max":
        assert last.kendall == tuple(figures.kendall)
    else:
        assert last.kendall[0] == pytest.approx(figures.kendall.value), "both are turned round"
    best = (min if direction == "min" else max)(truth)
    assert last.best_regret == pytest.approx(sign * (best - truth[table.index(last.best)]))


@pytest.mark.slow
def test_a_race_and_its_card_show_the_objective_in_its_direction(guest, space, tables, tmp_path):
    table = tables[guest.name]
    name, direction, _ = own(guest)
    runners = {
        "random": lambda seed: nl.searchers.RandomSearch(space, seed=seed),
        "evolution": lambda seed: nl.searchers.RegularizedEvolution(space, population=4, sample=2, seed=seed),
    }
    whole = nl.Race(runners, table, seeds=range(3), budget=8).run()
    with nl.Race(runners, table, seeds=range(3), budget=8, run=tmp_path / "race") as race:
        for _ in range(11):
            next(race)
    with nl.Race.open(tmp_path / "race") as again:
        assert (again.run().fitness == whole.fitness).all()
    assert (whole.objective.name, whole.objective.direction) == (name, direction)
    card = whole.card
    assert card.direction == direction
    assert name in card.what.replace(" ", "_")
    finals = [table.query(whole.best("random", seed)).figures[name] for seed in range(3)]
    entry = next(entry for entry in card.entries if entry.name == "random")
    assert entry.mean == pytest.approx(sum(finals) / 3), "as measured, and never its negative"


# --- run folders ------------------------------------------------------------------------------------------------------


def test_a_run_is_read_reopened_rewound_and_forked(guest, space, tmp_path):
    whole = nl.Search(darts(space, guest))
    expected = list(whole)
    with nl.Search(darts(space, guest), run=tmp_path / "run", snapshot_every=2) as search:
        for _ in range(3):
            next(search)
        shutil.copytree(tmp_path / "run", tmp_path / "killed")  # as a kill would leave it
    told = nl.runs.read(tmp_path / "run")
    assert [event for _, _, event in told.events() if event.kind == "supernet_step"] == expected[:3]
    assert told.metrics["valid/loss"].direction == "min"
    for folder, task in (("run", None), ("killed", guest)):
        with nl.Search.open(tmp_path / folder, task=task) as again:
            assert type(again.searcher.task) is type(guest)
            assert [event for event in again if event.kind == "supernet_step"] == expected[3:]
            assert state(again) == state(whole)
            again.rewind(1)
            assert next(again) == expected[1]
            fork = again.fork(tmp_path / f"fork of {folder}", step=2)
            with fork:
                assert list(fork) == expected[2:]
                assert state(fork) == state(whole)


def test_other_data_is_noticed(guest, space, tmp_path):
    with nl.Search(darts(space, guest), run=tmp_path / "run") as search:
        next(search)
    with pytest.raises(nl.errors.DataError, match="is not the data that was used before"):
        nl.Search.open(tmp_path / "run", task=type(guest)(60))
    with nl.Search.open(tmp_path / "run") as again:
        next(again)


def test_a_one_shot_search_goes_on_in_its_folder(guest, tmp_path):
    expected = list(nl.Search(spos(guest)))
    with nl.Search(spos(guest), run=tmp_path / "run") as search:
        for _ in range(5):
            next(search)
    with nl.Search.open(tmp_path / "run") as again:
        assert list(again) == expected[5:]


# --- training ---------------------------------------------------------------------------------------------------------


def network(space, task, seed=0):
    with seeded(seed):
        return space.build(space.sample(3), task)


def test_a_training_goes_on_from_its_checkpoint_bit_for_bit(guest, space, tmp_path):
    options = {"epochs": 3, "batch_size": 16, "held_out": 0.25, "evaluation_batch_size": 7}
    one, other = network(space, guest), network(space, guest)
    whole = nl.trainers.fit(one, guest, **options)
    recipe = nl.trainers.Recipe(**options)
    rows = nl.trainers.train(network(space, guest), task=guest, recipe=recipe, seed=0, checkpoint=tmp_path / "fit")
    next(rows)
    assert nl.trainers.fit(other, guest, **options, checkpoint=tmp_path / "fit") == whole
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))
    name, direction, _ = own(guest)
    values = [row.metrics[f"valid/{name}"] for row in whole.history]
    assert whole.valid == (min if direction == "min" else max)(values)
    assert f"test_{name}=" in repr(whole)
    held_out = guest.parts(0, 0.75)[1]
    batch = guest.batch(held_out.indices, split=held_out.split)  # all that is held out, at once
    with torch.no_grad():
        outputs = one(guest.inputs(batch))
    assert whole.valid == pytest.approx(guest.metrics()[name].of(outputs, batch), rel=1e-4)


@pytest.mark.slow
def test_two_processes_measure_what_one_does(guest):
    outputs = heads.outputs_of(guest.signature)
    reports = []
    for processes in (1, 2):
        with seeded(0):
            plain = nn.Sequential(nn.Flatten(), heads.head_for(64, outputs))
        reports.append(nl.trainers.fit(plain, guest, epochs=2, batch_size=16, held_out=0.25, processes=processes))
    for one, two in zip(*(report.history for report in reports), strict=True):
        assert one.metrics.keys() == two.metrics.keys()
        assert list(two.metrics.values()) == pytest.approx(list(one.metrics.values()), rel=1e-4)


def test_a_comparison_is_of_the_objective(guest, space):
    groups = {"found": [space.sample(0)], "random": [space.sample(1), space.sample(2)]}
    comparison = nl.trainers.compare(groups, space, guest, seeds=range(2), epochs=1, batch_size=16)
    name, direction, unit = own(guest)
    assert comparison.card.direction == direction
    assert name in comparison.what.replace(" ", "_")
    assert unit in comparison.what
    assert all(0 <= score.value < 10 for score in comparison.scores)


# --- screens ----------------------------------------------------------------------------------------------------------


def test_a_lab_without_a_front_end(guest, space, tmp_path):
    search = nl.Search(darts(space, guest), run=tmp_path / "run")
    lab = Lab(search)
    lab.step(2)
    lab.wait(20)
    search.set("w_lr", 0.01)
    lab.run()
    assert search.step == search.total == 6
    assert lab.state == "finished"
    assert "<svg" in lab.picture()
    format = RowFormat(space, search.metrics)
    assert {name for name, quantity in search.metrics.items() if name.startswith("valid/")} <= set(
        format.description()["metrics"]
    )
    rows = [format.row(event) for event in search.events if event.kind == "supernet_step"]
    column = format.description()["metrics"]["valid/loss"]
    assert [row[column] for row in rows] == [
        event.valid_loss for event in search.events if event.kind == "supernet_step"
    ]
    lab.stop()
    lab.wait(20)
    search.close()
    watched = Lab.watch(tmp_path / "run")
    assert "<svg" in watched.picture()
    watched.stop()


def test_trials_and_supernets_side_by_side_without_a_front_end(guest, space):
    searches = {"darts": nl.Search(darts(space, guest)), "evolution": evolution(space, guest, budget=4)}
    compare = Compare(searches)
    compare.run()
    compare.wait(30)
    assert {name: search.step for name, search in searches.items()} == {"darts": 6, "evolution": 4}
    assert not compare.errors
    compare.stop()
