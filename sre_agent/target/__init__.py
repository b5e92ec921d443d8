"""What an alert is about: from labels to a subject, and from the subject to the object in the cluster.

`labels` reads the alert alone (intake needs no cluster), `binding` finds the object. The executor binds a target
once per run; neither a model nor a payload can choose another one later.
"""

from sre_agent.target.binding import bind
from sre_agent.target.labels import AlertSubject, dedup_key, describe, subject_of
from sre_agent.target.types import Subject, Target, Unbound

__all__ = ["AlertSubject", "Subject", "Target", "Unbound", "bind", "dedup_key", "describe", "subject_of"]
