"""Routing: from an alert's labels to the runbook that is walked for it, and the reason for the choice.

Called by intake and executor. Never a guess: what fits no runbook, or two of them, goes to RB_UNKNOWN, whose
workflow does nothing.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sre_agent.runbook import UNKNOWN_ID, AlertMatch, Runbook, Runbooks


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """The runbook, and one sentence that says why this one."""

    runbook: Runbook
    reason: str


def route(labels: Mapping[str, str], runbooks: Runbooks) -> Route:
    """The label `runbook_id` decides; without it, the name and labels that the runbooks claim."""
    wanted = labels.get("runbook_id")
    if wanted:
        if wanted in runbooks:
            return Route(runbook=runbooks[wanted], reason=f"label runbook_id is {wanted}")
        return _unknown(runbooks, f"label runbook_id is {wanted!r}, and no runbook has that id")
    name = labels.get("alertname")
    if not name:
        return _unknown(runbooks, "the alert has neither runbook_id nor alertname")
    claims = [(runbook, alert) for runbook in runbooks for alert in runbook.alerts if alert.name == name]
    fitting = [(runbook, alert) for runbook, alert in claims if _fits(alert, labels)]
    if not fitting:
        return _unknown(runbooks, _nothing_fits(name, claims))
    most = max(len(alert.labels) for _, alert in fitting)
    best = {runbook.id: (runbook, alert) for runbook, alert in fitting if len(alert.labels) == most}
    if len(best) > 1:
        return _unknown(runbooks, f"{' and '.join(sorted(best))} claim alert {name} equally well")
    runbook, alert = next(iter(best.values()))
    return Route(runbook=runbook, reason=f"{runbook.id} claims alert {alert}")


def ignored(labels: Mapping[str, str], ignore_alerts: Collection[str]) -> str | None:
    """Why an alert is counted and opens no incident: its name is in the list, or its severity is none."""
    name = labels.get("alertname", "")
    if name in ignore_alerts:
        return f"alert {name} is ignored (SRE_AGENT_IGNORE_ALERTS)"
    if labels.get("severity") == "none":
        return "severity is none"
    return None


def _unknown(runbooks: Runbooks, reason: str) -> Route:
    return Route(runbook=runbooks[UNKNOWN_ID], reason=reason)


def _fits(alert: AlertMatch, labels: Mapping[str, str]) -> bool:
    return all(labels.get(name) == value for name, value in alert.labels)


def _nothing_fits(name: str, claims: list[tuple[Runbook, AlertMatch]]) -> str:
    if not claims:
        return f"no runbook claims alert {name!r}"
    others = ", ".join(str(alert) for _, alert in claims)
    return f"alert {name} is claimed with other labels only: {others}"
