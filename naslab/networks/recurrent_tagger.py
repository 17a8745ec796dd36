"""Tagging of words by a recurrent cell that reads a sentence in both directions.

    words, characters -> features of each word -> the cell from left to right, and from right to left
                      -> scores of the tags of each word, and of the transitions between tags

Features are an embedding of the word beside a convolution over its characters, of which each channel keeps its maximum
(Ma, Hovy, "End-to-end Sequence Labeling via Bi-directional LSTM-CNNs-CRF", ACL 2016, https://arxiv.org/abs/1603.01354,
Sec. 2). The two directions have the same cell and weights of their own. Dropout is that of the language model
(`naslab.networks.recurrent_cell`): each mask is drawn once a sentence and shared by its words.

Sizes are ours: the papers that search cells for named entities start from large pretrained embeddings, which do not
come with naslab.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from naslab.errors import SpecError
from naslab.networks import sizes
from naslab.networks.mixture import Mixture
from naslab.networks.recurrent_cell import Dropouts, Masks, dropped, layer_outputs
from naslab.networks.recurrent_genotype import RecurrentGenotype
from naslab.networks.recurrent_supernet import CellMixture, at_least_two
from naslab.operations.optimizations import Optimizations
from naslab.operations.recurrent_wiring import Wiring
from naslab.tasks.signature import Signature

WORDS, CHARACTERS = "words", "characters"
"""Names of the inputs of a network."""
LETTER, WIDTH = 16, 3
"""Size of the embedding of a character, and characters that a convolution reads at once."""


class TagScores(NamedTuple):
    """Outputs of a tagger for B sentences of up to T words and K tags."""

    logits: Tensor
    """Scores of the tags of each word, [B, T, K]."""
    transitions: Tensor
    """Scores of transitions between tags, [K + 2, K]: see `naslab.tasks.crf`."""


class TaggerSizes(NamedTuple):
    """What a task requires of a tagger."""

    words: int
    characters: int
    tags: int


def sizes_of(signature: Signature) -> TaggerSizes:
    """Returns the sizes of a tagger for a task that reads words and their characters; `SpecError` for another task."""
    fields, head = signature.inputs, signature.head
    if not isinstance(fields, Mapping) or set(fields) != {WORDS, CHARACTERS} or head.reads != "sequence":
        raise SpecError(
            f"a tagger reads {WORDS!r} [T] and {CHARACTERS!r} [T, L] and gives scores at each word; the task has "
            f"{signature}. Take a task such as nl.tasks.Entities"
        )
    words, characters = fields[WORDS].vocabulary, fields[CHARACTERS].vocabulary
    if words is None or characters is None:
        raise SpecError(f"{WORDS!r} and {CHARACTERS!r} of a task for a tagger are numbers below a vocabulary")
    return TaggerSizes(words, characters, head.outputs)


def tags_words(signature: Signature) -> bool:
    """Returns True if a task reads words and their characters, so that its network is a tagger."""
    return isinstance(signature.inputs, Mapping) and set(signature.inputs) == {WORDS, CHARACTERS}


class Direction(nn.Module):
    """One layer of a cell of N nodes: matrices W_0 [2 H, 2 H] and W_1 ... W_N [N, H, 2 H], and in a supernet the batch
    norm of its states."""

    def __init__(self, nodes: int, hidden: int, *, normalised: bool = False) -> None:
        super().__init__()
        # As PyTorch's recurrent layers. The 0.04 of the language model is for hundreds of units: with few, the cell
        # would begin with outputs near 0.
        bound = hidden**-0.5
        self.first = nn.Parameter(torch.empty(2 * hidden, 2 * hidden).uniform_(-bound, bound))
        self.nodes = nn.Parameter(torch.empty(nodes, hidden, 2 * hidden).uniform_(-bound, bound))
        self.norm = nn.BatchNorm1d(hidden, affine=False) if normalised else None


class RecurrentTaggerModel(nn.Module):
    """A tagger with one layer of a recurrent cell in each direction.

    Args:
        needed: sizes that the task requires.
        hidden: H, units of the features and of each direction.
        dropouts: dropout rates in training mode.
        direction: makes the layer of a direction.
    """

    optimizations: Optimizations = Optimizations()
    """Optimizations for speed: `one_pass` and `compiled_kernel` apply. May be set at any time."""

    def __init__(
        self, needed: TaggerSizes, *, hidden: int, dropouts: Dropouts, direction: Callable[[], nn.Module]
    ) -> None:
        super().__init__()
        self.hidden, self.dropouts = sizes.positive("hidden", hidden), dropouts
        self.words = nn.Embedding(needed.words, hidden, padding_idx=0)
        self.letters = nn.Embedding(needed.characters, LETTER, padding_idx=0)
        self.convolution = nn.Conv1d(LETTER, hidden, WIDTH, padding=WIDTH // 2)
        self.features = nn.Linear(2 * hidden, hidden)
        self.forwards = direction()
        self.backwards = direction()
        self.scores = nn.Linear(2 * hidden, needed.tags)
        self.transitions = nn.Parameter(torch.zeros(needed.tags + 2, needed.tags))

    @property
    def random(self) -> bool:
        """True if it draws dropout masks in training mode (`naslab.modes.random_layers`)."""
        return any(vars(self.dropouts).values())

    def mask(self, rate: float, *shape: int) -> Tensor | None:
        """Returns a mask that is 0 with probability `rate`, else 1 / (1 - rate); None if nothing is dropped."""
        if not self.training or rate == 0:
            return None
        return self.transitions.new_empty(shape).bernoulli_(1 - rate).div_(1 - rate)

    def read(self, inputs: Mapping[str, Tensor], layer: Callable[[Any, Tensor, Tensor, Masks], Tensor]) -> TagScores:
        """Returns the scores of the tags of each word.

        Args:
            inputs: words [B, T] and characters [B, T, L].
            layer: (direction, x [T, B, H], initial state [B, H], masks) -> outputs [T, B, H].
        """
        words = inputs[WORDS]
        if words.dim() != 2:
            raise SpecError(f"a tagger reads words [B, T], not {list(words.shape)}")
        x = self._features(inputs).transpose(0, 1)  # [T, B, H]
        lengths = (words != 0).sum(1)
        back = _backwards(lengths, words.shape[1])  # [T, B]
        one = self._in(self.forwards, x, layer)
        other = self._in(self.backwards, _picked(x, back), layer)
        both = torch.cat([one, _picked(other, back)], dim=2).transpose(0, 1)
        both = dropped(both, self.mask(self.dropouts.dropout, len(words), 1, 2 * self.hidden))
        return TagScores(self.scores(both), self.transitions)

    def _features(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Returns the features [B, T, H] of each word."""
        characters = inputs[CHARACTERS]
        spelled = self.convolution(self.letters(characters.flatten(0, 1)).transpose(1, 2))  # [B T, H, L]
        # A channel keeps its maximum over the characters of the word, and the padding behind it is none of them. What
        # pads a sentence has no character at all, and its value is never read.
        outside = (characters.flatten(0, 1) == 0).unsqueeze(1)
        spelled = spelled.masked_fill(outside, -1e4).amax(dim=2).unflatten(0, characters.shape[:2])
        of_words = self.mask(self.dropouts.dropout_e, *inputs[WORDS].shape, 1)
        own = dropped(self.words(inputs[WORDS]), of_words)
        both = dropped(
            torch.cat([own, spelled], dim=2), self.mask(self.dropouts.dropout_i, len(own), 1, 2 * self.hidden)
        )
        return torch.tanh(self.features(both)) * (inputs[WORDS] != 0).unsqueeze(2)

    def _in(self, direction: nn.Module, x: Tensor, layer: Callable[[Any, Tensor, Tensor, Masks], Tensor]) -> Tensor:
        batch = x.shape[1]
        of_x, of_h = (
            self.mask(rate, batch, self.hidden) for rate in (self.dropouts.dropout_x, self.dropouts.dropout_h)
        )
        # In the precision of the weights, which the features of a search in bfloat16 have not.
        state = self.transitions.new_zeros(batch, self.hidden)
        return layer(direction, x, state, (of_x, of_h))

    def through(self, inputs: Mapping[str, Tensor], wiring: Wiring, weights: Tensor) -> TagScores:
        """Returns the scores of the tags of each word, for a wiring of the cell and weights [E, 4] of its functions."""

        def layer(of: Direction, x: Tensor, state: Tensor, masks: Masks) -> Tensor:
            return layer_outputs(x, state, of.first, of.nodes, wiring, weights, of.norm, masks, self.optimizations)

        return self.read(inputs, layer)


def _backwards(lengths: Tensor, steps: int) -> Tensor:
    """Returns the positions [T, B] of the words of each sentence from last to first; padding stays behind."""
    places = torch.arange(steps, device=lengths.device).unsqueeze(1)
    return torch.where(places < lengths, lengths - 1 - places, places)


def _picked(x: Tensor, places: Tensor) -> Tensor:
    """Returns x [T, B, H] with the steps of each sequence in the order of places [T, B]."""
    return x.gather(0, places.unsqueeze(2).expand_as(x))


class RecurrentTagger(RecurrentTaggerModel):
    """A tagger with a cell of its own; its states are not normalised.

    Args:
        genotype: genotype of the cell.
        needed: sizes that the task requires.
        hidden: units.
        dropouts: dropout rates in training mode.
    """

    def __init__(self, genotype: RecurrentGenotype, needed: TaggerSizes, *, hidden: int, dropouts: Dropouts) -> None:
        layer = partial(Direction, len(genotype.recurrent), hidden)
        super().__init__(needed, hidden=hidden, dropouts=dropouts, direction=layer)
        self.wiring = genotype.wiring

    def forward(self, inputs: Mapping[str, Tensor]) -> TagScores:
        """Returns scores of tags for words [B, T] and characters [B, T, L], in which 0 is padding."""
        return self.through(inputs, self.wiring, self.wiring.mask(self.transitions))


class RecurrentTaggerSupernet(RecurrentTaggerModel):
    """All recurrent cells of a space at once, as taggers.

    The states are normalised over the batch (`naslab.networks.recurrent_supernet`), in which shorter sentences count
    with what their padding makes of them.

    Args:
        operations: the candidates, in the order of the columns of the weights.
        nodes: N, the number of nodes of the cell.
        needed: sizes that the task requires.
        hidden: units.
        dropouts: dropout rates in training mode.
    """

    takes_mixtures = True

    def __init__(
        self, operations: Sequence[str], nodes: int, needed: TaggerSizes, *, hidden: int, dropouts: Dropouts
    ) -> None:
        layer = partial(Direction, nodes, hidden, normalised=True)
        super().__init__(needed, hidden=hidden, dropouts=dropouts, direction=layer)
        self.candidates = CellMixture(operations, nodes)

    def forward(self, inputs: Mapping[str, Tensor], weights: Mapping[str, Tensor | Mixture]) -> TagScores:
        """Returns scores of tags under the weights {"recurrent": [E, O]}."""
        at_least_two(self.training, len(inputs[WORDS]))
        return self.through(inputs, *self.candidates.wired(weights))

    def operation_costs(self, figure: str) -> dict[str, Tensor]:
        """Returns part -> [E, O], the cost of a function on an edge in both directions: see `CellMixture.costs`."""
        costs = self.candidates.costs(figure, list(self.forwards.get_parameter("nodes")))
        return {part: 2 * matrix for part, matrix in costs.items()}
