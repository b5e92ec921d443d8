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
    by_us, changed = template_changed_at(evidence)
    if by_us or (changed is not None and facts.now - changed >= settle):
        return None
    name = f"{change.target.kind} {change.target.name}"
    if changed is None:
        reason = f"when the template of {name} was last changed cannot be told"
        return question("settled-template", reason, "a person's approval")
    return question(
        "settled-template",
        f"the template of {name} was changed {moment_text(changed)}, less than {duration_text(settle)} ago",
        f"waiting until {moment_text(changed + settle)}, or a person's approval",
        retry_at=changed + settle,
    )


def template_changed_at(evidence: WorkloadEvidence) -> tuple[bool, datetime | None]:
    """Whether the last known change of the template is our own, and when somebody else last changed it.

    From managedFields where they are recorded, else the newest ReplicaSet's creation; None when neither tells.
    """
    controller = evidence.controller or {}
    entries = [
        (time_of(entry.get("time")), str(entry.get("manager")))
        for entry in controller.get("metadata", {}).get("managedFields") or ()
        if _touches_template(entry)
    ]
    dated = sorted((moment, manager) for moment, manager in entries if moment)
    if dated:
        moment, manager = dated[-1]
        return manager == FIELD_MANAGER, moment
    return False, created_at(evidence.replica_sets[0]) if evidence.replica_sets else None


def _touches_template(entry: Object) -> bool:
    return "f:template" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
