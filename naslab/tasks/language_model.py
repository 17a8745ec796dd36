"""Language modelling tasks: from bundled texts, user texts and published corpora, and from their JSON specs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from naslab.errors import DataError, SpecError, among, unknown, whole
from naslab.paths import Given, path_of, resolved
from naslab.registry import called
from naslab.tasks import corpora, text_files
from naslab.tasks.corpora import Corpus
from naslab.tasks.task import share_of
from naslab.tasks.token_prediction import TokenPrediction
from naslab.tasks.vocabulary import limited, tokenise

LANGUAGE_MODEL = "language_model"
BUNDLED = ("shakespeare", "wikitext2")
MAKERS = ("bundled", "from_text", "from_files", "penn_treebank", "wikitext2", "wikitext103")
"""Class methods that a spec may name under `made_by`."""
OPTIONS = ("bptt", "short_share", "length_deviation", "ar", "tar")
"""Fields that change how a text is learnt, but not the text; a spec records them all."""


@dataclass(frozen=True, eq=False, repr=False)
class LanguageModel(TokenPrediction):
    """Language modelling on a training, a validation and a test text, given as token numbers.

    `LanguageModel.bundled("shakespeare")` comes with naslab; `from_text` and `from_files` read your own text;
    `penn_treebank`, `wikitext2` and `wikitext103` read published corpora that you have. A search learns weights from
    the training text and the architecture from the validation text.

    A network is called with (tokens [B, T], state or None). It returns logits [B, T, V], or `RecurrentOutputs`, or an
    object with its attributes or keys; if `state` is among them, the next chunk of each column starts from it.
    """

    @classmethod
    def bundled(
        cls, name: str = "shakespeare", unit: str = "characters", *, vocabulary: int | None = None, **options: Any
    ) -> Self:
        """Returns a task on a text that comes with naslab.

        Args:
            name: "shakespeare": 1,115,394 characters of his plays, the first 90 % to train, then 5 % to validate and
                5 % to test. "wikitext2": WikiText-2's validation file, the first 90 % to train and the rest to
                validate, and its test file to test; its training file is ten times as large, and is not included.
            unit: "characters" or "words".
            vocabulary: maximum size of the vocabulary. The most frequent tokens are kept, and `<unk>` stands for the
                others. None: all tokens are kept.
            options: `bptt`, `short_share`, `length_deviation`, `ar`, `tar`: the fields of the task.
        """
        if not among(name, BUNDLED):
            raise DataError(unknown("bundled text", name, BUNDLED))
        source = ("bundled", {"name": name, "unit": unit, "vocabulary": vocabulary})
        if name == "shakespeare":
            texts = {"train": corpora.bundled("shakespeare")}
            return cls._of(texts, unit, vocabulary, name, source, options, cut={"valid": 0.05, "test": 0.05})
        texts = {"train": corpora.bundled("wikitext2_valid"), "test": corpora.bundled("wikitext2_test")}
        task = cls._of(texts, unit, vocabulary, name, source, options, cut={"valid": 0.1})
        note = (
            f"trained on {len(task.numbers['train']):,} {unit} of WikiText-2's validation file: perplexities do not "
            f"compare with published ones, which train on {corpora.WIKITEXT2.tokens['train']:,} words"
        )
        return dataclasses.replace(task, notes=(note, *task.notes))

    @classmethod
    def from_text(
        cls,
        text: Given,
        unit: str = "characters",
        *,
        vocabulary: int | None = None,
        valid: float = 0.05,
        test: float = 0.05,
        encoding: str = "utf-8",
        name: str | None = None,
        **options: Any,
    ) -> Self:
        """Returns a task on one text, cut by position: its beginning for training, then validation, then test.

        Args:
            text: path of a text file (gzipped if it ends in .gz), or the text itself, with at least one line break.
            unit: "characters" or "words".
            vocabulary: as in `bundled`.
            valid, test: shares of the text, in (0, 1).
            encoding: encoding of the file.
            name: name of the task; None: that of the file.
            options: as in `bundled`.
        """
        read, path = text_files.text_of("the text", text, encoding)
        source = None
        if path is not None:
            arguments = {"text": str(resolved(path)), "unit": unit, "vocabulary": vocabulary, "valid": valid}
            source = ("from_text", arguments | {"test": test, "encoding": encoding, "name": name})
        name = name if name is not None else path.stem if path is not None else "text"
        return cls._of({"train": read}, unit, vocabulary, name, source, options, cut={"valid": valid, "test": test})

    @classmethod
    def from_files(
        cls,
        train: Given,
        valid: Given,
        test: Given,
        unit: str = "words",
        *,
        vocabulary: int | None = None,
        encoding: str = "utf-8",
        name: str | None = None,
        **options: Any,
    ) -> Self:
        """Returns a task on three text files.

        Args:
            train, valid, test: paths of the files, or the texts themselves; all three give the vocabulary.
            unit: "characters" or "words".
            vocabulary, encoding, name, options: as in `from_text`.
        """
        found = {
            split: text_files.text_of(f"the {split} text", given, encoding)
            for split, given in (("train", train), ("valid", valid), ("test", test))
        }
        paths = {split: path for split, (_, path) in found.items()}
        source = None
        if all(path is not None for path in paths.values()):
            arguments: dict[str, Any] = {
                split: str(resolved(path)) for split, path in paths.items() if path is not None
            }
            arguments |= {"unit": unit, "encoding": encoding, "name": name}
            source = ("from_files", arguments | {"vocabulary": vocabulary})
        name = name if name is not None else paths["train"].stem if paths["train"] is not None else "text"
        return cls._of({split: text for split, (text, _) in found.items()}, unit, vocabulary, name, source, options)

    @classmethod
    def penn_treebank(cls, root: Given | None = None, *, vocabulary: int | None = None, **options: Any) -> Self:
        """Penn Treebank by words, as prepared by Mikolov: 929,589 / 73,760 / 82,430 tokens, vocabulary of 10,000.

        Args:
            root: folder with ptb.train.txt, ptb.valid.txt and ptb.test.txt (or train.txt and so on). None: the text
                in the installed package `treebank`, whose source is read but never run.
            vocabulary, options: as in `bundled`.

        Raises:
            DataError: the text is not found, or its token counts differ, so that perplexities would not compare.
        """
        if root is not None:
            return cls._published("penn_treebank", corpora.PENN_TREEBANK, root, vocabulary, options)
        texts = corpora.treebank_package()
        source = ("penn_treebank", {"root": None, "vocabulary": vocabulary})
        return cls._of(texts, "words", vocabulary, "penn_treebank", source, options, corpus=corpora.PENN_TREEBANK)

    @classmethod
    def wikitext2(cls, root: Given, *, vocabulary: int | None = None, **options: Any) -> Self:
        """WikiText-2 by words: 2,088,628 / 217,646 / 245,569 tokens, vocabulary of 33,278.

        Args:
            root: folder with wiki.train.tokens, wiki.valid.tokens and wiki.test.tokens, or with a folder wikitext-2
                that holds them.
            vocabulary, options: as in `bundled`.
        """
        return cls._published("wikitext2", corpora.WIKITEXT2, root, vocabulary, options)

    @classmethod
    def wikitext103(cls, root: Given, *, vocabulary: int | None = None, **options: Any) -> Self:
        """WikiText-103 by words: 103,227,021 training tokens, vocabulary of 267,735; otherwise as `wikitext2`."""
        return cls._published("wikitext103", corpora.WIKITEXT103, root, vocabulary, options)

    @classmethod
    def _published(
        cls, name: str, corpus: Corpus, root: Given, vocabulary: int | None, options: Mapping[str, Any]
    ) -> Self:
        folder = path_of(f"the folder of {corpus.title}", root, error=DataError)
        source = (name, {"root": str(resolved(folder)), "vocabulary": vocabulary})
        return cls._of(corpus.read(folder), "words", vocabulary, name, source, options, corpus=corpus)

    @classmethod
    def _of(
        cls,
        texts: Mapping[str, str],
        unit: str,
        vocabulary: int | None,
        name: str,
        source: tuple[str, dict[str, Any]] | None,
        options: Mapping[str, Any],
        *,
        corpus: Corpus | None = None,
        cut: Mapping[str, float] | None = None,
    ) -> Self:
        """Returns a task from texts by split.

        Args:
            texts: split -> text.
            unit, vocabulary, name, options: as in `from_text`.
            source: the class method that was called and its arguments, for the spec; None if a text was given as a
                string.
            corpus: published corpus whose token counts the texts must have.
            cut: split -> share of the training text, from its end, that becomes this split.
        """
        if strange := [option for option in options if option not in OPTIONS]:
            raise SpecError(unknown("option of a language model", strange[0], OPTIONS))
        found = tokenise(texts, unit)
        if corpus is not None:
            corpus.check(found.numbers, len(found.vocabulary))
        fewer = limited(found, vocabulary)
        notes = []
        if fewer is not found:
            share = fewer.unknown_share - found.unknown_share
            notes.append(
                f"a vocabulary of {len(fewer.vocabulary):,} of the {len(found.vocabulary):,} different {unit}: "
                f"{share:.1%} of the text became <unk>, so that numbers do not compare with those on all of them"
            )
        # Cut after numbering, so that all splits share the vocabulary of the whole text.
        numbers = corpora.cut(fewer.numbers, cut) if cut else fewer.numbers
        origin = {} if source is None else {"made_by": source[0], "arguments": source[1]}
        return cls(name, numbers, fewer.vocabulary, **options, origin=origin, notes=tuple(notes))

    def with_options(self, **changes: Any) -> Self:
        """Returns the same text with other `OPTIONS`: `task.with_options(bptt=70, length_deviation=5)`."""
        if strange := [option for option in changes if option not in OPTIONS]:
            raise SpecError(unknown("option of a language model", strange[0], OPTIONS))
        return dataclasses.replace(self, **changes)

    def reduced(self, data: float = 1.0, size: int | None = None) -> Self:
        """Returns the task with a share of the training text, from its beginning; the vocabulary stays."""
        if size is not None:
            raise SpecError(
                f"a text has no size that could be {size}; leave size out, or give with_options(bptt={size})"
            )
        if (data := share_of(data)) == 1:
            return self
        train = self.numbers["train"]
        return dataclasses.replace(self, numbers={**self.numbers, "train": train[: round(data * len(train))]})

    def subset(self, train: int | None = None, valid: int | None = None, test: int | None = None) -> Self:
        """Returns the task with the first tokens of each text, by count; None keeps the whole. The vocabulary stays."""
        numbers = dict(self.numbers)
        for split, count in (("train", train), ("valid", valid), ("test", test)):
            if count is not None:
                numbers[split] = numbers[split][: whole(split, count, 1, len(numbers[split]), error=DataError)]
        counts = {split: len(part) for split, part in numbers.items()}
        return dataclasses.replace(self, numbers=numbers, origin={**self.origin, "subset": counts})

    def spec(self) -> dict[str, Any]:
        cls = type(self)
        return {
            "task": LANGUAGE_MODEL if cls is LanguageModel else called(cls),
            **self.origin,
            **{option: getattr(self, option) for option in OPTIONS},
            "fingerprint": self.fingerprint(),
        }

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Self:
        if "made_by" not in spec:
            raise DataError(
                "this task was made from a text that was handed over, which is not kept: make it again and hand it "
                "over, Search.open(path, task=...)"
            )
        if not among(spec["made_by"], MAKERS):
            raise SpecError(unknown("way to make a language model", spec["made_by"], MAKERS))
        arguments = dict(spec["arguments"])
        task = getattr(cls, spec["made_by"])(**arguments, **_options_in(spec))
        return task.subset(**spec["subset"]) if "subset" in spec else task

    def as_recorded(self, spec: Mapping[str, Any]) -> Self:
        return self.with_options(**_options_in(spec))


def _options_in(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {option: spec[option] for option in OPTIONS if option in spec}
