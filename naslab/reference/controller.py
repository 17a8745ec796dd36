"""A plain controller, which samples an architecture decision by decision (Zoph & Le 2017, Sec. 3.1).

    log P(architecture) = sum over t of log p(decision t | decisions before it)

A policy is a module (decisions so far, next choice) -> scores of the options [O]: `Independent`, or `Recurrent`.
"""

import numpy as np
import torch
from torch import nn


def write(space, policy, rng):
    """Samples an architecture; returns its decisions, their log-probability, and the sum of their entropies in nats."""
    decisions, log_probability, entropy = (), torch.zeros(()), torch.zeros(())
    while (choice := space.next_choice(decisions)) is not None:
        log = policy(decisions, choice).log_softmax(dim=-1)
        # a sample by the inverse of the cumulative distribution, in float64, so that its last entry is about 1
        reached = np.cumsum(log.detach().exp().double().numpy())
        option = int(np.searchsorted(reached, rng.random() * reached[-1], side="right"))
        log_probability = log_probability + log[option]
        entropy = entropy - (log.exp() * log).sum()
        decisions = (*decisions, choice.options[option])
    return decisions, log_probability, entropy


class Independent(nn.Module):
    """Scores [O] of each choice, independent of earlier decisions (Dong & Yang 2020, REINFORCE on NAS-Bench-201)."""

    def __init__(self, choices):
        super().__init__()
        self.scores = nn.ParameterDict({choice.name: torch.zeros(len(choice.options)) for choice in choices})

    def forward(self, decisions, choice):
        return self.scores[choice.name]


class Recurrent(nn.Module):
    """An LSTM of H units reads an embedding of each decision; its state and a head [O, H] score the next choice."""

    def __init__(self, choices, units=35, layers=2, reach=0.08):
        super().__init__()
        self.choices, self.lstm = choices, nn.LSTM(units, units, layers)
        self.begin = nn.Parameter(torch.empty(units))  # what the LSTM reads first
        self.embedding = nn.ParameterDict({c.name: torch.empty(len(c.options), units) for c in choices})
        self.head = nn.ParameterDict({c.name: torch.empty(len(c.options), units) for c in choices})
        for weight in self.parameters():
            nn.init.uniform_(weight, -reach, reach)

    def forward(self, decisions, choice):
        taken = zip(self.choices, decisions, strict=False)  # the decisions so far, which are fewer than the choices
        # [decisions + 1, H]: the whole sequence again for each decision, which is slow and simple
        read = [self.begin, *(self.embedding[c.name][c.options.index(option)] for c, option in taken)]
        states, _ = self.lstm(torch.stack(read))
        return self.head[choice.name] @ states[-1]
