"""Matches the training lengths that a sampler asks for with those that its estimator offers."""

from __future__ import annotations

from functools import partial
from typing import Any

from naslab.estimators.estimator import UnknownFidelity, without_fidelities
from naslab.searchers.sampler import Sampler


def agree_on_fidelities(sampler: Sampler, estimator: Any) -> None:
    """Adapts the sampler to the training lengths of the estimator.

    Raises:
        UnknownFidelity: the user gave a length that the estimator does not offer; the message says what to write.
    """
    known = getattr(estimator, "fidelities", None)
    if known:
        sampler.adapt_fidelities(known)
    sampler.trainable = partial(_trainable, estimator)
    if sampler.fidelities and not hasattr(estimator, "train"):
        raise without_fidelities(estimator)
    if (check := getattr(estimator, "check_fidelity", None)) is None:
        return
    try:
        for epochs in sorted(sampler.fidelities, reverse=True):  # the longest first: its advice serves for all
            check(epochs)
    except UnknownFidelity as error:
        adapted_hyperparameters = sampler.adapted_hyperparameters(known) if known else {}
        if not adapted_hyperparameters:
            raise
        written = ", ".join(f"{name}={value!r}" for name, value in adapted_hyperparameters.items())
        raise UnknownFidelity(f"{error}; write {type(sampler).__name__}(space, {written})") from None


def _trainable(estimator: Any, epochs: float) -> bool:
    """Returns whether an estimator offers a training of that length; True if it does not say."""
    try:
        getattr(estimator, "check_fidelity", lambda _: None)(epochs)
    except UnknownFidelity:
        return False
    return True
