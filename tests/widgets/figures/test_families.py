import numpy as np

from naslab_widgets.figures.families import SLOTS, leading, shares


def test_shares_are_counts_in_the_window():
    rng = np.random.default_rng(0)
    families = rng.integers(1, 12, size=700).astype(np.float32)
    slots = [3, None, 5, *[None] * (SLOTS - 3)]
    found = shares(families, 50, slots, points=40)
    assert found.shape == (40, 1 + SLOTS)
    assert found[0, 0] == 1
    assert found[-1, 0] == 700
    for end, *parts in found.tolist():
        window = families[max(0, int(end) - 50) : int(end)]
        np.testing.assert_allclose(parts[:3], [(window == 3).mean(), 0, (window == 5).mean()], atol=1e-6)


def test_a_family_keeps_its_slot_and_gives_it_up_only_to_a_larger_one():
    families = np.repeat(np.arange(1, 9), [50, 40, 30, 20, 10, 9, 8, 1]).astype(np.float32)
    slots = leading(families, 10, [None] * SLOTS)
    assert slots == [1, 2, 7, 3, 4, 6, 5], "by members, those of the last ten counted five times"
    more = np.concatenate([families, np.full(200, 8, np.float32)])
    assert leading(more, 10, slots) == [1, 2, 8, 3, 4, 6, 5]
    assert leading(np.float32([4]), 10, [None] * SLOTS) == [4, *[None] * 6]
