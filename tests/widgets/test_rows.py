import json

import numpy as np
import pytest

from naslab.quantities import Quantity
from naslab_widgets.rows import History, RowFormat


def test_a_row_holds_the_event_where_the_description_says(tiny):
    space = tiny.Space(nodes=3)
    event = tiny.Search(space=space).event(77)
    rows = RowFormat(space, tiny.METRICS)
    row, told = rows.row(event), rows.description()
    json.dumps(told)
    assert row.dtype == np.float64
    assert len(row) == told["width"] == 1 + 7 + 2 * 9 * 9
    assert row[0] == 77
    assert row[told["metrics"]["valid/loss"]] == event.valid_loss
    kept = space.one_hot(event.best)
    for part in told["parts"]:
        values = row[part["probabilities"] : part["kept"]].reshape(9, 8)
        np.testing.assert_array_equal(values, event.probabilities[part["name"]])
        chosen = row[part["kept"] : part["kept"] + 9].astype(int)
        np.testing.assert_array_equal(chosen >= 0, kept[part["name"]].any(axis=1))
        for edge in np.flatnonzero(chosen >= 0):
            assert kept[part["name"]][edge, chosen[edge]] == 1
    np.testing.assert_array_equal(rows.curves(row[None])["reduce"][0], event.probabilities["reduce"])


def test_labels_belong_to_their_rows(tiny):
    part = RowFormat(tiny.Space(nodes=2), {}).description()["parts"][0]
    assert part["labels"] == ["cₖ₋₂ → 0", "cₖ₋₁ → 0", "cₖ₋₂ → 1", "cₖ₋₁ → 1", "0 → 1"]
    assert sorted(edge["row"] for edge in part["edges"]) == [-1, -1, 0, 1, 2, 3, 4]


def test_a_metric_that_a_step_lacks_is_a_gap(tiny):
    rows = RowFormat(tiny.Space(), {**tiny.METRICS, "valid/f1": Quantity("max", "%")})
    row = rows.row(tiny.Search().event(3))
    assert np.isnan(row[rows.description()["metrics"]["valid/f1"]])
    assert np.isfinite(row[1:8]).all()


@pytest.mark.parametrize("steps", [0, 1, 1999, 2000, 2001, 20_000])
def test_a_long_history_is_thinned_evenly_and_keeps_its_end(steps):
    history = History(width=3, limit=2000)
    for step in range(1, steps + 1):
        history.append(np.array([step, step % 7, 0]))
    rows = history.rows()
    assert rows.shape[1] == 3
    assert min(steps, 1000) <= len(rows) <= 2000
    if steps:
        assert rows[0, 0] == 1
        assert rows[-1, 0] == steps
        gaps = np.diff(rows[:, 0])
        assert len(set(gaps[:-1])) <= 1
        assert np.all(gaps > 0)
