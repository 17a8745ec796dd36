"""The watch over a collapse to skip connections: sequences in closed form, and searches whose truth is known."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import naslab as nl
from naslab.analysis.collapse import CollapseWatch, collapse
from naslab.analysis.remedies import remedies
from naslab.events import ChildTrained, Measured, Ranked, SupernetStep
from naslab.searchers.settings import Mask, Slider, Switch

SPACE = nl.spaces.NASBench201()
SKIP = SPACE.operations.index("skip_connect")
ALL_SKIPS = SPACE.at(1835)
GOOD = SPACE.architecture(["nor_conv_3x3"] * 6)


def shares(growth, edges=6):
    """[6, 5]: on the first edges the skip connection has so many times its share of a uniform mixture."""
    found = np.full((6, 5), 0.2, dtype=np.float32)
    rivals = [column for column, name in enumerate(SPACE.operations) if name not in ("none", "skip_connect")]
    found[:edges, SKIP] = 0.2 * growth
    found[:edges, rivals] = (0.8 - 0.2 * growth) / 3
    return found


def step(number, growth=1.0, *, edges=6, gap=0.2, loss=1.0, best=GOOD, settings=None, part="cell", probabilities=None):
    metrics = {"valid/loss": loss, "entropy": 1.0} | ({} if gap is None else {"discretisation_gap": gap})
    return SupernetStep(
        step=number,
        epoch=0,
        metrics=metrics,
        best=best,
        settings=settings or {},
        probabilities={part: shares(growth, edges) if probabilities is None else probabilities},
    )


def level(*events, known=None):
    return collapse(events, SPACE, known).level


# --- thresholds ------------------------------------------------------------------------------------


def test_uniform_mixtures_stay_grey():
    standing = collapse((step(n) for n in range(1, 50)), SPACE)
    assert standing.level == "grey"
    assert standing.since is None
    assert standing.sentence == "nothing unusual: 0 of 6 edges would be skip connections"
    assert standing.figures["growth"] == pytest.approx(1)


def test_growth_is_of_the_share_among_what_is_not_none():
    """0.2 of 0.8 grows to 0.3 of 0.8; and stays what it is when "none" takes half of everything."""
    assert collapse([step(1), step(2, 1.5)], SPACE).figures["growth"] == pytest.approx(1.5)
    half = shares(1.5) * (0.5 / 0.8)
    half[:, SPACE.operations.index("none")] = 0.5
    assert collapse([step(1), step(2, probabilities=half)], SPACE).figures["growth"] == pytest.approx(1.5)


@pytest.mark.parametrize(("growth", "expected"), [(1.09, "grey"), (1.11, "amber")])
def test_from_which_growth_on_it_warns(growth, expected):
    assert level(step(1), step(2, growth)) == expected


@pytest.mark.parametrize(("edges", "expected"), [(4, "grey"), (5, "amber")])
def test_skip_connections_have_to_gain_on_three_edges_of_four(edges, expected):
    assert level(step(1), step(2, 1.4, edges=edges)) == expected


@pytest.mark.parametrize(("gap", "loss", "expected"), [(0.2, 3.0, "grey"), (0.2, 2.8, "amber"), (-0.5, 1.0, "grey")])
def test_the_gap_counts_as_a_share_of_the_loss(gap, loss, expected):
    assert level(step(1, gap=gap, loss=loss), step(2, 1.4, gap=gap, loss=loss)) == expected


@pytest.mark.parametrize(("growth", "expected"), [(1.45, "grey"), (1.55, "amber")])
def test_where_no_gap_is_measured_growth_has_to_be_larger(growth, expected):
    standing = collapse([step(1, gap=None), step(2, growth, gap=None)], SPACE)
    assert standing.level == expected
    assert "mixture's" not in standing.sentence


def test_the_gap_is_averaged():
    calm = [step(n, gap=0.0) for n in range(1, 10)]
    assert level(*calm, step(10, 1.4, gap=0.6)) == "grey"  # 0.06 on average
    assert level(*calm, step(10, 1.4, gap=0.8)) == "amber"


def test_a_search_that_begins_with_many_skip_connections_has_not_grown():
    assert level(*(step(n, 1.8) for n in range(1, 30))) == "grey"


def test_amber_holds_for_ten_steps_without_a_sign():
    watch = CollapseWatch(SPACE)
    watch.take(step(1), step(2, 1.4))
    levels = [watch.take(step(n, 1.0)).level for n in range(3, 14)]
    assert levels == ["amber"] * 9 + ["grey"] * 2
    assert watch.standing.since is None
    assert [(turn.step, turn.level) for turn in watch.turns] == [(2, "amber"), (12, "grey")]


def test_where_to_fork_is_before_the_growth_began():
    events = [step(1), *(step(n) for n in range(2, 21)), step(21, 1.07), step(22, 1.08), step(23, 1.3)]
    standing = collapse(events, SPACE)
    assert (standing.level, standing.since, standing.calm) == ("amber", 23, 20)
    assert collapse([*events, step(24, 1.0)], SPACE).calm == 20


# --- red -------------------------------------------------------------------------------------------


def test_without_a_table_half_of_the_edges_make_it_red():
    three = SPACE.architecture(["skip_connect"] * 3 + ["nor_conv_3x3"] * 3)
    two = SPACE.architecture(["skip_connect"] * 2 + ["nor_conv_3x3"] * 4)
    assert level(step(1), step(2, 1.6, best=three)) == "red"
    assert level(step(1), step(2, 1.6, best=two)) == "amber"
    assert level(step(1), step(2, 1.4, best=three)) == "amber"
    standing = collapse([step(1), step(2, 1.6, best=three)], SPACE)
    assert standing.sentence == (
        "since step 2: 3 of 6 edges would be skip connections, at 1.6 × their first share; the cell's loss is 0.20 "
        "above the mixture's"
    )


def test_a_table_has_the_last_word():
    known = nl.analysis.GroundTruth.of(nl.benchmarks.NASBench201("cifar10"), 2)
    bad, good = (collapse([step(1), step(2, 1.6, best=best)], SPACE, known) for best in (ALL_SKIPS, GOOD))
    assert (bad.level, good.level) == ("red", "amber")
    assert bad.sentence.startswith(
        "since step 2: what would be derived is worth 54.3, rank 15,231 of 15,625; 6 of 6 edges would be skip "
        "connections"
    )
    calm = collapse([step(1, best=ALL_SKIPS)], SPACE, known)
    assert calm.level == "grey"
    assert calm.sentence == "no sign of a collapse, but what would be derived is worth 54.3, rank 15,231 of 15,625"


def test_a_ranking_is_believed_for_the_cell_that_it_was_made_of():
    ranked = Ranked(
        step=2, table="t", size=100, batch_norm="batch", images=1, numbers=(1, 2), scores=(0.1, 0.2), truth=(1.0, 2.0),
        top=1, kendall=None, spearman=None, overlap=None, regret=None, best=GOOD, best_score=0.5, best_truth=12.0,
        best_rank=99, best_regret=1.0,
    )  # fmt: skip
    assert collapse([step(1), ranked, step(2, 1.4)], SPACE).figures["rank"] == 99
    assert level(step(1), ranked, step(2, 1.4)) == "red"
    assert level(step(1), dataclasses.replace(ranked, best=ALL_SKIPS), step(2, 1.4)) == "amber"


# --- by hand ---------------------------------------------------------------------------------------


def test_what_is_forbidden_is_no_gain_for_the_rest():
    """Without convolutions the skip connection has half of an edge at once, and has gained nothing."""
    rest = np.where(np.isin(SPACE.operations, ["skip_connect", "avg_pool_3x3"]), 0.5, 0.0)
    forbidden = {"forbidden": ["none", "nor_conv_1x1", "nor_conv_3x3"]}
    after = [step(n, probabilities=np.tile(rest, (6, 1)), settings=forbidden) for n in range(3, 20)]
    standing = collapse([step(1), step(2, 1.1), *after], SPACE)
    assert standing.figures["growth"] == pytest.approx(1.1)
    freed = collapse([step(1), step(2, 1.1), *after, step(20, 1.1)], SPACE)
    assert freed.figures["growth"] == pytest.approx(1.1)


def test_forbidden_skip_connections_are_not_watched():
    without = shares(1.0)
    without[:, SKIP] = 0
    standing = collapse([step(1), step(2, probabilities=without, settings={"forbidden": ["skip_connect"]})], SPACE)
    assert standing.level == "grey"
    assert "growth" not in standing.figures


def test_going_back_is_beginning_anew():
    events = [step(n, 1 + n / 50) for n in range(1, 40)]
    watch = CollapseWatch(SPACE)
    one_by_one = [watch.take(event) for event in events]
    watch.clear()
    assert watch.take(*events[:20]) == one_by_one[19]
    assert watch.take(*events[20:]) == one_by_one[-1] == collapse(events, SPACE)
    assert one_by_one[19] != one_by_one[-1]


# --- other spaces and searches ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("space", "why"),
    [
        (nl.spaces.EnasMacro.laptop(), "no mixture of operations"),
        (nl.spaces.RecurrentCell.laptop(), "no operation of this space is a skip connection"),
        (nl.spaces.DartsCell(operations=("none", "sep_conv_3x3")), "no operation of this space is a skip connection"),
        (SPACE, "no step is done yet"),
    ],
)
def test_where_there_is_nothing_to_watch_it_says_so(space, why):
    standing = CollapseWatch(space).standing
    assert (standing.level, standing.why, dict(standing.figures)) == ("grey", (), {})
    assert why in standing.sentence
    assert remedies(standing, {}) == []


def test_single_paths_are_not_watched():
    child = ChildTrained(step=1, epoch=0, metrics={"train/loss": 1.0}, best=GOOD, settings={}, architecture=ALL_SKIPS)
    assert "one architecture at a time" in collapse([child], SPACE).sentence


def test_the_cell_that_is_meant_is_named():
    space = nl.spaces.DartsCell(nodes=2, channels=4, cells=3)
    operations, rows = space.operations, space.edges()
    column = operations.index("skip_connect")

    def cells(number, growth):
        uniform = {part: np.full((edges, len(operations)), 1 / len(operations)) for part, edges in rows.items()}
        uniform["reduce"][:, column] *= growth
        return dataclasses.replace(step(number, best=space.discretize(uniform)), probabilities=uniform)

    standing = collapse([cells(1, 1.0), cells(2, 2.0)], space)
    assert standing.level == "red"
    assert standing.sentence.startswith("since step 2: 4 of 4 edges of the reduce cell would be skip connections")
    assert {part: gains.shape for part, gains in standing.gains.items()} == {"normal": (5,), "reduce": (5,)}


def test_an_eigenvalue_that_was_measured_is_among_the_reasons():
    measured = [Measured(step=n, name="alpha_hessian_eigenvalue", value=n / 10) for n in (1, 2)]
    standing = collapse([step(1), measured[0], step(2, 1.4), measured[1]], SPACE)
    assert len(standing.why) == 4
    assert "0.1 at step 1, 0.2 at step 2" in standing.why[-1].sentence
    assert standing.figures["eigenvalue"] == 0.2
    assert all(reason.link.startswith("https://arxiv.org/abs/") for reason in standing.why)


# --- remedies -----------------------------------------------------------------------------------------

ROWS = {str(row): SPACE.operations for row in range(6)}
SETTINGS = {
    "w_lr": Slider(value=0.1, low=0.0, high=1.0),
    "w_weight_decay": Slider(value=3e-4, low=0.0, high=0.1),
    "freeze/alphas": Switch(value=False),
    "mask/cell": Mask(value={"0": ["none"]}, options=ROWS),
}


def collapsing():
    uneven = shares(1.3)
    uneven[[1, 3], SKIP] += 0.1
    return collapse([step(1), step(2), step(3, probabilities=uneven)], SPACE)


def test_remedies_are_what_the_search_has_settings_for():
    found = {remedy.name: remedy for remedy in remedies(collapsing(), SETTINGS)}
    assert list(found) == ["stop early", "fewer skips", "weight decay × 3"]
    assert {remedy.step for remedy in found.values()} == {2}
    assert found["stop early"].change == {"freeze/alphas": True}
    assert found["weight decay × 3"].change == {"w_weight_decay": pytest.approx(9e-4)}
    skips = {row: ["skip_connect"] for row in ("2", "4", "5")}
    assert found["fewer skips"].change == {"mask/cell": {"0": ["none", "skip_connect"], **skips}}
    assert remedies(collapse([step(1)], SPACE), SETTINGS) == []
    more = {"skip_dropout": Slider(value=0.0, low=0.0, high=0.9), "perturbation": Slider(value=0.0, low=0.0, high=1.0)}
    assert [remedy.name for remedy in remedies(collapsing(), more)] == ["dropout on skips", "perturbation"]


def test_a_cure_that_is_in_force_or_impossible_is_not_offered():
    rest = [name for name in SPACE.operations if name != "skip_connect"]
    settings = {
        "freeze/alphas": Switch(value=True),
        "mask/cell": Mask(value={"2": rest}, options=ROWS),
        "w_weight_decay": Slider(value=0.1, low=0.0, high=0.1),
        "skip_dropout": Slider(value=0.5, low=0.0, high=0.9),
    }
    assert remedies(collapsing(), settings) == []


# --- searches whose truth is known -----------------------------------------------------------------
# 240 steps each on the digits and NAS-Bench-201 with 4 channels and 3 cells: epochs=120, batch_size=32,
# train_portion=0.05, alpha_lr=0.05, w_lr=0.05, seeds from 0. "darts" and "gdas" as they are; "random": DARTS with
# alpha_scale=1 and alpha_lr=1e-5; "walk": DARTS whose alphas Adam moves by random gradients. The thresholds were set by
# these.

RECORDED = np.load(Path(__file__).parent / "fixtures" / "collapsing.npz")
NAMES = sorted({key.split("/")[0] for key in RECORDED})
TABLE = nl.benchmarks.NASBench201("cifar10")
TRUTH = np.asarray(TABLE.column("test_accuracy"))


def trajectory(name):
    """The events, as far as the watch reads them: all operations but the skip connection and "none" are alike."""
    share = RECORDED[f"{name}/share"].cumsum(axis=1).T / 65535  # of the skip connection, among all but "none"
    losses, gaps = RECORDED[f"{name}/losses"].astype(np.float64)
    for number, (row, loss, gap, best) in enumerate(
        zip(share, losses, gaps, RECORDED[f"{name}/derived"], strict=True), 1
    ):
        probabilities = np.repeat((1 - row)[:, None] / 3, 5, axis=1)
        probabilities[:, SKIP], probabilities[:, SPACE.operations.index("none")] = row, 0
        yield step(number, gap=gap, loss=loss, best=SPACE.at(int(best)), probabilities=probabilities)


def levels(name, known=None):
    watch = CollapseWatch(SPACE, known)
    return [watch.take(event).level for event in trajectory(name)]


def fallen(name, steps):
    """From when on what would be derived is worth 10 points less than it once was, for so many steps; None: never.

    Alphas that nobody has moved derive cells by chance: what is worth what begins when all have moved, at step 10.
    """
    truth = TRUTH[RECORDED[f"{name}/derived"]]
    low = truth <= np.maximum.accumulate(truth) - 10
    low[:10] = False
    return next((start + 1 for start in range(len(low) - steps + 1) if low[start : start + steps].all()), None)


DARTS = [name for name in NAMES if name.startswith("darts")]


@pytest.mark.parametrize("name", DARTS)
def test_it_warns_before_the_truth_has_fallen(name):
    found = levels(name)
    if (fall := fallen(name, 5)) is not None:
        assert found.index("amber") + 1 < fall
        assert found[-1] == "red"


def test_three_searches_fell_and_no_step_of_two_of_them_came_before_the_warning():
    lasting = {name: fall for name in DARTS if (fall := fallen(name, 5)) is not None}
    assert lasting == {"darts-0": 36, "darts-3": 152, "darts-5": 158}
    warned = {name: levels(name).index("amber") + 1 for name in lasting}
    assert warned == {"darts-0": 29, "darts-3": 30, "darts-5": 31}
    assert {name: fallen(name, 1) for name in warned} == {"darts-0": 36, "darts-3": 34, "darts-5": 30}


@pytest.mark.parametrize("known", [None, nl.analysis.GroundTruth.of(TABLE, 2)], ids=["without a table", "with a table"])
@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("darts")])
def test_other_searches_stay_grey(name, known):
    """Some derive bad cells, too, now and then; not because skip connections take over."""
    assert set(levels(name, known)) == {"grey"}


def test_the_one_that_ends_with_skip_connections_only():
    assert RECORDED["darts-3/derived"][-1] == 1835
    assert levels("darts-3", nl.analysis.GroundTruth.of(TABLE, 2))[-1] == "red"
