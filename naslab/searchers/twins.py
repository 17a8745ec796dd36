"""A copy of a search, to try something on."""

from __future__ import annotations

from typing import Any

from naslab.errors import NaslabError, SpecError
from naslab.searchers.black_box import BlackBoxSearch


def twin(stepper: Any) -> Any:
    """The same once more, in the state in which it is: to try something on and to throw away.

    Whatever is done to it, the original is as it was, to the last bit. Trials are evaluated in this process, whoever
    evaluates those of the original.

    Raises:
        SpecError: it cannot be made again from what it says of itself.
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
