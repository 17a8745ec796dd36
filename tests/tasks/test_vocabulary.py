import numpy as np
import pytest

from naslab.errors import DataError
from naslab.tasks.vocabulary import Vocabulary, limited, tokenise

TEXTS = {"train": "the cat sat\n\nthe mat\n", "valid": "a cat", "test": "the dog\x0csat\u2028on\n"}


def test_words_are_split_at_blanks_and_every_line_ends():
    found = tokenise(TEXTS, "words")
    tokens = {split: [found.vocabulary.tokens[n] for n in numbers] for split, numbers in found.numbers.items()}
    assert tokens == {
        "train": ["the", "cat", "sat", "<eos>", "<eos>", "the", "mat", "<eos>"],
        "valid": ["a", "cat", "<eos>"],
        "test": ["the", "dog", "sat", "on", "<eos>"],
    }, "a form feed and Unicode's line separator are blanks, and end no line"
    assert found.vocabulary.tokens == ("the", "cat", "sat", "<eos>", "mat", "a", "dog", "on")


def test_characters():
    found = tokenise({"train": "ab\nba", "test": "ü𝄞a"}, "characters")
    assert found.vocabulary.tokens == ("a", "b", "\n", "ü", "𝄞")
    assert found.numbers["train"].tolist() == [0, 1, 2, 1, 0]
    assert found.numbers["test"].tolist() == [3, 4, 0]
    assert found.vocabulary.decode(found.numbers["test"]) == "ü𝄞a"


def test_a_limited_vocabulary_keeps_the_most_frequent():
    text = "a a a b b c c d <eos> e d\n"
    found = limited(tokenise({"train": text}, "words"), 5)
    assert found.vocabulary.tokens == ("a", "b", "c", "<eos>", "<unk>"), "c comes before d, and both twice"
    words = [found.vocabulary.tokens[n] for n in found.numbers["train"]]
    assert words == ["a", "a", "a", "b", "b", "c", "c", "<unk>", "<eos>", "<unk>", "<unk>", "<eos>"]
    assert len(found.vocabulary) == 5
    characters = limited(tokenise({"train": "aaabbcd"}, "characters"), 3)
    assert characters.vocabulary.tokens == ("a", "b", "<unk>")
    assert characters.vocabulary.encode("cab!").tolist() == [2, 0, 1, 2]
    assert characters.vocabulary.decode([0, 2]) == "a<unk>"


def test_a_limit_that_is_not_reached_changes_nothing():
    found = tokenise(TEXTS, "words")
    assert limited(found, 8) is found
    assert limited(found, None) is found


def test_unknown_words_that_the_text_itself_has_are_kept():
    found = limited(tokenise({"train": "a a a a b b b c c <unk> d\n"}, "words"), 4)
    assert found.vocabulary.tokens == ("a", "b", "<unk>", "<eos>")


def test_encode_and_decode():
    words = tokenise({"train": "a b\n\nb a <unk>\n"}, "words").vocabulary
    assert words.decode(words.encode("b a\n\na b\nb")) == "b a\n\na b\nb"
    assert words.encode("a").tolist() == [words.index["a"]], "a line ends where the text says so"
    assert words.encode("a zebra").tolist() == [words.index["a"], words.unknown]
    assert words.encode("").tolist() == []


def test_unknown_tokens_are_named():
    characters = tokenise({"train": "abc"}, "characters").vocabulary
    with pytest.raises(DataError, match=r"2 of the characters are not among the 3 of the vocabulary: 'x', '!'"):
        characters.encode("axb!")
    words = tokenise({"train": "a b\n"}, "words").vocabulary
    with pytest.raises(DataError, match=r"'zebra'.*limit the vocabulary"):
        words.encode("a zebra")
    for numbers, message in (
        ([0, 3], "numbers 0 to 2, not 3"),
        ([-1], "not -1"),
        ([1.5], "whole numbers"),
        (3, "whole"),
    ):
        with pytest.raises(DataError, match=message):
            characters.decode(numbers)
    with pytest.raises(DataError, match="is a string"):
        characters.encode(["a"])


@pytest.mark.parametrize(
    ("text", "unit", "message"),
    [
        ("", "characters", "train text has no characters"),
        ("", "words", "train text has no words"),
        (" \n \n", "words", "train text has no words"),
        ("aaaa", "characters", "nothing to predict"),
        ("a", "letters", "unknown unit 'letters'.*characters, words"),
        ("a", ["words"], "unknown unit"),
    ],
)
def test_texts_without_tokens_are_refused(text, unit, message):
    with pytest.raises(DataError, match=message):
        tokenise({"train": text}, unit)


@pytest.mark.parametrize("most", [2, 0, -1, 2.5, True, "many"])
def test_a_limit_is_a_whole_number(most):
    with pytest.raises(DataError, match="vocabulary must be a whole number from 3"):
        limited(tokenise({"train": "abcdef"}, "characters"), most)


def test_the_order_of_lines_in_blocks_does_not_matter():
    text = "".join(f"w{n % 7} w{n % 11}\n" for n in range(25_000))
    found = tokenise({"train": text}, "words")
    expected = [token for line in text.split("\n")[:-1] for token in [*line.split(), "<eos>"]]
    assert [found.vocabulary.tokens[n] for n in found.numbers["train"]] == expected
    assert found.numbers["train"].dtype == np.int32


def test_a_vocabulary_is_a_value():
    assert Vocabulary(("a", "b"), "words") == Vocabulary(("a", "b"), "words") != Vocabulary(("b", "a"), "words")
    assert repr(Vocabulary(("a", "b"), "words")) == "<Vocabulary: 2 words>"
