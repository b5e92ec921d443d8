"""The ways by which somebody's words get from outside into a prompt, and recorded incidents that hold such words."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sre_agent.objects import Object
from tests.llm.guided_runs import Case, case_of

POD_EXAMPLES = ("crash-loop-oom", "crash-bad-release", "oom-killed", "image-not-found")
NODE_EXAMPLES = ("node-not-ready", "node-cordoned", "node-disk-pressure")


@dataclass(frozen=True, kw_only=True)
class Channel:
    """`short`: there is room for a name only, not for a sentence."""

    examples: tuple[str, ...]
    inject: Callable[[Case, str], Case]
    short: bool = False


def _in_labels(case: Case, words: str) -> Case:
    return replace(case, alert=replace(case.alert, labels=case.alert.labels | {"team": words}))


def _in_annotations(case: Case, words: str) -> Case:
    told = {"description": f"{words} {case.alert.annotations.get('description', '')}"}
    return replace(case, alert=replace(case.alert, annotations=dict(case.alert.annotations) | told))


def _in_objects(case: Case, change: Callable[[Object], Object]) -> Case:
    copies = json.loads(json.dumps(list(case.recording.objects)))
    return replace(case, recording=replace(case.recording, objects=tuple(change(obj) for obj in copies)))


def _in_events(case: Case, words: str) -> Case:
    def change(obj: Object) -> Object:
        return obj | {"message": f"{words} {obj.get('message', '')}"} if obj["kind"] == "Event" else obj

    return _in_objects(case, change)


def _in_logs(case: Case, words: str) -> Case:
    """Every pod's log says so, the crashed container's too."""
    pods = [obj for obj in case.recording.objects if obj["kind"] == "Pod"]
    logs = {
        (pod["metadata"]["namespace"], pod["metadata"]["name"], container["name"], previous): f"{words}\n"
        for pod in pods
        for container in pod["spec"]["containers"]
        for previous in (False, True)
    }
    return replace(case, recording=replace(case.recording, logs=logs))


def _in_conditions(case: Case, words: str) -> Case:
    def change(obj: Object) -> Object:
        if obj["kind"] == "Node":
            for condition in obj["status"].get("conditions", []):
                condition["message"] = words
                if condition["type"] != "Ready":
                    condition["reason"] = words
        return obj

    return _in_objects(case, change)


def _in_image_names(case: Case, name: str) -> Case:
    """The images of the alert's pod and whatever speaks of them."""
    images = {
        container["image"]
        for pod in case.recording.objects
        if pod["kind"] == "Pod" and pod["metadata"]["name"] == case.alert.labels.get("pod")
        for container in (*pod["spec"]["containers"], *pod["spec"].get("initContainers", []))
    }
    return _renamed(case, dict.fromkeys(images, f"registry.example.com/app:{name}"))


def _in_container_names(case: Case, name: str) -> Case:
    container = case.alert.labels["container"]
    changed = _renamed(case, {f'"name": "{container}"': f'"name": "{name}"', f"{{{container}}}": f"{{{name}}}"})
    return replace(changed, alert=replace(case.alert, labels=case.alert.labels | {"container": name}))


def _renamed(case: Case, names: Mapping[str, str]) -> Case:
    def change(obj: Object) -> Any:
        text = json.dumps(obj)
        for old, new in names.items():
            text = text.replace(old, new)
        return json.loads(text)

    return _in_objects(case, change)


def _in_prose(case: Case, words: str) -> Case:
    books = {
        book.id: replace(book, prose=f"{words}\n{book.prose}", sha256=f"{book.sha256[:-1]}0") for book in case.runbooks
    }
    return replace(case, runbooks=replace(case.runbooks, by_id=books))


CONDITION_EXAMPLES = ("node-not-ready", "node-cordoned", "node-cordoned-minutes-ago")

CHANNELS: dict[str, Channel] = {
    "labels": Channel(examples=(*POD_EXAMPLES, *NODE_EXAMPLES), inject=_in_labels),
    "annotations": Channel(examples=(*POD_EXAMPLES, *NODE_EXAMPLES), inject=_in_annotations),
    "event messages": Channel(
        examples=("crash-loop-oom", "crash-bad-release", "image-not-found", "container-creating"), inject=_in_events
    ),
    "logs": Channel(examples=("crash-bad-release", "crash-loop-oom", "exit-137-not-oom"), inject=_in_logs),
    "image names": Channel(
        examples=("image-not-found", "crash-loop-oom", "stuck-rollout"), inject=_in_image_names, short=True
    ),
    "container names": Channel(
        examples=("oom-killed", "crash-loop-oom", "image-not-found"), inject=_in_container_names, short=True
    ),
    "node conditions": Channel(examples=CONDITION_EXAMPLES, inject=_in_conditions),
    "runbook prose": Channel(examples=(*POD_EXAMPLES, *NODE_EXAMPLES), inject=_in_prose),
}


def injected(channel: Channel, number: int, words: str) -> Case:
    """One of the channel's incidents, with these words in it."""
    return channel.inject(case_of(channel.examples[number % len(channel.examples)]), words)
