"""DARTS: differentiable architecture search (Liu, Simonyan & Yang 2019, https://arxiv.org/abs/1806.09055, Alg. 1).

    relax the choice on each edge to a softmax over the operations, with logits alpha
    repeat, a mini-batch of each half of the training data at a time:
        1. alpha <- alpha - Adam(d L_val(w - xi grad_w L_train(w, alpha), alpha) / d alpha)
           (xi = 0: first order; xi = learning rate of w: second order)
        2. w <- w - SGD(grad_w L_train(w, alpha))
    derive: on each edge the strongest operation, on each node the two strongest edges

Differences from the paper and its code:
- The mixed product of second order comes in two kinds, `hessian_product="finite_difference"` (the paper's)
  and `"exact"`; `bilevel` says how far apart they are.
- After looking through w', the weights get their own values back to the last bit; adding and subtracting a
  step, as the authors' code does, leaves rounding behind.
- Batch-normalisation statistics move with the step of the weights alone, not with the looks of the alpha step.
- Validation batches run through the shuffled half once an epoch; the authors' code draws each from a fresh shuffle.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from naslab import spaces, tasks
from naslab.analysis.hessian import dominant_eigenvalue
from naslab.architecture import Architecture
from naslab.device import usable_device
from naslab.errors import DataError, Diverged, SpecError, real, whole
from naslab.events import SupernetStep
from naslab.networks.batch_norm import frozen_statistics
from naslab.randomness import seeded, torch_generator
from naslab.searchers.bilevel import PRODUCTS, InnerStep, frozen, gradients, standing_at, unrolled_gradients
from naslab.searchers.searcher import Knob, State, SupernetSearcher, attribute_docstrings, read_hyperparameters
from naslab.spaces.space import Space, SupernetSpace
from naslab.tasks import Images
from naslab.tasks.order import batch_indices, epoch_length
from naslab.threads import torch_threads


@dataclass(frozen=True, kw_only=True)
class DartsHyperparameters:
    """Defaults are those of the paper's search on CIFAR-10 (section A.1.1)."""

    order: int = 1
    """1 takes the weights as they are (xi = 0); 2 looks through one step of them."""
    hessian_product: str = "finite_difference"
    """Second order only: "finite_difference", the paper's Eq. 8, or "exact", double backward."""
    radius: float = 0.01
    """Length of the finite-difference step in weight space (the paper's epsilon is radius / |v|)."""
    epochs: int = 50
    """Passes over the half of the training data that moves the weights."""
    batch_size: int = 64
    """Images in a mini-batch of either half."""
    train_portion: float = 0.5
    """Share of the training data that moves the weights; the rest moves the architecture."""
    w_lr: float = 0.025
    """Learning rate of the weights at the start; falls along a cosine, epoch by epoch."""
    w_lr_min: float = 0.001
    """Learning rate of the weights at the end of the cosine."""
    w_momentum: float = 0.9
    """Momentum of the weights."""
    w_weight_decay: float = 3e-4
    """Weight decay of the weights."""
    w_clip: float = 5.0
    """The gradient of the weights is scaled down to this norm."""
    alpha_lr: float = 3e-4
    """Learning rate of the architecture (Adam)."""
    alpha_beta1: float = 0.5
    """Adam's memory of the gradient of the architecture."""
    alpha_beta2: float = 0.999
    """Adam's memory of its square."""
    alpha_weight_decay: float = 1e-3
    """Weight decay of the architecture."""
    alpha_scale: float = 1e-3
    """Standard deviation of the alphas at the start."""

    def __post_init__(self) -> None:
        if self.order not in (1, 2):
            raise SpecError(f"order must be 1 or 2, not {self.order!r}")
        if self.hessian_product not in PRODUCTS:
            raise SpecError(f"hessian_product must be one of {', '.join(PRODUCTS)}, not {self.hessian_product!r}")
        for name in ("epochs", "batch_size"):
            object.__setattr__(self, name, whole(name, getattr(self, name), 1))
        for field in dataclasses.fields(self):
            if isinstance(field.default, float):
                object.__setattr__(self, field.name, real(field.name, getattr(self, field.name)))
        for name in ("radius", "w_lr", "alpha_lr", "w_clip"):
            if not 0 < getattr(self, name) < math.inf:
                raise SpecError(f"{name} must be positive and finite, not {getattr(self, name)!r}")
        for name in ("w_lr_min", "w_weight_decay", "alpha_weight_decay", "alpha_scale"):
            if not 0 <= getattr(self, name) < math.inf:
                raise SpecError(f"{name} must not be negative, and finite, not {getattr(self, name)!r}")
        for name in ("w_momentum", "alpha_beta1", "alpha_beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise SpecError(f"{name} must be in [0, 1), not {getattr(self, name)!r}")
        if not 0 < self.train_portion < 1:
            raise SpecError(
                f"train_portion must be between 0 and 1, not {self.train_portion!r}: both halves need images"
            )


class Darts(SupernetSearcher):
    """DARTS of first or second order on any space with a supernet.

    Args:
        space: a space with `supernet` and `derive`, for instance `naslab.spaces.DartsCell`.
        task: image classification, for instance `naslab.tasks.FashionMNIST()`.
        seed: of the weights, the alphas, the halves of the data, its order and augmentation.
        device: for instance "cuda"; CUDA where there is one if left out, else the CPU.
        threads: CPU threads of each step. One by default: a small supernet loses more than it gains by a
            second one as soon as anything else runs. Part of what makes a search repeatable.
        **hyperparameters: see `DartsHyperparameters`.
    """

    name = "darts"

    def __init__(
        self,
        space: Space,
        task: Images,
        *,
        seed: int = 0,
        device: str | None = None,
        threads: int = 1,
        **hyperparameters: Any,
    ) -> None:
        if not isinstance(space, SupernetSpace):
            raise SpecError(f"DARTS needs a space with a supernet; {space.name!r} has none")
        if not isinstance(task, Images):
            raise SpecError(f"DARTS needs a task such as naslab.tasks.FashionMNIST(), not {task!r:.100}")
        self.seed, self.threads = whole("seed", seed, 0), whole("threads", threads, 1)
        self.hyperparameters = read_hyperparameters(DartsHyperparameters, hyperparameters)
        self.space, self.task = space, task
        self.device = usable_device(device)
        hyper = self.hyperparameters
        self._halves = task.halves(seed, hyper.train_portion)
        smaller = min(len(half) for half in self._halves)
        if smaller < hyper.batch_size:
            raise DataError(
                f"a batch of {hyper.batch_size} is larger than the {smaller} images of the smaller half of the "
                f"training data ({len(task.train)} in all, train_portion={hyper.train_portion:g}); "
                f"take batch_size={smaller} or less"
            )
        self._steps_per_epoch = epoch_length(len(self._halves[0]), hyper.batch_size)
        self._step = 0
        self._w_lr_from = (hyper.w_lr, 0)
        self._alpha_lr = hyper.alpha_lr

        with seeded(seed, "weights"):
            self.network: nn.Module = space.supernet(task).to(self.device)
        generator = torch_generator(seed, "alphas")
        self.alphas = {
            part: (hyper.alpha_scale * torch.randn(edges, len(space.operations), generator=generator))
            .to(self.device)
            .requires_grad_()
            for part, edges in space.edges().items()
        }
        self._weights = list(self.network.parameters())
        self._sgd = torch.optim.SGD(
            self._weights, lr=hyper.w_lr, momentum=hyper.w_momentum, weight_decay=hyper.w_weight_decay
        )
        self._adam = torch.optim.Adam(
            list(self.alphas.values()),
            lr=hyper.alpha_lr,
            betas=(hyper.alpha_beta1, hyper.alpha_beta2),
            weight_decay=hyper.alpha_weight_decay,
        )

    # --- the algorithm ---------------------------------------------------------------------------

    def advance(self) -> SupernetStep:
        """One step of Algorithm 1: the architecture on a validation batch, then the weights on a training batch."""
        hyper = self.hyperparameters
        epoch = self._step // self._steps_per_epoch
        rates = {"w_lr": self._w_lr(epoch), "alpha_lr": self._alpha_lr}
        with torch_threads(self.threads):
            self.network.train()
            train, valid = self._batch("weights"), self._batch("architecture")
            if hyper.order == 1:
                valid_logits, gap = self._alpha_step_first_order(valid)
            else:
                valid_logits, gap = self._alpha_step_second_order(train, valid, rates["w_lr"])
            train_logits = self._weight_step(train, rates["w_lr"])
        self._step += 1
        probabilities = self.probabilities()
        best = self._derive(probabilities)
        return SupernetStep(
            step=self._step,
            epoch=epoch,
            train_loss=float(self.task.loss(train_logits, train[1])),
            train_accuracy=self.task.accuracy(train_logits, train[1]),
            valid_loss=float(self.task.loss(valid_logits, valid[1])),
            valid_accuracy=self.task.accuracy(valid_logits, valid[1]),
            probabilities=probabilities,
            best=best,
            entropy=_mean_entropy(probabilities),
            skip_count=sum(value == "skip_connect" for value in best.choices),
            discretisation_gap=gap,
            rates=rates,
        )

    def _alpha_step_first_order(self, valid: Batch) -> tuple[Tensor, float]:
        with frozen_statistics(self.network):
            with frozen(self._weights):
                logits = self._logits(valid[0])
                found = gradients(self.task.loss(logits, valid[1]), list(self.alphas.values()))
            gap = self._discretisation_gap(logits, valid)
        self._move_alphas(found)
        return logits.detach(), gap

    def _alpha_step_second_order(self, train: Batch, valid: Batch, xi: float) -> tuple[Tensor, float]:
        hyper = self.hyperparameters
        seen: list[Tensor] = []

        def valid_loss() -> Tensor:
            seen.append(self._logits(valid[0]))
            return self.task.loss(seen[-1], valid[1])

        buffers = [self._sgd.state.get(w, {}).get("momentum_buffer") for w in self._weights]
        with frozen_statistics(self.network):
            unrolled = unrolled_gradients(
                train_loss=lambda: self.task.loss(self._logits(train[0]), train[1]),
                valid_loss=valid_loss,
                weights=self._weights,
                alphas=list(self.alphas.values()),
                step=InnerStep(
                    xi=xi,
                    weight_decay=hyper.w_weight_decay,
                    momentum=[None if b is None else hyper.w_momentum * b for b in buffers],
                ),
                product=PRODUCTS[hyper.hessian_product](hyper.radius),
            )
            with standing_at(self._weights, unrolled.moved):
                gap = self._discretisation_gap(seen[-1], valid)
        self._move_alphas(unrolled.gradients)
        return seen[-1].detach(), gap

    def _move_alphas(self, found: list[Tensor]) -> None:
        for alpha, gradient in zip(self.alphas.values(), found, strict=True):
            self._must_be_finite("gradient of the architecture", gradient)
            alpha.grad = gradient
        for group in self._adam.param_groups:
            group["lr"] = self._alpha_lr
        self._adam.step()
        for part, alpha in self.alphas.items():
            self._must_be_finite(f"alphas ({part})", alpha)

    def _weight_step(self, train: Batch, w_lr: float) -> Tensor:
        """Step 2 of Algorithm 1; gives back the logits [B, classes] from before the step."""
        with torch.no_grad():
            mixture = {part: alpha.softmax(dim=-1) for part, alpha in self.alphas.items()}
        logits = self.network(train[0], mixture)
        loss = self.task.loss(logits, train[1])
        self._must_be_finite("training loss", loss)
        self._sgd.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self._weights, self.hyperparameters.w_clip)
        self._must_be_finite("gradient of the weights", norm)
        for group in self._sgd.param_groups:
            group["lr"] = w_lr
        self._sgd.step()
        return logits.detach()

    def _logits(self, images: Tensor) -> Tensor:
        return self.network(images, {part: alpha.softmax(dim=-1) for part, alpha in self.alphas.items()})

    def _discretisation_gap(self, mixture_logits: Tensor, valid: Batch) -> float:
        """Validation loss of the cell that would be derived, less that of the mixture, at the same weights."""
        kept = self.space.one_hot(self._derive(self.probabilities()))  # type: ignore[attr-defined]
        one_hot = {part: torch.from_numpy(array).to(self.device) for part, array in kept.items()}
        with torch.no_grad():
            derived = self.task.loss(self.network(valid[0], one_hot), valid[1])
            return float(derived - self.task.loss(mixture_logits, valid[1]))

    def _batch(self, half: str) -> Batch:
        """Images [B, C, H, W] and labels [B] of this step, from one half of the training data."""
        indices = self._halves[0 if half == "weights" else 1]
        chosen = batch_indices(indices, self.hyperparameters.batch_size, self._step, self.seed, half)
        generator = torch_generator(self.seed, "augment", half, self._step)
        return self.task.batch(chosen, augment=generator, device=self.device)

    def _w_lr(self, epoch: int) -> float:
        """Cosine from the value that was last set, on the epoch when it was, down to `w_lr_min` at the end.

        A value below the minimum is kept as it is.
        """
        hyper = self.hyperparameters
        start, since = self._w_lr_from
        if start <= hyper.w_lr_min:
            return start

        def cosine(at: int) -> float:
            return 1 + math.cos(math.pi * at / hyper.epochs)

        return hyper.w_lr_min + (start - hyper.w_lr_min) * cosine(epoch) / cosine(since)

    def _must_be_finite(self, what: str, value: Tensor) -> None:
        if not bool(torch.isfinite(value).all()):
            raise Diverged(
                f"step {self._step + 1}: the {what} is no longer finite (NaN or infinite); the step was not kept. "
                "Most often the loss has been growing for some steps: search.rewind(step) to before that, lower w_lr "
                "or alpha_lr with search.set(name, value), and go on"
            )

    # --- what the house asks of a searcher -------------------------------------------------------

    @property
    def step(self) -> int:
        return self._step

    @property
    def total(self) -> int:
        return self.hyperparameters.epochs * self._steps_per_epoch

    def probabilities(self) -> dict[str, np.ndarray]:
        """Part -> softmax(alpha), [E, O] float32."""
        return {part: alpha.detach().softmax(dim=-1).float().cpu().numpy() for part, alpha in self.alphas.items()}

    def _derive(self, probabilities: Mapping[str, np.ndarray]) -> Architecture:
        return self.space.derive(probabilities)  # type: ignore[attr-defined]

    @property
    def best(self) -> Architecture:
        return self._derive(self.probabilities())

    @property
    def knobs(self) -> Mapping[str, Knob]:
        epoch = min(self._step, self.total - 1) // self._steps_per_epoch
        documented = attribute_docstrings(DartsHyperparameters)
        return {
            "w_lr": Knob(value=self._w_lr(epoch), low=1e-5, high=1.0, description=documented["w_lr"]),
            "alpha_lr": Knob(value=self._alpha_lr, low=1e-5, high=1.0, description=documented["alpha_lr"]),
        }

    def turn(self, name: str, value: float) -> None:
        value = self.check_knob(name, value)
        if name == "w_lr":
            self._w_lr_from = (value, self._step // self._steps_per_epoch)
        else:
            self._alpha_lr = value

    def measure(self, name: str = "alpha_hessian_eigenvalue") -> float:
        """`alpha_hessian_eigenvalue`: the dominant eigenvalue of grad^2_alpha L_val on the next validation batch."""
        if name != "alpha_hessian_eigenvalue":
            return super().measure(name)
        images, labels = self._batch("architecture")
        with torch_threads(self.threads), frozen_statistics(self.network), frozen(self._weights):
            self.network.train()
            return dominant_eigenvalue(self.task.loss(self._logits(images), labels), list(self.alphas.values()))

    def spec(self) -> dict[str, Any]:
        return {
            "searcher": self.name,
            "space": self.space.spec(),
            "task": self.task.spec(),
            "seed": self.seed,
            "device": str(self.device),
            "threads": self.threads,
            "hyperparameters": dataclasses.asdict(self.hyperparameters),
        }

    @classmethod
    def from_spec(cls, spec: dict[str, Any], task: Images | None = None) -> Darts:
        space = spaces.from_spec(spec["space"])
        device = "cpu" if spec["device"].startswith("cuda") and not torch.cuda.is_available() else spec["device"]
        return cls(
            space,
            tasks.from_spec(spec["task"], task),
            seed=spec["seed"],
            device=device,
            threads=spec["threads"],
            **spec["hyperparameters"],
        )

    def state_dict(self) -> State:
        state: State = {
            "step": self._step,
            "w_lr": self._w_lr_from[0],
            "w_lr_epoch": self._w_lr_from[1],
            "alpha_lr": self._alpha_lr,
        }
        state.update({f"network/{name}": tensor.detach().clone() for name, tensor in self.network.state_dict().items()})
        state.update({f"alpha/{part}": alpha.detach().clone() for part, alpha in self.alphas.items()})
        for (name, _), w in zip(self.network.named_parameters(), self._weights, strict=True):
            buffer = self._sgd.state.get(w, {}).get("momentum_buffer")
            if buffer is not None:
                state[f"momentum/{name}"] = buffer.clone()
        for part, alpha in self.alphas.items():
            for key, tensor in self._adam.state.get(alpha, {}).items():
                state[f"adam/{part}/{key}"] = tensor.clone()
        return state

    def load_state_dict(self, state: State) -> None:
        tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
        self.network.load_state_dict(_below("network/", tensors))
        with torch.no_grad():
            for part, alpha in self.alphas.items():
                alpha.copy_(tensors[f"alpha/{part}"])
        self._sgd.state.clear()
        for (name, _), w in zip(self.network.named_parameters(), self._weights, strict=True):
            if (buffer := tensors.get(f"momentum/{name}")) is not None:
                self._sgd.state[w]["momentum_buffer"] = buffer.to(self.device, copy=True)
        self._adam.state.clear()
        for part, alpha in self.alphas.items():
            for key, tensor in _below(f"adam/{part}/", tensors).items():
                self._adam.state[alpha][key] = tensor.to("cpu" if key == "step" else self.device, copy=True)
        self._step = int(state["step"])  # type: ignore[arg-type]
        self._w_lr_from = (float(state["w_lr"]), int(state["w_lr_epoch"]))  # type: ignore[arg-type]
        self._alpha_lr = float(state["alpha_lr"])  # type: ignore[arg-type]


Batch = tuple[Tensor, Tensor]
"""Images [B, C, H, W] and labels [B]."""


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _mean_entropy(probabilities: Mapping[str, np.ndarray]) -> float:
    rows = np.concatenate(list(probabilities.values())).astype(np.float64)
    return float(-(rows * np.log(np.maximum(rows, 1e-300))).sum(axis=1).mean())
