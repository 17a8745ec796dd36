"""Policies: distributions over the architectures of any space, with weights that can be learnt.

An architecture is a sequence of decisions, so that its probability is a product,

    log P(a) = sum over t of log p(a_t | a_1 ... a_(t-1)),

and a policy gives scores to the options of the next decision: `Recurrent` reads the decisions so far (Zoph
& Le 2017, https://arxiv.org/abs/1611.01578, section 3), `Independent` does not (Dong & Yang 2020,
https://arxiv.org/abs/2001.00326, the REINFORCE of their benchmark). `unroll` makes the decisions of many
architectures in parallel, to sample them, to evaluate given ones, or to find the most probable one.

The vocabulary consists of pairs (name of a choice, option), and grows as choices are met: a space may ask different
choices on different branches. A weight that was never updated is a pure function of the seed and its name. So its value
does not depend on when it is first used, and only updated weights have to be stored.

Letters: B architectures in parallel, R of them at the same choice, O options, H hidden units.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from naslab.architecture import Choice, Prefix
from naslab.randomness import torch_generator

NextChoice = Callable[[Prefix], Choice | None]
"""Answers so far -> next choice, or None at the end; as `Space.next_choice`."""
Decide = Callable[[int, Choice, list[int], Tensor], list[int]]
"""(position in the sequence, choice, rows, log-probabilities [R, O]) -> index of the option that each row takes."""


_SKIP = re.compile(r"(.*/)?(\d+)/from_(\d+)")


@lru_cache(maxsize=4096)
def skip_ends(choice: Choice) -> tuple[str, str] | None:
    """Returns the two layers that a skip connection would join; None for any other choice.

    The choice `chain/5/from_2`, between 0 and 1, decides whether layer 5 reads layer 2: ("chain/2", "chain/5").
    """
    found = _SKIP.fullmatch(choice.name) if choice.options == (0, 1) else None
    if found is None:
        return None
    part, target, source = found[1] or "", found[2], found[3]
    return f"{part}{source}", f"{part}{target}"


class Weights:
    """Weights by name. Each is initialized from U(-reach, reach) by the seed and its name when it is first used."""

    def __init__(self, reach: float, seed: int) -> None:
        self.seed, self._reach = seed, reach
        self.met: dict[str, Tensor] = {}

    def __call__(self, name: str, *shape: int) -> Tensor:
        if (found := self.met.get(name)) is None:
            generator = torch_generator(self.seed, "controller", name)
            drawn = torch.empty(shape).uniform_(-self._reach, self._reach, generator=generator)
            self.met[name] = found = drawn.requires_grad_()
        return found

    def rows(self, kind: str, choice: Choice, units: int) -> Tensor:
        """Returns [O, units]: one row of weights for each option of the choice."""
        return torch.stack([self(name, units) for name in _names(kind, choice)])


@lru_cache(maxsize=4096)
def _names(kind: str, choice: Choice) -> tuple[str, ...]:
    return tuple(f"{kind}/{choice.name}/{json.dumps(option)}" for option in choice.options)


@lru_cache(maxsize=4096)
def _logits_name(choice: Choice) -> str:
    return f"logits/{choice.name}/{json.dumps(choice.options)}"


class Walk(Protocol):
    """State of a policy in B sequences of decisions."""

    def scores(self, asked: Mapping[Choice, list[int]]) -> dict[Choice, Tensor]:
        """Returns choice -> logits [R, O] of the rows whose next choice it is."""
        ...

    def feed(self, choice: Choice, rows: list[int], taken: list[int]) -> None:
        """Feeds the options that these rows took back to the policy."""
        ...


class Policy(Protocol):
    """A distribution over architectures, as scores of the options of each decision."""

    weights: Weights

    def begin(self, count: int) -> Walk:
        """Begins `count` architectures, without a decision yet."""
        ...


class Unrolled(NamedTuple):
    """B architectures with their probabilities."""

    answers: list[Prefix]
    log_probability: Tensor
    """[B] log-probabilities of the whole architectures."""
    entropy: Tensor
    """[B] sums of the entropies of the distributions along each sequence, in nats."""


Forbidden = Callable[[Choice], Tensor | None]
"""Choice -> [O] bool, True for forbidden options; None if all are allowed."""


def unroll(
    policy: Policy, next_choice: NextChoice, count: int, decide: Decide, forbidden: Forbidden | None = None
) -> Unrolled:
    """Makes all decisions of `count` architectures in parallel, by `decide`.

    Forbidden options have probability 0, and the others are renormalized. A replayed decision for an option that was
    forbidden later adds nothing to the log-probability, so that its gradient is finite.
    """
    walk = policy.begin(count)
    answers: list[Prefix] = [()] * count
    log_probability, entropy = torch.zeros(count), torch.zeros(count)
    for position in itertools.count():
        asked: dict[Choice, list[int]] = {}
        for row, prefix in enumerate(answers):
            if len(prefix) == position and (choice := next_choice(prefix)) is not None:
                asked.setdefault(choice, []).append(row)
        if not asked:
            break
        for choice, scores in walk.scores(asked).items():
            mask = None if forbidden is None else forbidden(choice)
            if mask is not None:
                scores = scores.masked_fill(mask, -torch.inf)
            rows, log = asked[choice], scores.log_softmax(dim=-1)
            taken = decide(position, choice, rows, log)
            walk.feed(choice, rows, taken)
            for row, option in zip(rows, taken, strict=True):
                answers[row] = (*answers[row], choice.options[option])
            if mask is not None:
                # log 0 = -inf would make the entropy and the gradients NaN
                log = torch.where(mask, torch.zeros_like(log), log)
            chosen = log.gather(1, torch.tensor(taken)[:, None])[:, 0]
            log_probability = _added(log_probability, rows, chosen)
            entropy = _added(entropy, rows, _entropies(log, mask))
    return Unrolled(answers, log_probability, entropy)


def _entropies(log: Tensor, mask: Tensor | None) -> Tensor:
    """Returns entropies [R] in nats of log-probabilities [R, O], in which masked options are 0 and do not count."""
    share = log.exp() if mask is None else log.exp().masked_fill(mask, 0.0)
    return -(share * log).sum(dim=-1)


def _added(totals: Tensor, rows: list[int], values: Tensor) -> Tensor:
    """Returns totals [B] with values [R] added in some rows."""
    return totals + values if len(rows) == len(totals) else totals.index_add(0, torch.tensor(rows), values)


class Independent:
    """One softmax for each choice, whatever was chosen before; one for each set of options that a choice has."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights

    def begin(self, count: int) -> Independent:
        return self

    def scores(self, asked: Mapping[Choice, list[int]]) -> dict[Choice, Tensor]:
        return {choice: self._logits(choice).expand(len(rows), -1) for choice, rows in asked.items()}

    def _logits(self, choice: Choice) -> Tensor:
        return self.weights(_logits_name(choice), len(choice.options))

    def feed(self, choice: Choice, rows: list[int], taken: list[int]) -> None:
        """Does nothing: its scores do not depend on earlier decisions."""


class Recurrent:
    """An LSTM that reads each decision and scores the options of the next.

    Args:
        weights: all its weights, by name.
        units: H, the number of units of each layer, and the size of the embeddings.
        layers: number of layers of the LSTM.

    Skip connections (`skip_ends`) are decided by pairs of hidden states (section 3.3): layer i reads layer j with
    probability sigmoid(v . tanh(W_there h_j + W_here h_i)), where h is the state at each layer's anchor, the last step
    of the layer. All skip connections into a layer are decided at one step of the LSTM. Its next input is the sum of
    the hidden states of the joined layers; the paper does not specify it.
    """

    def __init__(self, weights: Weights, *, units: int, layers: int) -> None:
        self.weights, self.units, self.layers = weights, units, layers

    def begin(self, count: int) -> RecurrentWalk:
        return RecurrentWalk(self, count)

    def cell(self, layer: int) -> tuple[Tensor, ...]:
        """Returns w_ih [4H, H], w_hh [4H, H], b_ih [4H], b_hh [4H] of a layer, as `torch.lstm_cell` takes them."""
        size = self.units
        shapes = {"w_ih": (4 * size, size), "w_hh": (4 * size, size), "b_ih": (4 * size,), "b_hh": (4 * size,)}
        return tuple(self.weights(f"lstm/{layer}/{name}", *shape) for name, shape in shapes.items())

    def head(self, choice: Choice, hidden: Tensor) -> Tensor:
        """Returns logits [R, O] from hidden states [R, H]."""
        return hidden @ self.weights.rows("head", choice, self.units).T

    def join(self, there: Tensor, here: Tensor) -> Tensor:
        """Returns logits [R, 2] of no and yes for joining anchors `there` [R, H] and `here` [R, H]."""
        size = self.units
        mixed = there @ self.weights("skip/there", size, size).T + here @ self.weights("skip/here", size, size).T
        yes = torch.tanh(mixed) @ self.weights("skip/v", size)
        return torch.stack([torch.zeros_like(yes), yes], dim=-1)


class RecurrentWalk:
    """State of the LSTM in B sequences, and the positions of their anchors."""

    def __init__(self, policy: Recurrent, count: int) -> None:
        self._policy, self._size = policy, (count, policy.units)
        self._input = policy.weights("begin", policy.units).expand(count, -1)
        self._cells = [policy.cell(layer) for layer in range(policy.layers)]
        self._states = [(torch.zeros(self._size), torch.zeros(self._size)) for _ in self._cells]
        self._trail: list[Tensor] = []
        """[B, H] hidden state of the top layer after each step."""
        self._anchors: list[dict[str, int]] = [{} for _ in range(count)]
        """For each row: layer -> index of its last step in the trail."""
        self._standing: list[str | None] = [None] * count
        """For each row: the layer whose skip connections are being decided, if any."""

    def scores(self, asked: Mapping[Choice, list[int]]) -> dict[Choice, Tensor]:
        policy, scores = self._policy, {}
        self._step(asked)
        for choice, rows in asked.items():
            hidden = _take(self._trail[-1], rows)
            ends = skip_ends(choice)
            if ends is None:
                scores[choice] = policy.head(choice, hidden)
            else:
                scores[choice] = policy.join(torch.stack([self._anchor(row, ends[0]) for row in rows]), hidden)
        return scores

    def feed(self, choice: Choice, rows: list[int], taken: list[int]) -> None:
        policy, ends = self._policy, skip_ends(choice)
        if ends is None:
            # the next input is the embedding of the option, [R, H]
            layer, read = choice.name.rpartition("/")[0], policy.weights.rows("embedding", choice, policy.units)[taken]
        else:
            layer = ends[1]
            # the next input is the sum over the joined layers: the first decision of a layer begins it at 0
            joined = torch.tensor(taken)[:, None] * torch.stack([self._anchor(row, ends[0]) for row in rows])
            first = [self._standing[row] != layer for row in rows]
            before = torch.where(torch.tensor(first)[:, None], 0.0, _take(self._input, rows))
            read = before + joined
        if len(rows) == len(self._input):
            self._input = read
        else:
            self._input = self._input.index_copy(0, torch.tensor(rows), read)
        for row in rows:
            self._anchors[row][layer] = len(self._trail) - 1
            self._standing[row] = None if ends is None else layer

    def _step(self, asked: Mapping[Choice, list[int]]) -> None:
        """Advances the LSTM by a step, except in rows with further skip connections of the same layer to decide."""
        stay = [
            row
            for choice, rows in asked.items()
            if (ends := skip_ends(choice)) is not None
            for row in rows
            if self._standing[row] == ends[1]
        ]
        if len(stay) == sum(map(len, asked.values())):
            self._trail.append(self._trail[-1])
            return
        kept = torch.zeros(self._size[0], 1, dtype=torch.bool).index_fill(0, torch.tensor(stay, dtype=torch.long), True)
        read = self._input
        for layer, cell in enumerate(self._cells):
            hidden, carried = self._states[layer]
            new_hidden, new_carried = torch.lstm_cell(read, (hidden, carried), *cell)
            if stay:
                new_hidden = torch.where(kept, hidden, new_hidden)
                new_carried = torch.where(kept, carried, new_carried)
            self._states[layer] = new_hidden, new_carried
            read = new_hidden
        self._trail.append(read)

    def _anchor(self, row: int, layer: str) -> Tensor:
        """Returns the hidden state [H] at the anchor of a layer; zeros for what is no layer, such as the image."""
        step = self._anchors[row].get(layer)
        return torch.zeros(self._size[1]) if step is None else self._trail[step][row]


def _take(values: Tensor, rows: list[int]) -> Tensor:
    return values if len(rows) == len(values) else values[rows]
