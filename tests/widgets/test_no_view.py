"""A search that the live view cannot show is refused with a sentence, not shown as an empty panel."""

import pytest

import naslab as nl
from naslab_widgets import Lab


def test_a_search_without_a_supernet_is_refused_and_stays_usable(tmp_path):
    table = nl.benchmarks.NASBench201()
    proposer = nl.searchers.RandomSearch(table.space)
    search = nl.Search(proposer, tmp_path / "run", estimator=table, budget=3)
    with pytest.raises(NotImplementedError, match="no live view of 'random_search' yet"):
        Lab(search)
    with pytest.raises(NotImplementedError, match="no live view of 'random_search' yet"):
        Lab.watch(tmp_path / "run")
    assert len(list(search)) == 3
