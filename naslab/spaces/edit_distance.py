"""How far apart two chains of layers with skips are (Jin, Song & Hu 2019, https://arxiv.org/abs/1806.10282, Sec. 3.1).

d(a, b)     =  D_layers(a, b)  +  lambda D_skips(a, b)
D_layers    :  cheapest way to match layers in their order; one without a partner costs 1, a pair of widths w, v
               |w - v| / max(w, v)
D_skips     :  cheapest way to match skips in any order; one without a partner costs 1, a pair that begins at u, u'
               and passes over l, l' layers (|u - u'| + |l - l'|) / (max(u, u') + max(l, l'))
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Skip = tuple[int, int]
"""(state that it begins at, layer that it leads to)."""


def edit_distance(
    one: Sequence[float],
    other: Sequence[float],
    skips_of_one: Sequence[Skip] = (),
    skips_of_other: Sequence[Skip] = (),
    *,
    skips: float = 0.1,
) -> float:
    """The distance of two networks, given by the widths of their layers and by their skips.

    Args:
        skips: the lambda; 0.1 in the authors' code.
    """
    return layers_distance(one, other) + skips * skips_distance(skips_of_one, skips_of_other)


def layers_distance(one: Sequence[float], other: Sequence[float]) -> float:
    """D_layers (Eq. 6 and 7), row by row of the table of prefixes."""
    row = [float(length) for length in range(len(other) + 1)]
    for length, width in enumerate(one, start=1):
        above, row = row, [float(length)]
        for column, wide in enumerate(other, start=1):
            change = abs(width - wide) / max(width, wide)
            row.append(min(above[column] + 1, row[-1] + 1, above[column - 1] + change))
    return row[-1]


def skips_distance(one: Sequence[Skip], other: Sequence[Skip]) -> float:
    """D_skips (Eq. 8 and 9), an assignment problem."""
    alone = abs(len(one) - len(other))
    if not one or not other:
        return float(alone)
    from scipy.optimize import linear_sum_assignment  # here, for it takes its time

    (begin, end), (begin_, end_) = np.array(one).T[:, :, None], np.array(other).T[:, None, :]
    length, length_ = end - begin, end_ - begin_
    apart = np.abs(begin - begin_) + np.abs(length - length_)  # [len(one), len(other)]
    cost = apart / (np.maximum(begin, begin_) + np.maximum(length, length_))
    rows, columns = linear_sum_assignment(cost)
    return float(cost[rows, columns].sum()) + alone
