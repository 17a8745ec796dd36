"""A step of the recurrent supernet of DARTS over the same step as it was published, in turns, by CPU time.

    python -m benchmarks.recurrent            or: python -m benchmarks.recurrent --sizes laptop --rounds 15
    NASLAB_KERNELS=0 python -m benchmarks.recurrent          without a compiler

A step is the loss of a chunk of a text and its gradient, of the weights or of the architecture.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.supernets import compared
from naslab.networks import Dropouts, RecurrentSupernet
from naslab.networks.recurrent_supernet import PART, RECURRENT_OPERATIONS
from naslab.operations import kernels
from naslab.randomness import seeded
from naslab.threads import torch_threads

SIZES: dict[str, dict[str, int]] = {
    "paper": {"words": 10_000, "hidden": 300, "batch": 64, "steps": 35},
    "words": {"words": 2_000, "hidden": 128, "batch": 32, "steps": 32},
    "laptop": {"words": 65, "hidden": 64, "batch": 32, "steps": 32},
}
MUST = {"paper": 1.3, "words": 1.5, "laptop": 2.0}
"""What the ratio is to be at least, where there is a compiler; elsewhere no less than 1."""
NODES = 8
RATES = (0.75, 0.75, 0.25, 0.2)
"""Of outputs, x, h and inputs."""
INITIAL = 0.04


class PlainRecurrentSupernet(nn.Module):
    """The network that DARTS searches recurrent cells in, as its authors wrote it: step by step, node by node, function
    by function (https://github.com/quark0/darts, rnn/model.py and rnn/model_search.py).

    Args:
        words: V.
        hidden: H, of the embedding and of the state.
        nodes: N.
        dropout: of outputs, x, h and inputs.
    """

    functions: Mapping[str, Callable[[Tensor], Tensor] | None] = {
        "none": None,
        "tanh": torch.tanh,
        "relu": torch.relu,
        "sigmoid": torch.sigmoid,
        "identity": lambda x: x,
    }

    def __init__(self, words: int, hidden: int, nodes: int, dropout: tuple[float, float, float, float]) -> None:
        super().__init__()
        self.hidden, self.dropout = hidden, dropout
        self.encoder = nn.Embedding(words, hidden)
        self.decoder = nn.Linear(hidden, words)
        self.decoder.weight = self.encoder.weight
        self.first = nn.Parameter(torch.empty(2 * hidden, 2 * hidden))
        self.nodes = nn.ParameterList(nn.Parameter(torch.empty(hidden, 2 * hidden)) for _ in range(nodes))
        self.norm = nn.BatchNorm1d(hidden, affine=False)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -INITIAL, INITIAL)
        nn.init.zeros_(self.decoder.bias)

    def forward(self, tokens: Tensor, state: Tensor, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities [T, B, V] of what follows tokens [T, B], and the outputs [T, B, H].

        Args:
            probabilities: [N (N + 1) / 2, 5].
        """
        of_output, of_x, of_h, of_input = self.dropout
        embedded = self._locked(self.encoder(tokens), of_input)
        masks = (self._mask(embedded[0], of_x), self._mask(state, of_h)) if self.training else None
        outputs = []
        for x in embedded:
            state = self._cell(x, state, masks, probabilities)
            outputs.append(state)
        raw = torch.stack(outputs)
        decoded = self.decoder(self._locked(raw, of_output).view(-1, self.hidden))
        return functional.log_softmax(decoded, dim=-1).view(*tokens.shape, -1), raw

    def _cell(self, x: Tensor, h: Tensor, masks: tuple[Tensor, Tensor] | None, probabilities: Tensor) -> Tensor:
        xh = torch.cat([x, h] if masks is None else [x * masks[0], h * masks[1]], dim=-1)
        c, candidate = torch.split(xh.mm(self.first), self.hidden, dim=-1)
        s0 = self.norm(h + c.sigmoid() * (candidate.tanh() - h))
        states, offset = s0.unsqueeze(0), 0
        for node, matrix in enumerate(self.nodes):
            read = states if masks is None else states * masks[1]
            ch = torch.matmul(read.view(-1, self.hidden), matrix).view(node + 1, -1, 2 * self.hidden)
            c, candidate = torch.split(ch, self.hidden, dim=-1)
            c, s = c.sigmoid(), torch.zeros_like(s0)
            for column, function in enumerate(self.functions.values()):
                if function is not None:
                    weight = probabilities[offset : offset + node + 1, column].view(-1, 1, 1)
                    s = s + torch.sum(weight * (states + c * (function(candidate) - states)), dim=0)
            states = torch.cat([states, self.norm(s).unsqueeze(0)])
            offset += node + 1
        return torch.mean(states[1:], dim=0)

    def _mask(self, like: Tensor, rate: float) -> Tensor:
        return torch.floor(torch.rand_like(like) + (1 - rate)) / (1 - rate)

    def _locked(self, x: Tensor, rate: float) -> Tensor:
        """One mask for all steps."""
        if not self.training or not rate:
            return x
        return x * (torch.empty_like(x[:1]).bernoulli_(1 - rate) / (1 - rate))


def jobs_of(
    words: int, hidden: int, batch: int, steps: int
) -> dict[str, tuple[Callable[[], None], Callable[[], None]]]:
    """Name of a step -> the step as published, and naslab's."""
    with seeded("recurrent"):
        plain = PlainRecurrentSupernet(words, hidden, NODES, RATES)
        fast = RecurrentSupernet(RECURRENT_OPERATIONS, NODES, words, hidden=hidden, dropouts=Dropouts(*RATES))
        alphas = 1e-3 * torch.randn(fast.shape)
        tokens, targets = torch.randint(words, (2, batch, steps)).unbind()
        state = torch.zeros(batch, hidden)

    def by_plain(probabilities: Tensor) -> Tensor:
        found, _ = plain(tokens.t(), state, probabilities)
        return functional.nll_loss(found.reshape(-1, words), targets.t().reshape(-1))

    def by_fast(probabilities: Tensor) -> Tensor:
        return functional.cross_entropy(
            fast((tokens, state), {PART: probabilities}).logits.flatten(0, 1), targets.flatten()
        )

    def weight_step(network: nn.Module, loss: Callable[[Tensor], Tensor]) -> Callable[[], None]:
        weights = list(network.parameters())

        def step() -> None:
            torch.autograd.grad(loss(alphas.softmax(dim=1)), weights)

        return step

    def alpha_step(network: nn.Module, loss: Callable[[Tensor], Tensor]) -> Callable[[], None]:
        def step() -> None:
            network.requires_grad_(False)
            wanted = alphas.detach().requires_grad_()
            torch.autograd.grad(loss(wanted.softmax(dim=1)), wanted)
            network.requires_grad_(True)

        return step

    return {
        "weights": (weight_step(plain, by_plain), weight_step(fast, by_fast)),
        "architecture": (alpha_step(plain, by_plain), alpha_step(fast, by_fast)),
    }


def measure(plain: Callable[[], None], fast: Callable[[], None], rounds: int) -> dict[str, Any]:
    """Medians over the rounds, and the ratio. A round comes first that does not count."""
    seconds: dict[str, list[float]] = {"plain": [], "fast": []}
    for number in range(rounds + 1):
        for name, step in (("plain", plain), ("fast", fast)):
            start = time.process_time()
            step()
            if number:
                seconds[name].append(time.process_time() - start)
    return compared(seconds["fast"], seconds["plain"])


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=str(__doc__).splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    arguments.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    arguments.add_argument("--rounds", type=int, default=5)
    given = arguments.parse_args()
    compiled = kernels.available()
    print("with compiled kernels" if compiled else "without a compiler")
    print(f"{'':22} {'published, ms':>14} {'naslab, ms':>10} {'ratio':>6} {'quartiles':>11} {'fastest':>7} {'must':>5}")
    missed = False
    with torch_threads(1):
        for size in given.sizes:
            must = MUST[size] if compiled else 1.0
            for name, steps in jobs_of(**SIZES[size]).items():
                row = measure(*steps, given.rounds)
                low, high = row["quartiles"]
                missed |= row["ratio"] < must
                print(
                    f"{size + ', ' + name:22} {row['plain_milliseconds']:14.1f} {row['milliseconds']:10.1f} "
                    f"{row['ratio']:6.2f} {low:5.2f}-{high:<5.2f} {row['ratio_of_fastest']:7.2f} {must:5.1f}",
                    flush=True,
                )
    raise SystemExit(missed)


if __name__ == "__main__":
    main()
