"""Searches and races, and the run folders that let them be stopped, killed, resumed, rewound, forked and watched."""

from typing import TYPE_CHECKING

from naslab.lazy import attach

if TYPE_CHECKING:
    from naslab.runs import conditions
    from naslab.runs.event_log import EventLog
    from naslab.runs.found import found
    from naslab.runs.live_ranking import LiveRanking
    from naslab.runs.places import fresh
    from naslab.runs.race import Race, RaceRound
    from naslab.runs.reader import RunReader, read
    from naslab.runs.search import Search

__getattr__, __dir__ = attach(__name__, deprecated={"Lap": "RaceRound"})

__all__ = [
    "EventLog",
    "LiveRanking",
    "Race",
    "RaceRound",
    "RunReader",
    "Search",
    "conditions",
    "found",
    "fresh",
    "read",
]
