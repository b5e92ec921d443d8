"""Does the container really lack memory? The symptom that increase_memory_limit cures, and nothing like it.

Called by `memory`. A kill counts only by its reason and only of the template as it is now; how long ago it was does
not matter then, since the alert that is firing is about that kill.
"""

from sre_agent.by_hand import word
from sre_agent.diagnosis import NEAR_LIMIT_ALERTS, OomKill, oom_event_notes, oom_kills
from sre_agent.evidence import WorkloadEvidence
from sre_agent.objects import Object, condition_status, container, container_status, created_at, name
from sre_agent.quantity import bytes_of
from sre_agent.run import Judgement, question, refusal
from sre_agent.tools.types import ToolContext
from sre_agent.tools.workload_rules import memory, template_of

NEAR_LIMIT_PERCENT = 90
"""How much of its limit a container must use, as metrics.k8s.io says, to count as near it."""


def symptom_judgements(
    evidence: WorkloadEvidence, wanted: str, kill: OomKill | None, context: ToolContext
) -> list[Judgement]:
    """OOMKilled after the template's last change, or the near-limit alert with metrics that do not deny it."""
    stale = [] if kill is None else _kill_after_change(evidence, kill)
    if kill is not None and not stale:
        return []
    if context.alert.name in NEAR_LIMIT_ALERTS:
        if context.target.container != wanted:
            reason = f"the alert is about container {context.target.container}, not about {wanted}"
            return [refusal("near-limit-metrics", reason, "an alert with a label `container`")]
        return _near_limit(evidence, wanted)
    if stale:
        return stale
    others = [f"{kill} instead" for kill in oom_kills(evidence.pod or {})]
    notes = [*others, *oom_event_notes(evidence.pod or {}, evidence.events or ())]
    return [
        refusal(
            "symptom",
            "; ".join([f"container {wanted} was not OOMKilled, as its state and last state say", *notes]),
            "the reason OOMKilled in the container's state or last state",
            settled=bool(container_status(evidence.pod or {}, wanted).get("ready")),
            by_hand=_logs_before(evidence, wanted),
        )
    ]


def _logs_before(evidence: WorkloadEvidence, wanted: str) -> str:
    """The command that shows what the container said before it ended."""
    target = evidence.target
    return f"kubectl -n {word(target.namespace)} logs {word(target.pod)} -c {word(wanted)} --previous"


def without_a_kill(evidence: WorkloadEvidence, kill: OomKill | None, context: ToolContext) -> bool:
    """Whether a near-limit alert alone asks for more memory: no kill of the template as it is now counts."""
    return context.alert.name in NEAR_LIMIT_ALERTS and (kill is None or bool(_kill_after_change(evidence, kill)))


def _kill_after_change(evidence: WorkloadEvidence, kill: OomKill) -> list[Judgement]:
    """The template's last change is not older than its youngest ReplicaSet; a kill before it proves nothing.

    A status without a time is dated by the pod's creation, which was before it.
    """
    if evidence.target.kind != "Deployment" or not evidence.replica_sets:
        return []
    changes = [created_at(entry) for entry in evidence.replica_sets]
    killed = kill.finished_at or created_at(evidence.pod or {})
    changed = max((moment for moment in changes if moment), default=None)
    if changed is not None and killed is not None and killed >= changed:
        return []
    if changed is None or killed is None:
        reason = f"{kill}; whether that was after the template's last change cannot be told"
    else:
        reason = f"{kill}, before the template's last change at {changed:%Y-%m-%d %H:%M:%S} UTC"
    return [
        refusal(
            "kill-after-change",
            reason,
            "an OOM kill of the template as it is now",
            settled=changed is not None and killed is not None,
        )
    ]


def _near_limit(evidence: WorkloadEvidence, wanted: str) -> list[Judgement]:
    """Without a kill, metrics.k8s.io must confirm the alert where it exists: where it measures any pod at all."""
    if evidence.metrics is None or evidence.metrics_served is None:
        needed = "metrics.k8s.io answering, and the right to get and list its pods"
        return [refusal("near-limit-metrics", "the metrics of the pod could not be read", needed)]
    if not evidence.metrics_served:
        return []
    entries = evidence.metrics.get("containers") or ()
    entry: Object = next((entry for entry in entries if entry.get("name") == wanted), {})
    usage = (entry.get("usage") or {}).get("memory")
    limit = memory(container(template_of(evidence), wanted) or {}, "limits")
    if usage is None or limit is None:
        reason = f"metrics.k8s.io says nothing about the memory of container {wanted}"
        return [refusal("near-limit-metrics", reason, "a measured usage")]
    if bytes_of(usage) * 100 >= NEAR_LIMIT_PERCENT * bytes_of(limit):
        return []
    return [
        refusal(
            "near-limit-metrics",
            f"container {wanted} uses {usage} of {limit} now, less than {NEAR_LIMIT_PERCENT} %",
            f"a usage of {NEAR_LIMIT_PERCENT} % or more, or an OOM kill",
            settled=True,
        )
    ]


def pressure_judgements(evidence: WorkloadEvidence, by_hand: str) -> list[Judgement]:
    """On a node that is short of memory a higher limit may hurt its neighbours: a person decides."""
    node = evidence.node or {}
    if condition_status(node, "MemoryPressure") in {None, "False"}:
        return []
    return [
        question(
            "memory-pressure",
            f"node {name(node)} reports MemoryPressure {condition_status(node, 'MemoryPressure')}",
            "a node without MemoryPressure, or a person's approval",
            by_hand=by_hand,
        )
    ]
