"""Prediction of the next token of a text from the tokens before it.

Letters in shapes: B columns of a text, read in parallel, T tokens of each in a mini-batch, V tokens of the vocabulary,
H hidden units. Batches are [B, T], batch first.

The loss is the mean cross-entropy in nats per token. The objective of a text of words is the perplexity, exp(mean over
all tokens); that of a text of characters is bits per character, the mean divided by ln 2.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from naslab.errors import DataError, SpecError, among, real, unknown
from naslab.tasks import sampling
from naslab.tasks.corpora import SPLITS
from naslab.tasks.metrics import Mean, Metric
from naslab.tasks.once import OncePerBatch
from naslab.tasks.resident import resident
from naslab.tasks.sequence import logits_of, part_of
from naslab.tasks.signature import LOGITS, Field, Head, Signature
from naslab.tasks.task import LOSS, Task
from naslab.tasks.text_streams import Chunk, Columns, Lengths
from naslab.tasks.vocabulary import Vocabulary
from naslab.transfer import Number, pending, to_device
from naslab.trees import detached


@dataclass(frozen=True, eq=False, repr=False)
class TokenPrediction(Task):
    """Language modelling on a training, a validation and a test text, given as token numbers.

    A search learns weights from the training text and the architecture from the validation text. Texts are read by
    `naslab.tasks.LanguageModel`.

    A network is called with (tokens [B, T], state or None). It returns logits [B, T, V], or `RecurrentOutputs`, or an
    object with its attributes or keys; if `state` is among them, the next chunk of each column starts from it.
    """

    name: str
    numbers: Mapping[str, np.ndarray]
    """ "train", "valid" and "test" -> [N] int32."""
    vocabulary: Vocabulary
    bptt: int = 35
    """Tokens of an ordinary chunk: the length of truncated backpropagation through time."""
    short_share: float = 0.05
    """Share of the chunks of a training pass that have half of `bptt` tokens."""
    length_deviation: float = 0.0
    """Standard deviation of the chunk lengths in training, in tokens; 5 in the published retraining."""
    ar: float = 0.0
    """Weight of activation regularisation: the mean square of the outputs after dropout."""
    tar: float = 1e-3
    """Weight of temporal activation regularisation: the mean square of the change of the outputs before dropout from
    one token to the next."""
    origin: Mapping[str, Any] = field(default_factory=dict)
    """JSON from which `from_spec` rebuilds the task; empty if the text was given as a string."""
    notes: tuple[str, ...] = ()
    """Remarks to show beside a perplexity, for example that it is not comparable with published ones."""
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

    # --- description -------------------------------------------------------------------------------

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
        """Returns the loss in nats per token, the perplexity and, for characters, the bits, each from the mean over all
        tokens."""
        nats = OncePerBatch(
            lambda outputs, batch: pending(float, self.loss(outputs, batch).detach()),
            lambda outputs, batch: (logits_of(outputs), batch[1]),
        )
        found: dict[str, Metric] = {
            LOSS: Mean(nats, self.size, direction="min", unit="nats"),
            "perplexity": Mean(nats, self.size, direction="min", then=math.exp),
        }
        if self.unit == "characters":
            found["bits_per_character"] = Mean(nats, self.size, direction="min", unit="bits", then=_bits)
        return found

    def fingerprint(self) -> str:
        """Returns a hexadecimal checksum of the vocabulary and of all texts."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        digest = blake2b(self.unit.encode(), digest_size=16)
        digest.update("\0".join(self.vocabulary.tokens).encode())
        for split in SPLITS:
            numbers = np.ascontiguousarray(self.numbers[split], dtype="<i4")  # the same bytes on every machine
            digest.update(f" {split} {len(numbers)} ".encode())
            digest.update(numbers.data)
        return digest.hexdigest()

    # --- interface for trainers and searchers --------------------------------------------------------

    def stream(self, split: str) -> Columns:
        """Returns the stream of a split: "train", "valid" or "test"."""
        lengths = Lengths(self.bptt, self.short_share, self.length_deviation)
        return Columns(len(self._text(split)), lengths, split)

    def parts(self, seed: int, fraction: float = 0.5) -> tuple[Columns, Columns]:
        """Returns the training text for the weights and the validation text for the architecture, for any fraction."""
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
        """Returns a mini-batch: tokens [B, T] int64, and the targets [B, T], the tokens one position later.

        Args:
            where: a chunk, from a stream of this task.
            split: split of that stream.
            augment: ignored, as texts have no augmentation.
            device: device of the mini-batch.
            rows: columns of the text to read.
            view: ignored.
        """
        if not isinstance(where, Chunk):
            raise DataError(f"a mini-batch of a text is a Chunk from one of its streams, not {where!r:.100}")
        text, end = self._text(split), where.start + where.length + 1
        if where.columns * where.height > len(text) or end > where.height:
            raise DataError(f"the {split} text has {len(text)} tokens, and so no {where}; take it from its own stream")
        device = torch.device(device)
        kept = resident(self, lambda: tuple(torch.tensor(self.numbers[each]) for each in SPLITS), device)
        if kept is not None:
            columns = kept[SPLITS.index(split)][: where.columns * where.height].view(where.columns, where.height)
            return _pair(columns[rows, where.start : end].long())
        columns = text[: where.columns * where.height].reshape(where.columns, where.height)
        return _pair(to_device(_tokens(columns[rows, where.start : end]), device))

    def example(self, count: int, *, device: str | torch.device = "cpu", view: Any = None) -> tuple[Tensor, Tensor]:
        """Returns [count, bptt] tokens of the training text and their targets; a short text is read repeatedly."""
        text, length = self.numbers["train"], self.bptt + 1
        starts = np.arange(count) * length % (len(text) - length + 1)
        return _pair(to_device(_tokens(text[starts[:, None] + np.arange(length)]), device))

    def _text(self, split: str) -> np.ndarray:
        if not among(split, SPLITS):
            raise DataError(unknown("split", split, SPLITS))
        return self.numbers[split]

    def inputs(self, batch: Any, carry: Any = None) -> tuple[Tensor, Any]:
        """Returns tokens [B, T] and the state at the start of each column; None stands for zeros."""
        return batch[0], carry

    def carry(self, outputs: Any) -> Any:
        """Returns the state after the last token, detached; None if the network has no state."""
        return detached(part_of(outputs, "state"))

    def size(self, batch: Any) -> int:
        """Returns the number of predicted tokens."""
        return batch[1].numel()

    def nominal_size(self, batch_size: int) -> int:
        """Returns the predicted tokens of a mini-batch of ordinary length."""
        return batch_size * self.bptt

    def loss(self, outputs: Any, batch: Any, *, smoothing: float = 0.0) -> Tensor:
        """Returns the mean cross-entropy in nats per token."""
        logits = logits_of(outputs)
        return F.cross_entropy(logits.flatten(0, 1), batch[1].flatten(), label_smoothing=smoothing)

    def _pending_metrics(self, outputs: Any, batch: Any, loss: Number | None) -> dict[str, Number]:
        """Returns the metrics of a mini-batch, all functions of its loss, which is computed if `loss` is None."""
        nats = self.loss(outputs, batch).detach() if loss is None else loss
        return {name: pending(partial(_value_for, metric), nats) for name, metric in self.metrics().items()}

    def regularisation(self, outputs: Any, batch: Any) -> Tensor | None:
        """Returns AR and TAR (Merity, McCann, Socher 2017, https://arxiv.org/abs/1708.01009) if the network gives
        `raw` and `dropped` outputs [B, T, H] (before and after dropout); else None.

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
        """Returns the mean cross-entropy to the teacher's distribution, in nats per token."""
        return F.cross_entropy(logits_of(outputs).flatten(0, 1), logits_of(teacher).flatten(0, 1).softmax(dim=-1))

    def check_outputs(self, outputs: Any, batch: Any) -> None:
        logits, expected = logits_of(outputs), [*batch[0].shape, len(self.vocabulary)]
        if list(logits.shape) != expected:
            raise SpecError(
                f"the network must give logits {expected} for tokens {list(batch[0].shape)}, not {list(logits.shape)}"
            )

    # --- text and back -------------------------------------------------------------------------------

    def encode(self, text: str) -> Tensor:
        """Returns the token numbers [N] int64 of a text; see `Vocabulary.encode`."""
        return torch.from_numpy(self.vocabulary.encode(text))

    def decode(self, numbers: Tensor | Iterable[int]) -> str:
        """Returns the text of token numbers."""
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
        """Returns text sampled from a network: the prompt and `length` tokens after it.

        Args:
            network: called with (tokens [1, T], state or None), and if it is a module, in evaluation mode. One that
                gives no state sees the last `bptt` tokens each time. A supernet is called through a function,
                `lambda inputs: supernet(inputs, weights)`.
            prompt: beginning of the text, of at least one token.
            length: number of tokens to sample.
            temperature: divisor of the logits; 0 takes the most probable token.
            generator: generator on the CPU for the draws, or a seed.
            device: device of the network; None: that of its parameters if it is a module, else the CPU.
        """
        return sampling.sample(self, network, prompt, length, temperature, generator, device)

    def __str__(self) -> str:
        counts = " + ".join(f"{len(self.numbers[split]):,}" for split in SPLITS)
        return f"<{self.name}: {counts} {self.unit}, {len(self.vocabulary):,} different>"

    def __repr__(self) -> str:
        """Token counts of the training, validation and test text, and the notes."""
        said = ["a search chooses architectures by the validation text", *self.notes]
        return f"{str(self)[:-1]}{''.join(f'; {note}' for note in said)}>"

    def __getstate__(self) -> dict[str, Any]:
        """Returns the fields with plain dictionaries, as read-only mappings cannot be pickled."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return fields | {"numbers": dict(self.numbers), "origin": dict(self.origin)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        proxies = {name: MappingProxyType(state[name]) for name in ("numbers", "origin")}
        for name, value in (state | proxies).items():
            object.__setattr__(self, name, value)


def _tokens(block: np.ndarray) -> Tensor:
    return torch.from_numpy(block.astype(np.int64))


def _pair(both: Tensor) -> tuple[Tensor, Tensor]:
    """Returns inputs and targets, [B, T] each, from a block [B, T + 1]."""
    return both[:, :-1].contiguous(), both[:, 1:].contiguous()


def _value_for(metric: Metric, nats: float) -> float:
    return metric.compute((nats, 1.0))


def _bits(nats: float) -> float:
    return nats / math.log(2)
