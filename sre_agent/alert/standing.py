"""How an alert stands in Alertmanager at one moment: what a guard may know about it beside the notification.

Made by `alertmanager`, held by `facts`, kept with a run's evidence. Pure.
"""

from dataclasses import dataclass
from enum import StrEnum


class AlertState(StrEnum):
    """ACTIVE alone lets a change begin. UNKNOWN: Alertmanager gave no answer that can be read."""

    ACTIVE = "active"
    SILENCED = "silenced"
    INHIBITED = "inhibited"
    GONE = "gone"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """`detail`: the silences, or the alerts that inhibit this one, or why nobody knows."""

    state: AlertState
    detail: str = ""
