"""Language models as tasks: what is measured, how text is written, how a run finds its text again."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import naslab as nl
from naslab.errors import DataError, Diverged, SpecError
from naslab.tasks import LanguageModel, corpora
from naslab.tasks.checks import check_example, check_task
from naslab.tasks.measurement import Measurement
from naslab.tasks.sequence import RecurrentOutputs

VERSE = "the cat sat on the mat\nthe dog sat on the log\n\n" * 60


class Recurrent(nn.Module):
    """h_t = tanh(E x_t + W h_{t-1}), logits = D dropout(h_t)."""

    def __init__(self, vocabulary, units=6, seed=0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.embedding = nn.Parameter(torch.randn(vocabulary, units, generator=generator))
        self.recurrent = nn.Parameter(torch.randn(units, units, generator=generator) / 2)
        self.decoder = nn.Parameter(torch.randn(units, vocabulary, generator=generator))
        self.dropout = nn.Dropout(0.5)

    def forward(self, inputs):
        tokens, state = inputs
        h = torch.zeros(len(tokens), len(self.recurrent)) if state is None else state
        outputs = []
        for t in range(tokens.shape[1]):
            h = torch.tanh(self.embedding[tokens[:, t]] + h @ self.recurrent)
            outputs.append(h)
        raw = torch.stack(outputs, dim=1)
        dropped = self.dropout(raw)
        return RecurrentOutputs(dropped @ self.decoder, raw, dropped, h)


class Reciting(nn.Module):
    """Knows a text by heart: gives all weight to the token that follows the last one in it. It carries no state."""

    def __init__(self, task, text):
        super().__init__()
        numbers = task.encode(text)
        self.next = torch.full((len(task.vocabulary),), -1)
        self.next[numbers[:-1]] = numbers[1:]
        self.seen = []

    def forward(self, inputs):
        tokens, state = inputs
        assert state is None
        self.seen.append(tokens.shape[1])
        return 100 * F.one_hot(self.next[tokens], len(self.next)).float()


def test_shakespeare_is_cut_by_position(shakespeare):
    assert dict(shakespeare.splits) == {"train": 1_003_854, "valid": 55_770, "test": 55_770}
    assert sum(shakespeare.splits.values()) == 1_115_394
    assert len(shakespeare.vocabulary) == 65
    text = "".join(shakespeare.decode(torch.from_numpy(shakespeare.numbers[split])) for split in shakespeare.splits)
    assert text == corpora.bundled("shakespeare")
    assert shakespeare.fingerprint() == "e1e15a4244442d4195e972be4e63e1c1"
    assert "<shakespeare: 1,003,854 + 55,770 + 55,770 characters, 65 different" in repr(shakespeare)


def test_words_of_wikitext2_say_that_perplexities_do_not_compare():
    task = LanguageModel.bundled("wikitext2", "words")
    assert dict(task.splits) == {"train": 195_881, "valid": 21_765, "test": 245_569}
    assert task.splits["train"] + task.splits["valid"] == 217_646
    assert task.objective == "perplexity"
    assert "trained on 195,881 words of WikiText-2's validation file: perplexities do not compare" in task.notes[0]
    assert task.notes[0] in repr(task)
    assert task.decode(task.numbers["test"][:6].tolist()) == "\n= Robert <unk> =\n"


def test_a_limited_vocabulary_says_what_it_hides():
    task = LanguageModel.from_text("a a a a b b c d\n" * 20, "words", vocabulary=4, valid=0.2, test=0.2, bptt=4)
    assert sorted(task.vocabulary.tokens) == ["<eos>", "<unk>", "a", "b"]
    assert task.notes == (
        "a vocabulary of 4 of the 5 different words: 22.2% of the text became <unk>, so that numbers do not compare "
        "with those on all of them",
    )
    assert len(LanguageModel.from_text(VERSE, "words", vocabulary=100, bptt=7).notes) == 0


def test_the_contract_of_tasks(verse):
    assert check_task(verse, "a search") is verse
    check_example(verse)
    tokens, targets = batch = verse.example(5)
    assert tokens.shape == targets.shape == (5, 7)
    assert verse.example(1000)[0].shape == (1000, 7), "as many as memory is measured with"
    assert (verse.size(batch), verse.nominal_size(5)) == (35, 35)
    short = verse.batch(list(verse.stream("train").sweep(5))[-1])
    assert verse.size(short) < verse.nominal_size(5)
    inputs = verse.inputs(batch, "state")
    assert (inputs[0] is tokens, inputs[1]) == (True, "state")
    first, second = verse.parts(0, 0.3)
    assert (first.split, len(first)) == ("train", verse.splits["train"])
    assert (second.split, len(second)) == ("valid", verse.splits["valid"]), "validation data of its own"
    assert verse.units == "tokens"


# --- what is measured -------------------------------------------------------------------------------


def swept(task, network, split="valid", batch_size=4):
    """Outputs and batches of a whole split, the state carried from chunk to chunk."""
    carry = None
    for where in task.stream(split).sweep(batch_size):
        batch = task.batch(where, split=split)
        outputs = network(task.inputs(batch, carry))
        carry = task.carry(outputs)
        yield outputs, batch


def test_a_perplexity_is_that_of_all_tokens(verse):
    network = Recurrent(len(verse.vocabulary)).eval()
    together = Measurement(verse.metrics())
    nats, tokens, each = 0.0, 0, []
    for outputs, (x, y) in swept(verse, network):
        together.update(outputs, (x, y))
        loss = float(F.cross_entropy(outputs.logits.detach().double().flatten(0, 1), y.flatten()))
        nats, tokens = nats + loss * y.numel(), tokens + y.numel()
        each.append(math.exp(loss))
    found = together.compute()
    assert found["loss"] == pytest.approx(nats / tokens, rel=1e-6)
    assert found["perplexity"] == pytest.approx(math.exp(nats / tokens), rel=1e-6)
    assert found["bits_per_character"] == pytest.approx(nats / tokens / math.log(2), rel=1e-6)
    assert abs(found["perplexity"] - sum(each) / len(each)) > 1e-3, "which a mean of perplexities is not"
    assert verse.objective == "bits_per_character"
    assert verse.quantities["bits_per_character"].unit == "bits"
    assert {quantity.direction for quantity in verse.quantities.values()} == {"min"}


def test_a_carried_state_makes_chunks_one_text(verse):
    network = Recurrent(len(verse.vocabulary)).eval()
    logits = torch.cat([outputs.logits for outputs, _ in swept(verse, network)], dim=1)
    text = torch.from_numpy(verse.numbers["valid"])
    columns = text[: len(text) // 4 * 4].view(4, -1).long()
    assert torch.allclose(logits, network((columns[:, :-1], None)).logits, atol=1e-5)
    assert not any(carry.requires_grad for carry in [verse.carry(outputs) for outputs, _ in swept(verse, network)])


def test_an_untrained_network_is_as_good_as_chance(verse):
    outputs = torch.zeros(5, 7, len(verse.vocabulary))
    batch = verse.example(5)
    found = verse.measured(outputs, batch)
    assert found["perplexity"] == pytest.approx(len(verse.vocabulary))
    assert verse.reward_of(outputs, batch) == -found["loss"]
    assert verse.reward == "-loss"
    assert float(verse.distance(outputs, outputs, batch)) == pytest.approx(found["loss"])
    assert verse.metrics()["perplexity"].of(1e6 * (outputs + torch.eye(len(verse.vocabulary))[0]), batch) == math.inf


def test_metrics_share_a_pass_over_the_outputs(verse, monkeypatch):
    calls = []
    original = F.cross_entropy
    monkeypatch.setattr(F, "cross_entropy", lambda *args, **kwargs: calls.append(1) or original(*args, **kwargs))
    outputs, batch = torch.zeros(5, 7, len(verse.vocabulary)), verse.example(5)
    verse.measured(outputs, batch)
    assert len(calls) == 1
    known = verse.measured(None, None, loss=math.log(3))
    assert known == {
        "loss": math.log(3),
        "perplexity": pytest.approx(3),
        "bits_per_character": pytest.approx(math.log2(3)),
    }
    measurement = Measurement(verse.metrics())
    for logits in (outputs, outputs + torch.eye(len(verse.vocabulary))[0], outputs):
        measurement.update(logits, batch)
    assert len(calls) == 1 + 3, "once for each mini-batch, though the same comes again"
    one, other = (verse.measured(logits, batch)["loss"] for logits in (outputs, outputs + torch.eye(14)[0]))
    assert measurement.compute()["loss"] == pytest.approx((2 * one + other) / 3)


@pytest.mark.parametrize(
    "wrap", [lambda o: o, lambda o: o._asdict(), lambda o: o.logits], ids=["tuple", "dict", "bare"]
)
def test_outputs_may_be_a_tensor_a_dictionary_or_a_tuple(verse, wrap):
    network = Recurrent(len(verse.vocabulary)).eval()
    batch = verse.example(3)
    outputs = network(verse.inputs(batch))
    wrapped = wrap(outputs)
    verse.check_outputs(wrapped, batch)
    assert verse.loss(wrapped, batch) == verse.loss(outputs, batch)
    assert (verse.carry(wrapped) is None) == isinstance(wrapped, torch.Tensor)


def test_activation_regularisation(verse):
    batch = verse.example(3)
    outputs = Recurrent(len(verse.vocabulary))(verse.inputs(batch))
    raw, dropped = outputs.raw.detach().double(), outputs.dropped.detach().double()
    ar = sum(float(value) ** 2 for value in dropped.flatten()) / dropped.numel()
    tar = sum(float(((raw[:, t] - raw[:, t - 1]) ** 2).sum()) for t in range(1, 7)) / raw[:, 1:].numel()
    assert float(verse.regularisation(outputs, batch).detach()) == pytest.approx(1e-3 * tar, rel=1e-5), (
        "the published search"
    )
    both = verse.with_options(ar=2, tar=1)
    assert float(both.regularisation(outputs, batch).detach()) == pytest.approx(2 * ar + tar, rel=1e-5)
    assert both.regularisation(outputs, batch).requires_grad
    assert verse.regularisation(outputs.logits, batch) is None
    assert verse.with_options(tar=0).regularisation(outputs, batch) is None
    one = Recurrent(len(verse.vocabulary))((batch[0][:, :1], None))
    assert verse.regularisation(one, batch) is None, "one token has no change; a mean of nothing is NaN"


def test_outputs_that_cannot_be_judged_are_named(verse):
    batch = verse.example(3)
    with pytest.raises(SpecError, match=r"logits \[3, 7, 14\] for tokens \[3, 7\], not \[3, 13\]"):
        verse.check_outputs(torch.zeros(3, 13), batch)
    with pytest.raises(SpecError, match="an object with 'logits'"):
        verse.check_outputs((torch.zeros(3, 7, 14), None), batch)


# --- text and back ------------------------------------------------------------------------------------


def test_what_a_network_knows_by_heart_it_writes(verse):
    task = LanguageModel.from_text("abcdefgh\n" * 20, bptt=4, valid=0.2, test=0.2)
    network = Reciting(task, "abcdefgh\na").train()
    assert task.sample(network, "bc", 8, generator=3) == "bcdefgh\nab"
    assert task.sample(network, "c", 3, temperature=0) == "cdef"
    assert network.training, "as it was"
    assert max(network.seen) == 4, "without a state it sees bptt tokens at most"


def test_samples_follow_the_distribution(verse):
    task = LanguageModel.from_text("abcabcaabbcc\n" * 20, bptt=4, valid=0.2, test=0.2)
    logits = torch.tensor([0.5, 0.3, 0.2, 1e-9]).log()

    def network(inputs):
        return logits.expand(*inputs[0].shape, 4)

    text = task.sample(network, "a", 1000, generator=0)[1:]
    for letter, share in (("a", 0.5), ("b", 0.3), ("c", 0.2)):
        assert abs(text.count(letter) / 1000 - share) < 0.05
    cold = task.sample(network, "a", 1000, 0.5, torch.Generator().manual_seed(1))[1:]
    assert abs(cold.count("a") / 1000 - 0.25 / 0.38) < 0.05, "at half the temperature, squares"
    assert task.sample(network, "a", 50, generator=5) == task.sample(network, "a", 50, generator=5)
    assert task.sample(network, "a", 50, generator=5) != task.sample(network, "a", 50, generator=6)


def test_the_state_is_carried_while_writing(verse):
    network = Recurrent(len(verse.vocabulary))
    written = verse.sample(network, "the cat", 12, temperature=0)
    numbers = verse.encode(written)
    with torch.no_grad():
        logits = network.eval()((numbers[None, :-1], None)).logits[0]
    assert logits.argmax(1)[6:].tolist() == numbers[7:].tolist()
    assert len(written) == 7 + 12


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"prompt": ""}, DataError, "no token to begin with"),
        ({"prompt": "THE"}, DataError, "'T', 'H', 'E'"),
        ({"length": -1}, SpecError, "length"),
        ({"temperature": -1}, SpecError, "temperature"),
        ({"generator": "a"}, SpecError, "a seed"),
    ],
)
def test_samples_of_nonsense(verse, arguments, error, message):
    with pytest.raises(error, match=message):
        verse.sample(Recurrent(len(verse.vocabulary)), **arguments)


def test_a_network_that_diverged_writes_nothing(verse):
    with pytest.raises(Diverged, match="not finite"):
        verse.sample(lambda inputs: torch.full((1, inputs[0].shape[1], 14), math.nan))


def test_augmentation_is_refused_by_name(verse):
    with pytest.raises(SpecError, match="no augmentation"):
        verse.augmented(cutout=3)


def test_a_perplexity_that_does_not_compare_says_so_wherever_it_is_shown():
    task = LanguageModel.bundled("wikitext2", unit="words", vocabulary=50).subset(300, 100, 100)
    space = nl.spaces.RecurrentCell(nodes=1, hidden=2, dropouts=(0,) * 5)
    *_, last = nl.trainers.comparing({"random": [space.sample(0)]}, space, task, seeds=[0], epochs=1, batch_size=4)
    report = nl.trainers.fit(space.build(space.sample(0), task), task, epochs=1, batch_size=4)
    for shown in (repr(task), str(report), repr(last), last.card._repr_html_()):
        assert "perplexities do not compare with published ones, which train on 2,088,628 words" in shown
