"""Cordon and uncordon: the two changes to a node, and every condition that they must meet.

Offered by `nodes`. Protects the rule that a node is cordoned only on a confirmed symptom, and given back only
when it has proved itself and nobody else may still need the cordon.
"""

from collections.abc import Iterator

from sre_agent.by_hand import word
from sre_agent.cluster.port import Resource, Write, WriteVerb
from sre_agent.evidence import Evidence, NodeEvidence
from sre_agent.objects import Object, annotations, name, namespace, resource_version, terminating, uid
from sre_agent.run import Assessment, Change, FieldChange, Judgement, Verdict, refusal
from sre_agent.times import duration_text, moment_text
from sre_agent.tools.node_rules import (
    cordon_is_ours_or_settled,
    node_evidence,
    node_gone,
    not_control_plane,
    not_leaving,
    not_ready,
)
from sre_agent.tools.node_state import (
    CORDONED_BY_US,
    condition_problems,
    cordoned,
    readiness,
    ready_since,
)
from sre_agent.tools.types import NodeInput, ToolContext, ToolModel


class CordonOutput(ToolModel):
    """`cordoned`: the node is cordoned, or this step's change would cordon it."""

    cordoned: bool


class UncordonOutput(ToolModel):
    """`uncordoned`: the node is schedulable, or this step's change would make it so."""

    uncordoned: bool


def assess_cordon(_arguments: NodeInput, evidence: Evidence, context: ToolContext) -> Assessment:
    """Cordons a node whose Ready condition says False or Unknown and that nobody is taking away."""
    found = node_evidence(evidence)
    node, node_name = found.node, found.target.name
    by_hand = f"kubectl cordon {word(node_name)}"
    if node is None:
        return _cordon_refused(node_gone(node_name))
    refused = tuple(
        judgement
        for judgement in (not_leaving(node, node_name), not_ready(node, node_name, by_hand))
        if judgement is not None
    )
    if refused:
        return _cordon_refused(*refused)
    output = CordonOutput(cordoned=True).model_dump()
    if cordoned(node):
        return Assessment(already=f"node {node_name} is already cordoned", output=output)
    asked = not_control_plane(node, node_name, by_hand)
    return Assessment(
        change=_cordon_change(found, node, str(context.incident_id or "replay")),
        judgements=() if asked is None else (asked,),
        output=output,
    )


def _cordon_refused(*judgements: Judgement) -> Assessment:
    return Assessment(judgements=judgements, output=CordonOutput(cordoned=False).model_dump())


def _cordon_change(evidence: NodeEvidence, node: Object, incident: str) -> Change:
    before = annotations(node).get(CORDONED_BY_US)
    node_name = evidence.target.name
    return Change(
        tool="cordon_node",
        action=f"cordon_node:{node_name}",
        target=evidence.target,
        writes=(_patch(node, annotation={CORDONED_BY_US: incident}, unschedulable=True),),
        diff=(
            FieldChange(path="spec.unschedulable", before=_shown(node), after="true"),
            FieldChange(path=f"metadata.annotations.{CORDONED_BY_US}", before=before, after=incident),
        ),
        kubectl=f"kubectl cordon {word(node_name)}",
        undo=(_patch(node, annotation={CORDONED_BY_US: before}, unschedulable=False, undo=True),),
    )


def assess_uncordon(_arguments: NodeInput, evidence: Evidence, context: ToolContext) -> Assessment:
    """Gives a node back that is Ready long enough, healthy and empty of terminating pods.

    Whether somebody else's cordon may go before it is older than SRE_AGENT_CORDON_SETTLE, a person decides.
    """
    found = node_evidence(evidence)
    node, node_name = found.node, found.target.name
    if node is None:
        return _uncordon_refused(node_gone(node_name))
    if not cordoned(node):
        return Assessment(
            already=f"node {node_name} is already schedulable",
            output=UncordonOutput(uncordoned=True).model_dump(),
        )
    judgements = tuple(_against_uncordon(found, node, context))
    if any(judgement.verdict is Verdict.REFUSE for judgement in judgements):
        return _uncordon_refused(*judgements)
    return Assessment(
        change=_uncordon_change(found, node),
        judgements=judgements,
        output=UncordonOutput(uncordoned=True).model_dump(),
    )


def _uncordon_refused(*judgements: Judgement) -> Assessment:
    return Assessment(judgements=judgements, output=UncordonOutput(uncordoned=False).model_dump())


def _against_uncordon(evidence: NodeEvidence, node: Object, context: ToolContext) -> Iterator[Judgement]:
    """Every condition that is not met, in the order in which a person would check them."""
    node_name = evidence.target.name
    for judgement in (
        not_leaving(node, node_name),
        _ready_long_enough(node, node_name, context),
        _all_conditions_healthy(node, node_name),
        _nothing_terminating(evidence),
        cordon_is_ours_or_settled(node, node_name, context, f"kubectl uncordon {word(node_name)}"),
    ):
        if judgement is not None:
            yield judgement


def _ready_long_enough(node: Object, node_name: str, context: ToolContext) -> Judgement | None:
    """Ready for SRE_AGENT_NODE_READY_FOR; 0 asks only that it is Ready now."""
    state = readiness(node)
    look = f"kubectl describe node {word(node_name)}"
    if not state.ready:
        return refusal(
            "node-ready",
            f"node {node_name} is not Ready: {state.reason}",
            "the node being Ready",
            by_hand=look,
        )
    needed = context.settings.node_ready_for
    since = ready_since(node)
    if not needed or (since is not None and context.now - since >= needed):
        return None
    if since is None:
        return refusal(
            "node-ready-for",
            f"since when node {node_name} is Ready cannot be told: its condition has no lastTransitionTime",
            f"a person who sees that it has been Ready for {duration_text(needed)}: kubectl uncordon {word(node_name)}",
            by_hand=f"kubectl uncordon {word(node_name)}",
        )
    return refusal(
        "node-ready-for",
        f"node {node_name} is Ready only since {moment_text(since)}, less than {duration_text(needed)}",
        f"staying Ready until {moment_text(since + needed)}",
        retry_at=since + needed,
        by_hand=look,
    )


def _all_conditions_healthy(node: Object, node_name: str) -> Judgement | None:
    problems = condition_problems(node)
    if not problems:
        return None
    return refusal(
        "node-conditions",
        f"node {node_name} is not healthy: {'; '.join(problems)}",
        "every condition of the node in its healthy state",
        by_hand=f"kubectl describe node {word(node_name)}",
    )


def _nothing_terminating(evidence: NodeEvidence) -> Judgement | None:
    """Pods that still terminate mean that a drain is under way or that the kubelet does not keep up."""
    node_name = evidence.target.name
    look = f"kubectl get pods --all-namespaces --field-selector spec.nodeName={word(node_name)}"
    if evidence.pods is None:
        return refusal(
            "terminating-pods",
            f"the pods of node {node_name} could not be read",
            "the right to list pods",
            by_hand=look,
        )
    going = sorted(f"{namespace(pod)}/{name(pod)}" for pod in evidence.pods if terminating(pod))
    if not going:
        return None
    return refusal(
        "terminating-pods",
        f"{len(going)} pod(s) still terminate on node {node_name}: {', '.join(going[:5])}",
        "the end of their termination",
        by_hand=look,
    )


def _uncordon_change(evidence: NodeEvidence, node: Object) -> Change:
    node_name = evidence.target.name
    ours = annotations(node).get(CORDONED_BY_US)
    diff = [FieldChange(path="spec.unschedulable", before=_shown(node), after="false")]
    if ours is not None:
        diff.append(FieldChange(path=f"metadata.annotations.{CORDONED_BY_US}", before=ours, after=None))
    return Change(
        tool="uncordon_node",
        action=f"uncordon_node:{node_name}",
        target=evidence.target,
        writes=(_patch(node, annotation={} if ours is None else {CORDONED_BY_US: None}, unschedulable=False),),
        diff=tuple(diff),
        kubectl=f"kubectl uncordon {word(node_name)}",
        undo=(
            _patch(
                node,
                annotation={} if ours is None else {CORDONED_BY_US: ours},
                unschedulable=True,
                undo=True,
            ),
        ),
    )


def _patch(node: Object, *, annotation: dict[str, str | None], unschedulable: bool, undo: bool = False) -> Write:
    """A strategic merge patch of a node. An undo cannot know the resourceVersion that it will find."""
    body: Object = {"spec": {"unschedulable": unschedulable}}
    if annotation:
        body = {"metadata": {"annotations": annotation}, **body}
    return Write(
        verb=WriteVerb.PATCH,
        resource=Resource.NODES,
        namespace=None,
        name=name(node),
        body=body,
        uid=uid(node),
        resource_version=None if undo else resource_version(node),
    )


def _shown(node: Object) -> str | None:
    """`spec.unschedulable` as YAML shows it, None where absent."""
    value = node.get("spec", {}).get("unschedulable")
    return None if value is None else str(bool(value)).lower()
