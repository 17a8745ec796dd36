"""A search by gradients says which operations its supernet computes."""

import pytest

import naslab as nl
from naslab.networks.mixture import Mixture
from naslab.searchers import gradient as g

CELL = nl.spaces.NASBench201(channels=2, cells=1)
SEARCHES = {
    "darts": dict(),
    "second order": dict(level=g.Bilevel(order=2)),
    "gdas": dict(sampling=g.StraightThrough()),
    "proxylessnas": dict(sampling=g.BinaryGates()),
    "snas": dict(sampling=g.Concrete()),
    "perturbed": dict(regularizers=(g.Perturbation(),)),
}


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_tells_its_supernet_what_is_computed(name, digits, monkeypatch):
    search = nl.searchers.GradientSearch(CELL, digits, epochs=1, batch_size=8, seed=1, **SEARCHES[name])
    seen, forward = [], search.network.forward
    monkeypatch.setattr(search.network, "forward", lambda x, w: [seen.append(w["cell"]), forward(x, w)][1])
    search.advance()
    search.measure_child(search.best, examples=4)
    search.measure()
    assert len(seen) >= 4
    assert all(isinstance(one, Mixture) for one in seen)
    if search.parts.sampling.hard:
        assert max(sum(row) for row in seen[0].used) <= 2


def test_gdas_computes_one_function_an_edge_of_a_recurrent_cell(monkeypatch):
    text = nl.tasks.LanguageModel.from_text("the cat sat on the mat\nand the dog sat on the cat\n" * 20, bptt=4)
    search = nl.searchers.GDAS(nl.spaces.RecurrentCell(nodes=2, hidden=8), text, epochs=1, batch_size=8, seed=1)
    wirings, through = [], search.network.through
    monkeypatch.setattr(search.network, "through", lambda *a: [wirings.append(a[1]), through(*a)][1])
    search.advance()
    assert wirings
    assert all(sum(which) == 1 for wiring in wirings for node in wiring.used for which in node)
