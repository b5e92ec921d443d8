"""The types of the fields that the agent relies upon, by resource, as the Kubernetes API types have them.

Read by `normal_form`. A field belongs here as soon as some room reads it; names and uids of hand-written recordings
may be numbers. What stands here is refused where it has another type, so that no reader needs to ask.
"""

from collections.abc import Mapping

from sre_agent.cluster.decoding import (
    ANYTHING,
    COUNT_OR_SHARE,
    FLAG,
    INTEGER,
    QUANTITIES,
    TEXT,
    TEXTS,
    WORDS,
    ListOf,
    MapOf,
    Shape,
)
from sre_agent.cluster.port import Resource
from sre_agent.cluster.strategic_merge import MERGE_KEYS

_Fields = dict[str, Shape]

_OBJECT = MapOf(ANYTHING)
_REFERENCE: _Fields = dict.fromkeys(("apiVersion", "kind", "namespace", "name", "uid", "fieldPath"), TEXT)
_OWNER: _Fields = {**_REFERENCE, "controller": FLAG, "blockOwnerDeletion": FLAG}
_MANAGED: _Fields = {
    **dict.fromkeys(("manager", "operation", "time", "subresource"), TEXT),
    "fieldsV1": {"f:spec": _OBJECT, "f:metadata": _OBJECT},
}
_METADATA: _Fields = {
    **dict.fromkeys(("name", "namespace", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp"), TEXT),
    "generation": INTEGER,
    "labels": WORDS,
    "annotations": WORDS,
    "ownerReferences": ListOf(_OWNER),
    "managedFields": ListOf(_MANAGED),
}
_CONDITION: _Fields = dict.fromkeys(("type", "status", "reason", "message", "lastTransitionTime"), TEXT)
_REQUIREMENT: _Fields = {"key": TEXT, "scopeName": TEXT, "operator": TEXT, "values": TEXTS}
_SELECTOR: _Fields = {"matchLabels": WORDS, "matchExpressions": ListOf(_REQUIREMENT)}


def _merged(field: str, element: _Fields) -> ListOf:
    """A list that strategic merge patches merge by its key."""
    return ListOf({MERGE_KEYS[field]: TEXT, **element}, key=MERGE_KEYS[field])


_CONTAINER: _Fields = {
    **dict.fromkeys(("name", "image", "restartPolicy"), TEXT),
    "command": TEXTS,
    "args": TEXTS,
    **{field: _merged(field, {}) for field in ("env", "volumeMounts", "volumeDevices")},
    "ports": _merged("ports", {"containerPort": INTEGER}),
    "resources": {"limits": QUANTITIES, "requests": QUANTITIES},
}
_TOLERATION: _Fields = {**dict.fromkeys(("key", "operator", "value", "effect"), TEXT), "tolerationSeconds": INTEGER}
_POD_SPEC: _Fields = {
    **dict.fromkeys(("nodeName", "priorityClassName", "restartPolicy", "serviceAccountName"), TEXT),
    **{field: _merged(field, _CONTAINER) for field in ("containers", "initContainers", "ephemeralContainers")},
    "volumes": _merged("volumes", {"emptyDir": _OBJECT}),
    **{field: _merged(field, {}) for field in ("hostAliases", "imagePullSecrets", "topologySpreadConstraints")},
    "tolerations": ListOf(_TOLERATION),
    "overhead": QUANTITIES,
    "activeDeadlineSeconds": INTEGER,
    "nodeSelector": WORDS,
}
_ENDED: _Fields = {**dict.fromkeys(("reason", "message", "startedAt", "finishedAt"), TEXT), "exitCode": INTEGER}
_STATE: _Fields = {"waiting": {"reason": TEXT, "message": TEXT}, "running": {"startedAt": TEXT}, "terminated": _ENDED}
_CONTAINER_STATUS: _Fields = {
    **dict.fromkeys(("name", "image", "imageID"), TEXT),
    "ready": FLAG,
    "restartCount": INTEGER,
    "state": _STATE,
    "lastState": _STATE,
}
_POD_STATUS: _Fields = {
    **dict.fromkeys(("phase", "reason", "message", "startTime"), TEXT),
    "conditions": ListOf(_CONDITION),
    "containerStatuses": ListOf(_CONTAINER_STATUS),
    "initContainerStatuses": ListOf(_CONTAINER_STATUS),
    "ephemeralContainerStatuses": ListOf(_CONTAINER_STATUS),
}

_COUNTS: _Fields = dict.fromkeys(
    ("replicas", "readyReplicas", "availableReplicas", "updatedReplicas", "unavailableReplicas", "observedGeneration"),
    INTEGER,
)
_STRATEGY: _Fields = {"type": TEXT, "rollingUpdate": {"maxSurge": COUNT_OR_SHARE, "maxUnavailable": COUNT_OR_SHARE}}
_WORKLOAD: _Fields = {
    "spec": {
        "replicas": INTEGER,
        "paused": FLAG,
        "suspend": FLAG,
        "selector": _SELECTOR,
        "strategy": _STRATEGY,
        "template": {"metadata": _METADATA, "spec": _POD_SPEC},
    },
    "status": {**_COUNTS, "updateRevision": TEXT, "currentRevision": TEXT, "conditions": ListOf(_CONDITION)},
}

_EVENT: _Fields = {
    **dict.fromkeys(("type", "reason", "message", "reportingComponent"), TEXT),
    **dict.fromkeys(("firstTimestamp", "lastTimestamp", "eventTime"), TEXT),
    "count": INTEGER,
    "series": {"count": INTEGER, "lastObservedTime": TEXT},
    "source": {"component": TEXT, "host": TEXT},
    "involvedObject": _REFERENCE,
}
_TAINT: _Fields = dict.fromkeys(("key", "value", "effect", "timeAdded"), TEXT)
_NODE: _Fields = {
    "spec": {"unschedulable": FLAG, "taints": ListOf(_TAINT)},
    "status": {"conditions": ListOf(_CONDITION), "allocatable": QUANTITIES, "capacity": QUANTITIES},
}
_QUOTA: _Fields = {
    "spec": {
        "hard": QUANTITIES,
        "scopes": TEXTS,
        "scopeSelector": {"matchExpressions": ListOf(_REQUIREMENT)},
    },
    "status": {"hard": QUANTITIES, "used": QUANTITIES},
}
_LIMIT: _Fields = {
    "type": TEXT,
    **dict.fromkeys(("max", "min", "default", "defaultRequest", "maxLimitRequestRatio"), QUANTITIES),
}
_BUDGET: _Fields = {
    "spec": {"selector": _SELECTOR, "unhealthyPodEvictionPolicy": TEXT},
    "status": {
        **dict.fromkeys(("currentHealthy", "desiredHealthy", "disruptionsAllowed", "observedGeneration"), INTEGER),
        "disruptedPods": _OBJECT,
        "conditions": ListOf(_CONDITION),
    },
}
_METRIC: _Fields = {"type": TEXT, "resource": {"name": TEXT}, "containerResource": {"name": TEXT, "container": TEXT}}
_AUTOSCALER: _Fields = {"spec": {"scaleTargetRef": _REFERENCE, "metrics": ListOf(_METRIC)}}
_POLICY: _Fields = {"containerName": TEXT, "mode": TEXT, "controlledResources": TEXTS}
_VERTICAL_AUTOSCALER: _Fields = {
    "spec": {
        "targetRef": _REFERENCE,
        "updatePolicy": {"updateMode": TEXT},
        "resourcePolicy": {"containerPolicies": ListOf(_POLICY)},
    }
}

_OF_RESOURCE: Mapping[Resource, _Fields] = {
    Resource.PODS: {"spec": _POD_SPEC, "status": _POD_STATUS},
    Resource.EVENTS: _EVENT,
    Resource.NODES: _NODE,
    Resource.NAMESPACES: {"spec": {}, "status": {"phase": TEXT}},
    Resource.RESOURCE_QUOTAS: _QUOTA,
    Resource.LIMIT_RANGES: {"spec": {"limits": ListOf(_LIMIT)}},
    Resource.POD_DISRUPTION_BUDGETS: _BUDGET,
    Resource.HORIZONTAL_POD_AUTOSCALERS: _AUTOSCALER,
    Resource.VERTICAL_POD_AUTOSCALERS: _VERTICAL_AUTOSCALER,
    Resource.POD_METRICS: {"containers": ListOf({"name": TEXT, "usage": QUANTITIES})},
}


def shape_of(resource: Resource) -> Mapping[str, Shape]:
    """The fields of an object of this resource that have a known type; every other resource is a workload."""
    return {"kind": TEXT, "apiVersion": TEXT, "metadata": _METADATA, **_OF_RESOURCE.get(resource, _WORKLOAD)}
