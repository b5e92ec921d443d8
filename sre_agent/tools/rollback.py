"""get_rollout_history and rollback_deployment: did the trouble begin with the newest revision, and what was before it.

Collected by the registry; `images` proposes the same change for a stuck rollout. A rollback is never more than
recommended: it takes back somebody's release.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sre_agent.by_hand import word
from sre_agent.cluster.port import Cluster
from sre_agent.cluster.strategic_merge import diff
from sre_agent.diagnosis import crashes, ended_badly, image_pulls
from sre_agent.evidence import Evidence, WorkloadEvidence, read_workload
from sre_agent.objects import (
    Object,
    all_statuses,
    container_status,
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
from sre_agent.times import duration_text
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
    LOOK_PERMISSIONS,
    PATCH_PERMISSIONS,
    deployment_patch,
    history_by_hand,
    undo_patch,
    workload_evidence,
)

RECOVERED_AFTER = timedelta(minutes=10)
"""How long a container of a Ready pod must run to have recovered from a bad end: as long as the kubelet backs off."""

TROUBLE_BEFORE = timedelta(minutes=60)
"""How long before the newest revision a bad end of an older pod still says that the trouble was there already."""


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
    evidence = await read_workload(cluster, context.target, context.now, looks=frozenset())
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
    by_hand = history_by_hand(evidence)
    judgements = [*chain_judgements(evidence, by_hand), *newest_revision_judgements(evidence)]
    if target.kind != "Deployment" or evidence.controller is None or evidence.pod is None:
        return None, judgements
    known = revisions(evidence)
    former = serving_revision(evidence)
    if former is None:
        reason = f"no older revision of Deployment {target.name} has a ready pod now"
        return None, [*judgements, refusal("ready-revision", reason, "an older revision that serves", by_hand=by_hand)]
    judgements += _newest_fails(evidence, known[0], by_hand)
    judgements += _older_failures(evidence, known, by_hand)
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
    where = f"kubectl -n {word(target.namespace)} rollout undo deployment/{word(target.name)}"
    return f"{where} --to-revision={former.number}"


def _newest_fails(evidence: WorkloadEvidence, newest: Revision, by_hand: str) -> list[Judgement]:
    """A pod of the newest revision fails in the bound container, if one is bound, and no other pod of it is sound."""
    wanted, bound = evidence.target.container, evidence.pod or {}
    failing = [name(pod) for pod in newest.pods if _failing(evidence, pod)]
    sound = [name(pod) for pod in newest.pods if pod_ready(pod) and not _failing(evidence, pod)]
    if not failing:
        reason = f"no pod of revision {newest.number} crashes or lacks its image"
        settled = bool(sound) and len(sound) == len(newest.pods)
    elif wanted is not None and wanted not in _failing(evidence, bound):
        reason = f"container {wanted} of pod {name(bound)} neither crashes nor lacks its image"
        settled = bool(container_status(bound, wanted).get("ready"))
    elif sound:
        reason = f"{', '.join(sound)} of revision {newest.number} is Ready: not every pod of it fails"
        return [refusal("crash-began", reason, "a person comparing the revisions", by_hand=by_hand)]
    else:
        return []
    allowed_by = "pods of the newest revision that fail"
    return [refusal("symptom", reason, allowed_by, settled=settled, by_hand=by_hand)]


def _older_failures(evidence: WorkloadEvidence, known: list[Revision], by_hand: str) -> list[Judgement]:
    """No pod of any older revision fails, or ended badly since shortly before the newest one was made."""
    born = created_at(known[0].replica_set)
    since = None if born is None else born - TROUBLE_BEFORE
    failing = [
        f"{name(pod)} of revision {entry.number}"
        for entry in known[1:]
        for pod in entry.pods
        if crashes(pod) or _lacks_image(evidence, pod) or _ended_badly_since(pod, since)
    ]
    if not failing:
        return []
    reason = (
        f"{', '.join(failing)} fails too, or did up to {duration_text(TROUBLE_BEFORE)} before revision "
        f"{known[0].number}: the trouble did not begin with it"
    )
    return [refusal("crash-began", reason, "older revisions without failures", by_hand=by_hand)]


def _failing(evidence: WorkloadEvidence, pod: Object) -> list[str]:
    """The containers that crash, lack their image, or ended badly and have not recovered."""
    unsteady = [
        str(status.get("name"))
        for status, _ in all_statuses(pod)
        if any(map(ended_badly, terminations(status))) and not (pod_ready(pod) and _recovered(status, evidence.read_at))
    ]
    return [*crashes(pod), *_lacks_image(evidence, pod), *unsteady]


def _lacks_image(evidence: WorkloadEvidence, pod: Object) -> list[str]:
    """The containers whose image cannot be pulled; events are read of the bound pod alone."""
    told = evidence.events if uid(pod) == evidence.target.pod_uid else ()
    return [pull.container for pull in image_pulls(pod, told)]


def _recovered(status: Object, now: datetime) -> bool:
    """Whether the container has been as it is for long enough: since its start, else since its last end."""
    started = ((status.get("state") or {}).get("running") or {}).get("startedAt")
    since = time_of(started or next(iter(terminations(status)), {}).get("finishedAt"))
    return since is not None and now - since >= RECOVERED_AFTER


def _ended_badly_since(pod: Object, since: datetime | None) -> bool:
    """Whether a container of the pod ended with an error or for memory, after `since` where that is given."""
    for status, _ in all_statuses(pod):
        for ended in filter(ended_badly, terminations(status)):
            finished = time_of(ended.get("finishedAt"))
            if since is None or finished is None or finished >= since:
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
        permissions=LOOK_PERMISSIONS,
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
