"""Copies of a search, for experiments such as a forecast."""

from __future__ import annotations

from typing import Any

from naslab.errors import NaslabError, SpecError
from naslab.searchers.black_box import BlackBoxSearch


def twin(stepper: Any) -> Any:
    """Returns a copy of a search in its present state, which is independent of the original, bit for bit.

    A copy of a `BlackBoxSearch` evaluates in this process, even if the original has workers or an executor.

    Raises:
        SpecError: it cannot be made again from its `spec()` and `state_dict()`.
    """
    try:
        if isinstance(stepper, BlackBoxSearch):
            sampler = type(stepper.sampler).from_spec(stepper.sampler.spec())
            other: Any = BlackBoxSearch(sampler, stepper.estimator, stepper.total)
        else:
            other = type(stepper).from_spec(stepper.spec(), stepper.task)
        other.load_state_dict(stepper.state_dict())
    except NaslabError:
        raise
    except Exception as error:
        name = getattr(getattr(stepper, "sampler", stepper), "name", type(stepper).__name__)
        raise SpecError(
            f"nothing can be tried on a copy of {name!r}, which cannot be made again from its spec() and state_dict(): "
            f"{type(error).__name__}: {error!s:.200}"
        ) from error
    return other
