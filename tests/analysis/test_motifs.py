"""Motifs counted by hand and by networkx; p-values against SciPy."""

import itertools
from collections import Counter

import networkx as nx
import numpy as np
import pytest
from scipy.stats import fisher_exact, permutation_test

import naslab as nl
from naslab.analysis.enrichment import tails
from naslab.analysis.motifs import KINDS, canonical, compared, motifs, patterns
from naslab.errors import RunError, SpecError

CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|none~1|skip_connect~2|"


def counted(kind, text=CELL):
    space = nl.spaces.NASBench201()
    return {str(p): many for p, many in patterns(space, space.parse(text), [kind]).items()}


def test_motifs_of_a_cell_by_hand():
    assert counted("operation") == {"nor_conv_3x3": 2, "avg_pool_3x3": 1, "skip_connect": 2}
    assert counted("place")["1 → 2: avg_pool_3x3"] == 1
    assert len(counted("place")) == 5, "the graph of a cell has no edge for none"
    assert counted("pair") == {
        "input → nor_conv_3x3 → node": 2,
        "node 1 → avg_pool_3x3 → node 2": 1,
        "input → skip_connect → output": 1,
        "node → skip_connect → output": 1,
    }, "none is no connection"
    found = counted("triple")  # of the nodes 012, 013, 023, 123; 013 has two connections, for 1 to 3 is none
    assert sum(found.values()) == 4
    assert found["input → nor_conv_3x3 → node, input → skip_connect → output"] == 1
    assert found["input → nor_conv_3x3 → node, input → skip_connect → output, node → skip_connect → output"] == 1
    assert found["node 1 → avg_pool_3x3 → node 2, node 2 → skip_connect → output"] == 1


def test_operations_at_nodes_and_edges_that_no_choice_is_about():
    space = nl.spaces.NASBench101()
    cell = space.from_cell([[0, 1, 1], [0, 0, 1], [0, 0, 0]], ["input", "conv3x3-bn-relu", "output"])
    found = {str(pattern): many for pattern, many in patterns(space, cell).items()}
    conv = "conv3x3-bn-relu"
    assert found == {
        conv: 1,
        f"1: {conv}": 1,
        f"{conv} → output": 1,
        f"input → {conv}": 1,
        "input → output": 1,
        f"{conv} → output, input → {conv}, input → output": 1,
    }
    darts = nl.spaces.DartsCell.laptop()
    labels = {
        label
        for pattern in patterns(darts, darts.sample(np.random.default_rng(0)), ["pair", "triple"])
        for label in pattern.form[0]
    }
    assert labels == {"input", "node"}, "what leads to the output was not chosen"


def test_two_operations_of_one_pair_of_nodes_are_two():
    space = nl.spaces.NASNetCell(blocks=1)
    cell = space.architecture([0, 0, "sep_conv_3x3", "max_pool_3x3", "add"] * 2)
    found = patterns(space, cell, ["operation", "pair"])
    named = {(p.kind, p.part, str(p)): many for p, many in found.items()}
    assert named["operation", "normal", "sep_conv_3x3"] == 1
    assert named["pair", "reduce", "input → max_pool_3x3 + sep_conv_3x3 → node"] == 1


def test_a_canonical_form_is_an_isomorphism():
    """All graphs of three nodes with two labels and two operations: equal forms if and only if networkx says so."""
    forms, graphs = [], []
    pairs = ((0, 1), (0, 2), (1, 2))
    for labels in itertools.product("ab", repeat=3):
        for chosen in itertools.product((None, "x", "y"), repeat=3):
            edges = tuple((u, v, op) for (u, v), op in zip(pairs, chosen, strict=True) if op)
            graph = nx.DiGraph()
            graph.add_nodes_from((i, {"label": label}) for i, label in enumerate(labels))
            graph.add_edges_from((u, v, {"op": op}) for u, v, op in edges)
            forms.append(canonical(labels, edges))
            graphs.append(graph)
    rng = np.random.default_rng(0)
    drawn = [tuple(pair) for pair in rng.integers(len(forms), size=(400, 2))]
    drawn += [(i, j) for i, j in itertools.combinations(range(len(forms)), 2) if forms[i] == forms[j]][:300]
    same = 0
    for i, j in drawn:
        isomorphic = nx.is_isomorphic(
            graphs[i], graphs[j], lambda a, b: a["label"] == b["label"], lambda a, b: a["op"] == b["op"]
        )
        assert (forms[i] == forms[j]) == isomorphic
        same += isomorphic
    assert same >= 50


@pytest.mark.parametrize(("found", "random"), [((3, 4), (2, 30)), ((0, 5), (9, 20)), ((6, 6), (1, 6))])
def test_presence_is_fishers_exact_test(found, random):
    (a, n), (b, m) = found, random
    own, other = [1] * a + [0] * (n - a), [1] * b + [0] * (m - b)
    table = [[a, n - a], [b, m - b]]
    result = tails(own, other)
    assert result.more == pytest.approx(fisher_exact(table, "greater").pvalue, rel=1e-9)
    assert result.fewer == pytest.approx(fisher_exact(table, "less").pvalue, rel=1e-9)
    assert result.p == min(1, 2 * min(result))


def test_counts_are_the_permutation_test_over_all_permutations():
    own, other = np.array([3, 0, 2, 2]), np.array([0, 1, 2, 0, 1])
    for alternative, mine in zip(("greater", "less"), tails(own, other), strict=True):
        theirs = permutation_test(
            (own, other), lambda x, y: x.sum(), n_resamples=np.inf, alternative=alternative, vectorized=False
        )
        assert mine == pytest.approx(theirs.pvalue, rel=1e-9)
    assert tails([2, 2], [2, 2, 2]) == (1, 1)
    with pytest.raises(SpecError, match="counts from 0 up"):
        tails([], [1])


def test_a_planted_motif_is_found_and_nothing_is_found_in_chance():
    space = nl.spaces.NASBench201()
    rng = np.random.default_rng(0)
    cells = [space.sample(rng) for _ in range(12)]
    planted = [space.architecture([*cell.choices[:5], "skip_connect"]) for cell in cells]
    result = motifs(planted, space, kinds=["place"], random=400)
    assert [str(motif.pattern) for motif in result.enriched()] == ["2 → 3: skip_connect"]
    first = result.motifs[0]
    assert (first.found, first.carriers) == (1, 12)
    assert first.ratio == pytest.approx(5, rel=0.25), "one of five operations by chance"
    assert first.holm == pytest.approx(first.p * 24, rel=1e-6), "6 edges with 4 operations each"
    assert not motifs(cells, space, random=400).enriched()
    depleted = {str(motif.pattern) for motif in result.depleted()}
    assert all(text.startswith("2 → 3") for text in depleted)
    assert motifs(planted, space, kinds=["place"], random=400) == result
    assert "12 architectures of nasbench201 against 400" in str(result)
    assert result.of("place", part="cell") == result.motifs
    assert result.of("pair") == ()


def test_what_one_side_lacks_has_a_stated_ratio():
    space = nl.spaces.NASBench201()
    one, other = space.architecture(["skip_connect"] * 6), space.architecture(["nor_conv_3x3"] * 6)
    result = compared([one] * 3, [other] * 5, space, ["operation"])
    ratios = {str(motif.pattern): motif.ratio for motif in result.motifs}
    assert ratios == {"skip_connect": float("inf"), "nor_conv_3x3": 0}
    assert all(motif.p == pytest.approx(2 / 56) for motif in result.motifs), "2 / C(8, 3)"
    assert all(motif.holm == pytest.approx(4 / 56) for motif in result.motifs)


def test_from_run_folders(tmp_path):
    table = nl.benchmarks.NASBenchMacro()
    paths = []
    for seed in range(3):
        search = nl.Search(
            nl.searchers.RandomSearch(table.space, seed=seed), estimator=table, budget=5, run=tmp_path / f"run-{seed}"
        )
        list(search)
        search.close()
        paths.append(tmp_path / f"run-{seed}")
    found = nl.runs.found(paths)
    assert len(found) == 3
    for path, architecture in zip(paths, found, strict=True):
        with nl.Search.open(path, estimator=table) as again:
            assert again.best == architecture
    assert motifs(found, table.space, random=20, kinds=["operation"]).architectures == 3
    empty = nl.Search(nl.searchers.RandomSearch(table.space, seed=9), estimator=table, budget=5, run=tmp_path / "new")
    empty.close()
    with pytest.raises(RunError, match="found nothing yet"):
        nl.runs.found([*paths, tmp_path / "new"])
    other = nl.spaces.NASBench201()
    cells = nl.benchmarks.NASBench201("cifar10")
    nl.Search(nl.searchers.RandomSearch(other, seed=0), estimator=cells, budget=2, run=tmp_path / "other").close()
    with pytest.raises(RunError, match="different spaces, nasbench201, nasbench_macro"):
        nl.runs.found([paths[0], tmp_path / "other"])


def test_searches_count_as_what_they_found():
    table = nl.benchmarks.NASBenchMacro()
    searches = [nl.Search(nl.searchers.RandomSearch(table.space, seed=s), estimator=table, budget=3) for s in range(3)]
    for search in searches:
        list(search)
    one = motifs(searches, table.space, random=30)
    assert one == motifs([search.best for search in searches], table.space, random=30)
    assert Counter(motif.pattern.kind for motif in one.motifs).keys() <= set(KINDS)


def test_bad_input():
    space = nl.spaces.NASBench201()
    cell = space.parse(CELL)
    with pytest.raises(SpecError, match="2 architectures are too few"):
        motifs([cell] * 2, space)
    with pytest.raises(SpecError, match="give a list, not Architecture"):
        motifs(cell, space)
    with pytest.raises(SpecError, match=r"str is neither.*naslab\.runs\.found"):
        motifs(["runs/darts-1"] * 3, space)
    with pytest.raises(SpecError, match="unknown kind of motif 'pears'; did you mean"):
        motifs([cell] * 3, space, kinds=["pears"])
    with pytest.raises(SpecError, match="does not belong"):
        motifs([nl.spaces.NASBenchMacro().sample(np.random.default_rng(0))] * 3, space)
