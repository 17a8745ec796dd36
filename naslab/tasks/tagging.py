"""Sentences with a tag for each word: what a network reads, its loss, and the score of whole entities.

A network reads the words and their characters, and scores the tags of each word. With scores of transitions among its
outputs, the loss is that of a linear-chain conditional random field (`naslab.tasks.crf`), whose best sequence of tags
never breaks the scheme; without them, each word is classified alone. The objective is the F1 score of whole entities:
type, first and last word have to be right.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import Any, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from naslab.errors import DataError, SpecError, among, unknown, whole
from naslab.immutable import FrozenDict
from naslab.randomness import torch_generator
from naslab.tasks import crf, tags
from naslab.tasks.columns import Sentence
from naslab.tasks.metrics import Mean, Metric, Ratio
from naslab.tasks.once import OncePerBatch
from naslab.tasks.sequence import logits_of, part_of
from naslab.tasks.signature import LOGITS, Field, Head, Signature
from naslab.tasks.streams import Exchangeable
from naslab.tasks.tags import Span
from naslab.tasks.task import LOSS, Task, share_of
from naslab.transfer import to_device

PADDING, UNKNOWN = 0, 1
"""Numbers of what fills a row behind its end, and of a word or character that the training sentences lack."""


class Numbered(NamedTuple):
    """The words of all N words of a split, one sentence behind the other, as numbers."""

    starts: Tensor
    """[sentences] int64: where each sentence begins."""
    lengths: Tensor
    """[sentences] int64: its number of words."""
    words: Tensor
    """[N] int64."""
    characters: Tensor
    """[N, letters] int64, padded."""
    letters: Tensor
    """[N] int64: number of characters of each word."""
    tags: Tensor
    """[N] int64."""


@dataclass(frozen=True, eq=False, repr=False)
class Tagging(Task):
    """Sentences whose words are tagged with the entities that they belong to.

    A network is called with {"words": [B, T] int64, "characters": [B, T, L] int64}, in which 0 is padding and 1 an
    unknown word or character. It returns logits [B, T, K], or an object or mapping with `logits` and `transitions`
    [K + 2, K]: see `naslab.tasks.crf`.
    """

    name: str
    sentences: Mapping[str, tuple[Sentence, ...]]
    """Split -> sentences, whose tags are BIO; "train" and "test", and "valid" where the data has validation data."""
    lower: bool = True
    """Whether words are compared in lower case; characters are as they are."""
    least: int = 2
    """How often the training sentences have a word of the vocabulary. With 1, no training sentence has an unknown word,
    and the network never learns what to do with one."""
    letters: int = 20
    """Characters of a word that are read, from its beginning."""
    origin: Mapping[str, Any] = field(default_factory=dict)
    """The class method and arguments that the spec records; empty if sentences were handed over."""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if missing := [split for split in ("train", "test") if not self.sentences.get(split)]:
            raise DataError(f"entities are learnt from training and test sentences; {missing[0]} is missing")
        whole("least", self.least, 1, error=DataError)
        whole("letters", self.letters, 1, error=DataError)
        object.__setattr__(self, "sentences", FrozenDict({k: tuple(v) for k, v in self.sentences.items()}))
        if len(self.tags) < 2:
            raise DataError("no training sentence has an entity: every tag is 'O', and there is nothing to learn")
        known = set(self.tags)
        for split in self.sentences:
            for number, sentence in enumerate(self.sentences[split], 1):
                if strange := [tag for tag in sentence.tags if tag not in known]:
                    raise DataError(
                        f"sentence {number} of the {split} data has the tag {strange[0]!r:.100}, which no training "
                        f"sentence has: {', '.join(self.tags)}"
                    )

    # --- description -------------------------------------------------------------------------------

    units = "sentences"

    @cached_property
    def tags(self) -> tuple[str, ...]:
        """Tags by number: "O", and "B-" and "I-" of each type of entity in the training sentences, by alphabet."""
        types = {span.type for sentence in self.sentences["train"] for span in tags.spans(sentence.tags)}
        return (tags.OUTSIDE, *(f"{prefix}-{kind}" for kind in sorted(types) for prefix in "BI"))

    @cached_property
    def words(self) -> tuple[str, ...]:
        """Words by number, from 2 on: those that the training sentences have at least `least` times, most frequent
        first."""
        counts = Counter(self._key(word) for sentence in self.sentences["train"] for word in sentence.words)
        return tuple(word for word, count in counts.most_common() if count >= self.least)

    @cached_property
    def characters(self) -> tuple[str, ...]:
        """Characters by number, from 2 on: those of the training sentences, by code point."""
        return tuple(
            sorted({letter for sentence in self.sentences["train"] for word in sentence.words for letter in word})
        )

    def _key(self, word: str) -> str:
        return word.lower() if self.lower else word

    @property
    def signature(self) -> Signature:
        fields = {
            "words": Field((None,), "int64", len(self.words) + 2),
            "characters": Field((None, None), "int64", len(self.characters) + 2),
        }
        return Signature(fields, {LOGITS: Head("sequence", len(self.tags))})

    @property
    def objective(self) -> str:
        return "f1"

    def metrics(self) -> Mapping[str, Metric]:
        """Returns the loss in nats a sentence, and precision, recall and F1 of whole entities."""
        counted = OncePerBatch(self.counts, lambda outputs, batch: (logits_of(outputs), batch["tags"]))

        def ratio(of: Any) -> Ratio:
            def of_batch(outputs: Any, batch: Any) -> tuple[int, int]:
                return of(*counted(outputs, batch))

            return Ratio(of_batch, direction="max", unit="%", every="pass", empty=0.0)  # as `seqeval` has it

        return {
            LOSS: Mean(lambda outputs, batch: self.loss(outputs, batch), self.size, direction="min", unit="nats"),
            "f1": ratio(lambda right, found, true: (2 * right, found + true)),
            "precision": ratio(lambda right, found, true: (right, found)),
            "recall": ratio(lambda right, found, true: (right, true)),
        }

    def fingerprint(self) -> str:
        """Returns a hexadecimal checksum of all sentences, their tags and the options."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        digest = blake2b(f"{self.lower} {self.least} {self.letters}".encode(), digest_size=16)
        for split, sentences in self.sentences.items():
            digest.update(f"\n{split}\n".encode())
            for sentence in sentences:
                digest.update("\t".join((*sentence.words, "", *sentence.tags, "\n")).encode())
        return digest.hexdigest()

    # --- data --------------------------------------------------------------------------------------

    def stream(self, split: str) -> Exchangeable:
        """Returns the sentences of a split."""
        if not among(split, self.sentences):
            raise DataError(unknown("split", split, self.sentences))
        return Exchangeable(range(len(self.sentences[split])), split)

    def parts(self, seed: int, fraction: float = 0.5) -> tuple[Exchangeable, Exchangeable]:
        """Returns the training and the validation sentences; without the latter, a random split of the former."""
        if "valid" in self.sentences:
            return self.stream("train"), self.stream("valid")
        count = len(self.sentences["train"])
        order = torch.randperm(count, generator=torch_generator(seed, "sentences"))
        first = round(count * fraction)
        return Exchangeable(order[:first]), Exchangeable(order[first:])

    @cached_property
    def _numbers(self) -> dict[str, Numbered]:
        word = {one: number for number, one in enumerate(self.words, 2)}
        letter = {one: number for number, one in enumerate(self.characters, 2)}
        tag = {one: number for number, one in enumerate(self.tags)}
        found = {}
        for split, sentences in self.sentences.items():
            words = [one for sentence in sentences for one in sentence.words]
            letters = torch.tensor([min(len(one), self.letters) for one in words])
            characters = torch.zeros(len(words), int(letters.max()), dtype=torch.int64)
            inside = torch.arange(characters.shape[1]) < letters.unsqueeze(1)
            characters[inside] = torch.tensor(
                [letter.get(character, UNKNOWN) for one in words for character in one[: self.letters]]
            )
            lengths = torch.tensor([len(sentence.words) for sentence in sentences])
            found[split] = Numbered(
                lengths.cumsum(0) - lengths,
                lengths,
                torch.tensor([word.get(self._key(one), UNKNOWN) for one in words]),
                characters,
                letters,
                torch.tensor([tag[one] for sentence in sentences for one in sentence.tags]),
            )
        return found

    def batch(
        self,
        where: Tensor,
        *,
        split: str = "train",
        augment: torch.Generator | None = None,
        device: str | torch.device = "cpu",
        rows: slice = slice(None),
        view: Any = None,
    ) -> dict[str, Tensor]:
        """Returns words [B, T], characters [B, T, L] and tags [B, T], int64, and the mask of words, [B, T] bool.

        T is the length of the longest sentence and L that of the longest word of the mini-batch.

        Args:
            where: numbers of sentences, from a stream of this task.
            split: split of that stream.
            augment: ignored, as sentences have no augmentation.
            device: device of the mini-batch.
            rows: which sentences to return.
            view: ignored.
        """
        if not among(split, self.sentences):
            raise DataError(unknown("split", split, self.sentences))
        of, numbers = self._numbers[split], torch.as_tensor(where)
        longest = torch.arange(
            int(of.lengths[numbers].max())
        )  # of all rows: processes that share them agree on T and L
        mask = longest < of.lengths[numbers].unsqueeze(1)
        # Behind its end a sentence reads its own last word, which the mask then removes.
        places = of.starts[numbers].unsqueeze(1) + longest.minimum(of.lengths[numbers].unsqueeze(1) - 1)
        letters = int(of.letters[places].max())
        found = {
            "words": of.words[places] * mask,
            "characters": of.characters[places, :letters] * mask.unsqueeze(2),
            "tags": of.tags[places] * mask,
            "mask": mask,
        }
        return to_device({name: tensor[rows] for name, tensor in found.items()}, device)

    def inputs(self, batch: Any, carry: Any = None) -> dict[str, Tensor]:
        return {"words": batch["words"], "characters": batch["characters"]}

    def size(self, batch: Any) -> int:
        """Returns the number of sentences."""
        return len(batch["words"])

    def reduced(self, data: float = 1.0, size: int | None = None) -> Self:
        """Returns the task with a share of the training sentences, from the first on, and their words and tags."""
        if size is not None:
            raise SpecError(f"a sentence has no size that could be {size}; leave size out")
        count = len(self.sentences["train"])
        return self if (data := share_of(data)) == 1 else self.subset(train=max(1, round(data * count)))

    def subset(self, train: int | None = None, valid: int | None = None, test: int | None = None) -> Self:
        """Returns the task with the first sentences of each split, by count; None keeps all. The vocabulary is that of
        the training sentences that are left."""
        sentences = dict(self.sentences)
        for split, count in (("train", train), ("valid", valid), ("test", test)):
            if count is not None:
                if split not in sentences:
                    raise DataError(unknown("split", split, sentences))
                sentences[split] = sentences[split][: whole(split, count, 1, len(sentences[split]), error=DataError)]
        counts = {split: len(some) for split, some in sentences.items()}
        origin = {**self.origin, "subset": counts} if self.origin else {}
        return dataclasses.replace(self, sentences=sentences, origin=origin)

    # --- loss and metrics ----------------------------------------------------------------------------

    @cached_property
    def allowed(self) -> Tensor:
        """Transitions that BIO allows, [K + 2, K] bool: see `naslab.tasks.tags.allowed`."""
        return tags.allowed(self.tags)

    def _transitions(self, outputs: Any) -> Tensor | None:
        scores = part_of(outputs, "transitions")
        return None if scores is None else crf.constrained(scores.float(), self.allowed.to(scores.device))

    def loss(self, outputs: Any, batch: Any, *, smoothing: float = 0.0) -> Tensor:
        """Returns -log p(tags) of the sentences, in nats a sentence. Smoothing needs no transitions."""
        logits, mask, transitions = logits_of(outputs).float(), batch["mask"], self._transitions(outputs)
        if transitions is None:
            marks = batch["tags"].masked_fill(~mask, -100)  # which cross_entropy leaves out
            return F.cross_entropy(
                logits.flatten(0, 1), marks.flatten(), reduction="sum", label_smoothing=smoothing
            ) / len(marks)
        return crf.negative_log_likelihood(logits, batch["tags"], mask, transitions).mean()

    def best(self, outputs: Any, batch: Any) -> list[list[str]]:
        """Returns the most probable tags of each sentence."""
        logits, mask, transitions = logits_of(outputs).detach().float(), batch["mask"], self._transitions(outputs)
        found = logits.argmax(2) if transitions is None else crf.best_tags(logits, mask, transitions.detach())
        lengths = mask.sum(1).tolist()
        return [[self.tags[k] for k in row[:n]] for row, n in zip(found.tolist(), lengths, strict=True)]

    def counts(self, outputs: Any, batch: Any) -> tuple[int, int, int]:
        """Returns how many entities of a mini-batch are found right, are found, and are there."""
        right = found = true = 0
        for said, known, length in zip(
            self.best(outputs, batch), batch["tags"].tolist(), batch["mask"].sum(1).tolist(), strict=True
        ):
            ours, theirs = set(tags.spans(said)), set(tags.spans(self.tags[k] for k in known[:length]))
            right, found, true = right + len(ours & theirs), found + len(ours), true + len(theirs)
        return right, found, true

    def check_outputs(self, outputs: Any, batch: Any) -> None:
        logits, expected = logits_of(outputs), [*batch["words"].shape, len(self.tags)]
        if list(logits.shape) != expected:
            raise SpecError(
                f"the network must give logits {expected} for words {list(batch['words'].shape)}, not "
                f"{list(logits.shape)}"
            )
        scores, wanted = part_of(outputs, "transitions"), [len(self.tags) + 2, len(self.tags)]
        if scores is not None and list(scores.shape) != wanted:
            raise SpecError(f"the scores of transitions must be {wanted}, not {list(scores.shape)}")

    def predict(self, network: nn.Module, batch: Any) -> list[list[Span]]:
        """Returns the entities that a network finds in each sentence."""
        return [tags.spans(said) for said in self.best(network(self.inputs(batch)), batch)]

    def __str__(self) -> str:
        counts = " + ".join(f"{len(self.sentences[split]):,}" for split in self.sentences)
        types = len(self.tags) // 2
        kinds = f"{types} type{'s' if types > 1 else ''} of entities"
        return f"<{self.name}: {counts} sentences, {len(self.words):,} words, {kinds}>"

    __repr__ = __str__
