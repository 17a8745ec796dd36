"""A search in a run folder: closed and opened, taken back, forked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from naslab.events import Event, Measured, Phase
from naslab.runs import Search, read
from naslab.searchers import BlackBoxSearch
from naslab.testing.case import check_events, check_states
from naslab.testing.searcher_replay import SearcherChecks


def _steps(events: Sequence[Event]) -> list[Event]:
    return [event for event in events if not isinstance(event, Phase | Measured)]


class RunChecks(SearcherChecks):
    """Checks that a run folder brings a search back bit for bit."""

    def test_a_run_is_opened_rewound_and_forked(self) -> None:
        expected, state = self.straight()
        steps = len(expected)
        half = min(steps - 1, 9)
        with TemporaryDirectory(prefix="naslab-testing-", ignore_cleanup_errors=True) as folder:
            run = Path(folder) / "run"
            with Search(self.begun(seed=3), run=run, snapshot_every=2) as search:
                came = [next(search) for _ in range(half)]
                trials = isinstance(search.searcher, BlackBoxSearch)
                what = "estimator" if trials else "task"
                given = {what: getattr(search.searcher, what)}
            check_events(came, expected[:half], "in a run folder")
            told = [event for _, _, event in read(run).events()]
            check_events(_steps(told), expected[:half], "read from a run folder")
            with Search.open(run, **given) as again:
                came = [next(again) for _ in range(steps - half)]
                check_events(came, expected[half:], "from a run that was closed and opened")
                check_states(again.searcher.state_dict(), state, "of a run that was closed and opened")
                again.rewind(1)
                check_events([next(again)], expected[1:2], "after rewind(1)")
                with again.fork(Path(folder) / "fork", step=2) as fork:
                    check_events([next(fork)], expected[2:3], "in a fork from step 2")
