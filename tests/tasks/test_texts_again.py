"""How a run finds the text of a language model again, and what is refused."""

import json
import pickle

import pytest

import naslab as nl
from naslab.errors import DataError, SpecError
from naslab.tasks import LanguageModel, corpora

VERSE = "the cat sat on the mat\nthe dog sat on the log\n\n" * 60


# --- found again ---------------------------------------------------------------------------------------


def again(task, given=None):
    return nl.tasks.from_spec(json.loads(json.dumps(task.spec())), given)


def same(one, other):
    assert one.fingerprint() == other.fingerprint()
    assert one.spec() == other.spec()
    assert repr(one) == repr(other)


@pytest.mark.parametrize("vocabulary", [None, 2000])
def test_bundled_text_is_found_again(vocabulary):
    task = LanguageModel.bundled("wikitext2", "words", vocabulary=vocabulary, bptt=20, length_deviation=3, tar=0.5)
    found = again(task)
    same(task, found)
    assert (found.bptt, found.length_deviation, found.tar) == (20, 3, 0.5)


def test_files_are_found_again_if_they_are_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "verse.txt").write_text(VERSE, encoding="latin-1")
    task = LanguageModel.from_text("verse.txt", "words", encoding="latin-1", valid=0.2, test=0.1, bptt=9)
    assert task.name == "verse"
    monkeypatch.chdir("/")
    same(task, again(task))
    named = LanguageModel.from_text(tmp_path / "verse.txt", name="a rhyme")
    assert again(named).name == named.name == "a rhyme"
    (tmp_path / "verse.txt").write_text(VERSE.replace("mat", "hat"))
    with pytest.raises(DataError, match="not the data that was used before"):
        again(task)
    (tmp_path / "verse.txt").unlink()
    with pytest.raises(DataError, match="there is no file"):
        again(task)


def test_three_files_are_found_again(tmp_path):
    for split in ("train", "valid", "test"):
        (tmp_path / split).write_text(f"{VERSE}{split}\n")
    task = LanguageModel.from_files(
        tmp_path / "train", str(tmp_path / "valid"), tmp_path / "test", name="rhymes", bptt=9
    )
    assert {"train", "valid", "test"} <= set(task.vocabulary.tokens), "the vocabulary is that of all three"
    same(task, again(task))


def test_a_corpus_is_found_again(tmp_path, monkeypatch):
    for split in ("train", "valid", "test"):
        (tmp_path / f"ptb.{split}.txt").write_text(VERSE)
    counts = dict.fromkeys(("train", "valid", "test"), 60 * 15)
    small = corpora.Corpus("Small", "ptb.{}.txt", "small", counts, 8)
    monkeypatch.setattr(corpora, "PENN_TREEBANK", small)
    task = LanguageModel.penn_treebank(tmp_path)
    assert (dict(task.splits), task.objective, task.notes) == (counts, "perplexity", ())
    same(task, again(task))
    with pytest.raises(DataError, match="not WikiText-2 as published"):
        monkeypatch.setattr(corpora, "WIKITEXT2", small.__class__("WikiText-2", "ptb.{}.txt", "x", counts, 9))
        LanguageModel.wikitext2(tmp_path)
    monkeypatch.setattr(corpora, "treebank_package", lambda: dict.fromkeys(counts, VERSE))
    same(LanguageModel.penn_treebank(), again(LanguageModel.penn_treebank()))


def test_a_text_that_was_handed_over_is_asked_for(verse):
    with pytest.raises(DataError, match=r"hand it over, Search.open"):
        again(verse)
    other = LanguageModel.from_text(VERSE, valid=0.1, test=0.1, bptt=5, ar=1)
    found = again(verse, other)
    assert (found.bptt, found.ar) == (7, 0), "learnt as it was before"
    same(found, verse)
    with pytest.raises(DataError, match="not the data that was used before"):
        again(verse, LanguageModel.from_text(VERSE + "the end\n", valid=0.1, test=0.1, bptt=7))


def test_a_class_of_ones_own_is_found_again():
    class Sonnets(LanguageModel):
        pass

    task = Sonnets.bundled("shakespeare", bptt=12)
    assert type(again(task)) is Sonnets
    assert task.spec()["task"] == "Sonnets"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"made_by": "with_options"}, "unknown way to make a language model"),
        ({"made_by": ["bundled"]}, "unknown way to make"),
        ({"arguments": {"name": "bible"}}, "unknown bundled text 'bible'"),
        ({"arguments": {"names": "shakespeare"}}, "unknown option of a language model 'names'"),
        ({"arguments": 3}, "does not make sense"),
        ({"bptt": "many"}, "bptt"),
    ],
)
def test_a_spec_that_makes_no_sense(shakespeare, changes, message):
    with pytest.raises((SpecError, DataError), match=message):
        nl.tasks.from_spec({**shakespeare.spec(), **changes})


def test_what_is_another_text_has_another_fingerprint(verse):
    texts = [
        LanguageModel.from_text(VERSE, valid=0.1, test=0.2, bptt=7),
        LanguageModel.from_text(VERSE, "words", valid=0.1, test=0.1, bptt=7),
        LanguageModel.from_text(VERSE, "words", vocabulary=6, valid=0.1, test=0.1, bptt=7),
        LanguageModel.from_text(VERSE.replace("g", "G"), valid=0.1, test=0.1, bptt=7),
        verse,
    ]
    assert len({task.fingerprint() for task in texts}) == 5
    assert verse.with_options(bptt=3, tar=0).fingerprint() == verse.fingerprint()


def test_it_travels_to_other_processes(verse):
    same(pickle.loads(pickle.dumps(verse)), verse)


# --- what is refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LanguageModel.from_text("\n"), "nothing to predict"),
        (lambda: LanguageModel.from_text(" \n \n", "words"), "has no words"),
        (lambda: LanguageModel.from_text("a b\n" * 9), r"the train text has 32 characters.*36.*smaller bptt"),
        (lambda: LanguageModel.from_text("a b\n" * 150), r"the valid text has 30"),
        (lambda: LanguageModel.from_text(VERSE, "letters"), "unknown unit 'letters'"),
        (lambda: LanguageModel.from_text(VERSE, valid=0), "valid is a share of the text"),
        (lambda: LanguageModel.from_text(VERSE, valid=0.5, test=0.5), "leave nothing to train on"),
        (lambda: LanguageModel.from_text(VERSE, valid="half"), "valid"),
        (lambda: LanguageModel.from_text(VERSE, vocabulary=1), "vocabulary must be a whole number from 3"),
        (lambda: LanguageModel.from_text(VERSE, bptt=0), "bptt"),
        (lambda: LanguageModel.from_text(VERSE, ar=-1), "ar is a weight from 0 up"),
        (
            lambda: LanguageModel.from_text(VERSE, btt=3),
            "unknown option of a language model 'btt'; did you mean 'bptt'",
        ),
        (
            lambda: LanguageModel.from_text(VERSE).with_options(unit="words"),
            "unknown option of a language model 'unit'",
        ),
        (lambda: LanguageModel.from_text(VERSE).sample(None), "what writes is a network"),
        (lambda: LanguageModel.from_text("no_such_file.txt"), "there is no file 'no_such_file.txt'"),
        (lambda: LanguageModel.from_text(None), "path of the text"),
        (lambda: LanguageModel.from_files(VERSE, VERSE, 3), "path of the test text"),
        (lambda: LanguageModel.bundled("shakspeare"), "did you mean 'shakespeare'"),
        (lambda: LanguageModel.bundled(["shakespeare"]), "unknown bundled text"),
        (lambda: LanguageModel.penn_treebank("/no/such/folder"), "there is no folder"),
        (lambda: LanguageModel.wikitext2(None), "path of the folder of WikiText-2"),
        (lambda: LanguageModel.wikitext103(3), "path of the folder of WikiText-103"),
    ],
)
def test_nonsense_is_refused(make, message):
    with pytest.raises((DataError, SpecError), match=message):
        make()


def test_a_part_of_a_text_is_found_again():
    task = LanguageModel.bundled("shakespeare").subset(train=5000, test=400)
    assert dict(task.splits) == {"train": 5000, "valid": 55_770, "test": 400}
    assert task.decode(task.numbers["train"][:14]) == "First Citizen:"
    again = nl.tasks.from_spec(json.loads(json.dumps(task.spec())))
    assert again.fingerprint() == task.fingerprint()
    assert again.splits == task.splits
    with pytest.raises(DataError, match=r"train must be a whole number from 1 to 1,003,854"):
        LanguageModel.bundled("shakespeare").subset(train=2_000_000)
