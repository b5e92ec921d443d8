"""Symptoms in plain Kubernetes objects: what keeps a container from running, read from status and events together.

Used by `target` (which container shows a symptom) and by the tools, so that a gate and the change behind it cannot
disagree. Pure. The status decides whether a symptom is there now; events say why, and corroborate. Where the two
disagree, the result says so.
"""

from sre_agent.diagnosis.image_cause import ImageCause, cause_in
from sre_agent.diagnosis.image_pull import ImagePull, image_pulls
from sre_agent.diagnosis.pod_events import container_of_event, sandbox_failed
from sre_agent.diagnosis.symptoms import NEAR_LIMIT_ALERTS, symptomatic_containers
from sre_agent.diagnosis.terminations import OomKill, crashes, ended_badly, oom_event_notes, oom_kills, oom_spoken_of

__all__ = [
    "NEAR_LIMIT_ALERTS",
    "ImageCause",
    "ImagePull",
    "OomKill",
    "cause_in",
    "container_of_event",
    "crashes",
    "ended_badly",
    "image_pulls",
    "oom_event_notes",
    "oom_kills",
    "oom_spoken_of",
    "sandbox_failed",
    "symptomatic_containers",
]
