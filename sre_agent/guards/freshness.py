"""Guard 4: does the evidence still describe the object that would be changed, and is its owner done with it?"""

from datetime import datetime

from sre_agent.cluster.port import FIELD_MANAGER
from sre_agent.evidence import WorkloadEvidence
from sre_agent.facts import Facts
from sre_agent.objects import Object, created_at, time_of, uid
from sre_agent.run import Change, Judgement, question, refusal
from sre_agent.times import duration_text, moment_text


def evidence_age(facts: Facts, change: Change) -> Judgement | None:
    """Evidence older than SRE_AGENT_EVIDENCE_MAX_AGE is a memory, not evidence."""
    age, limit = facts.now - facts.evidence.read_at, facts.settings.evidence_max_age
    if not limit or age <= limit:
        return None
    return refusal(
        "evidence-age",
        f"the cluster was read {duration_text(age)} ago, more than {duration_text(limit)}",
        "reading it again",
    )


def same_target(facts: Facts, change: Change) -> Judgement | None:
    """The object read now is the one that was bound, by uid; so is its pod."""
    evidence = facts.evidence
    if isinstance(evidence, WorkloadEvidence):
        pairs = [(facts.target.pod_uid, evidence.pod)]
        if facts.target.kind != "Pod":
            pairs.append((facts.target.uid, evidence.controller))
    else:
        pairs = [(facts.target.uid, evidence.node)]
    for bound, obj in pairs:
        if bound is not None and (obj is None or uid(obj) != bound):
            what = "is gone" if obj is None else f"is another one now (uid {uid(obj)}, bound was {bound})"
            return refusal(
                "same-target",
                f"the object that the alert was bound to {what}",
                "a new firing notification about the object that is there now",
                settled=True,
            )
    return None


def settled_template(facts: Facts, change: Change) -> Judgement | None:
    """A template that somebody else created or changed within SRE_AGENT_SETTLE is being worked on."""
    evidence, settle = facts.evidence, facts.settings.settle
    if not change.patches_template or not isinstance(evidence, WorkloadEvidence) or not settle:
        return None
    name = f"{change.target.kind} {change.target.name}"
    dates = template_changes(evidence)
    if not dates:
        reason = f"when the template of {name} was last changed cannot be told"
        return question("settled-template", reason, "a person's approval")
    by_others = [moment for moment, manager in dates if manager != FIELD_MANAGER]
    changed = max(by_others, default=None)
    if changed is None or facts.now - changed >= settle:
        return None
    return question(
        "settled-template",
        f"the template of {name} was changed {moment_text(changed)}, less than {duration_text(settle)} ago",
        f"waiting until {moment_text(changed + settle)}, or a person's approval",
        retry_at=changed + settle,
    )


def template_changes(evidence: WorkloadEvidence) -> list[tuple[datetime, str | None]]:
    """When the template is known to have been changed, and by which field manager.

    From managedFields where they are recorded, else from the creation of each ReplicaSet: one that was brought back
    is older than the change that brought it.
    """
    managed = [
        (moment, str(entry.get("manager")))
        for entry in (evidence.controller or {}).get("metadata", {}).get("managedFields") or ()
        if _touches_template(entry) and (moment := time_of(entry.get("time")))
    ]
    if managed:
        return list(managed)
    return [(moment, None) for held in evidence.replica_sets if (moment := created_at(held))]


def _touches_template(entry: Object) -> bool:
    return "f:template" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
