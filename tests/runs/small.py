"""A searcher that is small but whole: batch norm, dropout, momentum, Adam, shuffling; half a millisecond a step.

Imported by path (`conftest.py`, `harness.py`), for the tests are no package.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

import naslab as nl
from naslab.architecture import Architecture
from naslab.errors import Diverged
from naslab.events import SupernetStep
from naslab.randomness import seeded, torch_generator
from naslab.searchers.settings import Setting, Slider
from naslab.searchers.supernet_searcher import SupernetSearcher

OPERATIONS = ("identity", "conv_3x3", "avg_pool_3x3")
BATCH = 16


class Small(SupernetSearcher):
    """One mixed layer between a stem and a classifier."""

    name = "small"

    def __init__(self, task: Any, *, seed: int = 0, total: int = 30) -> None:
        self.task, self.seed = task, seed
        self.space = nl.spaces.NASBench201()
        self._total, self._step = total, 0
        self._rates = {"w_lr": 0.05, "alpha_lr": 0.01}
        with seeded(seed, "weights"):
            self.network = nn.ModuleDict(
                {
                    "stem": nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)),
                    "conv": nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)),
                    "head": nn.Linear(4, task.classes),
                }
            )
        self.alpha = torch.zeros(1, len(OPERATIONS), requires_grad=True)
        self._sgd = torch.optim.SGD(self.network.parameters(), lr=0.05, momentum=0.9)
        self._adam = torch.optim.Adam([self.alpha], lr=0.01)

    def advance(self) -> SupernetStep:
        for optimizer, rate in ((self._sgd, "w_lr"), (self._adam, "alpha_lr")):
            optimizer.param_groups[0]["lr"] = self._rates[rate]
        seen = {}
        for which, optimizer in (("valid", self._adam), ("train", self._sgd)):
            chosen = torch_generator(self.seed, which, self._step)
            indices = torch.randint(len(self.task.train), (BATCH,), generator=chosen)
            x, y = self.task.batch(indices)
            with seeded(self.seed, "dropout", which, self._step):
                logits = self._logits(x)
            loss = self.task.loss(logits, y)
            if not torch.isfinite(loss):
                raise Diverged(f"step {self._step + 1}: the {which} loss is {loss.item()}; lower w_lr")
            self._sgd.zero_grad()
            self._adam.zero_grad()
            loss.backward()
            optimizer.step()
            if not all((w.abs() < 1e12).all() for w in self.network.parameters()):
                raise Diverged(f"step {self._step + 1}: the weights have exploded; lower w_lr")
            seen[which] = loss.item(), self.task.accuracy(logits, y)
        self._step += 1
        probabilities = self.alpha.detach().softmax(dim=1)
        return SupernetStep(
            step=self._step,
            epoch=0,
            metrics={
                "train/loss": seen["train"][0],
                "train/accuracy": seen["train"][1],
                "valid/loss": seen["valid"][0],
                "valid/accuracy": seen["valid"][1],
                "entropy": float(-(probabilities * probabilities.log()).sum()),
                "discretisation_gap": 0.0,
                "count/skip_connect": 0,
            },
            probabilities={"cell": probabilities.numpy()},
            best=self.best,
            settings=self._rates,
        )

    def _logits(self, x: torch.Tensor) -> torch.Tensor:
        x = self.network["stem"](x).relu()
        outputs = torch.stack([x, self.network["conv"](x), functional.avg_pool2d(x, 3, 1, 1)])
        mixed = torch.einsum("o,obchw->bchw", self.alpha[0].softmax(dim=0), outputs)
        return self.network["head"](functional.dropout(mixed.mean(dim=(2, 3)), 0.1))

    @property
    def step(self) -> int:
        return self._step

    @property
    def total(self) -> int:
        return self._total

    @property
    def best(self) -> Architecture:
        return Architecture("small", (OPERATIONS[int(self.alpha.argmax())],))

    @property
    def settings(self) -> dict[str, Setting]:
        return {name: Slider(value=value, low=1e-6, high=1e39) for name, value in self._rates.items()}

    def apply_setting(self, name: str, value: float) -> None:
        self._rates = {**self._rates, name: value}

    def measure(self, name: str) -> float:
        return float(self.alpha.detach().abs().sum()) if name == "alpha_norm" else super().measure(name)

    def spec(self) -> dict[str, Any]:
        return {
            "searcher": self.name,
            "space": self.space.spec(),
            "task": self.task.spec(),
            "seed": self.seed,
            "total": self._total,
        }

    @classmethod
    def from_spec(cls, spec: dict[str, Any], task: Any = None) -> Small:
        return cls(nl.tasks.from_spec(spec["task"], task), seed=spec["seed"], total=spec["total"])

    def state_dict(self) -> dict[str, Any]:
        state: dict[str, Any] = {"step": self._step, **{f"rate/{name}": value for name, value in self._rates.items()}}
        state.update({f"network/{name}": value.clone() for name, value in self.network.state_dict().items()})
        state["alpha"] = self.alpha.detach().clone()
        for name, w in self.network.named_parameters():
            if "momentum_buffer" in self._sgd.state[w]:
                state[f"momentum/{name}"] = self._sgd.state[w]["momentum_buffer"].clone()
        state.update({f"adam/{key}": value.clone() for key, value in self._adam.state[self.alpha].items()})
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        def below(prefix: str) -> dict[str, Any]:
            return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}

        self._step, self._rates = state["step"], below("rate/")
        self.network.load_state_dict(below("network/"))
        self.alpha.data.copy_(state["alpha"])
        self._sgd.state.clear()
        self._adam.state.clear()
        for name, w in self.network.named_parameters():
            if name in below("momentum/"):
                self._sgd.state[w]["momentum_buffer"] = state[f"momentum/{name}"].clone()
        self._adam.state[self.alpha].update({key: value.clone() for key, value in below("adam/").items()})
