"""Edit distance of two chains of layers with skips, as in Auto-Keras (Jin, Song & Hu 2019,
https://arxiv.org/abs/1806.10282, Sec. 3.1).

    d(a, b)  =  D_layers(a, b)  +  lambda D_skips(a, b)

- D_layers is the cost of the cheapest matching of layers that keeps their order. A layer without a partner costs 1; a
  pair of layers with w and v channels costs |w - v| / max(w, v).
- D_skips is the cost of the cheapest matching of skips in any order. A skip without a partner costs 1; a pair of skips
  that begin at states u and u' and pass over l and l' layers costs (|u - u'| + |l - l'|) / (max(u, u') + max(l, l')).

The kernel of the search's Gaussian process is computed from these distances (`naslab.searchers.auto_keras`).
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
    """Returns the distance of two networks.

    Args:
        one: number of channels of each layer.
        other: number of channels of each layer.
        skips_of_one: skips of the first network.
        skips_of_other: skips of the second network.
        skips: the lambda of the equation; 0.1 in the authors' code.
    """
    return layers_distance(one, other) + skips * skips_distance(skips_of_one, skips_of_other)


def layers_distance(one: Sequence[float], other: Sequence[float]) -> float:
    """Returns D_layers (Eq. 6 and 7) by dynamic programming over prefixes, as in the Levenshtein distance.

    `row[j]` is the distance of the first i layers of `one` and the first j of `other`; only two rows are kept.
    """
    row = [float(length) for length in range(len(other) + 1)]
    for length, width in enumerate(one, start=1):
        above, row = row, [float(length)]
        for column, wide in enumerate(other, start=1):
            change = abs(width - wide) / max(width, wide)
            row.append(min(above[column] + 1, row[-1] + 1, above[column - 1] + change))
    return row[-1]


def skips_distance(one: Sequence[Skip], other: Sequence[Skip]) -> float:
    """Returns D_skips (Eq. 8 and 9), solved exactly as a linear assignment problem."""
    alone = abs(len(one) - len(other))  # skips that find no partner, at a cost of 1 each
    if not one or not other:
        return float(alone)
    from scipy.optimize import linear_sum_assignment  # here, because the import is slow

    (begin, end), (begin_, end_) = np.array(one).T[:, :, None], np.array(other).T[:, None, :]
    length, length_ = end - begin, end_ - begin_
    apart = np.abs(begin - begin_) + np.abs(length - length_)  # [len(one), len(other)]
    cost = apart / (np.maximum(begin, begin_) + np.maximum(length, length_))
    rows, columns = linear_sum_assignment(cost)
    return float(cost[rows, columns].sum()) + alone
