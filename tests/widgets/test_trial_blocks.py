"""Tables on their way to the browser, and a browser of a few lines that puts them together again."""

import numpy as np
import pytest

from naslab_widgets.figures.trial_table import TrialTable
from naslab_widgets.rows import Sampled
from naslab_widgets.trial_blocks import NamedValues, TrialRows


class Page:
    """What stream.js does with a table."""

    def __init__(self):
        self.rows, self.stride, self.columns = [], 1, None

    def receive(self, packet):
        if packet is None:
            return
        if packet.reset:
            self.rows, self.stride = [], packet.stride
        while self.stride < packet.stride:
            self.rows, self.stride = self.rows[::2], 2 * self.stride
        self.rows += list(packet.rows)
        self.columns = packet.columns


@pytest.mark.parametrize("limit", [8, 50, 4000])
def test_a_page_that_gets_only_the_news_has_every_stride_th_trial(evaluated, limit):
    rng = np.random.default_rng(limit)
    ledger, page = TrialTable(), Page()
    rows = TrialRows(ledger, limit)
    step, sent = 0, 0
    while step < 3000:
        batch = int(rng.integers(1, 90))
        ledger.take([evaluated(step + i, 1.0) for i in range(1, batch + 1)])
        step += batch
        rows.grow()
        if rng.random() < 0.7:
            packet = rows.packet(fresh=sent == 0)
            sent += len(packet.rows)
            page.receive(packet)
            steps = [int(row[0]) for row in page.rows]
            assert steps == list(range(1, step + 1, page.stride))
            assert len(steps) <= limit
    assert page.stride == (1 if limit == 4000 else page.stride)
    assert sent <= step, "no trial is sent twice"
    assert rows.missing([0, 1, page.stride]) == ([] if page.stride == 1 else [1])


def test_sampled_is_what_a_slice_takes():
    sampled = Sampled(16)
    for size in (0, 1, 5, 40, 3, 0, 200):
        sampled.extend(range(sampled.seen, sampled.seen + size))
        assert sampled.kept == list(range(0, sampled.seen, sampled.stride))
        assert len(sampled.kept) < 16
    assert sampled.since(sampled.seen) == []
    assert sampled.since(100) == [item for item in sampled.kept if item >= 100]


def test_named_values_find_their_columns_and_new_ones_bring_all_again():
    values, page = NamedValues("details", limit=64, most=10), Page()
    assert values.packet(fresh=False) is None
    values.extend([(1, {"epsilon": 1.0}), (2, {"epsilon": 0.5, "hurdles": [3.0]})])
    page.receive(values.packet(fresh=True))
    assert page.columns == [("epsilon", 1), ("hurdles", 1)]
    np.testing.assert_array_equal(page.rows, [[1, 1, np.nan], [2, 0.5, 3]])
    values.extend([(3, {"hurdles": [4.0]})])
    packet = values.packet(fresh=False)
    assert not packet.reset
    assert len(packet.rows) == 1
    values.extend([(4, {"hurdles": [4.0, 5.0], "epsilon": float("nan")})])
    packet = values.packet(fresh=False)
    assert packet.reset
    page.receive(packet)
    expected = [[1, 1, np.nan, np.nan], [2, 0.5, 3, np.nan], [3, np.nan, 4, np.nan], [4, np.nan, 4, 5]]
    np.testing.assert_array_equal(page.rows, expected)
    assert page.columns == [("epsilon", 1), ("hurdles", 2)]


def test_there_is_an_end_to_columns_and_rows():
    values = NamedValues("policy", limit=64, most=10)
    values.extend([(step, {f"choice {step % 7}": np.full(3, step)}) for step in range(1, 2000)])
    packet = values.packet(fresh=True)
    assert packet.rows.shape[1] == 1 + 9
    assert len(packet.rows) < 64
    assert [width for _, width in packet.columns] == [3, 3, 3]
