"""Which containers of a pod show a symptom that a remediation could cure, for alerts that name no container."""

from sre_agent.diagnosis.image_pull import image_pulls
from sre_agent.diagnosis.terminations import crashes, oom_kills
from sre_agent.objects import Object

NEAR_LIMIT_ALERTS = frozenset({"KubePodMemoryNearLimit"})
"""Alerts about a container that still runs: its status shows no symptom, and needs none."""


def symptomatic_containers(pod: Object) -> list[str]:
    """Containers that wait for an image or were OOMKilled; where there are none, those that crash.

    From the status alone. A container that merely crashes is no rival of one whose symptom can be cured.
    """
    curable = [pull.container for pull in image_pulls(pod, ())] + [kill.container for kill in oom_kills(pod)]
    return list(dict.fromkeys(curable or crashes(pod)))
