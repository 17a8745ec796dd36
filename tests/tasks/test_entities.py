"""Named entities: the published counts of WNUT-17, columns of one's own, and what a network is given and judged by."""

import pytest
import torch
from seqeval.metrics import f1_score
from torch import nn

import naslab as nl
from naslab.errors import DataError, SpecError
from naslab.tasks import columns, tags
from naslab.tasks.measurement import Measurement

Entities = nl.tasks.Entities
TRAIN = """EU NNP B-NP I-ORG
rejects VBZ B-VP O
German JJ B-NP I-MISC
call NN I-NP O

-DOCSTART- -X- O O

Peter NNP B-NP I-PER
Blackburn NNP I-NP I-PER
EU NNP B-NP I-ORG
London NNP B-NP I-ORG
Paris NNP B-NP B-ORG
"""
TEST = "EU x y I-ORG\nsaid x y O\n\nPeter x y I-PER\n"


@pytest.fixture(scope="module")
def wnut():
    return Entities.bundled("wnut17")


@pytest.fixture
def own():
    return Entities.from_columns(TRAIN, TEST, least=1)


def test_the_bundled_sentences_are_the_published_ones(wnut):
    assert {split: len(some) for split, some in wnut.sentences.items()} == {"train": 3394, "valid": 1009, "test": 1287}
    words = {split: sum(len(one.words) for one in some) for split, some in wnut.sentences.items()}
    assert words == {"train": 62730, "valid": 15733, "test": 23394}
    types = {"corporation", "creative-work", "group", "location", "person", "product"}
    assert {tag[2:] for tag in wnut.tags[1:]} == types
    assert len(wnut.tags) == 13
    assert wnut.sentences["train"][0].words[:3] == ("@paulwalk", "It", "'s")
    assert wnut.sentences["train"][0].tags[13:15] == ("O", "B-location")


def test_columns_of_conll_2003(own):
    assert own.tags == ("O", "B-MISC", "I-MISC", "B-ORG", "I-ORG", "B-PER", "I-PER")
    first, second = own.sentences["train"]
    assert first.tags == ("B-ORG", "O", "B-MISC", "O")
    assert second.tags == ("B-PER", "I-PER", "B-ORG", "I-ORG", "B-ORG")  # IOB1's B begins a neighbour of its own type
    parts = own.parts(0, 0.5)
    assert sorted(torch.cat([part.indices for part in parts]).tolist()) == [0, 1]
    chunks = Entities.from_columns(TRAIN, TRAIN, word=1, tag=2, scheme="BIO")
    assert chunks.sentences["train"][0].words == ("NNP", "VBZ", "JJ", "NN")
    assert chunks.tags == ("O", "B-NP", "I-NP", "B-VP", "I-VP")


def test_separators():
    text = "a\tO\n\t\nb c\tB-x\n \t \n\n\u00a0\tI-x\r\n".replace("\r", "")
    found = columns.sentences(text, "it")
    assert [one.words for one in found] == [("a",), ("b c",), ("\u00a0",)]
    assert columns.sentences("a  x   O\nb y B-t", "it", word=0) == [(("a", "b"), ("O", "B-t"))]


def test_a_mini_batch_is_what_the_sentences_say(own):
    batch = own.batch(torch.tensor([1, 0]), split="train")
    words = {word: number for number, word in enumerate(own.words, 2)}
    assert batch["words"][1].tolist() == [words["eu"], words["rejects"], words["german"], words["call"], 0]
    assert batch["mask"].tolist() == [[True] * 5, [True] * 4 + [False]]
    assert [own.tags[k] for k in batch["tags"][0].tolist()] == list(own.sentences["train"][1].tags)
    letters = {letter: number for number, letter in enumerate(own.characters, 2)}
    assert batch["characters"].shape == (2, 5, len("Blackburn"))
    assert batch["characters"][0, 0].tolist() == [letters[c] for c in "Peter"] + [0] * 4
    assert not batch["characters"][1, 4].any()
    assert own.size(batch) == 2
    unseen = own.batch(torch.tensor([0]), split="test")
    assert unseen["words"].tolist() == [[words["eu"], 1]]
    rare = Entities.from_columns(TRAIN, TEST)  # least=2
    assert rare.words == ("eu",)
    cut = Entities.from_columns(TRAIN, TEST, letters=3).batch(torch.tensor([0]))
    assert cut["characters"].shape[2] == 3
    whole, part = own.batch(torch.tensor([1, 0])), own.batch(torch.tensor([1, 0]), rows=slice(1, 2))
    assert torch.equal(whole["words"][1:2], part["words"])


class Tagger(nn.Module):
    """Each word by itself: enough to be judged."""

    def __init__(self, task, transitions):
        super().__init__()
        size = task.signature.inputs["words"].vocabulary
        torch.manual_seed(0)
        self.embedding = nn.Embedding(size, len(task.tags))
        count = len(task.tags)
        self.transitions = nn.Parameter(torch.zeros(count + 2, count)) if transitions else None

    def forward(self, inputs):
        logits = self.embedding(inputs["words"])
        return logits if self.transitions is None else {"logits": logits, "transitions": self.transitions}


@pytest.mark.parametrize("transitions", [False, True])
def test_a_tagger_learns_and_its_score_is_that_of_seqeval(wnut, transitions):
    task = wnut.subset(60, 10, 10)
    network = Tagger(task, transitions)
    optimizer = torch.optim.Adam(network.parameters(), 0.3)
    batch = task.batch(torch.arange(60))
    first = None
    for _ in range(25):
        loss = task.loss(network(task.inputs(batch)), batch)
        first = float(loss.detach()) if first is None else first
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.3 * first
    measurement = Measurement(task.metrics())
    outputs = network(task.inputs(batch))
    task.check_outputs(outputs, batch)
    measurement.update(outputs, batch)
    found = measurement.compute()
    true = [list(sentence.tags) for sentence in task.sentences["train"]]
    assert found["f1"] == pytest.approx(f1_score(true, task.best(outputs, batch)))
    assert found["f1"] > 0.1  # half of the words are unknown
    spans = task.predict(network, task.batch(torch.tensor([0])))
    assert spans[0] == tags.spans(task.best(outputs, batch)[0])


def test_all_outside_scores_nothing(own):
    batch = own.batch(torch.tensor([0, 1]))
    logits = torch.zeros(2, 5, 7)
    logits[..., 0] = 9
    assert own.counts(logits, batch) == (0, 0, 5)
    found = own.metrics()["f1"]
    assert found.compute(found.update(None, logits, batch)) == 0
    with pytest.raises(SpecError, match=r"must give logits \[2, 5, 7\]"):
        own.check_outputs(logits[..., :3], batch)
    with pytest.raises(SpecError, match=r"must be \[9, 7\]"):
        own.check_outputs({"logits": logits, "transitions": torch.zeros(7, 7)}, batch)


def test_a_reduced_task_has_the_vocabulary_of_what_is_left(wnut):
    half = wnut.reduced(0.5)
    assert len(half.sentences["train"]) == 1697
    assert len(half.words) < len(wnut.words)
    assert nl.tasks.from_spec(half.spec()).fingerprint() == half.fingerprint()
    with pytest.raises(SpecError, match="leave size out"):
        wnut.reduced(size=3)


@pytest.mark.parametrize(
    ("train", "options", "message"),
    [
        ("a B-x\nb\n", {}, "line 2 of the train data is 'b'"),
        ("a\tB-x\n\tO\n", {}, "line 2 of the train data"),
        ("a S-x\n", {}, "line 1 of the train data: 'S-x' is no tag"),
        ("a O\nb O\n", {}, "no training sentence has an entity"),
        ("\n\n \t\n", {}, "has no sentence"),
        ("a I-x\n", {"scheme": "BIO"}, "sentence 1 of the train data is not in BIO: its word 1, 'a'"),
        ("a I-x\n", {"scheme": "IO"}, "scheme of tags"),
        ("a B-x\n", {"tag": 5}, "a word in column 0 and its tag in column 5"),
        ("a B-x\n", {"least": 0}, "least"),
        ("a B-x\n", {"letters": 0}, "letters"),
        ("a B-z\n", {}, "the tag 'B-x', which no training sentence has"),
    ],
)
def test_bad_columns(train, options, message):
    with pytest.raises(DataError, match=message):
        Entities.from_columns(train, "q\tB-x\nr\tO\n", **options)


def test_other_mistakes(wnut):
    with pytest.raises(DataError, match="bundled entities"):
        Entities.bundled("conll")
    with pytest.raises(SpecError, match="option of entities"):
        Entities.bundled("wnut17", size=3)
    with pytest.raises(DataError, match="split"):
        wnut.stream("dev")
    with pytest.raises(DataError, match="there is no file"):
        Entities.from_columns("nowhere.txt", "nowhere.txt")
    with pytest.raises(DataError, match="expected the path of the train data, got None"):
        Entities.from_columns(None, "nowhere.txt")  # type: ignore[arg-type]


def test_files_are_found_again(tmp_path):
    paths = {}
    for split, text in (("train", TRAIN), ("test", TEST)):
        paths[split] = tmp_path / f"{split}.txt"
        paths[split].write_text(text)
    task = Entities.from_columns(paths["train"], paths["test"], least=1, lower=False)
    assert "EU" in task.words
    again = nl.tasks.from_spec(task.spec())
    assert again.fingerprint() == task.fingerprint()
    with pytest.raises(DataError, match="hand it over"):
        nl.tasks.from_spec(Entities.from_columns(TRAIN, TEST).spec())
    handed = nl.tasks.from_spec(
        Entities.from_columns(TRAIN, TEST, least=1, lower=False).spec(), Entities.from_columns(TRAIN, TEST)
    )
    assert handed.least == 1
