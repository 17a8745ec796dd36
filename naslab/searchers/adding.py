"""Acts that add architectures to a sampler: they are proposed next, and learnt from like its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from naslab.errors import SpecError
from naslab.searchers.settings import Act, Undoing


def acts(sampler: Any) -> dict[str, Act]:
    """Returns the acts `add` and `withdraw` of a sampler, on its queue `_added`."""
    queue = sampler._added

    def add(architecture: Any) -> Callable[[], Any]:
        made = sampler.space.architecture(architecture)
        if not sampler.space.allows(made):
            raise SpecError("this architecture holds what the mask forbids; free it first, by set('mask', ...)")
        sampler.check_added(made)

        def do() -> Any:
            queue.append(made)
            return None

        return do

    def withdraw(architecture: Any) -> Callable[[], Any]:
        made = sampler.whole.architecture(architecture)
        if made not in queue:
            raise SpecError(
                "this architecture is not waiting to be proposed: it was not added, or it was proposed already"
            )

        def do() -> Any:
            place = len(queue) - 1 - queue[::-1].index(made)  # the one that was added last
            del queue[place]
            return place

        return do

    def undo_adding(arguments: Mapping[str, Any], before: Any) -> Undoing:
        # while it waits, it is withdrawn; once proposed, the sampler knows how to remove it
        added = arguments["architecture"]
        if sampler.whole.architecture(added) in queue:
            return "withdraw", {"architecture": added}
        return sampler.undo_added(sampler.whole.architecture(added))

    choices = {"architecture": "its choices, in order or by name"}
    return {
        "add": Act(
            description="Propose this architecture next.",
            arguments=choices,
            inverse="withdraw(architecture), while it is not proposed; then kill(candidate), in a population",
            prepare=add,
            undo=undo_adding,
        ),
        "withdraw": Act(
            description="Do not propose an architecture that was added and is not proposed yet.",
            arguments=choices,
            inverse="add(architecture)",
            prepare=withdraw,
            undo=lambda arguments, before: ("add", {"architecture": arguments["architecture"]}),
        ),
    }
