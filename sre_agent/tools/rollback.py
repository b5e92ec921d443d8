"""get_rollout_history and rollback_deployment: did the trouble begin with the newest revision, and what was before it.

Collected by the registry; `images` proposes the same change for a stuck rollout. A rollback is never more than
recommended: it takes back somebody's release.
"""

from dataclasses import dataclass
from datetime import datetime

from sre_agent.cluster.port import Cluster
from sre_agent.cluster.strategic_merge import diff
from sre_agent.diagnosis import crashes, image_pulls
from sre_agent.evidence import Evidence, WorkloadEvidence, read_workload
from sre_agent.objects import (
    Object,
    all_statuses,
    containers,
    controlled_by,
    created_at,
    name,
    pod_ready,
    pod_template,
    revision,
    terminating,
    terminations,
    time_of,
    uid,
)
from sre_agent.run import Assessment, Change, Judgement, Verdict, question, refusal, worst
from sre_agent.target import Subject
from sre_agent.tools.template_diff import changed_fields, without_pod_template_hash
from sre_agent.tools.types import (
    DiagnosticTool,
    RemediationTool,
    Tool,
    ToolContext,
    ToolModel,
    WorkloadInput,
)
from sre_agent.tools.workload_chain import chain_judgements, newest_revision_judgements
from sre_agent.tools.workload_rules import (
    EVIDENCE_PERMISSIONS,
    PATCH_PERMISSIONS,
    deployment_patch,
    undo_patch,
    workload_evidence,
)


class RevisionOutput(ToolModel):
    """One ReplicaSet of the Deployment. `created_at` is RFC 3339 as the object has it, `pods` those there now."""

    revision: int
    replica_set: str
    created_at: str | None
    images: list[str]
    pods: int
    ready: int


class RolloutHistoryOutput(ToolModel):
    """Newest revision first. `rollback_candidate` says that rollback_deployment would propose one; `reason` why."""

    revisions: list[RevisionOutput]
    rollback_candidate: bool
    reason: str


class RollbackOutput(ToolModel):
    """The revision that is there and the one that would come back; None where there is none."""

    revision_before: int | None
    revision_after: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Revision:
    """A ReplicaSet with its pods that are not being deleted."""

    replica_set: Object
    pods: tuple[Object, ...]

    @property
    def number(self) -> int:
        return revision(self.replica_set)

    @property
    def ready(self) -> list[Object]:
        return [pod for pod in self.pods if pod_ready(pod)]


def revisions(evidence: WorkloadEvidence) -> list[Revision]:
    """The Deployment's revisions with their pods, newest first."""
    return [
        Revision(
            replica_set=entry,
            pods=tuple(pod for pod in evidence.pods if controlled_by(pod, uid(entry)) and not terminating(pod)),
        )
        for entry in evidence.replica_sets
    ]


def serving_revision(evidence: WorkloadEvidence) -> Revision | None:
    """The newest revision below the current one that has ready pods now."""
    return next((entry for entry in revisions(evidence)[1:] if entry.ready), None)


async def _get_rollout_history(
    cluster: Cluster, _arguments: WorkloadInput, context: ToolContext
) -> RolloutHistoryOutput:
    evidence = await read_workload(cluster, context.target, context.now)
    change, judgements = rollback(evidence)
    reasons = [judgement.reason for judgement in judgements]
    return RolloutHistoryOutput(
        revisions=[
            RevisionOutput(
                revision=entry.number,
                replica_set=name(entry.replica_set),
                created_at=entry.replica_set.get("metadata", {}).get("creationTimestamp"),
                images=[str(spec.get("image")) for spec in containers(pod_template(entry.replica_set))],
                pods=len(entry.pods),
                ready=len(entry.ready),
            )
            for entry in revisions(evidence)
        ],
        rollback_candidate=change is not None,
        reason="; ".join(reasons),
    )


def assess_rollback(_arguments: WorkloadInput, evidence: Evidence, _context: ToolContext) -> Assessment:
    """The way back to the newest revision that serves, and every condition that forbids it."""
    found = workload_evidence(evidence)
    change, judgements = rollback(found)
    return Assessment(
        change=change, judgements=tuple(judgements), output=rollback_output(found).model_dump(mode="json")
    )


def rollback_output(evidence: WorkloadEvidence) -> RollbackOutput:
    former = serving_revision(evidence)
    return RollbackOutput(
        revision_before=revision(evidence.replica_sets[0]) if evidence.replica_sets else None,
        revision_after=former.number if former else None,
    )


def rollback(evidence: WorkloadEvidence) -> tuple[Change | None, list[Judgement]]:
    """The rollback that a person may be asked about, with the question; or None with what forbids it."""
    target = evidence.target
    by_hand = f"kubectl -n {target.namespace} rollout history {target.kind.lower()}/{target.name}"
    judgements = [*chain_judgements(evidence, by_hand), *newest_revision_judgements(evidence)]
    if target.kind != "Deployment" or evidence.controller is None or evidence.pod is None:
        return None, judgements
    known = revisions(evidence)
    former = serving_revision(evidence)
    if former is None:
        reason = f"no older revision of Deployment {target.name} has a ready pod now"
        return None, [*judgements, refusal("ready-revision", reason, "an older revision that serves", by_hand=by_hand)]
    judgements += _began_with_newest(known[0], former, by_hand)
    judgements += _templates(evidence, former, by_hand)
    if worst(judgements) is Verdict.REFUSE:
        return None, judgements
    reason = (
        f"the pods of revision {known[0].number} fail, revision {former.number} has {len(former.ready)} ready: "
        "taking back a release is a person's decision"
    )
    judgements.append(question("rollback", reason, "a person's approval", by_hand=_undo_command(evidence, former)))
    return _change(evidence, former), judgements


def _undo_command(evidence: WorkloadEvidence, former: Revision) -> str:
    target = evidence.target
    return f"kubectl -n {target.namespace} rollout undo deployment/{target.name} --to-revision={former.number}"


def _began_with_newest(newest: Revision, former: Revision, by_hand: str) -> list[Judgement]:
    """Every pod of the newest revision fails, and none of the former one does or did since."""
    sound = [name(pod) for pod in newest.pods if pod_ready(pod) and not _ended_badly_since(pod, None)]
    failing = [name(pod) for pod in newest.pods if _fails(pod) or _ended_badly_since(pod, None)]
    born = created_at(newest.replica_set)
    also = [name(pod) for pod in former.pods if _fails(pod) or (born is not None and _ended_badly_since(pod, born))]
    against = []
    if not failing:
        against.append(
            refusal(
                "symptom",
                f"no pod of revision {newest.number} crashes or lacks its image",
                "pods of the newest revision that fail",
                settled=bool(sound) and len(sound) == len(newest.pods),
                by_hand=by_hand,
            )
        )
    elif sound:
        reason = f"{', '.join(sound)} of revision {newest.number} is Ready: not every pod of it fails"
        against.append(refusal("crash-began", reason, "a person comparing the revisions", by_hand=by_hand))
    if also:
        reason = f"{', '.join(also)} of revision {former.number} fails too: the trouble did not begin with the newest"
        against.append(refusal("crash-began", reason, "a former revision without failures", by_hand=by_hand))
    return against


def _fails(pod: Object) -> bool:
    return bool(crashes(pod) or image_pulls(pod, ()))


def _ended_badly_since(pod: Object, since: datetime | None) -> bool:
    """Whether a container of the pod ended with an error, after `since` where that is given."""
    for status, _ in all_statuses(pod):
        for ended in terminations(status):
            finished = time_of(ended.get("finishedAt"))
            if ended.get("exitCode") != 0 and (since is None or finished is None or finished >= since):
                return True
    return False


def _templates(evidence: WorkloadEvidence, former: Revision, by_hand: str) -> list[Judgement]:
    """Both revisions are numbered, and their templates are there and differ."""
    newest = evidence.replica_sets[0]
    if not revision(newest) or not former.number:
        reason = "the revisions carry no number (annotation deployment.kubernetes.io/revision)"
    elif not containers(pod_template(former.replica_set)):
        reason = f"the template of revision {former.number} is not there to go back to"
    elif not _difference(evidence, former):
        reason = f"the template is already that of revision {former.number}"
        return [refusal("template", reason, "a revision that differs", settled=True, by_hand=by_hand)]
    else:
        return []
    return [refusal("template", reason, "a revision with its number and template", by_hand=by_hand)]


def _difference(evidence: WorkloadEvidence, former: Revision) -> Object:
    return diff(pod_template(evidence.controller or {}), without_pod_template_hash(pod_template(former.replica_set)))


def _change(evidence: WorkloadEvidence, former: Revision) -> Change:
    target = evidence.target
    now = pod_template(evidence.controller or {})
    then = without_pod_template_hash(pod_template(former.replica_set))
    number = revision(evidence.replica_sets[0])
    return Change(
        tool="rollback_deployment",
        action=f"rollback_deployment:{target.namespace}/{target.name}:revision {number}→{former.number}",
        target=target,
        value=str(former.number),
        writes=(deployment_patch(evidence, {"spec": {"template": _difference(evidence, former)}}),),
        undo=(undo_patch(evidence, {"spec": {"template": diff(then, now)}}),),
        diff=tuple(changed_fields(now, then, "spec.template")),
        kubectl=_undo_command(evidence, former),
    )


TOOLS: tuple[Tool, ...] = (
    DiagnosticTool(
        name="get_rollout_history",
        summary="The revisions of the Deployment with their pods, and whether going back would help.",
        subject=Subject.WORKLOAD,
        input=WorkloadInput,
        output=RolloutHistoryOutput,
        permissions=EVIDENCE_PERMISSIONS,
        run=_get_rollout_history,
    ),
    RemediationTool(
        name="rollback_deployment",
        summary="Recommend going back to the newest revision that serves, if the trouble began with the current one.",
        subject=Subject.WORKLOAD,
        input=WorkloadInput,
        output=RollbackOutput,
        permissions=PATCH_PERMISSIONS,
        action_format="rollback_deployment:NS/DEPLOYMENT:revision BEFORE→AFTER",
        assess=assess_rollback,
    ),
)
