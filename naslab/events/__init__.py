"""What a search tells the world: frozen records, one a step, equal when the search is repeated.

Nothing here depends on the clock, so that two runs of the same search give equal events bit for bit;
when an event was written is a column of the run folder, not a part of the event.
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
