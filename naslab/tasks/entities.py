"""Named entities in sentences, from bundled data and files in columns: which words are names, and of what."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

from naslab import data, reading
from naslab.errors import DataError, SpecError, among, unknown
from naslab.paths import Given, resolved
from naslab.registry import called
from naslab.tasks import columns, tags, text_files
from naslab.tasks.columns import Sentence
from naslab.tasks.tagging import Tagging

ENTITIES = "entities"
BUNDLED = ("wnut17",)
MAKERS = ("bundled", "from_columns")
"""Class methods that a spec may name under `made_by`."""
SPLITS = ("train", "valid", "test")
OPTIONS = ("lower", "least", "letters")
"""Fields that change how sentences are read; a spec records them all."""
LARGEST_PACKAGE = 2**24


class Entities(Tagging):
    """Named entities in sentences.

    `Entities.bundled("wnut17")` comes with naslab; `from_columns` reads your own files, such as those of CoNLL-2003.
    """

    @classmethod
    def bundled(cls, name: str = "wnut17", **options: Any) -> Self:
        """Returns a task on sentences that come with naslab.

        Args:
            name: "wnut17": emerging and rare entities of tweets and forums (Derczynski, Nichols, van Erp, Limsopatham,
                "Results of the WNUT2017 Shared Task", 2017, https://aclanthology.org/W17-4418), 3,394 / 1,009 / 1,287
                sentences, entities of six types.
            options: `lower`, `least`, `letters`.
        """
        if not among(name, BUNDLED):
            raise DataError(unknown("bundled entities", name, BUNDLED))
        texts = {}
        for split in SPLITS:
            packed = data.read(f"{name}_{split}.txt.gz")
            texts[split] = text_files.decoded(reading.gunzipped(packed, LARGEST_PACKAGE, name), "utf-8", name)
        source = {"made_by": "bundled", "arguments": {"name": name}}
        return cls._of({split: (text, f"{name}, {split}") for split, text in texts.items()}, name, source, options)

    @classmethod
    def from_columns(
        cls,
        train: Given,
        test: Given,
        valid: Given | None = None,
        *,
        word: int = 0,
        tag: int = -1,
        scheme: str | None = None,
        encoding: str = "utf-8",
        name: str | None = None,
        **options: Any,
    ) -> Self:
        """Returns a task on files in columns: a word a line, blank lines between sentences.

        Args:
            train, test, valid: paths of the files (gzipped if they end in .gz), or the texts themselves. Without
                `valid`, a search splits the training sentences.
            word, tag: numbers of the columns of words and tags, from 0; -1 is the last one.
            scheme: "BIO" or "IOB1", which the tags have to follow. None: BIO if all training sentences do, else IOB1.
            encoding: encoding of the files.
            name: name of the task; None: that of the training file.
            options: `lower`, `least`, `letters`.
        """
        given = {"train": train, **({} if valid is None else {"valid": valid}), "test": test}
        found = {split: text_files.text_of(f"the {split} data", one, encoding) for split, one in given.items()}
        paths = {split: path for split, (_, path) in found.items()}
        source = {}
        if all(path is not None for path in paths.values()):
            arguments: dict[str, Any] = {split: str(resolved(path)) for split, path in paths.items() if path}
            arguments |= {"word": word, "tag": tag, "scheme": scheme, "encoding": encoding, "name": name}
            source = {"made_by": "from_columns", "arguments": arguments}
        first = paths["train"]
        texts = {split: (text, str(paths[split] or f"the {split} data")) for split, (text, _) in found.items()}
        said = name if name is not None else first.stem if first is not None else "entities"
        return cls._of(texts, said, source, options, word=word, tag=tag, scheme=scheme)

    @classmethod
    def _of(
        cls,
        texts: Mapping[str, tuple[str, str]],
        name: str,
        origin: Mapping[str, Any],
        options: Mapping[str, Any],
        *,
        word: int = 0,
        tag: int = -1,
        scheme: str | None = "BIO",
    ) -> Self:
        """Returns a task from the text of each split and what errors call it."""
        if strange := [option for option in options if option not in OPTIONS]:
            raise SpecError(unknown("option of entities", strange[0], OPTIONS))
        found = {split: columns.sentences(text, said, word=word, tag=tag) for split, (text, said) in texts.items()}
        if scheme is None:
            bio = all(tags.first_violation(one.tags, "BIO") is None for one in found["train"])
            scheme = "BIO" if bio else "IOB1"
        for split, some in found.items():
            for number, one in enumerate(some, 1):
                if (at := tags.first_violation(one.tags, scheme)) is not None:
                    raise DataError(
                        f"sentence {number} of {texts[split][1]} is not in {scheme}: its word {at + 1}, "
                        f"{one.words[at]!r:.60}, has the tag {one.tags[at]!r} behind "
                        f"{one.tags[at - 1] if at else 'the beginning'!r}; correct the tag, or give the right scheme="
                    )
        bio_of = {
            split: tuple(Sentence(s.words, tuple(tags.as_bio(s.tags))) for s in some) for split, some in found.items()
        }
        return cls(name, bio_of, **options, origin=origin)

    def spec(self) -> dict[str, Any]:
        options = {option: getattr(self, option) for option in OPTIONS}
        cls = type(self)
        name = ENTITIES if cls is Entities else called(cls)
        return {"task": name, **self.origin, **options, "fingerprint": self.fingerprint()}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Self:
        if "made_by" not in spec:
            raise DataError(
                "this task was made from sentences that were handed over, which are not kept: make it again and hand "
                "it over, Search.open(path, task=...)"
            )
        if not among(spec["made_by"], MAKERS):
            raise SpecError(unknown("way to make entities", spec["made_by"], MAKERS))
        options = {option: spec[option] for option in OPTIONS if option in spec}
        task = getattr(cls, spec["made_by"])(**spec["arguments"], **options)
        return task.subset(**spec["subset"]) if "subset" in spec else task

    def as_recorded(self, spec: Mapping[str, Any]) -> Self:
        return dataclasses.replace(self, **{option: spec[option] for option in OPTIONS if option in spec})
