"""A copy of a search, to try something on."""

from __future__ import annotations

from typing import Any

from naslab.errors import NaslabError, SpecError
from naslab.searchers.trials import Trials


def twin(driven: Any) -> Any:
    """The same once more, in the state in which it is: to try something on and to throw away.

    Whatever is done to it, the original is as it was, to the last bit. Trials are evaluated in this process, whoever
    evaluates those of the original.

    Raises:
        SpecError: it cannot be made again from what it says of itself.
    """
    try:
        if isinstance(driven, Trials):
            proposer = type(driven.proposer).from_spec(driven.proposer.spec())
            other: Any = Trials(proposer, driven.estimator, driven.total)
        else:
            other = type(driven).from_spec(driven.spec(), driven.task)
        other.load_state_dict(driven.state_dict())
    except NaslabError:
        raise
    except Exception as error:
        name = getattr(getattr(driven, "proposer", driven), "name", type(driven).__name__)
        raise SpecError(
            f"nothing can be tried on a copy of {name!r}, which cannot be made again from its spec() and state_dict(): "
            f"{type(error).__name__}: {error!s:.200}"
        ) from error
    return other
