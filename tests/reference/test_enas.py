"""ENAS as it is composed, against the plain one."""

import copy

import torch
import torch.nn.functional as F

import naslab as nl
from naslab.architecture import Architecture
from naslab.events import ChildTrained
from naslab.reference.controller import Recurrent
from naslab.reference.enas import enas

SPACE = nl.spaces.EnasMicro(nodes=2, channels=2, cells=3)
GIVEN = dict(
    batch_size=128, train_portion=0.2, controller_steps=2, children=3, derived=3, derived_images=32, units=6, layers=1
)
EPOCHS = 2


def test_the_same_controller_and_shared_weights(digits, batches, drawn, learnt, monkeypatch):
    """The same children in both phases, the same shared weights to the last bit, and the same controller but for
    rounding, which Adam may make more of: the plain one writes one child at a time, and a step is 5,000 times larger
    than what is allowed."""
    searcher = nl.searchers.Enas(SPACE, digits, seed=4, epochs=EPOCHS, controller_lr=0.05, entropy_weight=0.01, **GIVEN)
    shared = searcher.weights.network
    network = copy.deepcopy(shared).train()
    weights = learnt(searcher.controller.policy.policy, SPACE.fixed_choices)
    policy = Recurrent(SPACE.fixed_choices, units=6, layers=1)
    start = {name: w.detach().clone() for name, w in weights().items()}
    policy.load_state_dict(start)
    rng = drawn.by(searcher.controller, monkeypatch)

    events, epochs, best = [], [], []
    for _ in range(EPOCHS):
        training, validation = [], []
        for _ in range(searcher.total // EPOCHS):
            batches.clear()
            events.append(searcher.advance())
            phase = training if isinstance(events[-1], ChildTrained) else validation
            phase.append(batches[0])  # the others compare children at the end of the epoch
        assert (len(training), len(validation)) == (2, 6)
        epochs.append((training, validation, events[-1].settings["w_lr"]))
        best.append(events[-1].best.choices)

    children = []

    def logits(child, images):
        children.append(child)
        return network(images, SPACE.layers_of(Architecture(SPACE.name, child)))

    def loss(child, batch):
        return F.cross_entropy(logits(child, batch[0]), batch[1])

    @torch.no_grad()
    def accuracy(child, batch):
        return float((logits(child, batch[0]).argmax(dim=1) == batch[1]).double().mean())

    parameters = list(network.parameters())
    given = dict(children=3, derived=3, rate=0.05, bonus=0.01)
    found = list(enas(SPACE, policy, parameters, loss, accuracy, best.count, epochs, rng, **given))
    assert not drawn.numbers, "no number more or less was drawn"
    assert children == [event.architecture.choices for event in events]
    assert found == best, "what the search found is among the children that the plain one compares"
    for (name, w), plain in zip(shared.named_parameters(), parameters, strict=True):
        torch.testing.assert_close(w, plain, rtol=0, atol=0, msg=name)
    plain = policy.state_dict()
    for name, w in weights().items():
        torch.testing.assert_close(w.detach(), plain[name], rtol=1e-5, atol=1e-5, msg=name)
        assert not torch.equal(plain[name], start[name]) or name.startswith("embedding.reduce/1/op_1")
