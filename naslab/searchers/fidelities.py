"""How long candidates are trained: what a proposer asks for, and what its estimator can do."""

from __future__ import annotations

from functools import partial
from typing import Any

from naslab.estimators.estimator import UnknownFidelity, cannot_be_told
from naslab.searchers.proposer import Proposer


def agree_on_fidelities(proposer: Proposer, estimator: Any) -> None:
    """Have trainings asked for that are to be had; `UnknownFidelity` says what to write, if the user's are not."""
    known = getattr(estimator, "fidelities", None)
    if known:
        proposer.suit(known)
    proposer.trainable = partial(_trainable, estimator)
    if proposer.fidelities and not hasattr(estimator, "train"):
        raise cannot_be_told(estimator)
    if (check := getattr(estimator, "check_fidelity", None)) is None:
        return
    try:
        for epochs in sorted(proposer.fidelities, reverse=True):  # the longest first: its advice serves for all
            check(epochs)
    except UnknownFidelity as error:
        suited = proposer.suited(known) if known else {}
        if not suited:
            raise
        written = ", ".join(f"{name}={value!r}" for name, value in suited.items())
        raise UnknownFidelity(f"{error}; write {type(proposer).__name__}(space, {written})") from None


def _trainable(estimator: Any, epochs: float) -> bool:
    """Whether an estimator can be asked for a training of that length, as far as it says so."""
    try:
        getattr(estimator, "check_fidelity", lambda _: None)(epochs)
    except UnknownFidelity:
        return False
    return True
