"""The recurrent cells of DARTS: published texts, published counts, the published rule."""

import math
from collections import namedtuple
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

import naslab as nl
from naslab.errors import SpecError
from naslab.networks import RECURRENT_ENAS, RECURRENT_V1, RECURRENT_V2, RecurrentGenotype
from naslab.networks.recurrent_supernet import PART, row
from naslab.randomness import numpy_generator, seeded, torch_generator
from naslab.searchers.gradient.bilevel import InnerStep, exact_product, finite_difference_product, unrolled_gradients
from naslab.spaces import RecurrentCell
from naslab.tasks.signature import Field, Head, Signature

V1 = (
    "Genotype(recurrent=[('relu', 0), ('relu', 1), ('tanh', 2), ('relu', 3), ('relu', 4), ('identity', 1), "
    "('relu', 5), ('relu', 1)], concat=range(1, 9))"
)
V2 = (
    "Genotype(recurrent=[('sigmoid', 0), ('relu', 1), ('relu', 1), ('identity', 1), ('tanh', 2), ('sigmoid', 5), "
    "('tanh', 3), ('relu', 5)], concat=range(1, 9))"
)
WORDS = 11
TASK = SimpleNamespace(
    signature=Signature(Field((None,), "int64", WORDS), {"logits": Head("sequence", WORDS)}),
)


def test_published_cells_are_written_as_published():
    space = RecurrentCell.paper()
    for text, genotype in ((V1, RECURRENT_V1), (V2, RECURRENT_V2)):
        architecture = space.parse(text)
        assert space.genotype(architecture) == genotype
        assert space.format(architecture) == str(genotype) == text
    assert str(RECURRENT_ENAS).endswith("('relu', 8), ('relu', 8), ('relu', 8)], concat=[2, 5, 6, 9, 10, 11])")
    assert RecurrentGenotype.parse(str(RECURRENT_ENAS)) == RECURRENT_ENAS


def test_the_forms_in_which_they_are_logged():
    space = RecurrentCell.paper()
    authors = namedtuple("Genotype", "recurrent concat")
    first, second = space.parse(V1), space.parse(V2)
    module = f"STEPS = 8\nDARTS_V1 = {V1}\n\nDARTS_V2 = {V2}\nDARTS = DARTS_V2\n"
    assert space.parse(module, which="DARTS_V1") == first
    assert space.parse(module, which="DARTS") == second
    assert space.parse(f"11/30 10:00:00 AM genotype = {V1}") == first
    assert space.parse(authors([tuple(e) for e in RECURRENT_V2.recurrent], range(1, 9))) == second
    assert space.parse({"recurrent": [list(e) for e in RECURRENT_V1.recurrent], "concat": list(range(1, 9))}) == first
    with pytest.raises(SpecError, match="which"):
        space.parse(module)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("Genotype(recurrent=[('relu', 1)], concat=range(1, 2))", "from 0 to 0"),
        ("Genotype(recurrent=[('none', 0)], concat=range(1, 2))", "unknown function 'none'"),
        ("Genotype(recurrent=[('relu', 0)], concat=[])", "different states"),
        ("Genotype(recurrent=[('relu', 0)], concat=[2])", "from 0 to 1"),
        ("Genotype(recurrent=[('relu', 0)])", "lacks concat"),
        ("", "recurrent=.*concat=range"),
        ("Genotype(recurrent=[('relu', 0)], concat=range(1, 2))", "expected 8 nodes"),
        ("Genotype(recurrent=[relu(0)], concat=range(1, 2))", "holds only names"),
        ("Genotype(recurrent=7, concat=range(1, 2))", "must be a list"),
        (str(RECURRENT_ENAS), "can be built without a space"),
        ("no genotype", "no genotype"),
        (None, "expected"),
    ],
)
def test_other_texts_are_refused(text, match):
    with pytest.raises(SpecError, match=match):
        RecurrentCell.paper().parse(text)


def test_an_image_cell_is_told_from_a_recurrent_one():
    image = (
        "Genotype(normal=[('skip_connect', 0), ('skip_connect', 1)], normal_concat=[2], reduce=[], reduce_concat=[])"
    )
    with pytest.raises(SpecError, match="image cell"):
        RecurrentCell.paper().parse(image)


def test_the_size_of_the_published_space():
    space = RecurrentCell.paper()
    assert space.size == math.factorial(8) * 4**8
    assert space.edges() == {PART: 36}
    assert space.operations == ("none", "tanh", "relu", "sigmoid", "identity")
    assert (space.hidden, space.dropouts) == (300, (0.75, 0.75, 0.25, 0.2, 0.0))


def published_rule(matrix, nodes):
    """`_parse` of the authors' rnn/model_search.py, but for its names."""
    gene, start = [], 0
    names = ("none", "tanh", "relu", "sigmoid", "identity")
    for i in range(nodes):
        w = matrix[start : start + i + 1].copy()
        j = sorted(range(i + 1), key=lambda x: -max(w[x][k] for k in range(len(w[x])) if k != 0))[0]
        k_best = None
        for k in range(len(w[j])):
            if k != 0 and (k_best is None or w[j][k] > w[j][k_best]):
                k_best = k
        gene.append((names[k_best], j))
        start += i + 1
    return tuple(gene)


def test_a_cell_is_derived_as_published():
    space, rng = RecurrentCell.paper(), numpy_generator("derive")
    for _ in range(50):
        matrix = rng.random((36, 5))
        matrix /= matrix.sum(axis=1, keepdims=True)
        assert space.genotype(space.discretize({PART: matrix})).recurrent == published_rule(matrix, 8)


def test_none_cannot_be_chosen_and_the_earlier_wins_a_tie():
    space = RecurrentCell(nodes=2)
    matrix = np.tile(np.float32([0.9, 0.025, 0.025, 0.025, 0.025]), (3, 1))
    assert space.discretize({PART: matrix}).choices == (0, "tanh", 0, "tanh")
    matrix[2, 3] = 0.03
    assert space.discretize({PART: matrix}).choices == (0, "tanh", 1, "sigmoid")


def test_a_one_hot_mixture_is_the_network_of_that_cell():
    """But for the normalisation, which running statistics of mean 0 and variance 1 make the identity."""
    space = RecurrentCell(nodes=4, hidden=6)
    architecture = space.sample(numpy_generator("one-hot"))
    with seeded("supernet"):
        supernet = space.supernet(TASK).double().eval()
    network = space.build(architecture, TASK).double().eval()
    network.load_state_dict({k: v for k, v in supernet.state_dict().items() if not k.startswith("norm.")})
    supernet.norm.eps = 0.0
    tokens = torch.randint(WORDS, (3, 5), generator=torch_generator("tokens"))
    weights = {part: torch.from_numpy(matrix).double() for part, matrix in space.one_hot(architecture).items()}
    assert_close(supernet((tokens, None), weights).logits, network((tokens, None)).logits, rtol=1e-12, atol=1e-14)


def test_rows_are_in_the_order_of_the_published_alphas():
    """Node after node, and for each the states before it."""
    graph = RecurrentCell(nodes=3).supergraph()
    assert [row(node, source) for node in (1, 2, 3) for source in range(node)] == list(range(6))
    assert {graph.edges[f"{PART}/{j}", f"{PART}/{i}"]["row"]: (i, j) for i in (1, 2, 3) for j in range(i)} == dict(
        enumerate([(1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2)])
    )


def test_sizes_and_rates_of_a_network_may_be_said():
    space = RecurrentCell.laptop()
    network = space.build(space.sample(0), TASK, hidden=16, dropout_e=0.1, dropout=0.5)
    assert network.embedding.shape == (WORDS, 16)
    assert (network.dropouts.dropout, network.dropouts.dropout_x, network.dropouts.dropout_e) == (0.5, 0.0, 0.1)
    with pytest.raises(SpecError, match="did you mean 'dropout_x'"):
        space.build(space.sample(0), TASK, dropout_y=0.1)


def test_tasks_that_are_no_language_model_are_refused():
    space = RecurrentCell.laptop()
    for task, match in (
        (SimpleNamespace(input_shape=(1, 8, 8), classes=3), "take another space, such as DartsCell or"),
        (Signature(Field((None,), "int64", 7), {"logits": Head("vector", 7)}), "such as NASBenchNLP or FlexiBERT"),
        (Signature(Field((None,), "int64", 7), {"logits": Head("sequence", 6)}), "scores of the 7 words"),
        (Signature(Field((3, None), "int64", 7), {"logits": Head("sequence", 7)}), "Take a task such as"),
        (Signature(Field((3, None, 2), "int64", 7), {"logits": Head("sequence", 7)}), "take"),
    ):
        with pytest.raises(SpecError, match=match):
            space.build(space.sample(0), task)
        with pytest.raises(SpecError, match=match):
            space.supernet(task)


def test_an_operation_costs_the_product_of_its_node():
    network = RecurrentCell(nodes=3, hidden=4, operations=("none", "relu", "identity")).supernet(TASK)
    costs = {figure: network.operation_costs(figure)[PART] for figure in ("multiply_adds", "parameters")}
    assert costs["multiply_adds"].tolist() == [[0, 4 * 8, 4 * 8]] * 6
    assert costs["parameters"].sum(dim=0).tolist() == [0, 3 * 32, 3 * 32]
    assert costs["parameters"][3:].tolist() == [[0, pytest.approx(32 / 3), pytest.approx(32 / 3)]] * 3


@pytest.fixture(scope="module")
def text():
    """A small text, in which each character is followed by one of two."""
    rng = numpy_generator("text")
    steps = rng.integers(1, 3, 6000).cumsum() % 6
    return nl.tasks.LanguageModel.from_text("".join("abcde\n"[step] for step in steps), unit="characters")


@pytest.mark.parametrize(
    ("searcher", "settings"),
    [
        ("Darts", {}),
        ("Darts", {"order": 2, "radius": 1e-4}),
        ("Darts", {"order": 2, "hessian_product": "exact"}),
        ("IDarts", {}),
        ("GDAS", {}),
        ("SNAS", {}),
        ("DrNAS", {}),
        ("ProxylessNAS", {}),
    ],
    ids=["first order", "finite difference", "exact", "idarts", "gdas", "snas", "drnas", "proxylessnas"],
)
def test_searchers_of_supernets_search_it(text, searcher, settings):
    space = RecurrentCell(nodes=2, hidden=8, dropouts=(0.1, 0, 0, 0, 0))
    search = nl.Search(getattr(nl.searchers, searcher)(space, text, seed=0, batch_size=8, epochs=1, **settings))
    for _ in range(2):
        event = next(search)
    assert math.isfinite(event.metrics["valid/loss"])
    assert search.best in space
    assert event.probabilities[PART].shape == (3, 5)


def test_the_virtual_step_of_second_order_moves_the_matrix_of_embedding_and_decoder(text):
    """In the authors' code it stays where it is, as an old copy of it is loaded over the moved one."""
    space = RecurrentCell(nodes=2, hidden=8, dropouts=(0.0,) * 5)
    with seeded("unrolled"):
        network = space.supernet(text).double()
    alphas = torch.zeros(3, 5, dtype=torch.float64, requires_grad=True)
    weights = list(network.parameters())
    tokens = torch.randint(6, (2, 9, 5), generator=torch_generator("chunks"))

    def loss(chunk):
        outputs = network((chunk[:, :-1], None), {PART: alphas.softmax(dim=1)})
        return torch.nn.functional.cross_entropy(outputs.logits.flatten(0, 1), chunk[:, 1:].flatten())

    def unrolled(product):
        return unrolled_gradients(
            train_loss=lambda: loss(tokens[0]),
            valid_loss=lambda: loss(tokens[1]),
            weights=weights,
            alphas=[alphas],
            step=InnerStep(xi=0.5, weight_decay=0.0, momentum=[None] * len(weights)),
            product=product,
        )

    exact, approximate = unrolled(exact_product), unrolled(finite_difference_product(1e-4))
    for before, moved in zip(weights, exact.moved, strict=True):
        assert not torch.equal(before, moved)
    direct = torch.autograd.grad(loss(tokens[1]), alphas)[0]
    assert_close(exact.gradients[0], approximate.gradients[0], rtol=1e-5, atol=1e-9)
    assert (exact.gradients[0] - direct).abs().max() > 1e-6
