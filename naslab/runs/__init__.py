"""The run folder: a search that can be stopped, killed, resumed, rewound, forked and watched."""

from typing import TYPE_CHECKING

from naslab.lazy import attach

if TYPE_CHECKING:
    from naslab.runs import conditions
    from naslab.runs.event_log import EventLog
    from naslab.runs.found import found
    from naslab.runs.live_ranking import LiveRanking
    from naslab.runs.places import fresh
    from naslab.runs.race import Lap, Race
    from naslab.runs.reader import RunReader, read
    from naslab.runs.search import Search

__getattr__, __dir__ = attach(__name__)


__all__ = ["EventLog", "Lap", "LiveRanking", "Race", "RunReader", "Search", "conditions", "found", "fresh", "read"]
