"""Guard 2: what stops the agent altogether: switches, namespaces, opt-outs, an alert that is over."""

from datetime import timedelta
from fnmatch import fnmatchcase

from sre_agent.alert import AlertStatus
from sre_agent.alert.standing import AlertState
from sre_agent.evidence import WorkloadEvidence
from sre_agent.facts import Facts
from sre_agent.objects import OPT_OUT, Object, name, opted_out
from sre_agent.objects import terminating as is_terminating
from sre_agent.run import Change, Judgement, Tells, question, refusal
from sre_agent.stop_switch import RULE
from sre_agent.times import duration_text, moment_text
from sre_agent.tools.node_state import CordonOwner, cordon_owner, cordoned, readiness

SYSTEM_NAMESPACES = "kube-*"
UNREAD_LOOK = timedelta(minutes=5)
"""When to look again at what gave no answer."""
STOP_LOOK = timedelta(minutes=30)
"""When to look again while the stop switch is thrown: nobody knows for how long."""


def kill_switch(facts: Facts, change: Change) -> Judgement | None:
    if not facts.settings.stop:
        return None
    return refusal("kill-switch", "SRE_AGENT_STOP is on", "switching SRE_AGENT_STOP off")


def stop_switch(facts: Facts, change: Change) -> Judgement | None:
    """The ConfigMap `sre-agent-stop` in the agent's namespace. One that cannot be read may be there."""
    switch, reason = facts.switch, facts.switch.reason
    if reason is None:
        return None
    if switch.thrown is None:
        return refusal(
            RULE,
            reason,
            f"an API server that answers, and the right to get the ConfigMap {switch.place}",
            retry_at=facts.now + UNREAD_LOOK if switch.passing else None,
            tells=Tells.ONCE if switch.passing else Tells.EACH,
        )
    namespace, _, name = switch.place.partition("/")
    released = f"kubectl -n {namespace} delete configmap {name}"
    return refusal(RULE, reason, released, retry_at=facts.now + STOP_LOOK, tells=Tells.NOBODY)


def cluster_name(facts: Facts, change: Change) -> Judgement | None:
    """With CLUSTER_NAME unset, an alert that names a cluster may be about another one."""
    named = facts.alert.labels.get("cluster")
    if not named or facts.settings.cluster_name is not None:
        return None
    return question(
        "cluster-name",
        f"the alert is about cluster {named}, and CLUSTER_NAME is not set",
        f"CLUSTER_NAME={named}, if that is this cluster, or a person's approval",
    )


def denied_namespace(facts: Facts, change: Change) -> Judgement | None:
    """kube-*, the agent's own, the monitoring one, and SRE_AGENT_DENY_NAMESPACES. A node has no namespace."""
    namespace = change.target.namespace
    if namespace is None:
        return None
    settings = facts.settings
    denied = (
        SYSTEM_NAMESPACES,
        settings.agent_namespace,
        settings.monitoring_namespace,
        *settings.deny_namespaces,
    )
    hit = next((pattern for pattern in denied if fnmatchcase(namespace, pattern)), None)
    if hit is None:
        return None
    return refusal(
        "denied-namespace",
        f"the namespace {namespace} is denied ({hit})",
        "a person acting by hand; the agent never acts in system namespaces, its own and monitoring's",
    )


def allowed_namespace(facts: Facts, change: Change) -> Judgement | None:
    """With SRE_AGENT_ALLOW_NAMESPACES set, only the namespaces that it names."""
    namespace, allowed = change.target.namespace, facts.settings.allow_namespaces
    if namespace is None or not allowed or any(fnmatchcase(namespace, pattern) for pattern in allowed):
        return None
    return refusal(
        "allowed-namespace",
        f"the namespace {namespace} is not in SRE_AGENT_ALLOW_NAMESPACES",
        f"adding {namespace} to SRE_AGENT_ALLOW_NAMESPACES",
    )


def ignored(facts: Facts, change: Change) -> Judgement | None:
    """The label or annotation `sre-agent/ignore=true` on the object, its pod or its namespace."""
    for obj in _objects(facts):
        if opted_out(obj):
            return refusal("ignored", f"{_name(obj)} carries {OPT_OUT}=true", f"taking {OPT_OUT} off")
    return None


def paused(facts: Facts, change: Change) -> Judgement | None:
    """A paused Deployment is in somebody's hands."""
    for obj in _objects(facts):
        if obj.get("spec", {}).get("paused"):
            return refusal("paused", f"{_name(obj)} is paused: a person works on it", "kubectl rollout resume")
    return None


def terminating(facts: Facts, change: Change) -> Judgement | None:
    for obj in _objects(facts):
        if is_terminating(obj):
            return refusal("terminating", f"{_name(obj)} is being deleted", "an alert about whatever takes its place")
    return None


def resolved(facts: Facts, change: Change) -> Judgement | None:
    if facts.alert.status is not AlertStatus.RESOLVED:
        return None
    return refusal("resolved", "the alert is resolved", "a new firing notification", settled=True)


def standing(facts: Facts, change: Change) -> Judgement | None:
    """With SRE_AGENT_ALERTMANAGER_URL, what Alertmanager says of the alert now.

    kube-prometheus calls a node's alert over as soon as the node is cordoned: where the agent did that itself, and the
    node is still not Ready, the end of the alert says nothing.
    """
    if facts.standing is None or facts.standing.state is AlertState.ACTIVE:
        return None
    if facts.standing.state is AlertState.GONE and _sick_under_our_cordon(facts):
        return None
    state, detail = facts.standing.state, facts.standing.detail
    if state is AlertState.UNKNOWN:
        return refusal(
            "alertmanager",
            f"whether the alert is still active could not be read: {detail}",
            "an Alertmanager at SRE_AGENT_ALERTMANAGER_URL that answers",
            retry_at=facts.now + UNREAD_LOOK,
            tells=Tells.ONCE,
        )
    if state is AlertState.GONE:
        return refusal(
            "alertmanager", "Alertmanager does not have the alert any more", "a new firing notification", settled=True
        )
    by = f" by {detail}" if detail else ""
    ends = "an end of the silence" if state is AlertState.SILENCED else "an end of the alert that inhibits this one"
    return refusal("alertmanager", f"the alert is {state}{by}", ends, settled=True)


def _sick_under_our_cordon(facts: Facts) -> bool:
    node = facts.evidence.node
    if facts.target.kind != "Node" or not node or not cordoned(node):
        return False
    return cordon_owner(node) is not CordonOwner.OTHERS and not readiness(node).ready


def old_alert(facts: Facts, change: Change) -> Judgement | None:
    """An alert that began more than SRE_AGENT_ALERT_MAX_AGE ago may describe a world that is gone.

    One without startsAt began when it came, as Alertmanager has it. Where Alertmanager was asked, its age says nothing.
    """
    began, limit = facts.alert.starts_at, facts.settings.alert_max_age
    if facts.standing is not None or began is None or not limit or facts.now - began <= limit:
        return None
    return question(
        "old-alert",
        f"the alert began {moment_text(began)}, more than {duration_text(limit)} ago",
        "a person's approval",
    )


def _objects(facts: Facts) -> list[Object]:
    """The objects that an opt-out or a deletion may stand on, as far as they are there."""
    evidence = facts.evidence
    found = (
        (evidence.controller, evidence.pod, evidence.namespace)
        if isinstance(evidence, WorkloadEvidence)
        else (evidence.node,)
    )
    return [obj for obj in found if obj]


def _name(obj: Object) -> str:
    return f"{obj.get('kind', 'object')} {name(obj)}".rstrip()
