"""Everything that is kept, in PostgreSQL: incidents, their runs, actions and events. The only importer of psycopg.

Used by intake, executor, facts and views. Protects three invariants, all of them held by the database itself:
one open incident per problem and one active run per incident; nothing is written for a run that somebody else
took up; what happened is only ever added to.
"""

from sre_agent.store.brake_rows import Braked, BrakeState, Limits, Pause, RecentWrite
from sre_agent.store.changes import Change
from sre_agent.store.rows import (
    ActiveRun,
    Disposition,
    EventRow,
    LostFence,
    NewAction,
    NewIncident,
    PastAction,
    Problem,
    Receipt,
)
from sre_agent.store.store import EVENTS_AT_ONCE, Store

__all__ = [
    "EVENTS_AT_ONCE",
    "ActiveRun",
    "Change",
    "BrakeState",
    "Braked",
    "Disposition",
    "EventRow",
    "Limits",
    "LostFence",
    "NewAction",
    "NewIncident",
    "PastAction",
    "Pause",
    "Problem",
    "Receipt",
    "RecentWrite",
    "Store",
]
