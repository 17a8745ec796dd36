"""Every searcher of naslab passes the checks of `naslab.testing`, whatever its algorithm."""

import pytest

import naslab as nl
from naslab.testing import SearcherCase


class TestSearchers(SearcherCase):
    @pytest.fixture(autouse=True)
    def _of(self, request, make, benchmark):
        self.variant = request.node.callspec.params["make"]
        self.maker, self.benchmark = make, benchmark
        self.other, self.nonsense, self.change = make.other, make.bad, make.turn

    def make(self, **given):
        return self.maker(**given)

    def estimator(self, space):
        return self.benchmark

    def count(self, searcher):
        """An update of FairNAS has five steps."""
        return 13 if isinstance(searcher, nl.searchers.FairNAS) else super().count(searcher)

    @pytest.mark.slow
    def test_a_forecast_and_a_range_test_change_nothing(self):
        super().test_a_forecast_and_a_range_test_change_nothing()

    @pytest.mark.slow
    def test_several_are_told_in_any_order_with_a_snapshot_between(self):
        super().test_several_are_told_in_any_order_with_a_snapshot_between()
