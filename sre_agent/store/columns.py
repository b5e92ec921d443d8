"""The columns that an alert decides, as they are kept: without secrets, and short enough for an index.

Called by the store wherever a problem is written or looked up, so that both say the same. The value of a label may
hold a secret, and every one of these columns repeats labels.
"""

from typing import Any

from sre_agent.redaction import redact, redact_text
from sre_agent.store.rows import NewIncident, Problem
from sre_agent.store.values import digest, indexed

_NAMES = ("fingerprint", "alertname", "namespace", "pod", "container", "node", "workload", "severity")
_KEY_DIGITS = 8
"""Enough to tell the problems of one cluster apart, too few to prove a guess at what is hidden."""


def incident_columns(new: NewIncident) -> dict[str, Any]:
    """The columns of a new row of `incidents`, as JSON."""
    return {
        **problem_columns(new.problem),
        **{name: name_column(getattr(new, name)) for name in _NAMES},
        "runbook_id": new.runbook_id,
        "agent_mode": new.mode,
        "labels": redact(new.labels),
        "annotations": redact(new.annotations),
        "starts_at": None if new.starts_at is None else new.starts_at.isoformat(),
    }


def problem_columns(problem: Problem) -> dict[str, Any]:
    """The columns by which an incident is found again."""
    return {
        "origin": problem.origin,
        "scope": indexed(problem.scope),
        "cluster": name_column(problem.cluster),
        "dedup_key": _key(problem.dedup_key),
    }


def name_column(text: str | None) -> str | None:
    """A name as it is kept."""
    return None if text is None else indexed(redact_text(text))


def _key(text: str) -> str:
    """A dedup_key as it is kept. Where something was hidden it ends in digits: two problems never become one."""
    shown = redact_text(text)
    return indexed(shown if shown == text else f"{shown}~{digest(text)[:_KEY_DIGITS]}")
