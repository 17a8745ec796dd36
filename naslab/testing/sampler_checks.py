"""What a searcher promises that only proposes: it may be asked ahead, and told in any order, and told bad news."""

from __future__ import annotations

import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from naslab import snapshot
from naslab.estimators import as_estimator
from naslab.searchers import Sampler, Trial
from naslab.testing.case import needs, refused
from naslab.testing.searcher_replay import SearcherChecks


class SamplerChecks(SearcherChecks):
    """Checks of ask and tell."""

    @needs(Sampler)
    def test_what_is_asked_is_numbered_and_belongs_to_the_space(self) -> None:
        sampler = self.make(seed=1)
        for number in range(1, 30):
            asked = sampler.ask()
            assert asked.number == number == sampler.asked, f"question {number} has the number {asked.number}"
            assert asked.architecture in sampler.space, f"{asked.architecture} is not in the space"
            wrong = [parent for parent in asked.parents if not 0 < parent < number]
            assert not wrong, f"question {number} has the parents {wrong}, which were not asked before it"
            sampler.tell(asked, float(number % 7))

    @needs(Sampler)
    def test_several_are_told_in_any_order_with_a_snapshot_between(self) -> None:
        def play(sampler: Any, swapped: Path | None) -> tuple[list[Any], str]:
            told, score = [], as_estimator(self.estimator(sampler.space))
            for _ in range(12):
                opened = [sampler.ask() for _ in range(3)]
                if swapped is not None:
                    twin = self.make(seed=99)
                    snapshot.write(swapped, sampler.state_dict())
                    twin.load_state_dict(snapshot.read(swapped))
                    sampler = twin
                for asked in reversed(opened):
                    sampler.tell(asked, None if asked.number % 5 == 0 else _number(score(asked.architecture)))
                    told.append(asked)
            return told, snapshot.digest(sampler.state_dict())

        with TemporaryDirectory(prefix="naslab-testing-") as folder:
            calm = play(self.make(seed=2), None)
            swapped = play(self.make(seed=2), Path(folder) / "state")
        for one, other in zip(swapped[0], calm[0], strict=True):
            assert one == other, f"with its state in another sampler it asked {one}, expected {other}"
        assert swapped[1] == calm[1], (
            "the state differs at the end: what is open, or was told, is not all in `algorithm_state`"
        )

    @needs(Sampler)
    def test_telling_is_once_and_finite(self) -> None:
        sampler = self.make(seed=1)
        asked = sampler.ask()
        for fitness in (math.nan, math.inf, -math.inf, -1.7e308, "high"):
            with refused(f"tell(asked, {fitness!r})", "finite number"):
                sampler.tell(asked, fitness)
        sampler.tell(asked, 1.0)
        with refused("to tell twice", "not open"):
            sampler.tell(asked, 1.0)
        with refused("to tell what was not asked", "not open"):
            sampler.tell(Trial(99, asked.architecture, "random"), 1.0)
        other, mine = self.make(seed=5).ask(), sampler.ask()
        if other.architecture != mine.architecture:
            with refused("to tell what another sampler asked", "not open"):
                sampler.tell(Trial(mine.number, other.architecture, "random"), 1.0)

    @needs(Sampler)
    def test_failures_do_not_stop_it(self) -> None:
        sampler = self.make(seed=1)
        for _ in range(60):
            sampler.tell(sampler.ask(), None)
        asked = sampler.ask()
        assert asked.parents == (), f"all before it failed, and it has the parents {asked.parents}"
        sampler.tell(asked, 1.0)


def _number(score: Any) -> float:
    return float(getattr(score, "fitness", score))
