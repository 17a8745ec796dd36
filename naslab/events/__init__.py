"""Events of a search: frozen records, one for each step, which are equal if the search is repeated.

No event depends on the clock, so that two runs of the same search have equal events bit for bit; the time at which an
event was written is a column of the run folder and not part of the event.
"""

from naslab.events.asides import HAND, Acted, Changed, Figure, Measured, Phase, Ranked, Recovered, Saved
from naslab.events.event import Event
from naslab.events.formats import EVENTS, from_record, in_this_format
from naslab.events.steps import ChildTrained, Evaluated, Raced, SupernetStep

__all__ = [
    "EVENTS",
    "HAND",
    "Acted",
    "Changed",
    "ChildTrained",
    "Evaluated",
    "Event",
    "Figure",
    "Measured",
    "Phase",
    "Raced",
    "Ranked",
    "Recovered",
    "Saved",
    "SupernetStep",
    "from_record",
    "in_this_format",
]
