"""Any parts that go together run; others say why not."""

import itertools
import json

import pytest

import naslab as nl
from naslab.errors import SpecError
from naslab.searchers import gradient as g
from naslab.searchers.gradient.parts import KINDS, from_json, to_json

MIXINGS = [g.Softmax(), g.JointSoftmax(), g.Sigmoid()]
SAMPLINGS = [g.FullMixture(), g.Concrete(), g.StraightThrough(), g.BinaryGates(), g.Reinforce(), g.Dirichlet()]
CHANNELS = [g.PartialChannels(one_in=1), g.PartialChannels(one_in=2, edge_normalisation=True)]
LEVELS = [
    g.Bilevel(),
    g.Bilevel(order=2),
    g.Bilevel(order=2, hessian_product="exact"),
    g.MixedLevel(),
    g.MixedLevel(order=2),
    g.SingleLevel(),
]
LATENCY = g.Resource(what="table", table={"cell": [[0.0, 0.1, 1.0, 2.0, 0.5]] * 6})
REGULARIZERS = [(), (LATENCY, g.SkipDropout()), (g.Perturbation(),), (g.Entropy(), g.SizeTracking())]


@pytest.fixture(scope="module")
def digits():
    return nl.tasks.Digits()


def legal(parts):
    try:
        g.Parts(**parts)
    except SpecError:
        return False
    return True


def everything():
    kinds = ("mixing", "sampling", "channels", "level", "regularizers")
    for combination in itertools.product(MIXINGS, SAMPLINGS, CHANNELS, LEVELS, REGULARIZERS):
        yield dict(zip(kinds, combination, strict=True))


def test_how_many_combinations_are_legal():
    """The rules, counted once more by hand."""

    def allowed(mixing, sampling, channels, level, regularizers):
        hard = isinstance(sampling, g.StraightThrough | g.BinaryGates | g.Reinforce)
        once = hard or isinstance(sampling, g.Dirichlet)
        kinds = {type(regularizer) for regularizer in regularizers}
        return not (
            (isinstance(mixing, g.Sigmoid) and not isinstance(sampling, g.FullMixture))
            or (isinstance(mixing, g.Sigmoid) and g.Entropy in kinds)
            or (isinstance(mixing, g.JointSoftmax) and channels.edge_normalisation)
            or (isinstance(sampling, g.Reinforce) and (level.order == 2 or isinstance(level, g.SingleLevel)))
            or (once and level.order == 2 and level.hessian_product == "exact")
            or (g.Perturbation in kinds and (hard or isinstance(level, g.SingleLevel)))
        )

    found = [legal(parts) for parts in everything()]
    assert found == [allowed(**parts) for parts in everything()]
    assert 100 < sum(found) < len(found)


@pytest.mark.slow
def test_legal_combinations_run(digits):
    """A step of every 23rd; the regularizers and levels differ from one to the next."""
    space = nl.spaces.NASBench201(channels=2, cells=1)
    combinations = [parts for parts in everything() if legal(parts)]
    for parts in combinations[::23]:
        search = nl.searchers.GradientSearch(space, digits, batch_size=4, epochs=1, **parts)
        event = search.advance()
        assert event.best in space
        again = nl.searchers.from_spec(json.loads(json.dumps(search.spec())), digits)
        assert again.parts == search.parts


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        (dict(sampling=g.Reinforce(), level=g.Bilevel(order=2)), "no gradient through the weights"),
        (dict(sampling=g.StraightThrough(), level=g.Bilevel(order=2, hessian_product="exact")), "once only"),
        (dict(sampling=g.Dirichlet(), level=g.MixedLevel(order=2, hessian_product="exact")), "once only"),
        (dict(sampling=g.Reinforce(), level=g.SingleLevel()), "one backward pass"),
        (dict(mixing=g.Sigmoid(), sampling=g.Concrete()), "Take Softmax or JointSoftmax"),
        (dict(mixing=g.Sigmoid(), regularizers=(g.Entropy(),)), "Entropy needs a distribution"),
        (dict(sampling=g.BinaryGates(), regularizers=(g.Perturbation(),)), "computes only those"),
        (dict(level=g.SingleLevel(), regularizers=(g.Perturbation(),)), "take Bilevel"),
        (dict(mixing=g.JointSoftmax(), channels=CHANNELS[1]), "leave edge_normalisation out"),
        (dict(regularizers=(g.Entropy(), g.Entropy(weight=1.0))), "give each regularizer once"),
        (dict(regularizers=[g.Entropy()]), "must be a tuple of regularizers"),
        (dict(mixing="softmax"), "mixing must be a Mixing"),
        (dict(warmup=1.0), r"warmup must be in \[0, 1\)"),
    ],
)
def test_parts_that_do_not_go_together_say_why(parts, says):
    with pytest.raises(SpecError, match=says):
        g.Parts(**parts)


def test_parts_through_json():
    for kind, parts in (("mixing", MIXINGS), ("sampling", SAMPLINGS), ("channels", CHANNELS), ("level", LEVELS)):
        for part in parts:
            assert from_json(kind, json.loads(json.dumps(to_json(part)))) == part
    for regularizers in REGULARIZERS:
        assert from_json("regularizers", json.loads(json.dumps(to_json(regularizers)))) == regularizers
    assert {len(set(parts.values())) == len(parts) for parts in KINDS.values()} == {True}
    with pytest.raises(SpecError, match="did you mean 'concrete'"):
        from_json("sampling", {"part": "concret"})
    with pytest.raises(SpecError, match=r"given: \{'heat': 3\}"):
        from_json("sampling", {"part": "concrete", "heat": 3})


def test_a_space_without_partial_channels_says_so(digits):
    class Whole(nl.spaces.NASBench201):
        def supernet(self, task):
            return super().supernet(task)

    with pytest.raises(SpecError, match="no partial channels"):
        nl.searchers.PCDarts(Whole(channels=4, cells=1), digits)
